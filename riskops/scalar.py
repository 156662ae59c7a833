"""Scalar arithmetic written once: compiled for the CPU, compiled for CUDA, and run as plain Python, with the same bits.

Three rules keep the bits equal everywhere (contract C2). No product feeds a sum except through :func:`fma`, because
compilers contract ``a*b + c`` as they see fit. No transcendental of a library is used: ``exp``, ``expm1``, ``log``
and the inverse normal are polynomials and rationals over ``fma``, ``+``, ``*``, ``/`` and ``sqrt``, all of which IEEE
754 rounds in one way only. And nothing branches: both sides of a choice are computed and one is taken, so that a loop
over contiguous arrays becomes vector instructions.

Every literal is a typed constant: a bare ``1.0`` or ``1`` would promote single precision to double and 32 bits to 64.
How the coefficients were fitted and what error is left stands beside each table; all were rounded to the working
precision from a fit in 40 to 60 digits (iteratively reweighted least squares on Chebyshev nodes, which tends to the
minimax solution; for rationals with the denominator of the previous iteration as weight).

With ``NUMBA_DISABLE_JIT=1`` the very same functions run as plain Python on NumPy scalars; only :func:`fma` then has a
twin, :func:`exact_fma`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any, TypeVar

import numpy as np
from numba import config, njit, types
from numba.extending import intrinsic

__all__ = [
    "add_u32",
    "bits_of_f32",
    "bits_of_f64",
    "exact_fma",
    "exp_f32",
    "exp_f64",
    "expm1_f32",
    "expm1_f64",
    "f32_of_bits",
    "f64_of_bits",
    "fma",
    "log_f32",
    "log_f64",
    "multiply_high_u32",
    "normal_quantile_f32",
    "normal_quantile_f64",
    "quantile_log_f32",
    "quantile_log_f64",
    "quantile_of_log_f32",
    "quantile_of_log_f64",
    "scalar_function",
    "sqrt",
]

_Function = TypeVar("_Function", bound=Callable[..., Any])


def scalar_function(function: _Function) -> _Function:
    """Compile a scalar function for use inside kernels.

    Without ``forceinline`` LLVM leaves the call in the loop and vectorises nothing (15 times slower); NumPy's error
    model drops the test for division by zero, which would be a branch. numba-cuda takes the same object in device
    code.
    """
    compiled: _Function = njit(forceinline=True, error_model="numpy")(function)
    return compiled


# ---------------------------------------------------------------------------------------------------------- fma


def exact_fma(a: Any, b: Any, c: Any) -> Any:
    """The plain-Python twin of :func:`fma`: ``a*b + c`` rounded once, in the precision of ``a`` (np.float32 or float).

    Exact rational arithmetic, then one rounding to nearest, ties to even. A fraction is first rounded to double; single
    precision gets there by way of a double rounded to odd, which makes the second rounding harmless.
    """
    kind = np.float32 if isinstance(a, np.float32) else np.float64
    x, y, z = float(a), float(b), float(c)
    if not (math.isfinite(x) and math.isfinite(y) and math.isfinite(z)):
        with np.errstate(all="ignore"):
            return kind(kind(x) * kind(y) + kind(z))
    exact = Fraction(x) * Fraction(y) + Fraction(z)
    if exact == 0:
        # Zero times something plus zero keeps IEEE's sign; terms that cancel give +0.
        return kind(x * y + z) if x == 0.0 or y == 0.0 else kind(0.0)
    try:
        near = exact.numerator / exact.denominator  # integer division rounds correctly, subnormals included
    except OverflowError:
        return kind(math.inf if exact > 0 else -math.inf)
    if kind is np.float64:
        return np.float64(near)
    error = exact - Fraction(near)
    if error and not int(np.float64(near).view(np.int64)) & 1:
        near = math.nextafter(near, math.inf if error > 0 else -math.inf)
    with np.errstate(over="ignore", under="ignore"):
        return np.float32(near)


def _emit_fma(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """LLVM's ``llvm.fma``: one rounding on every target, never split, never formed from a product and a sum."""
    return builder.fma(*arguments)


def _type_fma(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
    """All three in one precision: a mixed call is an error at compile time, not a silent promotion to double."""
    return (a(a, a, a), _emit_fma) if a == b == c else None


fma: Any = exact_fma if config.DISABLE_JIT else intrinsic(_type_fma)


def _emit_sqrt(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """LLVM's ``llvm.sqrt``, correctly rounded on every target; ``np.sqrt`` in device code is a ufunc, which CUDA
    lacks."""
    square_root = builder.module.declare_intrinsic("llvm.sqrt", [arguments[0].type])
    return builder.call(square_root, arguments)


def _type_sqrt(typing_context: Any, x: Any) -> Any:
    """In the precision of ``x``; an integer is an error at compile time."""
    return (x(x), _emit_sqrt) if isinstance(x, types.Float) else None


sqrt: Any = np.sqrt if config.DISABLE_JIT else intrinsic(_type_sqrt)


# ------------------------------------------------------------------------------------------- words and bits

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


@scalar_function
def add_u32(a, b):  # type: ignore[no-untyped-def]
    """``a + b`` modulo 2^32."""
    return np.uint32((np.uint64(a) + np.uint64(b)) & _LOW)


@scalar_function
def multiply_high_u32(a, b):  # type: ignore[no-untyped-def]
    """The high 32 bits of the 64-bit product."""
    return np.uint32((np.uint64(a) * np.uint64(b)) >> _HALF)


@scalar_function
def bits_of_f32(x):  # type: ignore[no-untyped-def]
    """The bits of a single-precision number as uint32."""
    return np.float32(x).view(np.uint32)


@scalar_function
def f32_of_bits(bits):  # type: ignore[no-untyped-def]
    """The single-precision number that has these bits."""
    return np.uint32(bits).view(np.float32)


@scalar_function
def bits_of_f64(x):  # type: ignore[no-untyped-def]
    """The bits of a double as uint64."""
    return np.float64(x).view(np.uint64)


@scalar_function
def f64_of_bits(bits):  # type: ignore[no-untyped-def]
    """The double that has these bits."""
    return np.uint64(bits).view(np.float64)


# ------------------------------------------------------------------------------------------ single precision

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
    """g(p) = -Phi^-1(p) >= 0 in single precision, for a folded probability p from 2^-33 to 1/2; error below 1.6e-6."""
    return -quantile_of_log_f32(quantile_log_f32(p))


# ------------------------------------------------------------------------------------------ double precision

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
