"""Part 5, benchmark: agents' requests from several worker processes, by `cistern-bench reuse`."""

import json
import os
import subprocess

import host
import sheet

DOLLARS_AN_HOUR = 2.0  # of one GPU: an assumption
OUTPUT_TOKENS, MONTHLY_REQUESTS = 100, 100_000


def bench(options):
    report = os.path.join(options.out, "part-5-reuse.json")
    trace = options.small_trace if options.quick else options.trace
    subprocess.run([options.bench, "reuse", "--trace", trace, "--cisternd", options.cisternd,
                    "--json", report, *(["--speedup", "50"] if options.quick else [])],
                   check=True, env=host.environment(), stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    with open(report, encoding="utf-8") as file:
        return json.load(file)


def set_ups(found):
    """name, hit rate of tokens, seconds of prefill for all requests; measured or by the model."""
    prefill = found["input_tokens"] / found["prefill_tokens_per_s"]
    return (("no cache", "computed", 0.0, prefill),
            ("a cache per process", "computed", found["per_process"]["token_hit_rate"],
             found["per_process"]["modelled_prefill_s"]),
            ("Cistern", "measured", found["token_hit_rate"], found["modelled_prefill_s"]))


def run(options):
    found = bench(options)
    if found["wrong_bytes"]:
        raise SystemExit("the benchmark read wrong bytes")
    rows = set_ups(found)
    speed = {name: found["input_tokens"] / max(seconds, 1e-9) for name, _, _, seconds in rows}
    million = {name: seconds / 3600 * DOLLARS_AN_HOUR / found["input_tokens"] * 1e6
               for name, _, _, seconds in rows}
    month = {name: seconds / found["requests"] * MONTHLY_REQUESTS / 3600 * DOLLARS_AN_HOUR
             for name, _, _, seconds in rows}
    sheet.table(f"{found['requests']} requests of {found['trace']}, {found['workers']} worker "
                "processes", ("", "hit rate", "prompt tokens/s", "$ a million", "$ a month",
                              "less"),
                [(name, f"{rate:.1%}", f"{speed[name]:,.0f}", f"{million[name]:.4f}",
                  f"{month[name]:.2f}", f"{1 - month[name] / month['no cache']:.1%}")
                 for name, _, rate, _ in rows])
    sheet.table("the notebook claimed, for 200 requests", ("", "claimed", "here"),
                [("speed", "5-20 times", f"{speed['Cistern'] / speed['no cache']:.1f} times"),
                 ("cost", "70-90 % less", f"{1 - month['Cistern'] / month['no cache']:.1%} less"),
                 ("a look-up of a whole prompt, p50 / p99", "-",
                  f"{found['lookup_us_p50']:.1f} / {found['lookup_us_p99']:.1f} µs")])
    for file, title, unit, of in (
            ("hits", "Tokens found in the cache", "%", lambda row: 100 * row[2]),
            ("speed", "Prompt tokens a second", "tokens/s", lambda row: speed[row[0]]),
            ("cost", "Cost of a million prompt tokens", "$", lambda row: million[row[0]])):
        sheet.bars(os.path.join(options.out, f"part-5-{file}.svg"), title, unit,
                   [(row[0], row[1] if file == "hits" else "computed", of(row)) for row in rows])
    sheet.bars(os.path.join(options.out, "part-5-lookup.svg"),
               "Look-up of a whole prompt, in place", "µs",
               [("p50", "measured", found["lookup_us_p50"]),
                ("p99", "measured", found["lookup_us_p99"])])
    sheet.note(f"Hit rates and look-ups are measured (the cache per process is simulated, exactly);"
               f" prefill is a model of {found['prefill_tokens_per_s']:,} tokens a second and "
               f"worker, and dollars are its time at ${DOLLARS_AN_HOUR} an hour. The month has "
               f"{MONTHLY_REQUESTS:,} requests; their {OUTPUT_TOKENS} output tokens each cost the "
               "same with and without a cache and are left out, so on the whole bill the saving "
               "is smaller. The notebook's p95 would be an engine's: none ran here.")
