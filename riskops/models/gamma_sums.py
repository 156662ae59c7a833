"""Sums of exponential jumps inside kernels: the gamma quantiles of every count, as tables over a standard normal.

The sum of ``k`` independent exponential variables of mean one has the gamma law of shape ``k``. Its quantile is read
at a normal draw ``z``: ``G_k(z) = Q_k(Phi(z))``, one table a count, ``G_0 = 0``. The tables are made from ``+``, ``*``,
``/`` and our own ``exp`` and ``log`` alone, each rounded in one way only: they have the same bits on every machine, for
as many counts as the step length calls for, so that no model has to record them.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from riskops.errors import InputError
from riskops.models.elementwise import exponentials, logarithms
from riskops.scalar import scalar_function
from riskops.tables import cubics, value_at
from riskops.tables.monotone import REACH

__all__ = ["exponential_sum", "gamma_tables", "gamma_values"]

Floats = npt.NDArray[np.float64]

#: The error of the cubics at this number of knots is below 2e-8 of the value plus the half distance from ``G_k(-1)`` to
#: ``G_k(1)``, largest for a single jump; single precision is coarser.
KNOTS = 257

_HALF_LOG_TWO_PI = 0.9189385332046727
#: From here up the continued fraction of Mills' ratio has converged to the last bit within ``_FRACTIONS`` terms.
_SERIES_BELOW = 1.5
_FRACTIONS = 200
_MOST_ITERATIONS = 100


@scalar_function
def exponential_sum(tables, count, z):  # type: ignore[no-untyped-def]
    """The sum of ``count`` exponential variables of mean one whose joint quantile is that of the normal ``z``."""
    return value_at(tables[np.uint32(count)], z)


def _log_tail(t: Floats) -> Floats:
    """``log Phi(-t)`` for ``t >= 0``: the series about zero, and Laplace's continued fraction of Mills' ratio."""
    near = np.minimum(t, _SERIES_BELOW)
    square, total = near * near, np.ones_like(near)
    for n in range(60, 0, -1):
        total = 1.0 + total * (square / (2 * n + 1))
    series = logarithms(0.5 - near * total * exponentials(-0.5 * square - _HALF_LOG_TWO_PI))
    far = np.maximum(t, _SERIES_BELOW)
    ratio = far
    for n in range(_FRACTIONS, 0, -1):
        ratio = far + n / ratio
    fraction = -0.5 * (far * far) - _HALF_LOG_TWO_PI - logarithms(ratio)
    return np.where(t < _SERIES_BELOW, series, fraction)


def _lower(shape: int, log_p: Floats, log_factorial: float) -> Floats:
    """The ``x`` with ``P(shape, x) = p <= 1/2``: Newton's steps in ``log x``, upwards all the way as ``log P`` is
    concave in it and ``x^k / k!`` is above ``P``."""
    y = (log_p + log_factorial) / shape
    for _ in range(_MOST_ITERATIONS):
        x = exponentials(y)
        total = np.ones_like(x)
        for n in range(shape + 60, 0, -1):
            total = 1.0 + total * (x / (shape + n))
        short = log_p - (shape * y - x - log_factorial + logarithms(total))
        y = y + short * total / shape
        if np.max(np.abs(short)) < 1e-13 * shape:
            return exponentials(y)
    raise InputError(f"table: the gamma quantiles of shape {shape} did not converge")


def _upper(shape: int, log_q: Floats) -> Floats:
    """The ``x`` with ``Q(shape, x) = q <= 1/2``: Newton's steps on ``log Q``, concave and falling, in ``x``."""
    x = np.full_like(log_q, float(shape))
    for _ in range(_MOST_ITERATIONS):
        total, last = np.ones_like(x), np.ones_like(x)
        for j in range(shape - 1, 0, -1):
            total, last = 1.0 + total * (x / j), last * (x / j)
        excess = logarithms(total) - x - log_q
        x = x + excess * total / last
        if np.max(np.abs(excess)) < 1e-13 * shape:
            return x
    raise InputError(f"table: the gamma quantiles of shape {shape} did not converge")


@lru_cache(maxsize=256)
def gamma_values(shape: int) -> Floats:
    """The gamma quantiles of an integer shape at the knots, ``G_k(z) = Q_k(Phi(z))``.

    Parameters
    ----------
    shape
        How many exponential variables of mean one are added, at least one.

    Returns
    -------
    The values ``(knots,)``, ascending.

    Raises
    ------
    InputError
        When Newton's steps do not converge.

    Notes
    -----
    ``P(k, x) = x^k e^-x / k! (1 + x / (k+1) (1 + x / (k+2) (...)))`` below the median of the normal and ``Q(k, x) =
    e^-x (1 + x (1 + x/2 (... (1 + x / (k-1)))))`` above it (Abramowitz and Stegun 6.5.29, 6.5.13), so that both tails
    are exact to rounding.

    Examples
    --------
    >>> middle = gamma_values(1)[KNOTS // 2]
    >>> round(float(middle), 12) == round(float(np.log(2.0)), 12)
    True
    """
    z = np.linspace(-REACH, REACH, KNOTS)
    log_p = _log_tail(np.abs(z))
    log_factorial = float(np.cumsum(logarithms(np.arange(1.0, shape + 1.0)))[-1])
    below = z <= 0.0
    values = np.empty(KNOTS)
    values[below] = _lower(shape, log_p[below], log_factorial)
    values[~below] = _upper(shape, log_p[~below])
    values.flags.writeable = False
    return values


@lru_cache(maxsize=32)
def gamma_tables(most: int) -> Floats:
    """What :func:`exponential_sum` reads: the tables of the counts from 0, whose sum is zero, to ``most``.

    Parameters
    ----------
    most
        The largest count.

    Returns
    -------
    Coefficients ``(most + 1, knots + 1, 4)``.

    Raises
    ------
    InputError
        When the quantiles of a count do not converge.

    Examples
    --------
    >>> gamma_tables(2).shape
    (3, 258, 4)
    """
    tables = np.stack([cubics(np.zeros(KNOTS)), *(cubics(gamma_values(k)) for k in range(1, most + 1))])
    tables.flags.writeable = False
    return tables
