"""Monotone functions of a standard normal as tables of cubics: quantiles of other distributions, inside kernels.

A quantile ``Q`` enters as ``g(z) = Q(Phi(z))``: the normal draw ``z`` is the coordinate, which stretches both tails as
the draws reach into them. ``g`` is evaluated once on the host at evenly spaced knots, and between them a cubic runs
with the slopes of Fritsch and Carlson, which keep it monotone. The coefficients are recorded with the model, the error
is measured where it is made. Beyond the last knots, which no draw reaches, the last cubic's end value holds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from riskops.errors import InputError
from riskops.scalar import fma, like, scalar_function

__all__ = ["NormalTable", "cubics", "interpolate", "tabulate", "value_at"]

Floats = npt.NDArray[np.float64]

#: No double-precision draw is beyond: the extreme word has probability 2^-65.
REACH = 9.25
KNOTS = 1025


class NormalTable(NamedTuple):
    """A monotone function of a standard normal: its values at knots evenly spaced over ``[-REACH, REACH]``.

    ``values`` is what a model keeps and records; :func:`cubics` makes of it what the kernels read. ``error`` is the
    largest one on ``[-6.4, 6.4]`` against the function itself, relative to the value's size plus half the distance from
    the function at -1 to that at +1.
    """

    values: Floats
    error: float


@scalar_function
def value_at(table, z):  # type: ignore[no-untyped-def]
    """The table's value at ``z``, in the precision of both: one fused Horner scheme on the interval's cubic."""
    place = fma(z, table[0, 1], table[0, 0])
    zero, last = like(z, 0.0), table[0, 2]
    place = place if place > zero else zero
    place = place if place < last else last
    index = np.int32(place)
    x = place - like(z, index)
    row = index + np.int32(1)
    return fma(fma(fma(table[row, 3], x, table[row, 2]), x, table[row, 1]), x, table[row, 0])


def tabulate(function: Callable[[Floats], Floats], *, knots: int = KNOTS) -> NormalTable:
    """Tabulate a non-decreasing function of a standard normal.

    Parameters
    ----------
    function
        Takes an array of normals and returns the values; finite and non-decreasing on ``[-REACH, REACH]``.
    knots
        How many knots, evenly spaced.

    Returns
    -------
    NormalTable
        The values at the knots and the measured error of the cubics between them.

    Raises
    ------
    InputError
        When a value is not finite or the function decreases.

    Examples
    --------
    >>> from scipy import special
    >>> table = tabulate(lambda z: special.chdtri(5.0, special.ndtr(-z)))
    >>> table.values.shape, table.error < 1e-8
    ((1025,), True)
    """
    z = np.linspace(-REACH, REACH, knots)
    values = np.asarray(function(z), dtype=np.float64)
    if not np.all(np.isfinite(values)):
        raise InputError(f"table: the function is not finite at z = {z[~np.isfinite(values)][0]:.3g}")
    secants = np.diff(values)
    noise = 1e-12 * np.abs(values[1:])
    if np.any(secants < -noise):
        raise InputError(f"table: the function decreases at z = {z[:-1][secants < -noise][0]:.3g}")
    values = np.maximum.accumulate(values)
    return NormalTable(values, _measured_error(function, cubics(values)))


def cubics(values: npt.ArrayLike) -> Floats:
    """What :func:`value_at` reads: ``(knots + 1, 4)``, made from the values at the knots by elementwise arithmetic
    alone.

    The first row holds the place of zero, the intervals per unit and their number; each other row the cubic of an
    interval in its local coordinate in [0, 1], constant term first, and the last one the end value.
    """
    array = np.asarray(values, dtype=np.float64)
    intervals = len(array) - 1
    secants = np.diff(array)
    slopes = _monotone_slopes(array, secants)
    a, b = slopes[:-1], slopes[1:]
    cubic = np.stack([array[:-1], a, 3.0 * secants - 2.0 * a - b, a + b - 2.0 * secants], axis=1)
    head = [[intervals / 2.0, intervals / (2.0 * REACH), float(intervals), 0.0]]
    return np.concatenate([head, cubic, [[array[-1], 0.0, 0.0, 0.0]]])


def _monotone_slopes(values: Floats, secants: Floats) -> Floats:
    """Fourth-order slopes in units of a knot, limited to three times the smaller neighbouring secant (Fritsch and
    Carlson 1980)."""
    slopes = np.gradient(values, edge_order=2)
    slopes[2:-2] = (8.0 * (values[3:-1] - values[1:-3]) - (values[4:] - values[:-4])) / 12.0
    bound = np.empty_like(slopes)
    bound[0], bound[-1] = secants[0], secants[-1]
    bound[1:-1] = np.minimum(secants[:-1], secants[1:])
    return np.clip(slopes, 0.0, 3.0 * bound)


def _measured_error(function: Callable[[Floats], Floats], table: Floats) -> float:
    z = np.linspace(-6.4, 6.4, 60_001)
    found = interpolate(table, z)
    true = np.asarray(function(z), dtype=np.float64)
    low, high = np.asarray(function(np.array([-1.0, 1.0])), dtype=np.float64)
    scale = np.abs(true) + (high - low) / 2.0
    return float(np.max(np.abs(found - true) / np.where(scale > 0.0, scale, 1.0)))


def interpolate(coefficients: Floats, z: npt.ArrayLike) -> Floats:
    """The values of a table's coefficients at ``z``, on the host."""
    place = np.clip(np.asarray(z) * coefficients[0, 1] + coefficients[0, 0], 0.0, coefficients[0, 2])
    index = place.astype(np.int64)
    x, row = place - index, coefficients[index + 1]
    found: Floats = row[..., 0] + x * (row[..., 1] + x * (row[..., 2] + x * row[..., 3]))
    return found
