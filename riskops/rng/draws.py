"""From words to draws: folded probabilities, uniforms, normals, discrete draws are in :mod:`riskops.tables`.

A word is folded about one half: the words below 2^31 are the lower side, the others the upper, and a word and its
complement share one probability ``p`` in (0, 1/2] (contract C1). Both tails then keep full precision, and what is
drawn from the two sides is exactly opposite.
"""

from __future__ import annotations

import numpy as np

from riskops.scalar import (
    bits_of_f32,
    bits_of_f64,
    f32_of_bits,
    f64_of_bits,
    fma,
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
