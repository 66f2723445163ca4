"""identity: what must be equal for the blocks of two engines to be interchangeable.

An adapter collects facts; their digest is part of the namespace's name. So engines that differ in
anything live side by side in one pool, and none is ever given another's blocks.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

import cistern

MODEL_BYTES, TEXT_BYTES = 191, 63  # as the namespace takes them


def _plain(facts: Any) -> Any:
    """JSON's types alone, and texts as keys, so that they can be put in order."""
    if isinstance(facts, Mapping):
        return {str(name): _plain(value) for name, value in facts.items()}
    if isinstance(facts, (list, tuple)):
        return [_plain(value) for value in facts]
    return facts if isinstance(facts, (str, int, float, bool, type(None))) else str(facts)


def digest(facts: Any) -> str:
    """SHA-256 over facts; what is not of JSON's types counts by its text."""
    line = json.dumps(_plain(facts), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(line.encode()).hexdigest()


def text(value: object, most: int = TEXT_BYTES) -> str:
    """For people to read: cut to `most` bytes. The digest has all of it."""
    return str(value).encode()[:most].decode(errors="ignore")


def tree(path: str) -> list[tuple[str, int, int]]:
    """Names, sizes and times of change of the files in a folder, or of one file: which weights lie
    there, without reading gigabytes. Empty if there is nothing."""
    if os.path.isfile(path):
        status = os.stat(path)
        return [(os.path.basename(path), status.st_size, status.st_mtime_ns)]
    found = []
    for folder, _, names in os.walk(path, followlinks=True):
        for name in names:
            file = os.path.join(folder, name)
            if os.path.isfile(file):
                status = os.stat(file)
                found.append((os.path.relpath(file, path), status.st_size, status.st_mtime_ns))
    return sorted(found)


def space_of(engine: str, version: str, facts: Mapping[str, Any], *, block_tokens: int,
             block_bytes: int, rank: int = 0, ranks: int = 1, pp_rank: int = 0, pp_size: int = 1,
             tenant: str = "") -> cistern.Namespace:
    """The namespace of an engine's blocks.

    facts   of JSON's types: model, dtype, layout, rope, lora are shown to people as well
    ranks   into how many workers a block is cut; each has a namespace of its own
    tenant  texts that are too long are replaced by their digest
    """
    whole = digest({"engine": engine, "version": version, "block": [block_tokens, block_bytes],
                    **facts})
    if len(tenant.encode()) > TEXT_BYTES:
        tenant = digest(tenant)[:TEXT_BYTES]
    return cistern.Namespace(
        name=f"{engine}-{whole[:32]}", block_tokens=block_tokens, block_bytes=block_bytes,
        model=text(facts.get("model", ""), MODEL_BYTES), dtype=text(facts.get("dtype", "")),
        layout=text(facts.get("layout", "")), rope=text(facts.get("rope", "")),
        lora=text(facts.get("lora", "")), engine=text(f"{engine} {version}"), tenant=tenant,
        tp_rank=rank, tp_size=ranks, pp_rank=pp_rank, pp_size=pp_size)
