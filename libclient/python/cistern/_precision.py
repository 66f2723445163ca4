"""Precisions: arrays as they are stored, and back. float32, float16, bfloat16, int8 per channel.

    float16   2 bytes; refused if a number does not fit (above 65504)
    bfloat16  2 bytes, the range of float32, 8 bits of it; rounded to the nearest, even on ties
    int8      1 byte and a float32 scale for each channel (the last axis), over all tokens (the axis
              before it): the error of a number is at most half its channel's scale
    A number is never stored in more bytes than it had.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import Any

PRECISIONS = ("float32", "float16", "bfloat16", "int8")
SOURCES = ("float64", "float32", "float16", "bfloat16")
ITEM_BYTES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "int8": 1}
DIMENSIONS_MAX = 8


@dataclass(frozen=True)
class Stored:
    """An array, encoded.

    source  type that it had        precision  type that it has now
    scales  of int8, else empty     data       the numbers
    error   the largest difference to what was given
    """

    source: str
    precision: str
    shape: tuple[int, ...]
    scales: Any
    data: Any
    error: float


def is_torch(array: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(array, torch.Tensor)


def scale_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """One scale for each channel of each head: the token axis is folded away."""
    return (*shape[:-2], 1, shape[-1]) if len(shape) > 1 else (1,)


def stored_bytes(shape: tuple[int, ...], precision: str) -> tuple[int, int]:
    """Bytes of scales and of numbers; exact, however large the shape claims to be."""
    scales = math.prod(scale_shape(shape)) * 4 if precision == "int8" else 0
    return scales, math.prod(shape) * ITEM_BYTES[precision]


def _floats(array: Any) -> tuple[Any, str]:
    """A float32 (or float64) NumPy array, and the name of the type that it had."""
    import numpy

    if is_torch(array):
        import torch

        array = array.detach().cpu().contiguous()
        if array.dtype == torch.bfloat16:
            return _widen(array.view(torch.int16).numpy().view("uint16")), "bfloat16"
        array = array.numpy()
    array = numpy.asarray(array)
    name = array.dtype.name
    if name not in SOURCES:
        raise TypeError(f"K and V are float16, bfloat16, float32 or float64, not {name}")
    if not 1 <= array.ndim <= DIMENSIONS_MAX or array.size == 0:
        raise ValueError(f"a tensor of shape {array.shape}")
    return numpy.ascontiguousarray(array), name


def _widen(bits: Any) -> Any:
    """bfloat16 in uint16 to float32."""
    return (bits.astype("uint32") << 16).view("float32")


def _narrow(array: Any) -> Any:
    """float32 to bfloat16 in uint16, to the nearest; what is no number stays none."""
    import numpy

    bits = array.astype("float32").view("uint32")
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("uint16")
    quiet = ((bits >> 16) | 0x0040).astype("uint16")
    return numpy.where(numpy.isnan(array), quiet, rounded)


def _quantise(array: Any) -> tuple[Any, Any]:
    import numpy

    if not numpy.isfinite(array).all():
        raise ValueError("int8 holds no infinity and nothing that is no number")
    over = -2 if array.ndim > 1 else -1
    with numpy.errstate(over="ignore"):
        scales = (numpy.abs(array).max(axis=over, keepdims=True) / 127).astype("float32")
    if not numpy.isfinite(scales).all():
        raise ValueError("a number is too large for a float32 scale")
    steps = numpy.where(scales == 0, 1, scales)
    return scales, numpy.clip(numpy.rint(array / steps), -127, 127).astype("int8")


def _largest(difference: Any) -> float:
    """Of infinities and of what is no number the difference is none."""
    import numpy

    return float(numpy.nanmax(numpy.where(numpy.isfinite(difference), difference, 0)))


def encode(array: Any, precision: str) -> Stored:
    """Raises TypeError for what is no K or V, ValueError for what the precision cannot hold."""
    import numpy

    floats, source = _floats(array)
    if ITEM_BYTES[precision] > ITEM_BYTES[source] or (
            ITEM_BYTES[precision] == ITEM_BYTES[source] == 2):
        precision = source  # as it is: more bytes would say no more, other two would say less
    scales: Any = numpy.zeros(0, "float32")
    if precision == source != "bfloat16":
        return Stored(source, precision, floats.shape, scales, floats, 0.0)
    if precision == "int8":
        scales, data = _quantise(floats)
    elif precision == "bfloat16":
        data = _narrow(floats)
    else:
        with numpy.errstate(over="ignore"):
            data = floats.astype(precision, copy=False)
        if (numpy.isinf(data) & ~numpy.isinf(floats)).any():
            raise ValueError(f"a number is too large for {precision}: store it as bfloat16")
    with numpy.errstate(invalid="ignore"):
        error = _largest(numpy.abs(_decoded(precision, scales, data) - floats))
    return Stored(source, precision, floats.shape, scales, data, error)


def _decoded(precision: str, scales: Any, data: Any) -> Any:
    if precision == "int8":
        return data.astype("float32") * scales
    return _widen(data) if precision == "bfloat16" else data


def decode(scales: Any, data: Any, precision: str, source: str, as_torch: bool) -> Any:
    """The array in its own type again. bfloat16 is float32 in NumPy, which has no such type; stored
    as it was, the array is the very bytes that were given."""
    floats = _decoded(precision, scales, data)
    if as_torch:
        import torch

        if precision == source == "bfloat16":
            return torch.from_numpy(data.view("int16")).view(torch.bfloat16)
        return torch.from_numpy(floats).to(getattr(torch, source))
    return floats if source == "bfloat16" else floats.astype(source, copy=False)
