"""The variance recursions of GARCH, GJR-GARCH and EGARCH: filtered through returns that came, and simulated ahead.

For a return ``mean + e`` of variance ``h``, with ``z = e / sqrt(h)``, the next day's variance is

    ``omega + (alpha + gamma 1[e < 0]) e^2 + beta h``                     GARCH (``gamma`` zero) and GJR-GARCH,
    ``log: omega + alpha (|z| - sqrt(2 / pi)) + gamma z + beta log h``    EGARCH, as ``arch`` writes it.

Before the first return stands the presample variance ``b``: there ``e^2 = h = b``, half of it from falls, and for
EGARCH ``|z|`` and ``z`` at their means. ``arch`` keeps variances within bounds for its optimiser (a millionth and a
million times an average of squared returns); here there are none.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from riskops.history.forecasts.base import Floats
from riskops.scalar import exp, log, sqrt

__all__ = ["Recursion", "filter_variance", "presample_variance", "simulate_losses"]

#: The mean of ``|z|`` for a normal ``z``.
_MEAN_SIZE = 0.7978845608028654
#: The presample variance looks at so many returns, each worth this much of the one before.
_PRESAMPLE, _DECAY = 75, 0.94


class Recursion(NamedTuple):
    """The parameters of a recursion, a day, in the units of the returns."""

    exponential: bool
    mean: float
    omega: float
    alpha: float
    gamma: float
    beta: float


def presample_variance(returns: Floats, *, mean: float) -> float:
    """The variance before the first return: the weighted mean of the first 75 squared deviations, the first day first.

    ``sum 0.94^i (r_i - mean)^2 / sum 0.94^i``; ``arch`` takes the sample's mean, or zero where the model's is.
    """
    weight = _DECAY ** np.arange(min(_PRESAMPLE, len(returns)))
    return float((weight * (returns[: len(weight)] - mean) ** 2).sum() / weight.sum())


def filter_variance(returns: Floats, recursion: Recursion, *, presample: float) -> Floats:
    """The variance of each return given those before it, ``(len(returns) + 1,)``: the last is the forecast."""
    out = np.empty(len(returns) + 1)
    kernel = _filter_exponential if recursion.exponential else _filter
    kernel(returns, *recursion[1:], presample, out)
    return out


def simulate_losses(innovations: Floats, recursion: Recursion, *, variance: float) -> Floats:
    """Losses ``(path,)`` over days that begin at a variance, from standardised losses ``(day, path)``.

    An innovation above zero is a loss: the ``z`` of the recursion is minus it.
    """
    state, out = np.empty(innovations.shape[1]), np.empty(innovations.shape[1])
    kernel = _simulate_exponential if recursion.exponential else _simulate
    kernel(innovations, *recursion[1:], variance, state, out)
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def _filter(returns, mean, omega, alpha, gamma, beta, presample, out):  # type: ignore[no-untyped-def]
    h = omega + alpha * presample + gamma * 0.5 * presample + beta * presample
    for t in range(returns.shape[0]):
        out[t] = h
        e = returns[t] - mean
        weight = alpha + gamma if e < 0.0 else alpha
        h = omega + weight * e * e + beta * h
    out[returns.shape[0]] = h


@njit(cache=True, nogil=True, error_model="numpy")
def _filter_exponential(returns, mean, omega, alpha, gamma, beta, presample, out):  # type: ignore[no-untyped-def]
    logarithm = omega + beta * log(presample)
    for t in range(returns.shape[0]):
        h = exp(logarithm)
        out[t] = h
        z = (returns[t] - mean) / sqrt(h)
        logarithm = omega + alpha * (abs(z) - _MEAN_SIZE) + gamma * z + beta * logarithm
    out[returns.shape[0]] = exp(logarithm)


@njit(cache=True, nogil=True, error_model="numpy")
def _simulate(innovations, mean, omega, alpha, gamma, beta, variance, h, out):  # type: ignore[no-untyped-def]
    days, paths = innovations.shape
    for path in range(paths):
        h[path] = variance
        out[path] = -mean * days
    for day in range(days):
        row = innovations[day]
        for path in range(paths):
            loss = sqrt(h[path]) * row[path]
            out[path] += loss
            weight = alpha + gamma if loss > 0.0 else alpha
            h[path] = omega + weight * loss * loss + beta * h[path]


@njit(cache=True, nogil=True, error_model="numpy")
def _simulate_exponential(innovations, mean, omega, alpha, gamma, beta, variance, h, out):  # type: ignore[no-untyped-def]
    days, paths = innovations.shape
    for path in range(paths):
        h[path] = log(variance)
        out[path] = -mean * days
    for day in range(days):
        row = innovations[day]
        for path in range(paths):
            z = row[path]
            out[path] += exp(0.5 * h[path]) * z
            h[path] = omega + alpha * (abs(z) - _MEAN_SIZE) - gamma * z + beta * h[path]
