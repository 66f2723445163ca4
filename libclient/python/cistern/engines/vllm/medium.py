"""medium: what the scheduler tells the workers about blocks in our pool; pickled between them."""

# mypy: disable-error-code="import, misc, no-any-return"

from __future__ import annotations

from dataclasses import dataclass, field

from vllm.v1.kv_offload.base import LoadStoreSpec


@dataclass
class CisternLoadStoreSpec(LoadStoreSpec):
    """Blocks by name, not by place: each worker finds those of its own rank.

    names    one a block: vLLM's hash and the request's salt; group by group, in prefix order
    groups   KV cache group of each
    parents  name of the block before each in its prefix, or None
    """

    names: list[bytes] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)
    parents: list[bytes | None] = field(default_factory=list)
