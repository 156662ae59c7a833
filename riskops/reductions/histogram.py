"""Histograms whose edges are the same for every sample, so that counts merge exactly.

The edges are the numbers whose mantissa has six bits (sign, exponent and six bits of the mantissa, the top 18 bits of a
double), so that no bin is wider than 1/64 of its distance from zero, and neither range nor width is chosen in advance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from riskops.checks import exact_level
from riskops.errors import InputError
from riskops.reductions.reduction import Array, Reduction, first_tile_of, rows_of
from riskops.scalar import bits_of_f64, fma

__all__ = ["Histogram", "HistogramState", "histogram_quantile"]

Float = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]

KEY_BITS = 18
KEYS = 1 << KEY_BITS
_SHIFT = np.uint64(64 - KEY_BITS)
_SIGN = np.uint64(1 << 63)
_EXPONENT = np.uint64(0x7FF << 52)
_FIRST_POSITIVE = KEYS // 2

#: Weights are counted in whole 2^-24ths, so that their sums are exact in any order. Weights up to 2^4 of fewer than
#: 2^34 paths add up to less than 2^62 of them: no sum overflows.
_UNITS = float(1 << 24)
_LARGEST = 16.0
_SMALLEST = 1.0 / _UNITS


@dataclass(frozen=True, eq=False)
class HistogramState:
    """The bins that hold a path, ascending by ``row * 2^18 + key``, and how many; rows flatten the leading dims."""

    codes: Whole
    counts: Whole
    lead: tuple[int, ...]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _count(losses, counts, keys):  # type: ignore[no-untyped-def]
    """Count a row by key into ``counts`` (zero before) and list the keys met; (how many, the first bad place or -1)."""
    met = 0
    for i in range(len(losses)):
        # Zero has one sign after the sum. A negative number's bits are negated, so that keys ascend with the number and
        # its bin is closed below and open above as well.
        bits = np.uint64(bits_of_f64(np.float64(losses[i]) + 0.0))
        if (bits & _EXPONENT) == _EXPONENT:
            return met, i
        key = np.int64(((~bits + np.uint64(1)) if bits & _SIGN else (bits | _SIGN)) >> _SHIFT)
        before = counts[key]
        counts[key] = before + 1
        if before == 0:
            keys[met] = key
            met += 1
    return met, -1


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _count_weighted(losses, weights, counts, keys):  # type: ignore[no-untyped-def]
    """The same with every path counted by its weight, in units; what rounds to no unit is not counted."""
    met = 0
    for i in range(len(losses)):
        bits = np.uint64(bits_of_f64(np.float64(losses[i]) + 0.0))
        weight = np.float64(weights[i])
        if (bits & _EXPONENT) == _EXPONENT or not 0.0 <= weight <= _LARGEST:
            return met, i
        key = np.int64(((~bits + np.uint64(1)) if bits & _SIGN else (bits | _SIGN)) >> _SHIFT)
        units = np.int64(fma(weight, _UNITS, 0.5))
        before = counts[key]
        counts[key] = before + units
        if before == 0 and units > 0:
            keys[met] = key
            met += 1
    return met, -1


def _edges(keys: Whole) -> Float:
    """The lower edge of each bin; that of the next bin is its upper edge."""
    magnitude = np.where(keys >= _FIRST_POSITIVE, keys - _FIRST_POSITIVE, _FIRST_POSITIVE - keys)
    numbers = (magnitude.astype(np.uint64) << _SHIFT).view(np.float64)
    return np.where(keys >= _FIRST_POSITIVE, numbers, -numbers)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _merge(codes, counts, others, other_counts, out, out_counts):  # type: ignore[no-untyped-def]
    """Merge two ascending lists of codes and add the counts of equal ones; the length of what comes out."""
    a = b = place = 0
    while a < len(codes) and b < len(others):
        first, second = codes[a], others[b]
        out[place] = min(first, second)
        out_counts[place] = (counts[a] if first <= second else 0) + (other_counts[b] if second <= first else 0)
        a += first <= second
        b += second <= first
        place += 1
    for i in range(a, len(codes)):
        out[place], out_counts[place] = codes[i], counts[i]
        place += 1
    for i in range(b, len(others)):
        out[place], out_counts[place] = others[i], other_counts[i]
        place += 1
    return place


def _merged(one: tuple[Whole, Whole], two: tuple[Whole, Whole]) -> tuple[Whole, Whole]:
    size = len(one[0]) + len(two[0])
    codes, counts = np.empty(size, np.int64), np.empty(size, np.int64)
    number = _merge(*one, *two, codes, counts)
    return codes[:number].copy(), counts[:number].copy()


@dataclass(frozen=True)
class Histogram(Reduction):
    """How many paths of every row lie in each bin ``[low, high)`` of the fixed edges.

    Parameters
    ----------
    variable
        The variable to read, ``(..., path)``.
    weight
        The variable that weights the paths, ``(horizon, path)``, from 0 to 16, where ``variable`` is ``(..., horizon,
        path)``: leads repeat it. None counts every path once.

    Notes
    -----
    ``finalize`` gives ``bin_low`` and ``bin_high`` ``(bin,)``, the bins in which any row has a path, ascending, and
    ``counts`` ``(..., bin)``: int64, or with weights their sums in float64, each weight rounded to a multiple of 2^-24.
    -0.0 counts as 0.0. NaN or infinity is an error that names its row and path.
    """

    variable: str = "loss"
    weight: str | None = None

    @property
    def variables(self) -> tuple[str, ...]:
        return (self.variable,) if self.weight is None else (self.variable, self.weight)

    def chunk(self, block: Mapping[str, Array], *, first_path: int) -> HistogramState:
        first_tile_of(first_path)
        array = block[self.variable]
        data, lead = rows_of(array), array.shape[:-1]
        scratch, met = np.zeros(KEYS, dtype=np.int64), np.empty(min(KEYS, data.shape[-1]), dtype=np.int64)
        weights = None if self.weight is None else rows_of(block[self.weight])
        if weights is not None and len(data) % len(weights):
            raise InputError(f"{self.weight}: {len(weights)} rows do not weight the {len(data)} of {self.variable}")
        codes, counts = [], []
        for row, losses in enumerate(data):
            if weights is None:
                number, bad = _count(losses, scratch, met)
            else:
                weight = weights[row % len(weights)]
                number, bad = _count_weighted(losses, weight, scratch, met)
                if bad >= 0 and np.isfinite(losses[bad]):
                    found = f"{self.weight}: path {first_path + bad} of row {row % len(weights)} is"
                    raise InputError(f"{found} {float(weight[bad])!r}, not a weight from 0 to {_LARGEST:g}")
            if bad >= 0:
                where = tuple(int(i) for i in np.unravel_index(row, lead))
                found = f"{self.variable}: path {first_path + bad} of row {where} is {float(losses[bad])!r}"
                raise InputError(f"{found}, not a finite number")
            keys = np.sort(met[:number])
            codes.append(keys + (row << KEY_BITS))
            counts.append(scratch[keys])
            scratch[keys] = 0
        return HistogramState(np.concatenate(codes), np.concatenate(counts), lead)

    def combine(self, states: Sequence[HistogramState]) -> HistogramState:
        left = [(state.codes, state.counts) for state in states]
        while len(left) > 1:  # neighbours in pairs; integers, so that any order gives the same
            left = [_merged(*left[k : k + 2]) if k + 1 < len(left) else left[k] for k in range(0, len(left), 2)]
        return HistogramState(*left[0], states[0].lead)

    def finalize(self, state: HistogramState) -> dict[str, Any]:
        keys, column = np.unique(state.codes & (KEYS - 1), return_inverse=True)
        counts: npt.NDArray[Any] = np.zeros((int(np.prod(state.lead, dtype=np.int64)), len(keys)), dtype=np.int64)
        counts[state.codes >> KEY_BITS, column] = state.counts
        if self.weight is not None:
            counts = counts / _UNITS
        return {
            "bin_low": _edges(keys),
            "bin_high": _edges(keys + 1),
            "counts": counts.reshape(*state.lead, len(keys)),
        }


def histogram_quantile(
    counts: Whole | Float, bin_low: Float, bin_high: Float, probabilities: Sequence[float]
) -> tuple[Float, Float]:
    """The edges of the bin that holds each quantile, so of the ``ceil(n p)``-th smallest number (the first for p = 0).

    With weights for counts it is the first number at which they add up to p times their sum.

    Parameters
    ----------
    counts
        Counts ``(..., bin)``, whole numbers, or sums of weights in floating point.
    bin_low, bin_high
        Edges ``(bin,)``, ascending.
    probabilities
        Probabilities in [0, 1], each the decimal that it prints as.

    Returns
    -------
    tuple
        Lower and upper edges ``(..., probability)``.

    Raises
    ------
    InputError
        A probability outside [0, 1], or a row without counts.

    Examples
    --------
    >>> low, high = histogram_quantile(np.array([1, 2, 1]), np.array([0.0, 1.0, 2.0]), np.array([1.0, 2.0, 3.0]), [0.5])
    >>> float(low[0]), float(high[0])
    (1.0, 2.0)
    """
    below, weighted = np.cumsum(counts, axis=-1), counts.dtype.kind == "f"
    rows = below.reshape(-1, below.shape[-1])
    at = np.empty((len(rows), len(probabilities)), dtype=np.int64)
    for column, probability in enumerate(probabilities):
        if not 0.0 <= probability <= 1.0:
            raise InputError(f"probabilities: {probability!r} is not in [0, 1]")
        share = exact_level(probability)
        for row, cumulated in enumerate(rows):
            total = Fraction(cumulated[-1].item())
            if total == 0:
                raise InputError("counts: a row without counts has no quantile")
            rank = max(float(total * share), _SMALLEST) if weighted else max(math.ceil(total * share), 1)
            at[row, column] = np.searchsorted(cumulated, rank, side="left")
    at = at.reshape(*counts.shape[:-1], len(probabilities))
    return bin_low[at], bin_high[at]
