"""Part 1, why: how large K and V are, and how much of an agent's work repeats itself."""

import glob
import json
import os

import host
import sheet

# name, layers, KV heads, numbers of a head (MLA: one latent for K and V together)
MODELS = (("the notebook's", 32, 32, 64, 2), ("Llama-2-7B, MHA", 32, 32, 128, 2),
          ("Llama-3.1-8B, GQA", 32, 8, 128, 2), ("Llama-3.1-70B, GQA", 80, 8, 128, 2),
          ("Qwen2.5-7B, GQA", 28, 4, 128, 2), ("DeepSeek-V3, MLA", 61, 1, 576, 1))
TOKENS, FLOAT16 = 32768, 2
BLOCK_TOKENS, TOKEN_CHARACTERS = 16, 4


def sizes():
    rows = []
    for name, layers, heads, head, tensors in MODELS:
        token = layers * heads * head * tensors * FLOAT16
        rows.append((name, layers, heads, head, f"{token / 1024:.1f} KiB",
                     f"{token * TOKENS / 2 ** 30:.2f} GiB"))
    sheet.table(f"K and V of {TOKENS:,} tokens in float16 (arithmetic, nothing is measured)",
                ("model", "layers", "KV heads", "numbers", "a token", "the request"), rows)
    sheet.note("The notebook claimed one K or V set of 4 GiB: right for its model, and both are 8. "
               "What it leaves out is the model: grouped heads and latents make it several times "
               "less, and that decides how many prefixes a host can keep.")


def requests(path):
    """Prompts of a log, in the order of their times; interleaved where there are several files."""
    files = sorted(glob.glob(os.path.join(path, "*.jsonl"))) if os.path.isdir(path) else [path]
    rounds = []
    for name in files:
        with open(name, encoding="utf-8") as file:
            rows = sorted((json.loads(line) for line in file), key=lambda row: row["timestamp"])
        rounds += [(turn, row["input"]) for turn, row in enumerate(rows)]
    return [text for _, text in sorted(rounds, key=lambda row: row[0])]


def replay(options):
    """Ask for each prompt's blocks, and store those that nobody had: what is left to compute?"""
    prompts = requests(options.trace)
    if options.quick:
        prompts = prompts[:40]
    asked = found = 0
    with host.Sidecar(options.cisternd, "--slot-min=4KiB", pool="512MiB") as sidecar, \
            host.client(sidecar.socket, "tutorial-why", BLOCK_TOKENS, 64) as client:
        for text in prompts:
            data = text.encode()
            tokens = memoryview(data[:len(data) // 4 * 4]).cast("I")  # four bytes stand for one
            keys = client.keys(tokens)
            hot = client.match(keys).hot if len(keys) else 0
            for i in range(hot, len(keys)):
                client.put(keys[i], b"its KV would lie here", keys[i - 1] if i else None)
            client.flush(10.0)
            asked += len(tokens)
            found += hot * BLOCK_TOKENS
    share = found / max(asked, 1)
    sheet.table(f"an agent's log: {os.path.basename(options.trace.rstrip('/'))}",
                ("", "the notebook claimed", "measured here"),
                [("requests", "hundreds over one prefix", f"{len(prompts):,}"),
                 ("prompt tokens (4 bytes each)", "-", f"{asked:,}"),
                 ("not recomputed", "the loop recomputes it every time",
                  f"{found:,} ({share:.1%})")])
    sheet.bars(os.path.join(options.out, "part-1-tokens.svg"),
               "Prompt tokens of an agent's log: all of them, and what was left to compute",
               "tokens", [("without a cache", "measured", asked),
                          ("with Cistern", "measured", asked - found)])


def run(options):
    sizes()
    replay(options)
