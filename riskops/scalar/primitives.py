"""What everything else is made of: fma and sqrt as single instructions, wrapping 32-bit integers, floats as bits."""

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
    "f32_of_bits",
    "f64_of_bits",
    "fma",
    "multiply_high_u32",
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
