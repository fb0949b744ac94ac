#!/usr/bin/env python3
"""Sends the same requests to Synapse and to Myelin, and compares what they answer: status, error code, and shape.

Started by scripts/test-differential, which starts both. Differences that are meant stand in allowed.tsv, each with its
reason; any other fails the run.
"""

import argparse
import concurrent.futures
import fnmatch
import pathlib
import random
import sys

import cases
import world

# What stands in answers as chance or the clock will have it, or as a courtesy that no client relies on.
IGNORED_KEYS = {"age", "age_ts", "soft_logout", "error", "retry_after_ms"}

# After so many requests it is seen whether everything can still be read.
LOOK_EVERY = 50


def kind_of_key(key):
    """Keys that are IDs are as good as each other."""
    return key[0] + "…" if key and key[0] in "@!$#" else key


def shape(value):
    """What a value is made of, without the values."""
    if isinstance(value, dict):
        members = {}
        for key, inner in value.items():
            if key not in IGNORED_KEYS:
                members.setdefault(kind_of_key(key), set()).add(shape(inner))
        return "{" + ",".join(f"{key}:{'|'.join(sorted(inner))}" for key, inner in sorted(members.items())) + "}"
    if isinstance(value, list):
        return "[" + "|".join(sorted({shape(inner) for inner in value})) + "]"
    return {bool: "bool", int: "number", float: "number", str: "text", type(None): "null"}[type(value)]


def by_kind(items):
    """The objects of a list put together by their type, so that lists can be compared whatever they list."""
    kinds = {}
    for item in items:
        kinds.setdefault(str(item.get("type", item.get("rule_id", ""))), {}).update(item)
    return kinds


def differing_parts(ours, theirs, path=""):
    """Where two answers have another shape, and how."""
    if isinstance(ours, list) and isinstance(theirs, list):
        if not ours or not theirs or not all(isinstance(item, dict) for item in ours + theirs):
            return
        ours, theirs, path = by_kind(ours), by_kind(theirs), path + "[]"
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted((set(ours) | set(theirs)) - IGNORED_KEYS):
            if key in ours and key in theirs:
                yield from differing_parts(ours[key], theirs[key], f"{path}.{kind_of_key(key)}")
            elif kind_of_key(key) == key:
                yield f"{path}.{key} only in {'Synapse' if key in theirs else 'Myelin'}"
    elif shape(ours) != shape(theirs):
        yield f"{path}: {shape(theirs)[:60]} in Synapse, {shape(ours)[:60]} in Myelin"


def verdict(status, answer):
    """An answer in a few words."""
    if isinstance(answer, dict) and "errcode" in answer:
        return f"{status} {answer['errcode']}"
    return f"{status} {answer}" if isinstance(answer, str) else str(status)


class Allowed:
    """Differences that are meant: route, case, Synapse's answer and ours as patterns, and the reason."""

    def __init__(self, path):
        lines = pathlib.Path(path).read_text(encoding="utf-8").splitlines()
        self.rows = [line.split("\t") for line in lines if line and not line.startswith("#")]
        self.used = set()

    def explains(self, difference):
        for number, row in enumerate(self.rows):
            if all(fnmatch.fnmatchcase(value, pattern) for value, pattern in zip(difference, row)):
                self.used.add(number)
                return True
        return False


def compare(number, request, worlds, pool, all_shapes):
    """The differences between both answers. What answers are made of is compared only as long as both servers hold the same."""
    list(pool.map(lambda one: one.prepare(request, number), worlds))
    (their_status, their_answer), (our_status, our_answer) = pool.map(lambda one: one.answer(request), worlds)
    theirs, ours = verdict(their_status, their_answer), verdict(our_status, our_answer)
    if theirs != ours:
        yield request.route.name, request.case, theirs, ours
    elif our_status == 200 and (all_shapes or request.case == "good"):
        for part in differing_parts(our_answer, their_answer):
            yield request.route.name, request.case, theirs, part


def look(number, worlds, pool, recent):
    """Reads that fail on Myelin alone, after the requests that may be why."""
    theirs, ours = pool.map(lambda one: one.look(), worlds)
    for failed in sorted(set(ours) - set(theirs)):
        yield "look", f"after {number} requests", "200", failed
    if set(ours) - set(theirs):
        print("\n".join(f"# {request.route.name}\t{request.case}" for request in recent), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--synapse", required=True, metavar="URL")
    parser.add_argument("--myelin", required=True, metavar="URL")
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--all", action="store_true", help="every request that there is, not some of them: some hours")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="*", help="a pattern of routes, such as '*createRoom'")
    parser.add_argument("--allowed", default=pathlib.Path(__file__).parent / "allowed.tsv")
    options = parser.parse_args()
    worlds = [world.World("Synapse", options.synapse), world.World("Myelin", options.myelin)]
    allowed, found, count = Allowed(options.allowed), [], 0
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda one: one.begin(), worlds))
        requests = cases.choose(random.Random(options.seed), None if options.all else options.requests)
        requests = [request for request in requests if fnmatch.fnmatchcase(request.route.name, options.only)]
        for number, request in enumerate(requests):
            count += 1
            differences = [*compare(number, request, worlds, pool, not options.all)]
            if count % LOOK_EVERY == 0 or count == len(requests):
                differences += look(count, worlds, pool, requests[max(0, count - LOOK_EVERY):count])
            for difference in differences:
                if not allowed.explains(difference):
                    found.append(difference)
                    print("\t".join(difference), flush=True)
    print(f"{count} requests, {len(found)} differences that nothing explains", file=sys.stderr)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
