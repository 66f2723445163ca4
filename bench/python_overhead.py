#!/usr/bin/env python3
"""python_overhead: what Python adds to match and acquire of a long prefix.

usage: python_overhead.py [--cisternd PATH] [--blocks N] [--rounds N]

Starts a cisternd of its own, puts N blocks, and prints medians of match + acquire + release: from
Python, and as a loop in C makes the same calls (through ctypes, whose three calls take less than a
microsecond). Needs the package on PYTHONPATH, and libcistern.so.0 beside it in the build.
"""

import argparse
import ctypes
import os
import statistics
import subprocess
import sys
import tempfile
import time

import cistern

GOAL_US = 300.0


class Match(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("size", "hot", "cold", "reserved")]


def median_us(call, rounds):
    took = []
    for _ in range(rounds):
        start = time.perf_counter_ns()
        call()
        took.append(time.perf_counter_ns() - start)
    return statistics.median(took) / 1000


class Direct:
    """The three calls on a handle that the library opened itself: the floor."""

    def __init__(self, library, path, space, keys):
        self.c = ctypes.CDLL(library)
        texts = [text.encode() for text in (space.name, space.model, space.dtype, space.layout,
                                            space.rope, space.lora, space.engine, space.tenant)]
        described = (ctypes.c_char * 128)()
        words = [ctypes.sizeof(described), space.block_tokens]
        ctypes.memmove(described, (ctypes.c_uint32 * 2)(*words), 8)
        ctypes.memmove(ctypes.addressof(described) + 8,
                       (ctypes.c_uint64 * 1)(space.block_bytes), 8)
        self.texts = (ctypes.c_char_p * 8)(*texts)
        ctypes.memmove(ctypes.addressof(described) + 16, self.texts, 64)
        options = (ctypes.c_uint64 * 6)(48, ctypes.addressof(described), 0, 0, 0, 0)
        self.path = ctypes.c_char_p(path.encode())
        ctypes.memmove(ctypes.addressof(options) + 16, ctypes.byref(self.path), 8)
        self.handle = ctypes.c_void_p()
        status = self.c.cistern_open(ctypes.byref(options), ctypes.byref(self.handle))
        if status != 0:
            raise SystemExit(f"cistern_open of {library}: status {status}")
        self.keys = bytes(keys)
        self.count = len(keys)
        self.views = (ctypes.c_char * (40 * self.count))()
        self.got = ctypes.c_size_t()
        self.match = Match(size=ctypes.sizeof(Match))

    def turn(self):
        count = ctypes.c_size_t(self.count)
        self.c.cistern_match(self.handle, self.keys, count, ctypes.byref(self.match))
        self.c.cistern_acquire(self.handle, self.keys, count, self.views, ctypes.byref(self.got))
        self.c.cistern_release(self.handle, self.views, self.got)


def start(program, folder):
    path = os.path.join(folder, "socket")
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith("CISTERN_")}
    sidecar = subprocess.Popen([program, f"--socket={path}", "--pool=128MiB", "--log-level=error"],
                               env=environment)
    space = cistern.Namespace("overhead", block_tokens=16, block_bytes=64 << 10)
    for _ in range(2000):
        try:
            return sidecar, path, cistern.Client(space, path)
        except cistern.NoServer:
            time.sleep(0.005)
    raise SystemExit("the sidecar did not start")


def measure(client, path, options):
    keys = client.keys(list(range(16 * options.blocks)))
    for i, key in enumerate(keys):
        client.put(key, b"x", keys[i - 1] if i else None)
    client.flush()

    def turn():
        if client.match(keys).hot != options.blocks:
            raise SystemExit("some of the blocks were evicted")
        client.acquire(keys).release()

    def arrays():
        with client.acquire(keys) as blocks:
            for block in blocks:
                memoryview(block)

    direct = Direct(options.library, path, client.space, keys)
    turns = [(median_us(turn, options.rounds), median_us(direct.turn, options.rounds))
             for _ in range(5)]
    python, c = (statistics.median(column) for column in zip(*turns))
    print(f"match + acquire + release of {options.blocks} blocks, median of {options.rounds}")
    print(f"  Python   {python:8.1f} µs   goal ≤ {GOAL_US:.0f} µs")
    print(f"  C calls  {c:8.1f} µs   ratio {python / c:.2f}")
    print(f"  with a memoryview of each block  {median_us(arrays, options.rounds):.1f} µs")


def main():
    build = os.environ.get("CISTERN_BUILD", "build")
    parser = argparse.ArgumentParser(description="What Python adds to match and acquire.")
    parser.add_argument("--cisternd", default=os.path.join(build, "sidecar", "cisternd"))
    parser.add_argument("--library", default=os.path.join(build, "libclient", "libcistern.so.0"))
    parser.add_argument("--blocks", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=2000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cistern-overhead-") as folder:
        sidecar, path, client = start(options.cisternd, folder)
        try:
            measure(client, path, options)
        finally:
            client.close()
            sidecar.terminate()
            sidecar.wait()


if __name__ == "__main__":
    sys.exit(main())
