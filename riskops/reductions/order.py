"""Order statistics: which loss is VaR, what ES is, and which ranks bound VaR with 95 % confidence (contract C4).

Levels are the decimals that they print as, and ranks come from integer arithmetic: in floating point 0.07 * 100 is
above 7.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.special import betainc

from riskops.checks import check_integer, check_level, check_levels, exact_level
from riskops.errors import InputError

__all__ = [
    "Z95",
    "interval_ranks",
    "needed_paths",
    "needed_tail",
    "order_index",
    "quantile_and_shortfall",
    "shortfall_error",
]

#: What the 95 % interval leaves out on either side, and how many standard errors reach that far.
SIDE = 0.025
Z95 = 1.959963984540054


def order_index(level: float, n: int) -> int:
    """The rank of VaR among n losses, counted from 1 for the smallest: ``ceil(n level)``.

    Examples
    --------
    >>> order_index(0.07, 100)
    7
    """
    check_integer("n", n, at_least=1)
    part = n * exact_level(check_level("level", level))
    return -(-part.numerator // part.denominator)


def quantile_and_shortfall(tail: npt.NDArray[np.float64], level: float, n: int) -> tuple[float, float]:
    """VaR and ES of n losses from the largest of them.

    Parameters
    ----------
    tail
        The largest losses, descending, at least ``n - order_index(level, n) + 1`` of them.
    level
        Confidence level in (0, 1).
    n
        How many losses there are.

    Returns
    -------
    tuple
        ``VaR = x(k)`` with ``k = ceil(n level)`` and ``ES = x(k) + sum_{j>k} (x(j) - x(k)) / (n (1 - level))``, the
        exact average of the quantile function beyond ``level``, never below VaR. Unit of the losses.

    Raises
    ------
    InputError
        The tail is too short.

    References
    ----------
    Acerbi and Tasche (2002), On the coherence of expected shortfall.

    Examples
    --------
    >>> quantile_and_shortfall(np.array([10.0, 8.0, 5.0]), 0.75, 10)
    (5.0, 8.2)
    """
    beyond = n - order_index(level, n)
    if len(tail) <= beyond:
        raise InputError(f"tail: {len(tail)} losses are not the {beyond + 1} that level {level!r} of {n} paths needs")
    quantile = float(tail[beyond])
    excess = math.fsum((tail[:beyond] - quantile).tolist())
    return quantile, quantile + excess / float(n * (1 - exact_level(level)))


def shortfall_error(tail: npt.NDArray[np.float64], level: float, n: int, quantile: float, shortfall: float) -> float:
    """The standard error of ES from the largest of n losses, descending, and their VaR and ES at that level.

    It is that of the influence function ``(L - VaR)^+ / (1 - level) - (ES - VaR)``, whose mean is zero.

    References
    ----------
    Chen (2008), Nonparametric estimation of expected shortfall.

    Examples
    --------
    >>> round(shortfall_error(np.array([10.0, 8.0, 5.0]), 0.75, 10, 5.0, 8.2), 3)
    2.101
    """
    mass = float(1 - exact_level(level))
    squares = math.fsum(((tail[: n - order_index(level, n)] - quantile) ** 2).tolist())
    return math.sqrt(max(squares / (n * mass * mass) - (shortfall - quantile) ** 2, 0.0) / n)


@lru_cache(maxsize=256)
def _ranks(level: float, n: int) -> tuple[int, int]:
    return _binomial_quantile(SIDE, n, level), _binomial_quantile(1.0 - SIDE, n, level) + 1


def _binomial_quantile(probability: float, n: int, p: float) -> int:
    """The smallest k with ``P(X <= k) >= probability``, X binomial(n, p); scipy.stats has it, and costs half a second
    to import."""
    low, high = -1, n
    while high - low > 1:
        middle = (low + high) // 2
        # P(X <= k) is the regularised incomplete beta function I_{1-p}(n - k, k + 1)
        if betainc(n - middle, middle + 1, 1.0 - p) >= probability:
            high = middle
        else:
            low = middle
    return high


def interval_ranks(level: float, n: int) -> tuple[int, int]:
    """The ranks, from 1 for the smallest loss, between which the quantile lies with at least 95 % probability.

    The number of losses below the quantile is binomial(n, level) whatever their distribution, so the ranks are its
    2.5 % quantile and its 97.5 % quantile plus one (David and Nagaraja 2003, Order Statistics, 7.1).

    Raises
    ------
    InputError
        A rank is below 1 or beyond n; the text says how many paths the level needs.

    Examples
    --------
    >>> interval_ranks(0.95, 1000)
    (936, 964)
    """
    check_integer("n", n, at_least=1)
    low, high = _ranks(check_level("level", level), n)
    if low < 1 or high > n:
        raise InputError(
            f"level: {level!r} needs at least {needed_paths(level)} paths for its 95 % interval, and there are {n}"
        )
    return low, high


def needed_tail(levels: float | Sequence[float], n: int) -> int:
    """How many of the largest of n losses give VaR, ES and VaR's 95 % interval at all these levels.

    Examples
    --------
    >>> needed_tail((0.95, 0.99), 1000)
    65
    """
    keep = 0
    for level in check_levels("level", levels):
        low, _ = interval_ranks(level, n)
        keep = max(keep, n - min(low, order_index(level, n)) + 1)
    return keep


def needed_paths(level: float) -> int:
    """The smallest number of paths for which the 95 % interval exists and one path lies beyond the level on average.

    Examples
    --------
    >>> needed_paths(0.99)
    368
    """
    a = exact_level(check_level("level", level))
    rarest = math.log(max(level, 1.0 - level))  # n paths all lie on the likelier side with probability exp(n rarest)
    least = max(-(-a.denominator // (a.denominator - a.numerator)), int(math.log(SIDE) / rarest) - 1, 1)
    while not 1 <= _ranks(level, least)[0] <= _ranks(level, least)[1] <= least:
        least += 1
    return least
