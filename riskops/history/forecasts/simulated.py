"""Forecasts by simulation: draws that depend on the seed alone, and the tail of a simulated sample with its errors.

Every draw is a pure function of seed, path, day and stream (contract C1), so a forecast does not change with the
machine, the worker or what else is forecast beside it; forecasts of neighbouring days and of different series with one
seed share their draws, and so their differences are not blurred by them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit

from riskops.checks import check_integer
from riskops.errors import InputError
from riskops.history.forecasts.base import Floats, Law
from riskops.history.forecasts.laws import NormalLaw, SkewedTLaw, StudentTLaw
from riskops.reductions import Z95, interval_ranks, quantile_and_shortfall, shortfall_error
from riskops.rng import fill_normals, fill_uniforms, tile_counters

__all__ = ["PATHS", "SEED", "SampleTail", "draws", "normals", "sample_tail", "simulated_sum", "uniforms"]

#: What forecasters simulate with unless they are told otherwise.
PATHS = 65_536
SEED = 1

_BELOW_ONE = float(np.nextafter(1.0, 0.0))

#: The grid of normal quantiles of :func:`draws`: no normal of the generator lies beyond 9.17.
_REACH, _CELLS_PER_UNIT = 9.25, 256


def uniforms(*, paths: int, days: int, seed: int, stream: int = 0) -> Floats:
    """Independent uniforms ``(days, paths)``, float64, strictly between 0 and 1.

    The draw of path ``p`` on day ``d`` is that of step ``d``, factor 0 (contract C1): fewer paths or days are a part of
    more. The probabilities nearest to one are rounded to the largest float64 below it.

    Examples
    --------
    >>> bool((uniforms(paths=2, days=1, seed=1) == uniforms(paths=5, days=3, seed=1)[:1, :2]).all())
    True
    """
    out = np.empty((check_integer("days", days, at_least=1), check_integer("paths", paths, at_least=1)))
    counters = tile_counters(0, paths)
    for day in range(days):
        fill_uniforms(out[day : day + 1], counters, seed=seed, step=day, stream=stream)
    # signed and folded: +p is the probability p, -p is 1 - p
    np.add(out, 1.0, out=out, where=out < 0.0)
    return np.minimum(out, _BELOW_ONE, out=out)


def normals(*, paths: int, days: int, seed: int, stream: int = 0) -> Floats:
    """Independent standard normals ``(days, paths)``, float64: the quantiles of :func:`uniforms`."""
    out = np.empty((check_integer("days", days, at_least=1), check_integer("paths", paths, at_least=1)))
    counters = tile_counters(0, paths)
    for day in range(days):
        fill_normals(out[day : day + 1], counters, seed=seed, step=day, stream=stream)
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def _interpolate(z, values, first, cells_per_unit):  # type: ignore[no-untyped-def]
    """Replace each ``z`` by the cubic through the four values of an even grid around it."""
    for row in range(z.shape[0]):
        for path in range(z.shape[1]):
            at = (z[row, path] - first) * cells_per_unit
            cell = min(max(np.int64(at), 1), values.shape[0] - 3)
            t = at - cell
            before, here, after, beyond = values[cell - 1], values[cell], values[cell + 1], values[cell + 2]
            inner = here * (1.0 - t) * (1.0 + t) * (2.0 - t) + after * t * (1.0 + t) * (2.0 - t)
            outer = before * t * (1.0 - t) * (2.0 - t) + beyond * t * (1.0 - t) * (1.0 + t)
            z[row, path] = inner / 2.0 - outer / 6.0


def draws(law: Law, *, paths: int, days: int, seed: int, stream: int = 0) -> Floats:
    """Independent draws of a law, ``(days, paths)``, by inversion of the draws of :func:`uniforms`.

    Quantiles of Student's t are slow; those of the t laws are interpolated in the normal quantile, which errs by less
    than 1e-7 of a draw or of the law's unit. Those of a normal are the generator's own.
    """
    if isinstance(law, NormalLaw):
        return normals(paths=paths, days=days, seed=seed, stream=stream)
    if isinstance(law, StudentTLaw | SkewedTLaw):
        z = normals(paths=paths, days=days, seed=seed, stream=stream)
        grid = np.arange(-_REACH, _REACH + 0.5 / _CELLS_PER_UNIT, 1.0 / _CELLS_PER_UNIT)
        _interpolate(z, law.quantile_of_normal(grid), grid[0], float(_CELLS_PER_UNIT))
        return z
    return law.quantile(uniforms(paths=paths, days=days, seed=seed, stream=stream))


@dataclass(frozen=True, eq=False)
class SampleTail:
    """The tail of a sample at some levels, each ``(level,)``, loss positive, with standard errors.

    An error is NaN where the sample is too short for the 95 % interval of that level.
    """

    value_at_risk: Floats
    expected_shortfall: Floats
    value_at_risk_error: Floats
    expected_shortfall_error: Floats


def sample_tail(losses: Floats, *, levels: Sequence[float]) -> SampleTail:
    """The tail of a sample of independent losses ``(n,)``, in any order: order statistics, exactly (contract C4).

    The standard error of VaR is the width of its 95 % interval between two order statistics over 2 * 1.96, that of ES
    is :func:`riskops.reductions.shortfall_error`.

    Examples
    --------
    >>> tail = sample_tail(np.arange(1.0, 1001.0), levels=(0.95, 0.99))
    >>> tail.value_at_risk.tolist(), tail.expected_shortfall.tolist()
    ([950.0, 990.0], [975.5, 995.5])
    """
    n = check_integer("losses", losses.size, at_least=1)
    if losses.ndim != 1:
        raise InputError(f"losses: dims {losses.shape} are not a sample")
    descending = np.sort(losses)[::-1]
    if not (math.isfinite(descending[0]) and math.isfinite(descending[-1])):
        raise InputError(
            "losses: the simulated losses are not all finite, so the fitted model explodes; take a longer window"
        )
    rows = np.empty((4, len(levels)))
    for i, level in enumerate(levels):
        quantile, shortfall = quantile_and_shortfall(descending, level, n)
        rows[:, i] = quantile, shortfall, math.nan, math.nan
        try:
            low, high = interval_ranks(level, n)
        except InputError:
            continue
        rows[2, i] = float(descending[n - high] - descending[n - low]) / (2.0 * Z95)
        rows[3, i] = shortfall_error(descending, level, n, quantile, shortfall)
    return SampleTail(*rows)


def simulated_sum(law: Law, *, days: int, paths: int, seed: int) -> Floats:
    """Sums of ``days`` independent draws of a law, ``(paths,)``, ascending; added day by day.

    A loss of ``location + scale * innovation`` a day is then ``days * location + scale * sum``.
    """
    total = np.zeros(paths)
    for row in draws(law, paths=paths, days=days, seed=seed):
        total += row
    total.sort()
    return total
