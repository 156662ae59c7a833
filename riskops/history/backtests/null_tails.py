"""The tail that a backtest of expected shortfall simulates: losses beyond VaR of a stated law, without location.

How far losses go beyond value at risk, forecasts of two figures do not say. Tests that need it take losses to be of
one Student t law (or the normal) times a scale that changes from day to day. Divided by the expected shortfall the
scale drops out, and what is left hangs on the number of days, the level and the degrees of freedom alone: one null
distribution for all methods and series. The degrees are read from the forecasts themselves: those, among ``DEGREES``,
whose ratio of expected shortfall to value at risk is nearest to the median of what was forecast.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from riskops.history.backtests.base import Bools, Outcomes, tail_probability
from riskops.history.backtests.simulated import breach_draws, shared
from riskops.history.forecasts.base import Floats, Integers
from riskops.rng import fill_uniforms, tile_counters

__all__ = [
    "DEGREES",
    "Excesses",
    "Severities",
    "drawn_excesses",
    "implied_degrees",
    "law_quantile",
    "relative_loss",
    "relative_moment",
    "severities",
    "shortfall_ratio",
    "tail_shortfall",
    "with_probability",
    "with_shortfall",
]

#: Degrees of freedom of the null laws; infinity is the normal law.
DEGREES = (2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 30.0, math.inf)

_STREAM = 5_002
#: The grid of depths of a table of excesses; severities are at least 2^-66.
_PER_UNIT, _DEEPEST = 256, 48


def law_quantile(tail: Floats, degrees: float) -> Floats:
    """The loss that is exceeded with probability ``tail``, of the law with scale one."""
    from scipy.special import ndtri, stdtrit

    return np.asarray(-ndtri(tail) if math.isinf(degrees) else -stdtrit(degrees, tail))


@lru_cache(maxsize=256)
def tail_shortfall(level: float, degrees: float) -> float:
    """The expected shortfall of the law with scale one, in closed form."""
    tail = tail_probability(level)
    quantile = float(law_quantile(np.asarray(tail), degrees))
    if math.isinf(degrees):
        return math.exp(-0.5 * quantile * quantile) / (math.sqrt(2.0 * math.pi) * tail)
    constant = math.lgamma((degrees + 1.0) / 2.0) - math.lgamma(degrees / 2.0) - 0.5 * math.log(math.pi * degrees)
    density = math.exp(constant - (degrees + 1.0) / 2.0 * math.log1p(quantile * quantile / degrees))
    return density / tail * (degrees + quantile * quantile) / (degrees - 1.0)


def shortfall_ratio(level: float, degrees: float) -> float:
    """Expected shortfall over value at risk."""
    return tail_shortfall(level, degrees) / float(law_quantile(np.asarray(tail_probability(level)), degrees))


def implied_degrees(value_at_risk: Floats, expected_shortfall: Floats, level: float) -> float:
    """The degrees of freedom whose tail is nearest to what was forecast; NaN where no such law has such forecasts.

    That is so below a level of 0.5, and where the median day's VaR is not above zero or its expected shortfall below.
    """
    if level <= 0.5 or not len(value_at_risk):
        return math.nan
    ratio = np.divide(expected_shortfall, value_at_risk, out=np.zeros_like(value_at_risk), where=value_at_risk > 0.0)
    middle = float(np.median(ratio))
    if not middle >= 1.0:
        return math.nan
    return min(DEGREES, key=lambda degrees: abs(shortfall_ratio(level, degrees) - middle))


def relative_loss(severity: Floats, level: float, degrees: float) -> Floats:
    """The loss over expected shortfall of a breach whose tail probability is ``severity`` times ``1 - level``."""
    return np.asarray(law_quantile(severity * tail_probability(level), degrees) / tail_shortfall(level, degrees))


@lru_cache(maxsize=256)
def relative_moment(level: float, degrees: float) -> float:
    """The second moment, given a breach, of the loss over expected shortfall; the first is one."""
    from scipy.integrate import quad

    def integrand(y: float) -> float:
        return float(relative_loss(np.asarray(math.exp(-y)), level, degrees)) ** 2 * math.exp(-y)

    # in log tail probability: the integrand decays like exp(-(1 - 2 / degrees) y)
    return float(sum(quad(integrand, low, high, limit=200)[0] for low, high in ((0.0, 20.0), (20.0, 300.0))))


class Severities(NamedTuple):
    """Simulated breaches: of each one the row (simulation), the day, and its severity, uniform in (0, 1)."""

    row: Integers
    day: Integers
    severity: Floats


def severities(n: int, level: float, simulations: int, seed: int) -> Severities:
    """Breaches of ``simulations`` samples of ``n`` days under the null, in the order of row and day."""
    draws = shared(breach_draws, n, level, simulations, seed)
    total = len(draws.positions)
    uniform = np.empty((1, total))
    if total:
        fill_uniforms(uniform, tile_counters(0, total), seed=seed, step=0, stream=_STREAM)
    # signed and folded: +p is the probability p, -p is 1 - p
    folded = np.where(uniform[0] < 0.0, 1.0 + uniform[0], uniform[0])
    return Severities(
        np.repeat(np.arange(simulations), np.diff(draws.offsets)), draws.positions.astype(np.int64), folded
    )


class Excesses(NamedTuple):
    """Simulated breaches: those of sample ``i`` are the entries from ``offsets[i]`` up to ``offsets[i + 1]``."""

    offsets: Integers
    day: npt.NDArray[np.int32]
    excess: Floats


def drawn_excesses(n: int, level: float, degrees: float, simulations: int, seed: int) -> Excesses:
    """Simulated breaches: the day, and the excess of the loss over VaR in units of ES less VaR, one on average.

    The draws are kept, and serve all degrees; the excess is read off a table, within a millionth of the quantile.
    """
    offsets, day, depth = shared(_depths, n, level, simulations, seed)
    excess = np.empty(len(depth))
    _read_off(depth, _excess_table(level, degrees), excess)
    return Excesses(offsets, day, excess)


@lru_cache(maxsize=16)  # the largest, 10,000 samples of 7,000 days at 95 %, take 42 MB
def _depths(n: int, level: float, simulations: int, seed: int) -> tuple[Integers, npt.NDArray[np.int32], Floats]:
    """Simulated breaches: where each sample's begin, the day of each, and minus the log of its severity."""
    drawn = severities(n, level, simulations, seed)
    return np.searchsorted(drawn.row, np.arange(simulations + 1)), drawn.day.astype(np.int32), -np.log(drawn.severity)


@lru_cache(maxsize=256)
def _excess_table(level: float, degrees: float) -> Floats:
    """The excess at depths of 0, ``1 / _PER_UNIT``, ...; the deepest draw there can be lies within."""
    relative = 1.0 / shortfall_ratio(level, degrees)
    severity = np.exp(-np.arange(_DEEPEST * _PER_UNIT + 2) / _PER_UNIT)
    return (relative_loss(severity, level, degrees) - relative) / (1.0 - relative)


@njit(cache=True, nogil=True, error_model="numpy")
def _read_off(depth, table, out):  # type: ignore[no-untyped-def]
    """Interpolate the table linearly."""
    for k in range(len(depth)):
        place = depth[k] * _PER_UNIT
        i = int(place)
        out[k] = table[i] + (place - i) * (table[i + 1] - table[i])


def with_shortfall(outcomes: Outcomes) -> Outcomes:
    """The days that have a forecast of expected shortfall too."""
    return _kept(outcomes, np.isfinite(outcomes.expected_shortfall))


def with_probability(outcomes: Outcomes) -> Outcomes:
    """The days that have a forecast distribution too."""
    return _kept(outcomes, np.isfinite(outcomes.probability))


def _kept(outcomes: Outcomes, kept: Bools) -> Outcomes:
    if kept.all():
        return outcomes
    o = outcomes
    days = (o.losses[kept], o.value_at_risk[kept], o.expected_shortfall[kept], o.probability[kept])
    return Outcomes(*days, o.level)
