"""P-values by simulation of the null hypothesis: exact where the days are too few for asymptotic ones.

Under the null, breaches come independently with probability ``1 - level``. A statistic of breaches alone then has one
distribution for each number of days and level: it is simulated once, by the same compiled code that judges what was
observed, and shared by every method and series. With ``N`` simulations, ``G`` of them above what was observed and
``K`` equal to it, ``p = (1 + G + R) / (1 + N)`` with R drawn evenly from 0, ..., K: the Monte-Carlo test of Dufour
(2006), whose ties are broken at random. It rejects at size ``a`` with probability exactly ``a`` wherever
``a (N + 1)`` is whole, however discrete the statistic; the draw of R hangs on the seed and on the data, so the same
data give the same p-value.

Simulations whose statistic is NaN, because too few breaches came, are left out: the p-value is then that of samples
that can be judged.

References
----------
Dufour (2006), Monte Carlo tests with nuisance parameters: a general approach to finite-sample inference and
nonstandard asymptotics, Journal of Econometrics 133, 443-477.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from functools import lru_cache
from threading import Lock
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt
from numba import njit

from riskops.history.backtests.base import Bools, Outcomes, tail_probability
from riskops.history.forecasts.base import Floats
from riskops.rng import fill_uniforms, tile_counters

__all__ = ["BreachDraws", "Kernel", "breach_draws", "breach_rows", "by_simulation", "monte_carlo_p_value", "statistic"]

#: Compiled: ``(offsets, positions, n, tail, out)``, writes the statistic of each row of breaches to ``out``.
Kernel = Callable[[Any, Any, int, float, Any], None]

_STREAM = 5_001
_ROWS = 64


class BreachDraws(NamedTuple):
    """Rows of breaches: those of row ``i`` are on the days ``positions[offsets[i] : offsets[i + 1]]``, ascending."""

    offsets: npt.NDArray[np.int64]
    positions: npt.NDArray[np.int32]
    n: int


def breach_rows(breaches: Bools) -> BreachDraws:
    """The one row of what was observed."""
    positions = np.flatnonzero(breaches).astype(np.int32)
    return BreachDraws(np.array([0, len(positions)]), positions, len(breaches))


@njit(cache=True, nogil=True, error_model="numpy")
def _advance(signed, at, log_kept, n, out):  # type: ignore[no-untyped-def]
    """Move each row from breach to breach: the gaps are geometric; ``n`` stands for every day after the last."""
    for r in range(signed.shape[0]):
        for s in range(signed.shape[1]):
            u = signed[r, s]
            log_u = math.log(u) if u > 0.0 else math.log1p(u)
            gap = math.floor(log_u / log_kept) + 1.0
            at[s] = min(np.int64(min(gap, 2.0**40)) + at[s], n)
            out[r, s] = at[s]


@lru_cache(maxsize=8)
def breach_draws(n: int, level: float, simulations: int, seed: int) -> BreachDraws:
    """Simulated rows of ``n`` days whose breaches are independent with probability ``1 - level``."""
    counters = tile_counters(0, simulations)
    at = np.full(simulations, -1, np.int64)
    signed = np.empty((_ROWS, simulations))
    blocks: list[npt.NDArray[np.int32]] = []
    while at.min() < n:
        fill_uniforms(signed, counters, seed=seed, step=0, stream=_STREAM, first_factor=_ROWS * len(blocks))
        block = np.empty((_ROWS, simulations), np.int32)
        _advance(signed, at, math.log1p(-tail_probability(level)), n, block)
        blocks.append(block)
    by_row = np.ascontiguousarray(np.concatenate(blocks).T)
    inside = by_row < n
    return BreachDraws(np.concatenate([[0], np.cumsum(inside.sum(axis=1))]), by_row[inside], n)


def statistic(kernel: Kernel, rows: BreachDraws, level: float) -> Floats:
    """A kernel's statistic of each row."""
    out = np.empty(len(rows.offsets) - 1)
    kernel(rows.offsets, rows.positions, rows.n, tail_probability(level), out)
    return out


@lru_cache(maxsize=512)
def _null(kernel: Kernel, n: int, level: float, simulations: int, seed: int) -> Floats:
    """The statistics under the null, sorted, without those that are NaN."""
    found = statistic(kernel, shared(breach_draws, n, level, simulations, seed), level)
    return np.sort(found[~np.isnan(found)])


def monte_carlo_p_value(null: Floats, observed: float, *, tie_break: float) -> float:
    """The share of a sorted null at least as large as what was observed, itself counted, ties broken at random.

    Parameters
    ----------
    null
        Statistics simulated under the null, ascending, all finite.
    observed
        The statistic of the data; large ones speak against the null.
    tie_break
        Uniform in [0, 1): where among its equals what was observed comes.
    """
    first, last = np.searchsorted(null, observed, side="left"), np.searchsorted(null, observed, side="right")
    tied = int(tie_break * (last - first + 1))
    return float((1 + len(null) - last + tied) / (1 + len(null)))


def tie_break(outcomes: Outcomes, name: str, seed: int) -> float:
    """A number in [0, 1) that hangs on the data, the test and the seed, and on nothing else."""
    digest = hashlib.blake2b(f"{name} {seed} {outcomes.level!r}".encode(), digest_size=8)
    digest.update(outcomes.losses.tobytes())
    digest.update(outcomes.value_at_risk.tobytes())
    return (int.from_bytes(digest.digest(), "little") >> 11) * 2.0**-53


_LOCKS: WeakValueDictionary[object, Lock] = WeakValueDictionary()  # one lasts as long as somebody waits for it
_GUARD = Lock()


def shared(function: Callable[..., Any], *key: Any) -> Any:
    """Call a cached function so that threads that ask for the same at once compute it once."""
    with _GUARD:
        lock = _LOCKS.setdefault((function, *key), Lock())
    with lock:
        return function(*key)


def by_simulation(name: str, kernel: Kernel) -> Callable[[Outcomes, float, int, int], float]:
    """The ``simulate`` of a test whose statistic is a kernel's, of breaches alone."""

    def simulate(outcomes: Outcomes, _: float, simulations: int, seed: int) -> float:
        null = shared(_null, kernel, len(outcomes.losses), outcomes.level, simulations, seed)
        observed = float(statistic(kernel, breach_rows(outcomes.breaches), outcomes.level)[0])
        return monte_carlo_p_value(null, observed, tie_break=tie_break(outcomes, name, seed))

    return simulate
