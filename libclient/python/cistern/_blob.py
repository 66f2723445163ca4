"""Blobs: K and V of one or several layers as bytes, and back; hostile until checked.

    header   struct HEADER, one struct RECORD for each layer, then XXH3-128 of all of that
    payload  for each record: K scales, K, V scales, V, each from a multiple of 64 bytes on;
             compressed as a whole (zlib), its numbers sorted into byte planes first, if that is
             smaller

A reader trusts nothing: the checksum of the header comes first, then every number of it is checked
against the others and against `BYTES_MAX`, then the checksum of the payload. Only then are bytes
taken for numbers, of lengths that follow from the shapes. Random data does not compress, and
nearly random mantissas hardly do: byte planes let the exponents compress alone.
"""

from __future__ import annotations

import struct
import time
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cistern import _precision
from cistern._cistern import checksum

MAGIC = b"CISTKV\r\n"
VERSION = 1
# magic, version, flags, records, created, expires (ns), stored and raw bytes, name, checksum
HEADER = struct.Struct("<8sHHIQQQQ32s16s")
# layer, precisions and sources of K and V, dimensions of both, errors, shapes of both
RECORD = struct.Struct("<IBBBBBBxxff8Q8Q")
CHECK_BYTES = 16
COMPRESSED, TORCH = 1, 2  # flags
RECORDS_MAX = 1024
BYTES_MAX = 1 << 32
ALIGN = 64
WORTH = 0.95  # compressed to less than that, or not at all
NAMES = ("float64", "float32", "float16", "bfloat16", "int8")


class BadBlob(ValueError):
    """These bytes are no blob of ours, or not whole."""


@dataclass(frozen=True)
class Layer:
    """K and V of a layer, as they were stored.

    error  of K and V: the largest difference between a number and what was given
    """

    layer: int
    k_tensor: Any
    v_tensor: Any
    precision: str
    k_error: float
    v_error: float


@dataclass(frozen=True)
class Head:
    """The header, after all its numbers were checked."""

    flags: int
    created_ns: int
    expires_ns: int  # 0: never
    stored: int  # bytes of the payload
    raw: int  # the same, if it were not compressed
    name: bytes  # what it was stored for
    check: bytes  # of the payload
    records: tuple[tuple[Any, ...], ...]
    bytes: int  # of the header itself


def _padded(size: int) -> int:
    return -(-size // ALIGN) * ALIGN


def _planes(data: bytes, item: int) -> bytes:
    import numpy

    return bytes(numpy.frombuffer(data, "uint8").reshape(-1, item).T.tobytes())


def _merge(data: bytes, item: int) -> bytes:
    import numpy

    return bytes(numpy.frombuffer(data, "uint8").reshape(item, -1).T.tobytes())


def _pieces(record: tuple[Any, ...]) -> list[tuple[int, int]]:
    """(bytes, bytes of an item) of K scales, K, V scales, V."""
    k_shape, v_shape = _shapes(record)
    found = []
    for shape, precision in ((k_shape, NAMES[record[1]]), (v_shape, NAMES[record[2]])):
        scales, numbers = _precision.stored_bytes(shape, precision)
        found += [(scales, 4), (numbers, _precision.ITEM_BYTES[precision])]
    return found


def _shapes(record: tuple[Any, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    k_ndim, v_ndim = record[5], record[6]
    return record[9:9 + k_ndim], record[17:17 + v_ndim]


def _record(layer: int, k: _precision.Stored, v: _precision.Stored) -> bytes:
    def eight(shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape + (0,) * (8 - len(shape))

    return RECORD.pack(layer, NAMES.index(k.precision), NAMES.index(v.precision),
                       NAMES.index(k.source), NAMES.index(v.source), len(k.shape), len(v.shape),
                       min(k.error, 3e38), min(v.error, 3e38), *eight(k.shape), *eight(v.shape))


def pack(layers: Iterable[tuple[int, Any, Any]], precision: str = "float16",
         compress: bool = False, name: bytes = bytes(32), lives_s: float | None = None) -> bytes:
    """Layers (number, K, V) as one blob. See _precision.encode() for what is refused."""
    if precision not in _precision.PRECISIONS:
        raise ValueError(f"precision is one of {', '.join(_precision.PRECISIONS)}")
    records, plain, planes, torch = [], [], [], False
    for layer, k_tensor, v_tensor in layers:
        if not 0 <= layer < 1 << 32:
            raise ValueError(f"layer {layer}")
        k, v = (_precision.encode(tensor, precision) for tensor in (k_tensor, v_tensor))
        torch = torch or _precision.is_torch(k_tensor)
        records.append(_record(layer, k, v))
        for stored in (k, v):
            for part, item in ((stored.scales, 4),
                               (stored.data, _precision.ITEM_BYTES[stored.precision])):
                data = part.tobytes()
                pad = bytes(_padded(len(data)) - len(data))
                plain += [data, pad]
                planes += [_planes(data, item) if compress else b"", pad if compress else b""]
    if not 1 <= len(records) <= RECORDS_MAX:
        raise ValueError(f"{len(records)} layers, not 1 to {RECORDS_MAX}")
    return _seal(records, b"".join(plain), b"".join(planes) if compress else None, torch, name,
                 lives_s)


def _seal(records: list[bytes], payload: bytes, planes: bytes | None, torch: bool, name: bytes,
          lives_s: float | None) -> bytes:
    raw, flags = len(payload), TORCH * torch
    if planes is not None:
        smaller = zlib.compress(planes, 1)
        if len(smaller) < WORTH * raw:
            payload, flags = smaller, flags | COMPRESSED
    now = time.time_ns()
    expires = 0 if lives_s is None else now + int(lives_s * 1e9)
    head = HEADER.pack(MAGIC, VERSION, flags, len(records), now, expires, len(payload), raw, name,
                       checksum(payload)) + b"".join(records)
    head += checksum(head)
    return head + bytes(_padded(len(head)) - len(head)) + payload


def head_bytes(start: Any) -> int:
    """How long the header is, from its first HEADER.size bytes. Raises BadBlob."""
    if len(start) < HEADER.size:
        raise BadBlob("too short for a header")
    magic, version, flags, count = struct.unpack_from("<8sHHI", start)
    if magic != MAGIC or version != VERSION:
        raise BadBlob("not a blob, or of another version")
    if flags & ~(COMPRESSED | TORCH) or not 1 <= count <= RECORDS_MAX:
        raise BadBlob("a header that no writer makes")
    return HEADER.size + int(count) * RECORD.size + CHECK_BYTES


def read_head(data: Any) -> Head:
    """The header at the start of `data`, all of its numbers checked. Raises BadBlob."""
    view = memoryview(data)
    size = head_bytes(view)
    if len(view) < size or checksum(view[:size - CHECK_BYTES]) != bytes(view[size - CHECK_BYTES:
                                                                            size]):
        raise BadBlob("the header's checksum is wrong")
    _, _, flags, count, created, expires, stored, raw, name, check = HEADER.unpack_from(view)
    records = tuple(RECORD.unpack_from(view, HEADER.size + i * RECORD.size)
                    for i in range(count))
    total = 0
    for record in records:
        if max(record[1:5]) >= len(NAMES) or max(record[3:5]) >= NAMES.index("int8"):
            raise BadBlob("a type that is none")
        if not (1 <= record[5] <= 8 and 1 <= record[6] <= 8):
            raise BadBlob("a number of dimensions that is none")
        total += sum(_padded(size) for size, _ in _pieces(record))
        if 0 in _shapes(record)[0] + _shapes(record)[1] or total > BYTES_MAX:
            raise BadBlob("a shape that is none, or too large")
    if total != raw or stored > raw or (stored != raw and not flags & COMPRESSED):
        raise BadBlob("lengths that do not agree")
    return Head(flags, created, expires, stored, raw, name, check, records, _padded(size))


def open_payload(head: Head, payload: Any) -> Any:
    """The payload as it was before it was compressed, or the very bytes. Raises BadBlob."""
    if len(payload) != head.stored or checksum(payload) != head.check:
        raise BadBlob("the payload is not whole")
    if not head.flags & COMPRESSED:
        return payload
    inflater = zlib.decompressobj()
    try:
        data = inflater.decompress(payload, head.raw + 1)
    except zlib.error as error:
        raise BadBlob(f"zlib: {error}") from None
    if len(data) != head.raw or not inflater.eof:
        raise BadBlob("it inflates to another length")
    parts, at = [], 0
    for record in head.records:
        for size, item in _pieces(record):
            parts += [_merge(data[at:at + size], item), data[at + size:at + _padded(size)]]
            at += _padded(size)
    return b"".join(parts)


def unpack(head: Head, payload: Any) -> list[Layer]:
    """The layers of an opened payload; NumPy arrays over the same bytes where that is possible."""
    import numpy

    layers, at = [], 0
    as_torch = bool(head.flags & TORCH) and _has_torch()
    for record in head.records:
        k_shape, v_shape = _shapes(record)
        tensors = []
        for shape, precision, source, pieces in (
                (k_shape, record[1], record[3], _pieces(record)[:2]),
                (v_shape, record[2], record[4], _pieces(record)[2:])):
            (scale_bytes, _), (number_bytes, _) = pieces
            scales = numpy.frombuffer(payload, "float32", scale_bytes // 4, at)
            if scale_bytes:
                scales = scales.reshape(_precision.scale_shape(shape))
            at += _padded(scale_bytes)
            kind = "uint16" if NAMES[precision] == "bfloat16" else NAMES[precision]
            data = numpy.frombuffer(payload, kind, number_bytes // numpy.dtype(kind).itemsize, at)
            at += _padded(number_bytes)
            tensors.append(_precision.decode(scales, data.reshape(shape), NAMES[precision],
                                             NAMES[source], as_torch))
        layers.append(Layer(record[0], tensors[0], tensors[1], NAMES[record[1]], record[7],
                            record[8]))
    return layers


def _has_torch() -> bool:
    try:
        import torch  # noqa: F401
    except ImportError:
        return False
    return True


def serialize(layers: Iterable[tuple[int, Any, Any]], precision: str = "float16",
              compress: bool = False) -> bytes:
    """K and V of one or several layers as bytes, to be kept or sent anywhere.

    layers     (number, K, V), each a NumPy array or a torch tensor of floats
    precision  'float32', 'float16', 'bfloat16' or 'int8': no number gets more bytes than it had
    compress   zlib, kept only where it saves a twentieth; random data does not compress
    """
    return pack(layers, precision, compress)


def deserialize(data: Any) -> list[Layer]:
    """What serialize() was given. Raises BadBlob for anything else; the arrays are copies."""
    data = bytes(data)
    head = read_head(data)
    if len(data) != head.bytes + head.stored:
        raise BadBlob("of another length")
    return unpack(head, bytearray(open_payload(head, data[head.bytes:])))
