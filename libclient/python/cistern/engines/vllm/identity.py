"""identity: which KV cache a vLLM engine computes; what its block hashes leave out.

vLLM's hashes carry tokens, the name of a LoRA, multimodal items and the cache salt. All else is
collected here, from the engine's configuration, in the scheduler and in each worker alike.
"""

# mypy: disable-error-code="import, misc, no-any-return"

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING, Any

from vllm.version import __version__ as vllm_version

from cistern.engines import identity

if TYPE_CHECKING:
    from vllm.config import VllmConfig

KEY = "cistern_identity"  # where the connector leaves it for the spec, in the extra config
ROPE_WORDS = ("rope", "rotary", "position")
SALT_BYTES = 16


def _rope(config: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items()
            if any(word in str(name) for word in ROPE_WORDS)}


def _stretches(rope: Any) -> bool:
    """Does the rope depend on how long a request may get, as longrope and dynamic ones do?"""
    if isinstance(rope, dict):
        kind = rope.get("rope_type", rope.get("type", "default"))
        return kind not in ("default", None) or any(_stretches(value) for value in rope.values())
    return False


def _weights(model: Any, given: str | None) -> Any:
    """What is known of the weights: what the operator calls them, the commit of a hub, or the
    files of a folder."""
    if given:
        return given
    commit = getattr(model.hf_config, "_commit_hash", None)
    return [commit, model.revision, [] if commit else identity.tree(model.model)]


def seed(engine_id: str | None) -> str:
    """The first link of the hash chain is random in every engine unless PYTHONHASHSEED is set: then
    no other engine could find the blocks, and they are kept apart."""
    given = os.environ.get("PYTHONHASHSEED")
    return f"set:{given}" if given else f"unset:{engine_id}"


def facts_of(vllm_config: VllmConfig, weights: str | None) -> dict[str, Any]:
    """Of JSON's types. `weights`: what the operator calls them, or None."""
    model = vllm_config.model_config
    cache = vllm_config.cache_config
    transfer = vllm_config.kv_transfer_config
    assert transfer is not None
    config = model.hf_config.to_dict()
    speculative = vllm_config.speculative_config
    drafter = getattr(speculative, "draft_model_config", None)
    device = vllm_config.device_config.device_type
    rope = _rope(config)
    for value in config.values():  # models of several parts have a text config
        if isinstance(value, dict):
            rope.update(_rope(value))
    return {
        "version": vllm_version,
        "model": os.path.basename(model.model.rstrip("/")),
        "weights": _weights(model, weights),
        "load": [str(vllm_config.load_config.load_format), model.seed],
        "config": config,
        "dtype": str(model.dtype).removeprefix("torch."),
        "quantization": str(model.quantization),
        "kv_dtype": str(cache.cache_dtype),
        "hash": [str(cache.prefix_caching_hash_algo), seed(transfer.engine_id)],
        "rope": rope,
        "length": model.max_model_len if _stretches(rope) else 0,
        "drafter": None if drafter is None else [drafter.model, _weights(drafter, None)],
        "speculative": str(getattr(speculative, "method", None)),
        "device": [device, platform.machine() if device == "cpu" else ""],
        "attention": str(getattr(getattr(vllm_config, "attention_config", None), "backend", None)),
    }


def doubts(vllm_config: VllmConfig) -> str | None:
    """Why the blocks of this engine must not be kept; None if they may."""
    if getattr(vllm_config.cache_config, "calculate_kv_scales", False):
        return "the scales of its quantised KV cache are its own (calculate_kv_scales)"
    if vllm_config.parallel_config.pipeline_parallel_size > 1:
        return "with pipeline parallelism the blocks of each stage are different in size"
    return None


def salt_of(request: Any) -> bytes:
    """What sets the blocks of one request apart from others of the same tokens, beyond vLLM's own
    hash: the tenant (cache_salt), and the files of its LoRA, of which vLLM hashes the name alone.
    Empty, or SALT_BYTES bytes."""
    lora = getattr(request, "lora_request", None)
    salt = getattr(request, "cache_salt", None)
    if lora is None and salt is None:
        return b""
    files = None if lora is None else [lora.lora_name, identity.tree(lora.lora_path)]
    return bytes.fromhex(identity.digest([salt, files]))[:SALT_BYTES]
