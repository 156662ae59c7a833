"""Does a breach make another one likelier the next day? Christoffersen's Markov tests."""

from __future__ import annotations

import numpy as np
from numba import njit
from scipy.special import chdtrc

from riskops.history.backtests.base import Backtest, BacktestResult, Bools
from riskops.history.backtests.likelihoods import breach_ratio, times_log
from riskops.history.backtests.simulated import breach_rows, by_simulation, statistic

__all__ = ["conditional_coverage", "independence", "transitions"]


@njit(cache=True, nogil=True, error_model="numpy")
def _transitions(positions, first, last, n):  # type: ignore[no-untyped-def]
    """The counts 00, 01, 10, 11 of the ``n - 1`` transitions, from one day's state to the next one's."""
    m = last - first
    both = 0
    for i in range(first + 1, last):
        both += positions[i] == positions[i - 1] + 1
    starts = m > 0 and positions[first] == 0
    ends = m > 0 and positions[last - 1] == n - 1
    into, out_of = m - starts - both, m - ends - both
    return n - 1 - both - into - out_of, into, out_of, both


@njit(cache=True, nogil=True, error_model="numpy")
def _markov_ratio(positions, first, last, n):  # type: ignore[no-untyped-def]
    """Twice the log-likelihood ratio of a rate for each state over one rate."""
    n00, n01, n10, n11 = _transitions(positions, first, last, n)
    calm, after, into = n00 + n01, n10 + n11, n01 + n11
    both = n00 + n10
    free = times_log(n00, n00 / calm) + times_log(n01, n01 / calm) + times_log(n10, n10 / after)
    free += times_log(n11, n11 / after)
    one = times_log(both, both / (n - 1)) + times_log(into, into / (n - 1))
    return max(2.0 * (free - one), 0.0)


@njit(cache=True, nogil=True, error_model="numpy")
def _independence(offsets, positions, n, tail, out):  # type: ignore[no-untyped-def]
    for i in range(len(out)):
        out[i] = _markov_ratio(positions, offsets[i], offsets[i + 1], n)


@njit(cache=True, nogil=True, error_model="numpy")
def _conditional_coverage(offsets, positions, n, tail, out):  # type: ignore[no-untyped-def]
    for i in range(len(out)):
        ratio = _markov_ratio(positions, offsets[i], offsets[i + 1], n)
        out[i] = breach_ratio(offsets[i + 1] - offsets[i], n, tail) + ratio


def transitions(breaches: Bools) -> tuple[int, int, int, int]:
    """How often calm was followed by calm, calm by a breach, a breach by calm, and a breach by a breach.

    Examples
    --------
    >>> import numpy as np
    >>> transitions(np.array([False, True, True, False, False]))
    (1, 1, 1, 1)
    """
    rows = breach_rows(np.asarray(breaches, bool))
    n00, n01, n10, n11 = _transitions(rows.positions, 0, len(rows.positions), rows.n)
    return int(n00), int(n01), int(n10), int(n11)


def independence(breaches: Bools) -> BacktestResult:
    """Christoffersen's test of independence: is a breach as likely after a breach as after a calm day?

    The likelihood ratio of a Markov chain with two rates over one with a single rate, from the ``n - 1`` transitions;
    chi-squared with one degree of freedom. Empty cells count for nothing (0 log 0 = 0): without two states to compare
    the statistic is 0 and the p-value 1.

    References
    ----------
    Christoffersen (1998), Evaluating interval forecasts, International Economic Review 39, 841-862.

    Examples
    --------
    >>> import numpy as np
    >>> round(independence(np.arange(100) % 10 == 0).statistic, 4)
    2.015
    """
    found = float(statistic(_independence, breach_rows(breaches), 0.5)[0])
    return BacktestResult(found, float(chdtrc(1.0, found)))


def conditional_coverage(breaches: Bools, *, level: float) -> BacktestResult:
    """Christoffersen's test of conditional coverage: the right rate of breaches, whatever came the day before.

    ``LR = LR of coverage + LR of independence``, chi-squared with two degrees of freedom. Coverage is judged on all n
    days (:func:`riskops.history.backtests.coverage.kupiec`) and independence on their n - 1 transitions.

    References
    ----------
    Christoffersen (1998), Evaluating interval forecasts, International Economic Review 39, 841-862.
    """
    found = float(statistic(_conditional_coverage, breach_rows(breaches), level)[0])
    return BacktestResult(found, float(chdtrc(2.0, found)))


BACKTESTS = (
    Backtest(
        "independence",
        "A breach is as likely after a breach as after a calm day.",
        lambda o: independence(o.breaches),
        by_simulation("independence", _independence),
    ),
    Backtest(
        "conditional_coverage",
        "Breaches come with probability 1 - level, whatever came the day before.",
        lambda o: conditional_coverage(o.breaches, level=o.level),
        by_simulation("conditional_coverage", _conditional_coverage),
    ),
)
