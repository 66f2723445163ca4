"""Part 2, three layers: what each holds, how long it takes, and which share of the hits it has."""

import contextlib
import os
import random
import statistics
import time

import cistern
import host
import sheet

BLOCK = 256 << 10
LAYERS = (("in place", "1: GPU pages", "20-30 GB, 0.1 ms, 80 %"),
          ("disk", "2: Redis", "100+ GB, 1-5 ms, 15 %"),
          ("compute", "3: many GPUs", "TBs, 10-50 ms, 5 %"))


def ask(client, keys, rng, requests):
    """Zipf-like requests for blocks; a block that nobody has is put again. Times by layer, in s."""
    took = {"in place": [], "disk": [], "compute": []}
    weights = [1 / (i + 1) ** 0.8 for i in range(len(keys))]
    for i in rng.choices(range(len(keys)), weights, k=requests):
        key = keys[i:i + 1]
        start = time.perf_counter()
        found = client.match(key)
        layer = "in place" if found.hot else "disk" if found.cold else "compute"
        if layer == "disk" and client.fetch(key, 1.0) == 0:
            layer = "compute"
        with client.acquire(key) as blocks:
            if len(blocks) == 0:
                layer = "compute"
            else:
                first = memoryview(blocks[0])[0]
                assert first == i % 251, "wrong bytes"
                del first
        took[layer].append(time.perf_counter() - start)
        if layer == "compute":
            with contextlib.suppress(cistern.NotNow):  # no room just now: it is put another time
                client.put(key[0], bytes([i % 251]) * BLOCK)
    return took


def run(options):
    blocks, requests = (400, 1500) if options.quick else (1600, 20000)
    pool, disk = (32, 128) if options.quick else (128, 512)
    flags = ("--nvme={folder}/disk", f"--nvme-size={disk}MiB", "--nvme-admit=always")
    with host.Sidecar(options.cisternd, *flags, pool=f"{pool}MiB") as sidecar, \
            host.client(sidecar.socket, "tutorial-layers", 16, BLOCK) as client:
        keys = client.keys(list(range(16 * blocks)))
        rng = random.Random(1)
        ask(client, keys, rng, requests)  # until both layers are full
        took = ask(client, keys, rng, requests)
    total = sum(len(times) for times in took.values())
    capacity = {"in place": f"{pool} MiB of host memory", "disk": f"{disk} MiB on disk",
                "compute": "nobody has it"}
    rows = []
    for name, theirs, claim in LAYERS:
        times = sorted(took[name])
        shown = (f"{statistics.median(times) * 1e3:.3f} ms p50, "
                 f"{times[len(times) * 99 // 100] * 1e3:.3f} p99") if times else "none came here"
        rows.append((theirs, claim, name, capacity[name], shown, f"{len(times) / total:.1%}"))
    sheet.table(f"{requests:,} requests for {blocks:,} blocks of {BLOCK >> 10} KiB, Zipf 0.8",
                ("the notebook's layer", "it claimed", "here", "capacity", "a block takes",
                 "share"), rows)
    sheet.bars(os.path.join(options.out, "part-2-shares.svg"), "Where requests found their block",
               "%", [row for (name, theirs, claim), share in zip(LAYERS, (80, 15, 5))
                     for row in ((theirs, "claimed", share),
                                 (name, "measured", 100 * len(took[name]) / total))])
    sheet.note("The claimed shares add up to hits alone; here what nobody had counts as well. The "
               "machine of this run decides the sizes, so the shares say how the layers work "
               "together, not how large yours have to be. A layer in GPU memory, in Redis or on "
               "other hosts was not part of this run: nothing is said of them.")
