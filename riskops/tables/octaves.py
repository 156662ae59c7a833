"""Monotone functions of a number that reaches far, as tables of cubics whose knots thin out with the distance.

A t distributed number lies beyond a thousand as easily as a normal beyond six. Its table has a power of two of
intervals for each octave of ``q = 1 + |x|``, so that the knots are dense where the draws are and a power tail takes few
of them. The octave and the interval are the leading bits of ``q`` and the local coordinate is the rest, exactly: the
place is found without a logarithm and without a rounding beyond that of ``q``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types
from numba.extending import overload

from riskops.errors import InputError
from riskops.scalar import bits_of_f32, bits_of_f64, f32_of_bits, f64_of_bits, fma, like, scalar_function

__all__ = [
    "OctaveTable",
    "interpolate_by_octave",
    "octave_cubics",
    "octaves_to_reach",
    "tabulate_by_octave",
    "value_by_octave",
]

Floats = npt.NDArray[np.float64]

#: Intervals an octave unless more are asked for, and the most there may be.
INTERVALS, MOST_INTERVALS = 32, 1024

_ONE_F32, _MANTISSA_F32, _REST_F32 = np.uint32(0x3F800000), np.uint32(23), np.uint32(0x007FFFFF)
_ONE_F64, _MANTISSA_F64, _REST_F64 = np.uint64(0x3FF0000000000000), np.uint64(52), np.uint64(0x000FFFFFFFFFFFFF)
_SINGLE_ONE, _DOUBLE_ONE = np.float32(1.0), np.float64(1.0)


class OctaveTable(NamedTuple):
    """A monotone function of a real number: its values at knots that lie evenly in each octave of ``1 + |x|``.

    ``values`` is what a model keeps and records, ascending; :func:`octave_cubics` makes of it what the kernels read.
    ``error`` is the largest one between the knots against the function itself, relative to the value's size plus half
    the distance from the function at -1 to that at +1.
    """

    values: Floats
    error: float


@scalar_function
def _place_f32(q, bits):  # type: ignore[no-untyped-def]
    """The interval of ``q >= 1``, of ``2^bits`` an octave, and the place in it, from 0 to below 1."""
    up, all_bits = np.uint32(bits), bits_of_f32(q)
    interval = np.int64(np.uint32(all_bits - _ONE_F32) >> np.uint32(_MANTISSA_F32 - up))
    rest = np.uint32(np.uint32(all_bits << up) & _REST_F32)
    return interval, f32_of_bits(np.uint32(rest | _ONE_F32)) - _SINGLE_ONE


@scalar_function
def _place_f64(q, bits):  # type: ignore[no-untyped-def]
    """The same in double precision."""
    up, all_bits = np.uint64(bits), bits_of_f64(q)
    interval = np.int64(np.uint64(all_bits - _ONE_F64) >> np.uint64(_MANTISSA_F64 - up))
    rest = np.uint64(np.uint64(all_bits << up) & _REST_F64)
    return interval, f64_of_bits(np.uint64(rest | _ONE_F64)) - _DOUBLE_ONE


def _place(q: Any, bits: Any) -> Any:
    return _place_f32(q, bits) if isinstance(q, np.float32) else _place_f64(q, bits)


@overload(_place, target="generic")
def _place_overload(q, bits):  # type: ignore[no-untyped-def]
    by_type = {types.float32: lambda q, bits: _place_f32(q, bits), types.float64: lambda q, bits: _place_f64(q, bits)}
    return by_type.get(q)


@scalar_function
def value_by_octave(table, x):  # type: ignore[no-untyped-def]
    """The table's value at ``x``, in the precision of both; beyond the last knots that of the ends."""
    one, zero, last = like(x, 1.0), like(x, 0.0), table[0, 0]
    # x may be a product: an fma keeps it from being contracted with this sum
    q = fma(x, one if x >= zero else -one, one)
    q = q if q < last else last
    interval, u = _place(q, np.int32(table[0, 3]))
    row = interval + np.int64(table[0, 1] if x < zero else table[0, 2])
    return fma(fma(fma(table[row, 3], u, table[row, 2]), u, table[row, 1]), u, table[row, 0])


def octaves_to_reach(distance: float) -> int:
    """How many octaves of ``1 + |x|`` a table needs to reach as far as ``distance``."""
    return max(1, int(np.frexp(1.0 + distance)[1]))


def _knots(octaves: int, intervals: int) -> Floats:
    """The knots, ascending and symmetric about zero; every one is exact."""
    within = 1.0 + np.arange(intervals) / intervals
    outward = np.concatenate([np.ldexp(within, octave) for octave in range(octaves)] + [[2.0**octaves]]) - 1.0
    return np.concatenate([-outward[:0:-1], outward])


def tabulate_by_octave(
    function: Callable[[Floats], Floats], *, octaves: int, intervals: int = INTERVALS
) -> OctaveTable:
    """Tabulate a non-decreasing function of a real number.

    Parameters
    ----------
    function
        Takes an array and returns the values; finite and non-decreasing as far as the table reaches.
    octaves
        The table reaches from ``1 - 2^octaves`` to ``2^octaves - 1``.
    intervals
        Of each octave, a power of two from 2 to 1024.

    Returns
    -------
    OctaveTable
        The values at the knots and the measured error of the cubics between them.

    Raises
    ------
    InputError
        When a value is not finite or the function decreases.

    Examples
    --------
    >>> table = tabulate_by_octave(lambda x: np.sign(x) * np.sqrt(np.abs(x) + x * x), octaves=10)
    >>> table.values.shape
    (641,)
    """
    x = _knots(octaves, intervals)
    values = np.asarray(function(x), dtype=np.float64)
    if not np.all(np.isfinite(values)):
        raise InputError(f"table: the function is not finite at {x[~np.isfinite(values)][0]:.3g}")
    secants = np.diff(values)
    noise = 1e-12 * np.abs(values[1:])
    if np.any(secants < -noise):
        raise InputError(f"table: the function decreases at {x[:-1][secants < -noise][0]:.3g}")
    values = np.maximum.accumulate(values)
    return OctaveTable(values, _measured_error(function, octave_cubics(values, octaves=octaves), x))


def octave_cubics(values: npt.ArrayLike, *, octaves: int) -> Floats:
    """What :func:`value_by_octave` reads: ``(1 + intervals, 4)``, made from the values at the knots by elementwise
    arithmetic alone.

    The first row holds the largest ``q``, the rows at which the negative and the positive side begin, and the binary
    logarithm of the intervals an octave; each other row the cubic of an interval in its local coordinate, which grows
    away from zero, constant term first.
    """
    array = np.asarray(values, dtype=np.float64)
    side = (len(array) - 1) // 2
    intervals = side // octaves
    bits = intervals.bit_length() - 1
    if len(array) != 2 * octaves * intervals + 1 or intervals != 2**bits or not 2 <= intervals <= MOST_INTERVALS:
        raise InputError(
            f"table: {len(array)} values do not make a power of two of intervals in each of {octaves} octaves"
        )
    x = _knots(octaves, intervals)
    slopes = _monotone_slopes(x, array)
    width, secants = np.diff(x), np.diff(array)
    low, high = slopes[:-1] * width, slopes[1:] * width
    positive = _hermite(array[:-1], secants, low, high)[side:]
    negative = _hermite(array[1:], -secants, -high, -low)[:side][::-1]
    largest = 2.0**octaves * (1.0 - 2.0**-24)
    return np.concatenate([[[largest, 1.0, side + 1.0, float(bits)]], negative, positive])


def _hermite(start: Floats, rise: Floats, first: Floats, last: Floats) -> Floats:
    return np.stack([start, first, 3.0 * rise - 2.0 * first - last, first + last - 2.0 * rise], axis=1)


def _monotone_slopes(x: Floats, values: Floats) -> Floats:
    """The slopes of the quartics through five neighbouring knots, limited to three times the smaller neighbouring
    secant (Fritsch and Carlson 1980)."""
    count = len(x)
    first = np.clip(np.arange(count) - 2, 0, count - 5)
    slopes = np.zeros(count)
    for j in range(5):
        # the derivative at the knot of Lagrange's polynomial that is one at the j-th of the five
        total, own = np.zeros(count), first + j
        for k in range(5):
            if k != j:
                factor = 1.0 / (x[own] - x[first + k])
                for m in range(5):
                    if m not in (j, k):
                        factor = factor * (x - x[first + m]) / (x[own] - x[first + m])
                total = total + factor
        slopes = slopes + total * values[own]
    secants = np.diff(values) / np.diff(x)
    bound = np.concatenate([secants[:1], np.minimum(secants[:-1], secants[1:]), secants[-1:]])
    return np.clip(slopes, 0.0, 3.0 * bound)


def _measured_error(function: Callable[[Floats], Floats], table: Floats, knots: Floats) -> float:
    width = np.diff(knots)
    x = np.concatenate([knots[:-1] + width * share for share in (0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875)])
    true = np.asarray(function(x), dtype=np.float64)
    low, high = np.asarray(function(np.array([-1.0, 1.0])), dtype=np.float64)
    scale = np.abs(true) + (high - low) / 2.0
    error = np.abs(interpolate_by_octave(table, x) - true) / np.where(scale > 0.0, scale, 1.0)
    return float(np.max(error))


def interpolate_by_octave(coefficients: Floats, x: npt.ArrayLike) -> Floats:
    """The values of a table's coefficients at ``x``, on the host."""
    array = np.asarray(x, dtype=np.float64)
    q = np.minimum(1.0 + np.abs(array), coefficients[0, 0])
    fraction, exponent = np.frexp(q)  # q = fraction 2^exponent with the fraction from 1/2 to below 1
    intervals = 2 ** int(coefficients[0, 3])
    place = (2.0 * fraction - 1.0) * intervals
    within = place.astype(np.int64)
    side = np.where(array < 0.0, coefficients[0, 1], coefficients[0, 2]).astype(np.int64)
    row = coefficients[side + (exponent - 1) * intervals + within]
    u = place - within
    found: Floats = row[..., 0] + u * (row[..., 1] + u * (row[..., 2] + u * row[..., 3]))
    return found
