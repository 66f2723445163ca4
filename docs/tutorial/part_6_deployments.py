"""Part 6, deployments: what can be set up today, seen to work, and what cannot."""

import os
import time

import numpy

import cistern
import host
import sheet


def until(condition):
    """Seconds until it holds."""
    start = time.perf_counter()
    host.wait_for(condition)
    return time.perf_counter() - start


def laptop(options, k, v):
    """One command, in memory."""
    start = time.perf_counter()
    with host.Sidecar(options.cisternd, pool="64MiB") as sidecar, \
            cistern.KVCache("laptop", sidecar.socket, block_bytes=256 << 10) as cache:
        ready = time.perf_counter() - start
        cache.cache_kv("a prefix", 0, k, v)
        theirs = host.in_process(another_process, sidecar.socket)
        sidecar.kill_server()
        hit = cache.get_cached_kv("a prefix", 0) is not None  # the memory is the keeper's
        back = until(lambda: cache.cache_kv("a prefix", 1, k, v))
        theirs = theirs and hit
    return ready, theirs, back


def another_process(socket):
    with cistern.KVCache("laptop", socket, block_bytes=256 << 10) as cache:
        return cache.get_cached_kv("a prefix", 0) is not None


def server(options, k, v):
    """With a disk, through a stop and a start."""
    flags = ("--nvme={folder}/disk", "--nvme-size=128MiB", "--nvme-admit=always")
    with host.Sidecar(options.cisternd, *flags, pool="64MiB") as sidecar:
        with cistern.KVCache("server", sidecar.socket, block_bytes=256 << 10) as cache:
            cache.cache_kv("a prefix", 0, k, v)
        sidecar.stop()
        start = time.perf_counter()
        sidecar.start()
        with cistern.KVCache("server", sidecar.socket, block_bytes=256 << 10) as cache:
            until(lambda: cache.get_cached_kv("a prefix", 0) is not None)
            return time.perf_counter() - start


def run(options):
    rng = numpy.random.default_rng(6)
    k, v = (rng.standard_normal((1, 32, 64, 64)).astype("float16") for _ in range(2))
    ready, theirs, back = laptop(options, k, v)
    if not theirs:
        raise SystemExit("an entry was not found where it should be")
    disk = server(options, k, v)
    rows = [("laptop, in memory", "cisternd --pool=4GiB",
             f"ready after {ready * 1e3:.0f} ms; server killed: hits go on, stores after "
             f"{back * 1e3:.0f} ms"),
            ("one server + Redis", "cisternd --nvme=/mnt/nvme0 (a disk instead of Redis)",
             f"stopped and started: hit from disk after {disk * 1e3:.0f} ms"),
            ("Redis Cluster, 3-5 nodes, 8 GPUs", "-",
             "not in this version: Redis; no GPU was used"),
            ("multi-region, 100+ GPUs", "-", "not in this version: other hosts"),
            ("1,000+ GPUs", "-", "not in this version: other hosts"),
            ("a vLLM agent loop", "-", "not in this version: engine connectors")]
    sheet.table("the notebook's deployments", ("it describes", "here", "seen to work"), rows)
    sheet.bars(os.path.join(options.out, "part-6-back.svg"), "How soon a cache is of use", "ms",
               [("started, empty", "measured", ready * 1e3),
                ("server killed: stores again", "measured", back * 1e3),
                ("restarted: hit from disk", "measured", disk * 1e3)])
    sheet.note("To watch one: `cistern status --socket PATH` prints what a sidecar counts, among "
               "it hits at half, twice and four times the pool's size (whatif_…), so it says what "
               "more memory would give. `cisternd --explain` says what it chose on this host.")
