"""Prefixes: text or token ids, what they are called, and how much two of them share.

A prefix is a row of units of 4 bytes: the ids, or the characters' code points. Text and ids never
have the same name, also where the numbers are equal.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Sequence
from typing import Union

Prefix = Union[str, Sequence[int]]

UNIT_BYTES = 4


def units_of(prefix: Prefix) -> bytes:
    if isinstance(prefix, str):
        return prefix.encode("utf-32-le", "surrogatepass")
    if isinstance(prefix, (list, tuple, range)):
        return array("I", prefix).tobytes()
    ids = array("I", memoryview(prefix).tolist())  # type: ignore[arg-type]
    return ids.tobytes()


def kind_of(prefix: Prefix) -> bytes:
    """32 bytes that come before the units."""
    return hashlib.sha256(b"cistern text" if isinstance(prefix, str) else b"cistern ids").digest()


def hasher_of(prefix: Prefix) -> hashlib._Hash:
    return hashlib.sha256(kind_of(prefix))


def compute_prefix_hash(prefix: Prefix) -> str:
    """SHA-256 of a prefix, in hexadecimal: two are equal if, and only if, this is."""
    hasher = hasher_of(prefix)
    hasher.update(units_of(prefix))
    return hasher.hexdigest()


def shared_units(first: Prefix, second: Prefix) -> int:
    """How many characters, or ids, both begin with."""
    if isinstance(first, str) != isinstance(second, str):
        return 0
    one, other = units_of(first), units_of(second)
    low, high = 0, min(len(one), len(other)) // UNIT_BYTES
    while low < high:  # halving: each step is one comparison of memory
        middle = (low + high + 1) // 2
        if one[low * UNIT_BYTES:middle * UNIT_BYTES] == other[low * UNIT_BYTES:
                                                              middle * UNIT_BYTES]:
            low = middle
        else:
            high = middle - 1
    return low


def get_prefix_similarity(first: Prefix, second: Prefix) -> float:
    """The part of the longer one that the KV of the shorter one can stand for: what both begin
    with, divided by the longer length. 1.0: equal; 0.0: they differ from the start on."""
    longer = max(len(units_of(first)), len(units_of(second))) // UNIT_BYTES
    if longer == 0:
        return 1.0 if isinstance(first, str) == isinstance(second, str) else 0.0
    return shared_units(first, second) / longer
