"""From words to draws: folded probabilities, uniforms, normals, rows of a table, thresholds for discrete outcomes.

A word is folded about one half: the words below 2^31 are the lower side, the others the upper, and a word and its
complement share one probability ``p`` in (0, 1/2] (contract C1). Both tails then keep full precision, and what is
drawn from the two sides is exactly opposite.
"""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import numpy.typing as npt

from riskops.errors import InputError
from riskops.scalar import (
    bits_of_f32,
    bits_of_f64,
    f32_of_bits,
    f64_of_bits,
    fma,
    multiply_high_u32,
    quantile_log_f32,
    quantile_log_f64,
    quantile_of_log_f32,
    quantile_of_log_f64,
    scalar_function,
)

__all__ = [
    "folded_f32",
    "folded_f64",
    "normal_f32",
    "normal_f64",
    "normal_log_f32",
    "normal_log_f64",
    "normal_of_log_f32",
    "normal_of_log_f64",
    "row_of",
    "thresholds",
    "uniform_f32",
    "uniform_f64",
]

_SIDE = np.uint32(0x80000000)
_TOP = np.int32(31)
_SIGN_F64 = np.uint64(32)
_SCALE, _OFFSET = np.float32(2.0**-32), np.float32(2.0**-33)
_SCALE_F64, _OFFSET_F64, _TWO_32 = np.float64(2.0**-64), np.float64(2.0**-65), np.float64(2.0**32)


@scalar_function
def folded_f32(word):  # type: ignore[no-untyped-def]
    """The folded probability of a word, single precision: from 2^-33 to 1/2."""
    signed = np.uint32(word).view(np.int32)
    t = np.int32(signed ^ (signed >> _TOP))  # the word itself, or its complement
    return fma(np.float32(t), _SCALE, _OFFSET)


@scalar_function
def folded_f64(high, low):  # type: ignore[no-untyped-def]
    """The folded probability of the 64-bit word ``high << 32 | low``, double precision: from 2^-65 to 1/2.

    The fma over the two halves rounds once, to what a conversion of the 64-bit integer would give; AVX2 has none.
    """
    signed = np.uint32(high).view(np.int32)
    side = np.int32(signed >> _TOP)
    t = fma(np.float64(np.int32(signed ^ side)), _TWO_32, np.float64(np.uint32(low ^ np.int32(side).view(np.uint32))))
    return fma(t, _SCALE_F64, _OFFSET_F64)


@scalar_function
def uniform_f32(word):  # type: ignore[no-untyped-def]
    """The signed folded probability: ``+p`` is the quantile p, ``-p`` the quantile 1 - p."""
    return f32_of_bits(bits_of_f32(folded_f32(word)) ^ np.uint32(word & _SIDE))


@scalar_function
def uniform_f64(high, low):  # type: ignore[no-untyped-def]
    """The signed folded probability in double precision."""
    return f64_of_bits(bits_of_f64(folded_f64(high, low)) ^ (np.uint64(high & _SIDE) << _SIGN_F64))


@scalar_function
def normal_log_f32(word):  # type: ignore[no-untyped-def]
    """The first half of a normal draw, up to the logarithm; see :func:`riskops.scalar.quantile_log_f32` for the
    halves."""
    return quantile_log_f32(folded_f32(word))


@scalar_function
def normal_of_log_f32(l, word):  # type: ignore[no-untyped-def]  # noqa: E741
    """The second half: the quantile of the lower side, with its sign turned over for a word of the upper one."""
    return f32_of_bits(bits_of_f32(quantile_of_log_f32(l)) ^ np.uint32(word & _SIDE))


@scalar_function
def normal_f32(word):  # type: ignore[no-untyped-def]
    """The standard normal quantile of a word: single precision, within 1.5e-6, exactly antisymmetric, never
    infinite."""
    return normal_of_log_f32(normal_log_f32(word), word)


@scalar_function
def normal_log_f64(high, low):  # type: ignore[no-untyped-def]
    """The first half of a normal draw in double precision."""
    return quantile_log_f64(folded_f64(high, low))


@scalar_function
def normal_of_log_f64(l, high):  # type: ignore[no-untyped-def]  # noqa: E741
    """The second half: the quantile of the upper side, with its sign turned over for a word of the lower one."""
    return f64_of_bits(bits_of_f64(quantile_of_log_f64(l)) ^ (np.uint64(np.uint32(~high & _SIDE)) << _SIGN_F64))


@scalar_function
def normal_f64(high, low):  # type: ignore[no-untyped-def]
    """The standard normal quantile of a 64-bit word: double precision, relative error below 3e-15."""
    return normal_of_log_f64(normal_log_f64(high, low), high)


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
