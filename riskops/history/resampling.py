"""Samples like the one that came: blocks of its days, or its volatility's recursion with its residuals drawn anew.

Draws are pure functions of the seed and the number of the replication (contract C1), so a replication is the same
whichever others are made.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from riskops.history.forecasts.base import Floats, Integers
from riskops.history.forecasts.recursion import Recursion
from riskops.history.forecasts.simulated import uniforms
from riskops.history.forecasts.volatility import VolatilityFit
from riskops.scalar import exp, log, sqrt

__all__ = ["block_length", "block_rows", "independent_rows", "recursion_returns", "resampled_recursion"]

#: The mean of ``|z|`` for a normal ``z``, as the exponential recursion has it.
_MEAN_SIZE = 0.7978845608028654


def block_length(returns: Floats) -> int:
    """The mean length of the blocks that suits a sample: 1 where its days look independent.

    The rule of Politis and White (2004), corrected by Patton, Politis and White (2009), for the stationary bootstrap,
    by ``arch``: for the returns and for their sizes, whose clustering moves the tail, and the longer of the two,
    rounded.
    """
    from arch.bootstrap import optimal_block_length

    sizes = np.abs(returns)
    columns = [returns] + ([sizes] if np.ptp(sizes) > 0.0 else [])
    lengths = optimal_block_length(np.column_stack(columns))["stationary"].to_numpy()
    longest = float(np.max(lengths[np.isfinite(lengths)], initial=1.0))
    return max(1, min(round(longest), len(returns)))


def block_rows(number: int, *, block: int, seed: int, replication: int) -> Integers:
    """The days ``(number,)`` of one replication of the stationary bootstrap of Politis and Romano (1994).

    Each day begins a block anew with probability ``1 / block``, anywhere in the sample; else it is the day after the
    one before, the first following the last. With ``block=1`` all days are drawn independently.
    """
    place, renewal = uniforms(paths=number, days=2, seed=seed, stream=replication)
    starts = np.minimum((place * number).astype(np.int64), number - 1)
    if block == 1:
        return starts
    at = np.arange(number)
    begun = renewal * block < 1.0
    begun[0] = True
    since = np.maximum.accumulate(np.where(begun, at, 0))
    rows: Integers = (starts[since] + at - since) % number
    return rows


def independent_rows(number: int, *, seed: int, replication: int) -> Integers:
    """The days ``(number,)`` of one replication that draws them independently."""
    return block_rows(number, block=1, seed=seed, replication=replication)


def resampled_recursion(fit: VolatilityFit, returns: Floats, *, seed: int, replication: int) -> Floats:
    """Returns ``(day,)`` of a fitted recursion whose innovations are the sample's standardised residuals, drawn anew.

    The residuals are centred; the recursion begins at the variance of the sample's first day (Pascual, Romo and Ruiz
    2006).
    """
    residuals = -fit.loss_residuals(returns)
    drawn = residuals[independent_rows(len(returns), seed=seed, replication=replication)] - math.fsum(
        residuals.tolist()
    ) / len(residuals)
    return recursion_returns(drawn, fit.recursion, variance=float(fit.variances(returns[:1])[0]))


def recursion_returns(innovations: Floats, recursion: Recursion, *, variance: float) -> Floats:
    """The returns ``(day,)`` of a recursion that begins at a variance, from standardised innovations of returns."""
    out = np.empty(len(innovations))
    _returns(innovations, *recursion, variance, out)
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def _returns(innovations, exponential, mean, omega, alpha, gamma, beta, variance, out):  # type: ignore[no-untyped-def]
    h = variance
    for t in range(len(innovations)):
        z = innovations[t]
        e = sqrt(h) * z
        out[t] = mean + e
        if exponential:
            h = exp(omega + alpha * (abs(z) - _MEAN_SIZE) + gamma * z + beta * log(h))
        else:
            h = omega + (alpha + gamma if e < 0.0 else alpha) * e * e + beta * h
