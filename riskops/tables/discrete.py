"""Discrete draws: an integer word against thresholds made on the host, so that no rounding decides an outcome (C1)."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import numpy.typing as npt

from riskops.checks import check_finite
from riskops.errors import InputError
from riskops.scalar import multiply_high_u32, scalar_function

__all__ = ["outcome", "poisson_thresholds", "row_of", "thresholds"]


@scalar_function
def outcome(word, limits):  # type: ignore[no-untyped-def]
    """How many of the thresholds ``limits`` (1-d, unsigned) are not above the word."""
    count = np.int32(0)
    for k in range(limits.shape[0]):
        count += np.int32(word >= limits[k])
    return count


@scalar_function
def row_of(word, rows):  # type: ignore[no-untyped-def]
    """A row in ``0 .. rows-1``: the high half of ``word * rows``.

    The same as counting the thresholds ``ceil(k * 2^32 / rows)``, k = 1 .. rows-1, that are not above the word; a row's
    probability is off ``1 / rows`` by less than 2^-32.
    """
    return multiply_high_u32(word, rows)


def thresholds(probabilities: npt.ArrayLike) -> npt.NDArray[np.uint32]:
    """Integer thresholds for a discrete draw, made once on the host: ``outcome = count of thresholds <= word``.

    Parameters
    ----------
    probabilities
        Probabilities ``(..., outcome)``; each last axis sums to one (within 1e-9, the rest goes to the last outcome).

    Returns
    -------
    Thresholds ``(..., outcome - 1)``, ascending: the cumulative probabilities times 2^32, summed exactly and rounded,
    at most 2^32 - 1; a probability is off by at most 2^-32 so.

    Raises
    ------
    InputError
        When a probability is not in [0, 1] or a sum is not one.

    Examples
    --------
    >>> thresholds([0.5, 0.25, 0.25]).tolist()
    [2147483648, 3221225472]
    """
    array = np.asarray(probabilities, dtype=np.float64)
    if array.ndim == 0 or not (np.all(array >= 0.0) and np.all(array <= 1.0)):
        raise InputError(f"probabilities: {array.tolist()} are not all between 0 and 1")
    if not np.allclose(array.sum(axis=-1), 1.0, rtol=0.0, atol=1e-9):
        raise InputError(f"probabilities: {array.tolist()} do not sum to one")
    rows = [_row_thresholds(row) for row in array.reshape(-1, array.shape[-1])]
    return np.array(rows, dtype=np.uint32).reshape(*array.shape[:-1], array.shape[-1] - 1)


def _row_thresholds(probabilities: npt.NDArray[np.float64]) -> list[int]:
    """The thresholds of one distribution, from exact sums, so that they depend on no order of summation."""
    total, out = Fraction(0), []
    for probability in probabilities[:-1]:
        total += Fraction(float(probability))
        out.append(min(floor(total * 2**32 + Fraction(1, 2)), 2**32 - 1))
    return out


def poisson_thresholds(means: npt.ArrayLike) -> npt.NDArray[np.uint64]:
    """Thresholds of Poisson counts by inversion, as far as a 32-bit word can tell counts apart.

    Parameters
    ----------
    means
        Expected counts ``(asset,)``, each from 0 to 64.

    Returns
    -------
    Thresholds ``(asset, largest count)``: the cumulative probabilities times 2^32, rounded; 2^32, which no word
    reaches, where an asset has fewer counts than another. Counts beyond the last have probability of 2^-32 at most.

    Raises
    ------
    InputError
        When a mean is not in range.

    Examples
    --------
    >>> poisson_thresholds([0.1, 0.0])[:, :2].tolist()
    [[3886247119, 4274871831], [4294967296, 4294967296]]
    """
    array = check_finite("means", means)
    if array.ndim != 1 or np.any(array < 0.0) or np.any(array > 64.0):
        raise InputError(f"means: {array.tolist()} are not one number an asset, each from 0 to 64 counts a step")
    rows = [_poisson_sums(mean) for mean in array.tolist()]
    width = max(next(k for k, part in enumerate(row) if (row[-1] - part) << 32 <= row[-1]) for row in rows) + 1
    limits = [[((part << 33) + row[-1]) // (2 * row[-1]) for part in row[:width]] for row in rows]
    return np.array([row + [2**32] * (width - len(row)) for row in limits], dtype=np.uint64)


def _poisson_sums(mean: float) -> list[int]:
    """The sums of ``m^j / j!``, ``j = 0 .. k``, for every ``k`` until they no longer grow, in units of ``2^-160``.

    They are to the last as the cumulative probabilities are to one. Integers alone enter, from the mean's own exact
    ratio: no library's ``exp`` or Poisson law has a say in a threshold.
    """
    numerator, denominator = mean.as_integer_ratio()
    term, sums = 1 << 160, [1 << 160]
    while term := term * numerator // (denominator * len(sums)):
        sums.append(sums[-1] + term)
    return sums
