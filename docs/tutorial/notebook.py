#!/usr/bin/env python3
"""notebook: what a well-known notebook on KV caches claims, and what Cistern measures. README.md.

usage: notebook.py [--parts 1,2,…] [--quick] [--build DIR] [--trace PATH] [--out DIR]

Starts sidecars of its own on temporary folders, prints tables and writes plots as SVG. Needs the
package (PYTHONPATH=build/libclient/python) and NumPy.
"""

import argparse
import os
import sys

import part_1_why
import part_2_layers
import part_3_hashing
import part_4_cache
import part_5_benchmark
import part_6_deployments

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PARTS = (part_1_why, part_2_layers, part_3_hashing, part_4_cache, part_5_benchmark,
         part_6_deployments)


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", default="1,2,3,4,5,6", help="which, with commas between")
    parser.add_argument("--quick", action="store_true", help="smaller and shorter, to see it run")
    parser.add_argument("--build", default=os.environ.get("CISTERN_BUILD",
                                                          os.path.join(ROOT, "build")))
    parser.add_argument("--trace", help="an agent's log (.jsonl), or a folder of them")
    parser.add_argument("--out", default="tutorial-out", help="folder for the plots")
    options = parser.parse_args()
    options.cisternd = os.path.join(options.build, "sidecar", "cisternd")
    options.bench = os.path.join(options.build, "bench", "cistern-bench")
    options.small_trace = os.path.join(ROOT, "bench", "traces", "small.jsonl")
    shared = os.path.join(ROOT, "..", "shared", "traces", "agent")
    if options.trace is None:
        options.trace = shared if os.path.isdir(shared) and not options.quick else \
            options.small_trace
    for program in (options.cisternd, options.bench):
        if not os.access(program, os.X_OK):
            parser.error(f"{program} is not built (or name the build folder with --build)")
    os.makedirs(options.out, exist_ok=True)
    return options


def main():
    options = parse()
    wanted = {int(part) for part in options.parts.split(",")}
    for number, part in enumerate(PARTS, 1):
        if number in wanted:
            print(f"\n== {part.__doc__.splitlines()[0]}", flush=True)
            part.run(options)


if __name__ == "__main__":
    sys.exit(main())
