"""The same functions by one name in both precisions, for steps that are written once and compiled for either.

The compiler picks by the type of the argument, plain Python by ``np.float32``. A bare literal is a double and would
promote a single-precision step: :func:`like` gives it the precision of a value that is there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from riskops.scalar.double import exp_f64, expm1_f64, log_f64
from riskops.scalar.single import exp_f32, expm1_f32, log_f32

__all__ = ["exp", "expm1", "like", "log"]


def exp(x: Any) -> Any:
    """``e^x`` in the precision of ``x``."""
    return exp_f32(x) if isinstance(x, np.float32) else exp_f64(x)


def expm1(x: Any) -> Any:
    """``e^x - 1`` in the precision of ``x``."""
    return expm1_f32(x) if isinstance(x, np.float32) else expm1_f64(x)


def log(x: Any) -> Any:
    """The natural logarithm in the precision of ``x``."""
    return log_f32(x) if isinstance(x, np.float32) else log_f64(x)


def like(x: Any, value: Any) -> Any:
    """``value`` in the precision of ``x``: ``like(x, 0.5) * x`` stays in single precision where ``x`` is."""
    return np.float32(value) if isinstance(x, np.float32) else np.float64(value)


@overload(exp, target="generic")
def _exp(x):  # type: ignore[no-untyped-def]
    return {types.float32: lambda x: exp_f32(x), types.float64: lambda x: exp_f64(x)}.get(x)


@overload(expm1, target="generic")
def _expm1(x):  # type: ignore[no-untyped-def]
    return {types.float32: lambda x: expm1_f32(x), types.float64: lambda x: expm1_f64(x)}.get(x)


@overload(log, target="generic")
def _log(x):  # type: ignore[no-untyped-def]
    return {types.float32: lambda x: log_f32(x), types.float64: lambda x: log_f64(x)}.get(x)


@overload(like, target="generic")
def _like(x, value):  # type: ignore[no-untyped-def]
    return {types.float32: lambda x, value: np.float32(value), types.float64: lambda x, value: np.float64(value)}.get(x)
