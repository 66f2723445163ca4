"""Part 3, names of prefixes: a chain of hashes, what it costs, and what a loop saves.

The loop runs a real, tiny model (tiny.py) in several processes, one turn here and the next one
there, as a load balancer spreads them. Its answers are compared: with and without a cache they
are the same.
"""

import hashlib
import os
import statistics
import time

import numpy

import host
import sheet
import tiny

BLOCK_TOKENS = 16
BLOCK_SHAPE = (tiny.LAYERS, 2, tiny.HEADS, BLOCK_TOKENS, tiny.HEAD)
BLOCK_BYTES = int(numpy.prod(BLOCK_SHAPE)) * 4
DOLLARS_AN_HOUR = 2.0  # of one worker: an assumption, the same for all rows
CLAIMED = {"no cache": (4.2, 18.0), "a cache per process": (1.2, 6.0),
           "with a shared one": (0.6, 2.1), "all layers": (0.38, 0.9)}


def hashing(options):
    tokens = numpy.arange(32768, dtype="uint32")
    with host.Sidecar(options.cisternd) as sidecar, \
            host.client(sidecar.socket, "tutorial-hash", BLOCK_TOKENS, 64 << 10) as client:
        keys = client.keys(tokens)
        chain = min(timed(lambda: client.keys(tokens)) for _ in range(5))
        whole = min(timed(lambda: hashlib.sha256(tokens).digest()) for _ in range(5))
        client.put(keys[0], b"x")
        client.flush()
        look = min(timed(lambda: client.match(keys[:1])) for _ in range(100))
        longer = client.keys(numpy.concatenate((tokens, tokens[:160])))
    same = sum(a == b for a, b in zip(keys, longer))
    sheet.table("names of a prefix of 32,768 tokens",
                ("", "the notebook: one SHA-256", "Cistern: a chain, 16 tokens a block"),
                [("time", f"{whole * 1e3:.2f} ms (measured here)", f"{chain * 1e3:.2f} ms"),
                 ("names", "1", f"{len(keys):,}"),
                 ("a prompt of 160 tokens more", "finds nothing", f"finds {same:,} blocks of it"),
                 ("one look-up", "O(1)", f"{look * 1e6:.1f} µs, whatever is stored")])


def timed(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


class Alone:
    """A worker's own dictionary: whole blocks by the tokens up to their end."""

    def __init__(self):
        self.kept = {}

    def load(self, tokens):
        parts = []
        for end in range(BLOCK_TOKENS, len(tokens), BLOCK_TOKENS):
            part = self.kept.get(tuple(tokens[:end]))
            if part is None:
                break
            parts.append(part)
        return numpy.concatenate(parts, axis=3) if parts else None

    def store(self, tokens, kv, start):
        for end in range(start + BLOCK_TOKENS, len(tokens) + 1, BLOCK_TOKENS):
            self.kept[tuple(tokens[:end])] = kv[:, :, :, end - BLOCK_TOKENS:end].copy()


class Shared:
    """The same on Cistern: blocks are found, read in place and published for all processes."""

    def __init__(self, socket):
        self.client = host.client(socket, "tutorial-tiny", BLOCK_TOKENS, BLOCK_BYTES,
                                  dtype="float32", layout="layers,kv,heads,tokens,head")

    def load(self, tokens):
        keys = self.client.keys(tokens[:len(tokens) - 1])  # one token is left to compute
        found = self.client.match(keys)
        if found.cold:
            self.client.fetch(keys, 1.0)
        with self.client.acquire(keys) as blocks:
            parts = [block.cast("float32", BLOCK_SHAPE).numpy() for block in blocks]
            return numpy.concatenate(parts, axis=3) if parts else None

    def store(self, tokens, kv, start):
        keys = self.client.keys(tokens)
        for i in range(start // BLOCK_TOKENS, len(keys)):
            with self.client.write(keys[i], keys[i - 1] if i else None) as room:
                room.cast("float32", BLOCK_SHAPE).numpy()[...] = \
                    kv[:, :, :, i * BLOCK_TOKENS:(i + 1) * BLOCK_TOKENS]
        self.client.flush()


def answers(pipe, make):
    """A worker: answers the prompts that come, until None does."""
    model, cache = tiny.Model(), make()
    model.run(list(range(8)))  # what a first call costs is nobody's share
    while (tokens := pipe.recv()) is not None:
        start = time.perf_counter()
        past = cache.load(tokens) if cache is not None else None
        known = 0 if past is None else past.shape[3]
        logits, kv = model.run(tokens[known:], past)
        if cache is not None:
            cache.store(tokens, kv, known)
        pipe.send((time.perf_counter() - start, logits, len(tokens) - known))


def prompts_of(options):
    """An agent's turns: one long prefix, and each turn a little more behind it."""
    prefix, turns = (256, 6) if options.quick else (1024, 12)
    rng = numpy.random.default_rng(2)
    talk = rng.integers(0, tiny.VOCABULARY, prefix + 32 * turns).tolist()
    return [talk[:prefix + 32 * (turn + 1)] for turn in range(turns)]


def loop(make, prompts, workers):
    """The turns in their order, each to the next of the workers. Seconds, logits and tokens that
    were computed, of each."""
    with host.workers(workers, answers, make) as pipes:
        rows = []
        for turn, tokens in enumerate(prompts):
            pipes[turn % workers].send(tokens)
            rows.append(pipes[turn % workers].recv())
        return list(zip(*rows))


def compare(options):
    prompts, workers = prompts_of(options), 2 if options.quick else 3
    asked = sum(len(tokens) for tokens in prompts)
    flags = ("--nvme={folder}/disk", "--nvme-size=128MiB", "--nvme-admit=always")
    results = {"no cache": loop(lambda: None, prompts, workers),
               "a cache per process": loop(Alone, prompts, workers)}
    with host.Sidecar(options.cisternd, *flags, pool="128MiB") as sidecar:
        results["Cistern"] = loop(lambda: Shared(sidecar.socket), prompts, workers)
        sidecar.stop()
        sidecar.start()  # its memory is empty now; what it wrote to the disk is there
        results["Cistern, restarted: from disk"] = loop(lambda: Shared(sidecar.socket), prompts,
                                                        workers)
    same = all(numpy.allclose(one, other, rtol=1e-3, atol=1e-3)
               for _, said, _ in results.values()
               for one, other in zip(said, results["no cache"][1]))
    if not same:
        raise SystemExit("answers differ with and without a cache")
    report(options, results, asked, len(prompts), workers)


def report(options, results, asked, turns, workers):
    rows, latency, cost = [], [], []
    for (name, (took, _, computed)), claimed in zip(results.items(), CLAIMED.values()):
        dollars = sum(took) / 3600 * DOLLARS_AN_HOUR / asked * 1e6
        mean = statistics.mean(took)
        rows.append((name, f"{claimed[0]} s", f"{mean * 1e3:.1f} ms", f"${claimed[1]}",
                     f"${dollars:.3f}", f"{1 - sum(computed) / asked:.1%}"))
        latency.append((name, "measured", mean * 1e3))
        cost.append((name, "computed", dollars))
    sheet.table(f"{turns} turns over one prefix, {workers} processes, a tiny model in NumPy",
                ("", "claimed", "a turn here", "claimed", "a million tokens here",
                 "not recomputed"), rows)
    first, last = rows[0], rows[2]
    ratio = statistics.mean(results["no cache"][0]) / statistics.mean(results["Cistern"][0])
    sheet.note("The notebook claimed 4.2 s to 0.38 s, 11 times, and 95 % less cost. Here "
               f"{first[2]} came down to {last[2]}, {ratio:.1f} times, with the same answers. Its "
               "seconds are a large model's on a GPU, ours a toy's on this CPU: compare the "
               f"ratios, and those with care. Dollars are time at ${DOLLARS_AN_HOUR} an hour and "
               "worker, an assumption.")
    sheet.bars(os.path.join(options.out, "part-3-latency.svg"), "Time of a turn, mean", "ms",
               latency)
    sheet.bars(os.path.join(options.out, "part-3-claimed.svg"),
               "Time of a request, as the notebook claimed it", "s",
               [(name, "claimed", value[0]) for name, value in CLAIMED.items()])
    sheet.bars(os.path.join(options.out, "part-3-cost.svg"), "Cost of a million prompt tokens", "$",
               cost)


def run(options):
    hashing(options)
    compare(options)
