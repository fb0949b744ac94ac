"""Write all test vectors, or those named, into the folder given. See README.md."""

import pathlib
import random
import sys

import auth
import graphs
import hashes
import visibility
from rooms import VERSIONS

SEED = 20


def main(folder):
    folder = pathlib.Path(folder)
    dice = lambda name, *rest: random.Random("/".join(map(str, (SEED, name, *rest))))
    files = {
        "hashes": hashes.lines(dice("hashes"), 1500),
        "auth_state": (auth.dependent(dice("state", v, n), v, 24) for v in VERSIONS for n in range(25)),
        "auth_citations": (auth.independent(dice("citations", v, n), v, 16) for v in VERSIONS for n in range(5)),
        "auth_create": (auth.create(dice("create", v, n), v) for v in VERSIONS for n in range(40)),
        "signers": (auth.signers(dice("signers", v, n), v) for v in VERSIONS for n in range(40)),
        "graphs": (graphs.line(dice("graphs", v, n), v, 45) for v in VERSIONS for n in range(25)),
        "visibility": visibility.lines(),
        "server_visibility": visibility.server_lines(),
    }
    wanted = sys.argv[2:] or files
    for name in wanted:
        lines = files[name]
        with open(folder / f"{name}.jsonl", "w", encoding="utf-8") as file:
            for line in lines:
                file.write(line + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
