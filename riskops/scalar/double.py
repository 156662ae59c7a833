"""Double precision: exp, expm1, log and the inverse normal, without a branch or a library call."""

from __future__ import annotations

import numpy as np

from riskops.scalar.primitives import bits_of_f64, f64_of_bits, fma, scalar_function, sqrt

__all__ = [
    "exp_f64",
    "expm1_f64",
    "log_f64",
    "normal_quantile_f64",
    "quantile_log_f64",
    "quantile_of_log_f64",
]

_ZERO_F64, _ONE_F64, _HALF_F64, _TWO_F64 = np.float64(0.0), np.float64(1.0), np.float64(0.5), np.float64(2.0)
_INF_F64, _NAN_F64 = np.float64(np.inf), np.float64(np.nan)
_LOG2E_F64 = np.float64(1.4426950408889634)
_LN2_HIGH_F64, _LN2_LOW_F64 = np.float64(0.6931471805599453), np.float64(2.3190468138462996e-17)
_ROUND_F64 = np.float64(6755399441055744.0)
_BITS_F64, _BIAS_BITS_F64 = np.uint64(52), np.uint64(1023)
_EXP_LOWEST_F64, _EXP_HIGHEST_F64, _EXPM1_LOWEST_F64 = np.float64(-746.0), np.float64(710.0), np.float64(-40.0)
_TOP_EXPONENT_F64 = np.float64(1023.0)

#: (expm1(r) - r) / r^2 for |r| <= ln(2)/2; relative error of expm1 1.8e-17.
_D0, _D1, _D2, _D3, _D4, _D5, _D6, _D7, _D8, _D9 = (
    np.float64(c)
    for c in (
        0.5000000000000006, 0.1666666666666659, 0.04166666666657665, 0.008333333333389308, 0.0013888888931587657,
        0.00019841269719449227, 2.4801505253716773e-05, 2.7557407126367088e-06, 2.7626043885209875e-07,
        2.5053925559788825e-08,
    )
)  # fmt: skip
#: ((log1p(f) - f + f^2/2) / s - f^2/2) / s^2 with s = f / (2+f), in powers of s^2 (the arrangement of fdlibm's
#: e_log.c); relative error of log 1.3e-18.
_K0, _K1, _K2, _K3, _K4, _K5, _K6 = (
    np.float64(c)
    for c in (
        0.6666666666666734, 0.39999999999414987, 0.28571428742316557, 0.22222198580135288, 0.1818356398713168,
        0.153140586896286, 0.14795872998597126,
    )
)  # fmt: skip


@scalar_function
def _exp_parts_f64(x):  # type: ignore[no-untyped-def]
    """``x = n ln 2 + r``: n as a float, r and expm1(r)."""
    n = fma(x, _LOG2E_F64, _ROUND_F64) - _ROUND_F64
    r = fma(n, -_LN2_LOW_F64, fma(n, -_LN2_HIGH_F64, x))
    q = fma(fma(fma(fma(fma(_D9, r, _D8), r, _D7), r, _D6), r, _D5), r, _D4)
    q = fma(fma(fma(fma(q, r, _D3), r, _D2), r, _D1), r, _D0)
    return n, fma(r * r, q, r)


@scalar_function
def _power_of_two_f64(n):  # type: ignore[no-untyped-def]
    """2^n for an integral float n in [-1022, 1023]; anything for NaN."""
    return f64_of_bits((bits_of_f64(n + _ROUND_F64) + _BIAS_BITS_F64) << _BITS_F64)


@scalar_function
def exp_f64(x):  # type: ignore[no-untyped-def]
    """e^x in double precision, within 1 ulp; 0 and infinity beyond the range, NaN for NaN."""
    x = _EXP_LOWEST_F64 if x < _EXP_LOWEST_F64 else x
    x = _EXP_HIGHEST_F64 if x > _EXP_HIGHEST_F64 else x
    n, q = _exp_parts_f64(x)
    first = fma(n, _HALF_F64, _ROUND_F64) - _ROUND_F64
    return ((q + _ONE_F64) * _power_of_two_f64(first)) * _power_of_two_f64(n - first)


@scalar_function
def expm1_f64(x):  # type: ignore[no-untyped-def]
    """e^x - 1 in double precision, within 1.5 ulp, small x included; -1 at minus infinity, NaN for NaN."""
    x = _EXPM1_LOWEST_F64 if x < _EXPM1_LOWEST_F64 else x
    x = _EXP_HIGHEST_F64 if x > _EXP_HIGHEST_F64 else x
    n, q = _exp_parts_f64(x)
    first = _TOP_EXPONENT_F64 if n > _TOP_EXPONENT_F64 else n
    scale = _power_of_two_f64(first)
    return fma(scale, q, scale - _ONE_F64) * _power_of_two_f64(n - first)


_SMALLEST_NORMAL_F64 = np.float64(2.2250738585072014e-308)
_TWO_52, _MINUS_52 = np.float64(4503599627370496.0), np.float64(-52.0)
_MANTISSA_F64 = np.uint64(0x000FFFFFFFFFFFFF)
_SQRT_HALF_BITS_F64 = np.uint64(0x3FE6A09E667F3BCD)
#: Minus the bits of sqrt(1/2), plus the exponent's bias, so that the shifted bits stay positive.
_LOG_SHIFT_F64 = np.uint64(0x3FF0000000000000 - 0x3FE6A09E667F3BCD)
_LOG_SHIFT_DOUBLE = np.uint64(0x4000000000000000 - 0x3FE6A09E667F3BCD)
#: An integer below 2^52 under these bits is the float 2^52 + integer: AVX2 converts no 64-bit integers.
_INTEGER_BITS = np.uint64(0x4330000000000000)
_INTEGER_BIAS = np.float64(4503599627370496.0 + 1023.0)


@scalar_function
def _split_f64(x, shift):  # type: ignore[no-untyped-def]
    """``x = 2^e (1 + f)`` with sqrt(1/2) <= 1+f < sqrt(2) for a positive normal x (or 2x, as in :func:`_split_f32`)."""
    bits = bits_of_f64(x) + shift
    e = f64_of_bits((bits >> _BITS_F64) | _INTEGER_BITS) - _INTEGER_BIAS
    return e, f64_of_bits((bits & _MANTISSA_F64) + _SQRT_HALF_BITS_F64) - _ONE_F64


@scalar_function
def _log_parts_f64(e, f):  # type: ignore[no-untyped-def]
    """log(2^e (1 + f))."""
    s = f / (_TWO_F64 + f)
    z = s * s
    t = z * z
    r = fma(z, fma(fma(_K5, t, _K3), t, _K1), fma(fma(fma(_K6, t, _K4), t, _K2), t, _K0))
    half = _HALF_F64 * f
    y = fma(s, fma(half, f, z * r), fma(-half, f, f))
    return fma(e, _LN2_HIGH_F64, fma(e, _LN2_LOW_F64, y))


@scalar_function
def log_f64(x):  # type: ignore[no-untyped-def]
    """The natural logarithm in double precision, within 1.5 ulp, near one and for subnormals too; -inf at 0, NaN
    below."""
    small = x < _SMALLEST_NORMAL_F64
    e, f = _split_f64(x * _TWO_52 if small else x, _LOG_SHIFT_F64)
    y = _log_parts_f64(e + (_MINUS_52 if small else _ZERO_F64), f)
    y = y if x < _INF_F64 else x
    return y if x > _ZERO_F64 else (-_INF_F64 if x == _ZERO_F64 else _NAN_F64)


#: z / l as a rational in s = sqrt(1 + l / ln 2), l = -log(2p), for p from 2^-65 to 1/2: relative error of z 5.8e-16.
#: All coefficients are positive, so nothing cancels.
_N0, _N1, _N2, _N3, _N4, _N5, _N6, _N7, _N8 = (
    np.float64(c)
    for c in (
        240.55071472406786, 4248.826008450062, 14018.48384324682, 12910.858449887844, 5373.621468703663,
        1062.3990808591552, 82.3123218492319, 1.6986762567478502, 1.700152910677981e-07,
    )
)  # fmt: skip
_M0, _M1, _M2, _M3, _M4, _M5, _M6, _M7 = (
    np.float64(c)
    for c in (
        43.2482250050646, 1137.5721541257649, 5982.961532248633, 10761.782856414127, 8404.795075654118,
        3262.2296581157425, 628.6892408303893, 48.464588890552506,
    )
)  # fmt: skip


@scalar_function
def quantile_log_f64(p):  # type: ignore[no-untyped-def]
    """The first half of the normal quantile: l = -log(2p) >= 0."""
    e, f = _split_f64(p, _LOG_SHIFT_DOUBLE)
    return -_log_parts_f64(e, f)


@scalar_function
def quantile_of_log_f64(l):  # type: ignore[no-untyped-def]  # noqa: E741
    """The second half: g(p) = -Phi^-1(p) >= 0 from l = -log(2p)."""
    s = sqrt(fma(l, _LOG2E_F64, _ONE_F64))
    # Even and odd powers apart: four short chains side by side instead of two long ones.
    t = s * s
    even = fma(fma(fma(fma(_N8, t, _N6), t, _N4), t, _N2), t, _N0)
    numerator = fma(s, fma(fma(fma(_N7, t, _N5), t, _N3), t, _N1), even)
    even = fma(fma(fma(fma(s, s, _M6), t, _M4), t, _M2), t, _M0)
    denominator = fma(s, fma(fma(fma(_M7, t, _M5), t, _M3), t, _M1), even)
    return (l * numerator) / denominator


@scalar_function
def normal_quantile_f64(p):  # type: ignore[no-untyped-def]
    """g(p) = -Phi^-1(p) >= 0 in double precision, for a folded p from 2^-65 to 1/2; relative error below 3e-15."""
    return quantile_of_log_f64(quantile_log_f64(p))
