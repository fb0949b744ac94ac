#!/usr/bin/env python3
"""Reads `go test -json` of Complement, sums it up, and holds it against the list of what must pass.

usage: results.py RESULTS.json PASSING.txt [--update] [--partial]

Tests of flaky.txt, beside this program, may fail whatever the server does: they are told, and never a regression.
"""

import json
import re
import sys
from collections import Counter, defaultdict
from pathlib import Path

PREFIX = "github.com/matrix-org/complement/"
# What a test says of itself: `    sync_test.go:292: the reason`.
REASON = re.compile(r"^\s+\w+\.go:\d+: (?!SendEventSynced|\[CSAPI\])(.*)$")
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def read_results(path):
    """`package test` -> pass, fail or skip; how each package ended; the last thing that each test said."""
    results, packages, reasons = {}, {}, {}
    with open(path, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            action = entry.get("Action")
            package = entry.get("Package", "").removeprefix(PREFIX)
            if action in ("pass", "fail", "skip"):
                if "Test" in entry:
                    results[f"{package} {entry['Test']}"] = action
                elif packages.get(package) != "fail":
                    # A package may run in several parts.
                    packages[package] = action
            elif action == "run" and "Test" in entry:
                # A test that never ends (the package died) has failed.
                results.setdefault(f"{package} {entry['Test']}", "fail")
            elif action == "output" and "Test" in entry and (said := REASON.match(ANSI.sub("", entry["Output"]))):
                reasons[f"{package} {entry['Test']}"] = said.group(1)
    return results, packages, reasons


def print_summary(results):
    counts = defaultdict(Counter)
    for name, verdict in results.items():
        package, test = name.split(" ", 1)
        kind = "sub" if "/" in test else "top"
        counts[package][f"{kind} {verdict}"] += 1
        counts["all"][f"{kind} {verdict}"] += 1
    print(f"{'package':<22} {'tests pass/fail/skip':>22} {'subtests pass/fail/skip':>26}")
    for package in sorted(counts, key=lambda name: (name == "all", name)):
        row = ["/".join(str(counts[package][f"{kind} {v}"]) for v in ("pass", "fail", "skip")) for kind in ("top", "sub")]
        print(f"{package:<22} {row[0]:>22} {row[1]:>26}")


def read_names(path):
    """The names on a list: a line each, without what follows a `#`."""
    try:
        with open(path, encoding="utf-8") as lines:
            return {name for line in lines if (name := re.split(r"(?:^|\s+)#\s", line, maxsplit=1)[0].strip())}
    except FileNotFoundError:
        return set()


def is_excused(name, failed, flaky):
    """Whether a test that did not pass is flaky, or failed for nothing but flaky subtests."""
    below = [other for other in failed if other.startswith(name + "/")]
    leaves = [other for other in below if not any(deeper.startswith(other + "/") for deeper in below)]
    return name in flaky or bool(leaves) and all(leaf in flaky for leaf in leaves)


def main():
    arguments = [a for a in sys.argv[1:] if not a.startswith("--")]
    options = {a for a in sys.argv[1:] if a.startswith("--")}
    if len(arguments) != 2:
        sys.exit(__doc__)
    results, packages, reasons = read_results(arguments[0])
    must_pass = read_names(arguments[1])
    flaky = read_names(Path(__file__).with_name("flaky.txt"))
    passed = {name for name, verdict in results.items() if verdict == "pass"}

    failed = sorted(name for name, verdict in results.items() if verdict == "fail")
    for name in failed:
        print(f"FAIL {name}: {reasons.get(name, '')[:240]}".rstrip(": "))
    print_summary(results)

    # A run of some tests says nothing of the others.
    expected = {name for name in must_pass if name in results} if "--partial" in options else must_pass
    excused = {name for name in expected - passed if is_excused(name, failed, flaky)}
    for name in sorted(excused):
        print(f"FLAKY {name}")
    regressions = sorted(expected - passed - excused)
    for name in regressions:
        print(f"REGRESSION {name}")
    news = sorted(passed - must_pass)
    print(f"{len(passed)} pass, {len(news)} of them not yet on the list, {len(regressions)} regressions")
    if news and "--update" in options:
        with open(arguments[1], "w", encoding="utf-8") as lines:
            lines.write("# Complement tests that pass: `package test`. May only grow. Written by scripts/complement --update.\n")
            lines.writelines(f"{name}\n" for name in sorted(must_pass | passed))
    if not passed and failed:
        print("Nothing passed: did the server start? --verbose shows its log.")
    died = [name for name, verdict in packages.items() if verdict == "fail" and not any(f.startswith(name + " ") for f in failed)]
    for name in died:
        print(f"package {name} did not run: see the log")
    if regressions or died or not results:
        sys.exit(1)


main()
