"""Single precision: exp, expm1, log and the inverse normal, without a branch or a library call."""

from __future__ import annotations

import numpy as np

from riskops.scalar.primitives import add_u32, bits_of_f32, f32_of_bits, fma, scalar_function, sqrt

__all__ = [
    "exp_f32",
    "expm1_f32",
    "log_f32",
    "normal_quantile_f32",
    "quantile_log_f32",
    "quantile_of_log_f32",
]

_ZERO = np.float32(0.0)
_ONE = np.float32(1.0)
_INF = np.float32(np.inf)
_NAN = np.float32(np.nan)
_LOG2E = np.float32(1.4426950408889634)
_LN2_HIGH = np.float32(0.6931471805599453)
_LN2_LOW = np.float32(0.6931471805599453 - float(_LN2_HIGH))
#: Adding 1.5 * 2^23 rounds to an integer, which then stands in the low bits: no conversion instruction, NaN passes
#: through.
_ROUND = np.float32(12582912.0)
_BITS, _BITS_SIGNED = np.uint32(23), np.int32(23)
_BIAS = np.uint32(127)
_WORD_ONE = np.uint32(1)
_EXP_LOWEST, _EXP_HIGHEST, _EXPM1_LOWEST = np.float32(-104.0), np.float32(89.0), np.float32(-20.0)
_TOP_EXPONENT = np.float32(127.0)
_HALF_F32 = np.float32(0.5)

#: (expm1(r) - r) / r^2 for |r| <= ln(2)/2; relative error of expm1 1.4e-8.
_E0, _E1, _E2, _E3, _E4 = (
    np.float32(c)
    for c in (0.4999999701976776, 0.1666654348373413, 0.04166720062494278, 0.00836652610450983, 0.0013882415369153023)
)
#: (log1p(f) - f) / f^2 for sqrt(1/2) <= 1+f < sqrt(2); relative error of log 4.1e-9.
_L0, _L1, _L2, _L3, _L4, _L5, _L6, _L7, _L8 = (
    np.float32(c)
    for c in (
        -0.49999988079071045, 0.33333325386047363, -0.25001582503318787, 0.20001976191997528, -0.16609074175357819,
        0.14181822538375854, -0.13243025541305542, 0.12904316186904907, -0.07621476799249649,
    )
)  # fmt: skip


@scalar_function
def _exp_parts_f32(x):  # type: ignore[no-untyped-def]
    """``x = n ln 2 + r``: n as a float, r and expm1(r)."""
    n = fma(x, _LOG2E, _ROUND) - _ROUND
    r = fma(n, -_LN2_LOW, fma(n, -_LN2_HIGH, x))
    q = fma(fma(fma(fma(_E4, r, _E3), r, _E2), r, _E1), r, _E0)
    return n, fma(r * r, q, r)


@scalar_function
def _power_of_two_f32(n):  # type: ignore[no-untyped-def]
    """2^n for an integral float n in [-126, 127]; anything for NaN."""
    return f32_of_bits(np.uint32((bits_of_f32(n + _ROUND) + _BIAS) << _BITS))


@scalar_function
def exp_f32(x):  # type: ignore[no-untyped-def]
    """e^x in single precision, within 1 ulp; 0 and infinity beyond the range, NaN for NaN."""
    x = _EXP_LOWEST if x < _EXP_LOWEST else x
    x = _EXP_HIGHEST if x > _EXP_HIGHEST else x
    n, q = _exp_parts_f32(x)
    # 2^n alone may lie outside the format at both ends, its two halves never; only the last product rounds.
    first = fma(n, _HALF_F32, _ROUND) - _ROUND
    return ((q + _ONE) * _power_of_two_f32(first)) * _power_of_two_f32(n - first)


@scalar_function
def expm1_f32(x):  # type: ignore[no-untyped-def]
    """e^x - 1 in single precision, within 1.5 ulp, small x included; -1 at minus infinity, NaN for NaN."""
    x = _EXPM1_LOWEST if x < _EXPM1_LOWEST else x
    x = _EXP_HIGHEST if x > _EXP_HIGHEST else x
    n, q = _exp_parts_f32(x)
    first = _TOP_EXPONENT if n > _TOP_EXPONENT else n
    scale = _power_of_two_f32(first)
    return fma(scale, q, scale - _ONE) * _power_of_two_f32(n - first)


_SMALLEST_NORMAL = np.float32(1.1754943508222875e-38)
_TWO_23, _MINUS_23 = np.float32(8388608.0), np.float32(-23.0)
_MANTISSA = np.uint32(0x007FFFFF)
_SQRT_HALF_BITS = np.uint32(0x3F3504F3)
_MINUS_SQRT_HALF = np.uint32(2**32 - 0x3F3504F3)
_MINUS_QUARTER_ROOT = np.uint32(2**32 - 0x3F3504F3 + 0x00800000)


@scalar_function
def _split_f32(x, shift):  # type: ignore[no-untyped-def]
    """``x = 2^e (1 + f)`` with sqrt(1/2) <= 1+f < sqrt(2) for a positive normal x: e as a float, and f.

    ``shift`` is minus the bits of sqrt(1/2): counted from there, the exponent field is e itself. With one more in the
    exponent field it is ``2x`` that is split.
    """
    bits = add_u32(bits_of_f32(x), shift)
    e = np.float32(np.int32(np.uint32(bits).view(np.int32) >> _BITS_SIGNED))
    return e, f32_of_bits(np.uint32(bits & _MANTISSA) + _SQRT_HALF_BITS) - _ONE


@scalar_function
def log_f32(x):  # type: ignore[no-untyped-def]
    """The natural logarithm in single precision, within 1.5 ulp, near one and for subnormals too; -inf at 0, NaN
    below."""
    small = x < _SMALLEST_NORMAL
    e, f = _split_f32(x * _TWO_23 if small else x, _MINUS_SQRT_HALF)
    e = e + (_MINUS_23 if small else _ZERO)
    q = fma(fma(fma(fma(_L8, f, _L7), f, _L6), f, _L5), f, _L4)
    q = fma(fma(fma(fma(q, f, _L3), f, _L2), f, _L1), f, _L0)
    y = fma(e, _LN2_HIGH, fma(e, _LN2_LOW, fma(f * f, q, f)))
    y = y if x < _INF else x
    return y if x > _ZERO else (-_INF if x == _ZERO else _NAN)


#: log2(1+f) / f on the same interval; error of log2 below 4.1e-7 (6e-7 relative to the root of log2).
_B0, _B1, _B2, _B3, _B4, _B5, _B6 = (
    np.float32(c)
    for c in (
        1.4426980018615723, -0.7213700413703918, 0.480543851852417, -0.35915088653564453,
        0.2965278923511505, -0.27116766571998596, 0.1711168736219406,
    )
)  # fmt: skip
#: z / l as a rational in s = sqrt(1 - l), l = log2(2p), for p from 2^-33 to 1/2: error of z 1.5e-7. The root
#: straightens the tail (z grows as the root of -log p), and the factor l makes z vanish exactly at the centre, so one
#: formula serves the whole range; a polynomial in the classical w = -log(4p(1-p)) would need degree 13 and more.
_P0, _P1, _P2, _P3 = (
    np.float32(c) for c in (0.08576755970716476, 3.367945909500122, 1.1824867725372314, -0.0001464371453039348)
)
_Q0, _Q1, _Q2 = (np.float32(c) for c in (-0.008898738771677017, 1.3929266929626465, 2.952531576156616))


@scalar_function
def quantile_log_f32(p):  # type: ignore[no-untyped-def]
    """The first half of the normal quantile: l = log2(2p) <= 0 for p from 2^-33 to 1/2, absolute error 6e-7.

    Kernels run the two halves as two loops: one alone has more constants than there are registers, and a chain of
    operations longer than the processor looks ahead, and takes half as long again.
    """
    e, f = _split_f32(p, _MINUS_QUARTER_ROOT)
    g = f * f
    q = fma(fma(fma(_B6, g, fma(_B5, f, _B4)), g, fma(_B3, f, _B2)), g, fma(_B1, f, _B0))
    return fma(f, q, e)


@scalar_function
def quantile_of_log_f32(l):  # type: ignore[no-untyped-def]  # noqa: E741
    """The second half: Phi^-1(p) <= 0 from l = log2(2p)."""
    s = sqrt(_ONE - l)
    numerator = fma(fma(fma(_P3, s, _P2), s, _P1), s, _P0)
    denominator = fma(fma(s + _Q2, s, _Q1), s, _Q0)
    return (l * numerator) / denominator


@scalar_function
def normal_quantile_f32(p):  # type: ignore[no-untyped-def]
    """g(p) = -Phi^-1(p) >= 0 in single precision, for a folded probability p from 2^-33 to 1/2; error below 1.5e-6."""
    return -quantile_of_log_f32(quantile_log_f32(p))
