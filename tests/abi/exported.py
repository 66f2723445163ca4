#!/usr/bin/env python3
"""exported: libcistern.so exports what exported.txt lists and the public headers declare.

usage: exported.py LIBRARY GOLDEN HEADER...
"""

import re
import subprocess
import sys


def main(library, golden, *headers):
    listed = subprocess.run(["nm", "-D", "--defined-only", library], check=True,
                            capture_output=True, text=True).stdout
    exported = {line.split()[-1] for line in listed.splitlines()}
    with open(golden, encoding="utf-8") as file:
        expected = set(file.read().split())
    declared = set()
    for header in headers:
        with open(header, encoding="utf-8") as file:
            declared |= set(re.findall(r"CISTERN_API [^;(]*?\b(cistern_\w+)\(", file.read()))
    called = {name.split("@")[0] for name in exported if "@" in name}
    problems = [f"{name}: exported, and not in {golden}: a new name is for good"
                for name in sorted(exported - expected)]
    problems += [f"{name}: no longer exported; programs that use it would not start"
                 for name in sorted(expected - exported)]
    problems += [f"{name}: exported, and no public header says so"
                 for name in sorted(called - declared)]
    problems += [f"{name}: in a public header, and not exported"
                 for name in sorted(declared - called)]
    print("\n".join(problems + [f"{len(exported)} names, {len(problems)} problems"]))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
