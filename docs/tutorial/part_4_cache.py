"""Part 4, a working cache: prefix, layer, K and V; sizes, speeds and errors of what is stored."""

import os
import time

import numpy

import cistern
import host
import sheet
import tiny

GIGABYTE_HOUR = 0.10  # dollars, as the notebook has it
ROWS = (("float32", False, "-"), ("float16", False, "-50 %"), ("float16", True, "-70 %"),
        ("bfloat16", False, "-"), ("bfloat16", True, "-"), ("int8", False, "-"),
        ("int8", True, "-"))


def samples(options):
    """Random numbers as the notebook stores them, and K and V that a model computed."""
    tokens = 256 if options.quick else 2048
    rng = numpy.random.default_rng(4)
    random = [rng.standard_normal((1, 32, tokens, 64), dtype="float32") for _ in range(2)]
    prompt = rng.integers(0, tiny.VOCABULARY, 256 if options.quick else 768).tolist()
    _, kv = tiny.Model().run(prompt)
    # Layers side by side as more heads, and as often as it takes to be of the same size.
    real = [numpy.concatenate([kv[i, part] for i in range(tiny.LAYERS)]) for part in range(2)]
    times = max(1, random[0].size // real[0].size)
    return {"random numbers": random,
            "K and V of the tiny model": [numpy.concatenate(
                [tensor * (1 + 0.001 * i) for i in range(times)])[None] for tensor in real]}


def measure(sidecar, name, tensors):
    given = sum(tensor.nbytes for tensor in tensors)
    rows = []
    for precision, compress, claimed in ROWS:
        with cistern.KVCache(f"{name} {precision} {compress}", sidecar.socket, precision=precision,
                             compress=compress, block_bytes=1 << 20) as cache:
            start = time.perf_counter()
            if not cache.cache_kv(name, 0, *tensors):
                raise SystemExit("the sidecar had no room")
            stored = time.perf_counter()
            entry = cache.get_cached_kv(name, 0)
            got = time.perf_counter()
        error = float(numpy.abs(entry.k_tensor - tensors[0]).max())
        rows.append((precision + (", zlib" if compress else ""), claimed,
                     f"{entry.nbytes / 2 ** 20:.1f} MiB", f"{entry.nbytes / given - 1:+.1%}",
                     f"{(stored - start) * 1e3:.0f} ms", f"{(got - stored) * 1e3:.0f} ms",
                     f"{error:.2g}", f"${entry.nbytes / 1e9 * GIGABYTE_HOUR:.5f}"))
    sheet.table(f"{name}, K and V of {list(tensors[0].shape)} float32, {given / 2 ** 20:.0f} MiB",
                ("stored as", "claimed", "size", "here", "cache_kv", "get_cached_kv",
                 "largest error", "an hour"), rows)
    return [(row[0], "measured", float(row[2].split()[0])) for row in rows]


def walk_through(sidecar):
    """The notebook's calls, one by one."""
    long = "You are a helpful travel agent. The user wants quiet hotels. " * 40
    rng = numpy.random.default_rng(5)
    k, v = (rng.standard_normal((1, 8, 64, 32)).astype("float16") for _ in range(2))
    cache = cistern.KVCache("walk", sidecar.socket, ttl=3600, max_bytes=10 * (k.nbytes + 4096))
    other = cistern.KVCache("walk", sidecar.socket, ttl=3600)
    cache.cache_kv(long, 0, k, v)
    entry = other.get_cached_kv(long, 0)
    question = long + "Which of them has a garden?"
    for layer in range(1, 12):
        cache.cache_kv(long, layer, k, v)
    rows = [("cache_kv, then get_cached_kv elsewhere", "k_tensor equal to the bit:",
             bool((entry.k_tensor == k).all())),
            ("is_expired()", "within its hour:", entry.is_expired()),
            ("compute_prefix_hash(prefix)", "SHA-256:",
             cistern.compute_prefix_hash(long)[:16] + "…"),
            ("get_prefix_similarity(prefix, question)", "shared part:",
             f"{cistern.get_prefix_similarity(long, question):.3f}"),
            ("longest_cached_prefix(question, 0)", "characters:",
             f"{other.longest_cached_prefix(question, 0)} of {len(question)}"),
            ("max_bytes, after 12 layers", "entries let go of:", cache.stats()["let_go"]),
            ("serialize([4 layers]), deserialize", "layers in one blob:",
             len(cistern.deserialize(cistern.serialize([(i, k, v) for i in range(4)]))))]
    sheet.table("the notebook's calls, on the cache of all processes", ("call", "", "here"), rows)
    cache.close()
    other.close()


def run(options):
    with host.Sidecar(options.cisternd, "--slot-min=4KiB", pool="512MiB") as sidecar:
        walk_through(sidecar)
        for name, tensors in samples(options).items():
            bars = measure(sidecar, name, tensors)
            file = "part-4-random.svg" if name.startswith("random") else "part-4-model.svg"
            sheet.bars(os.path.join(options.out, file), f"Stored size: {name}", "MiB", bars)
    sheet.note("Random mantissas do not compress: the notebook's 70 % cannot come from its random "
               "tensors. What zlib saves on them is the exponents. The weights of the tiny model "
               "are made up, too, so its K and V are computed ones, but of no trained model.")
