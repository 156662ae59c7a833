"""Is VaR breached as often as it should be? Proportion of failures, the binomial test, time until first failure."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal

import numpy as np
from numba import njit
from scipy.special import bdtr, bdtrc, chdtrc, chdtri

from riskops.checks import check_integer, check_level, check_one_of
from riskops.errors import InputError
from riskops.history.backtests.base import Backtest, BacktestResult, Bools, check_size, tail_probability
from riskops.history.backtests.likelihoods import breach_ratio, waiting_ratio
from riskops.history.backtests.simulated import breach_rows, by_simulation, statistic
from riskops.history.forecasts.base import Floats

__all__ = ["binomial", "kupiec", "nonrejection_region", "time_until_first_failure"]


@njit(cache=True, nogil=True, error_model="numpy")
def _kupiec(offsets, positions, n, tail, out):  # type: ignore[no-untyped-def]
    for i in range(len(out)):
        out[i] = breach_ratio(offsets[i + 1] - offsets[i], n, tail)


@njit(cache=True, nogil=True, error_model="numpy")
def _excess(offsets, positions, n, tail, out):  # type: ignore[no-untyped-def]
    scale = math.sqrt(n * tail * (1.0 - tail))
    for i in range(len(out)):
        out[i] = abs(offsets[i + 1] - offsets[i] - n * tail) / scale


@njit(cache=True, nogil=True, error_model="numpy")
def _first_failure(offsets, positions, n, tail, out):  # type: ignore[no-untyped-def]
    for i in range(len(out)):
        if offsets[i + 1] > offsets[i]:
            out[i] = waiting_ratio(positions[offsets[i]] + 1, tail)
        else:
            out[i] = -2.0 * n * math.log1p(-tail)


def kupiec(breaches: Bools, *, level: float) -> BacktestResult:
    """Kupiec's proportion of failures: the likelihood ratio of the observed rate of breaches over ``1 - level``.

    ``LR = -2 [m log(p) + (n - m) log(1 - p) - m log(m/n) - (n - m) log(1 - m/n)]``, p = 1 - level, m breaches in n
    days; chi-squared with one degree of freedom. With no breach it is ``-2 n log(level)``.

    References
    ----------
    Kupiec (1995), Techniques for verifying the accuracy of risk measurement models, Journal of Derivatives 3(2).

    Examples
    --------
    >>> import numpy as np
    >>> result = kupiec(np.arange(1043) < 57, level=0.95)
    >>> round(result.statistic, 5), round(result.p_value, 5)
    (0.46147, 0.49694)
    """
    found = float(statistic(_kupiec, breach_rows(breaches), level)[0])
    return BacktestResult(found, float(chdtrc(1.0, found)))


def nonrejection_region(n: int, *, level: float, size: float = 0.05) -> tuple[int, int]:
    """The fewest and the most breaches in ``n`` days that Kupiec's test does not reject, both included.

    Examples
    --------
    >>> nonrejection_region(255, level=0.99), nonrejection_region(1000, level=0.99)
    ((1, 6), (5, 16))
    """
    check_integer("n", n, at_least=1)
    check_level("level", level)
    check_size(size)
    ratio = np.array([breach_ratio(m, n, tail_probability(level)) for m in range(n + 1)])
    kept = np.flatnonzero(ratio < chdtri(1.0, size))
    if not len(kept):
        raise InputError(f"size: at {size!r} the test rejects every number of breaches in {n} days")
    return int(kept[0]), int(kept[-1])


@lru_cache(maxsize=64)
def _two_sided(n: int, tail: float) -> Floats:
    """The exact two-sided p-value of each number of breaches: what is no likelier than it, all of it added up."""
    from scipy.stats import binom

    probability = binom.pmf(np.arange(n + 1), n, tail)
    ascending = np.sort(probability)
    below = np.concatenate([[0.0], np.cumsum(ascending)])
    # as likely but for rounding is as likely
    return np.minimum(below[np.searchsorted(ascending, probability * (1.0 + 1e-7), side="right")], 1.0)


def binomial(
    breaches: Bools, *, level: float, alternative: Literal["two_sided", "greater", "less"] = "two_sided"
) -> BacktestResult:
    """The binomial test: Jorion's z as the statistic, and the exact p-value of the number of breaches.

    ``z = (m - n p) / sqrt(n p (1 - p))``. The two-sided p-value adds the probabilities of all numbers of breaches that
    are no likelier than the observed one; ``greater`` is the probability of at least as many, ``less`` of at most as
    many. None of them leans on the normal approximation.

    References
    ----------
    Jorion (2007), Value at Risk, 3rd edition, 6.2; Clopper and Pearson (1934).

    Examples
    --------
    >>> import numpy as np
    >>> result = binomial(np.arange(250) < 5, level=0.99, alternative="greater")
    >>> round(result.statistic, 4), round(result.p_value, 4)
    (1.5891, 0.1078)
    """
    check_one_of("alternative", alternative, ("two_sided", "greater", "less"))
    m, n, tail = int(np.count_nonzero(breaches)), len(breaches), tail_probability(level)
    z = (m - n * tail) / math.sqrt(n * tail * (1.0 - tail))
    if alternative == "greater":
        return BacktestResult(z, float(bdtrc(m - 1, n, tail)) if m else 1.0)
    if alternative == "less":
        return BacktestResult(z, float(bdtr(m, n, tail)))
    return BacktestResult(z, float(_two_sided(n, tail)[m]))


def time_until_first_failure(breaches: Bools, *, level: float) -> BacktestResult:
    """Kupiec's time until first failure: is the first breach as late as ``1 - level`` lets expect?

    With the first breach on day v, counted from 1:
    ``LR = -2 [log(p) + (v - 1) log(1 - p) - log(1/v) - (v - 1) log(1 - 1/v)]``, chi-squared with one degree of freedom.
    Where n days passed without a breach the wait is censored and the ratio is ``-2 n log(level)``, its supremum. The
    test has little power: one waiting time is all that it sees.

    References
    ----------
    Kupiec (1995), Techniques for verifying the accuracy of risk measurement models, Journal of Derivatives 3(2).

    Examples
    --------
    >>> import numpy as np
    >>> result = time_until_first_failure(np.arange(1, 1044) == 58, level=0.95)
    >>> round(result.statistic, 4), round(result.p_value, 5)
    (1.7354, 0.18773)
    """
    found = float(statistic(_first_failure, breach_rows(breaches), level)[0])
    return BacktestResult(found, float(chdtrc(1.0, found)))


BACKTESTS = (
    Backtest(
        "kupiec",
        "Breaches come with probability 1 - level (proportion of failures).",
        lambda o: kupiec(o.breaches, level=o.level),
        by_simulation("kupiec", _kupiec),
    ),
    Backtest(
        "binomial",
        "The number of breaches is binomial with probability 1 - level (two-sided, exact).",
        lambda o: binomial(o.breaches, level=o.level),
        by_simulation("binomial", _excess),
    ),
    Backtest(
        "time_until_first_failure",
        "The first breach comes as late as a probability of 1 - level a day lets expect.",
        lambda o: time_until_first_failure(o.breaches, level=o.level),
        by_simulation("time_until_first_failure", _first_failure),
    ),
)
