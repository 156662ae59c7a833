"""Exponentials and logarithms of arrays with the same bits on every machine, for what is made after the spec (C2).

The last bits of NumPy's depend on the vector instructions of the processor; these loops call the kernels' own
functions, each step of which rounds in one way only.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from riskops.scalar import exp_f64, expm1_f64, log_f64

__all__ = ["exponentials", "exponentials_less_one", "logarithms"]

Floats = npt.NDArray[np.float64]


@njit(cache=True, nogil=True, error_model="numpy")
def _each_exp(values, out):  # type: ignore[no-untyped-def]
    for i in range(values.shape[0]):
        out[i] = exp_f64(values[i])


@njit(cache=True, nogil=True, error_model="numpy")
def _each_expm1(values, out):  # type: ignore[no-untyped-def]
    for i in range(values.shape[0]):
        out[i] = expm1_f64(values[i])


@njit(cache=True, nogil=True, error_model="numpy")
def _each_log(values, out):  # type: ignore[no-untyped-def]
    for i in range(values.shape[0]):
        out[i] = log_f64(values[i])


def exponentials(values: npt.ArrayLike) -> Floats:
    """``e^x`` of numbers of any shape.

    Examples
    --------
    >>> exponentials([0.0, 1.0]).round(12).tolist()
    [1.0, 2.718281828459]
    """
    given = np.array(values, dtype=np.float64, order="C")
    out = np.empty(given.size)
    _each_exp(given.ravel(), out)
    return out.reshape(given.shape)


def exponentials_less_one(values: npt.ArrayLike) -> Floats:
    """``e^x - 1`` of numbers of any shape, precise for small ones too.

    Examples
    --------
    >>> exponentials_less_one([0.0, 1e-20]).tolist()
    [0.0, 1e-20]
    """
    given = np.array(values, dtype=np.float64, order="C")
    out = np.empty(given.size)
    _each_expm1(given.ravel(), out)
    return out.reshape(given.shape)


def logarithms(values: npt.ArrayLike) -> Floats:
    """The natural logarithms of positive numbers of any shape.

    Examples
    --------
    >>> logarithms([1.0, 2.0]).tolist()
    [0.0, 0.6931471805599453]
    """
    given = np.array(values, dtype=np.float64, order="C")
    out = np.empty(given.size)
    _each_log(given.ravel(), out)
    return out.reshape(given.shape)
