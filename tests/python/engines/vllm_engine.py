"""vllm_engine: one vLLM engine in a process of its own, told by one line of JSON what to do.

    {"model": folder, "transfer": --kv-transfer-config or null, "engine": more of LLM(),
     "rounds": [{"prompts": [{"ids": [..], "salt": ..}], "wait": file to wait for before, or null}]}

Prints a line of JSON for each round: tokens, log probabilities, and tokens found in which cache.
"""

import json
import os
import sys
import time

PATIENCE_S = 120


def counts(llm):
    found = {}
    for metric in llm.get_metrics():
        if "cistern" in metric.name or "prefix_cache" in metric.name:
            found[metric.name] = found.get(metric.name, 0) + metric.value
    return found


def play(llm, turn, params):
    prompts = [{"prompt_token_ids": prompt["ids"],
                **({"cache_salt": prompt["salt"]} if prompt.get("salt") else {})}
               for prompt in turn["prompts"]]
    outputs = llm.generate(prompts, params, use_tqdm=False)
    return {"tokens": [list(output.outputs[0].token_ids) for output in outputs],
            "logprobs": [output.outputs[0].cumulative_logprob for output in outputs],
            "cached": [output.num_cached_tokens for output in outputs], "counts": counts(llm)}


def main():
    order = json.loads(sys.argv[1])
    from vllm import LLM, SamplingParams

    llm = LLM(model=order["model"], skip_tokenizer_init=True, enforce_eager=True, dtype="float32",
              max_model_len=1024, max_num_seqs=4, block_size=32, disable_log_stats=False,
              kv_transfer_config=order["transfer"], **order.get("engine", {}))
    params = SamplingParams(max_tokens=12, temperature=0, detokenize=False, logprobs=1,
                            ignore_eos=True)
    for turn in order["rounds"]:
        deadline = time.monotonic() + PATIENCE_S
        while turn.get("wait") and not os.path.exists(turn["wait"]):
            if time.monotonic() > deadline:
                raise TimeoutError(turn["wait"])
            time.sleep(0.01)
        print("ROUND " + json.dumps(play(llm, turn, params)), flush=True)
    llm.llm_engine.engine_core.shutdown()


if __name__ == "__main__":
    main()
