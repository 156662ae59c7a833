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
    "shortfall_interval",
    "skewed_interval",
    "skewness_over_root",
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


def shortfall_interval(
    tail: npt.NDArray[np.float64], level: float, n: int, quantile: float, shortfall: float
) -> tuple[float, float]:
    """The 95 % interval of ES, from what :func:`shortfall_error` takes: its standard error, corrected for the skewness.

    Examples
    --------
    >>> low, high = shortfall_interval(np.arange(100.0, 50.0, -1.0), 0.75, 100, 75.0, 88.0)
    >>> round(88.0 - low, 3), round(high - 88.0, 3)
    (4.613, 6.229)
    """
    error = shortfall_error(tail, level, n, quantile, shortfall)
    excess = tail[: n - order_index(level, n)] - quantile
    powers = (excess, excess * excess, excess * excess * excess)
    sums = [math.fsum(power.tolist()) for power in powers]
    skewness = skewness_over_root(sums, root=n * error * float(1 - exact_level(level)), number=n)
    return skewed_interval(shortfall, error, skewness, Z95)


def skewness_over_root(sums: Sequence[float], *, root: float, number: int) -> float:
    """The skewness over ``sqrt(number)`` of so many terms.

    Parameters
    ----------
    sums
        The sums of the terms, of their squares and of their cubes.
    root
        The square root of the sum of their squared deviations from their mean.
    number
        How many terms there are.

    Returns
    -------
    float
        ``sum (x - mean)^3 / root^3``, which never leaves [-1, 1]; zero where the terms do not vary.

    Examples
    --------
    >>> round(skewness_over_root((3.0, 9.0, 27.0), root=6**0.5, number=3), 6)
    0.408248
    """
    if not root > 0.0:
        return 0.0
    first, second, third = sums
    mean = first / number
    cubes = third - 3.0 * mean * second + 2.0 * number * mean * mean * mean
    # the bound is exact; where the spread is rounding, so is the skewness
    return max(-1.0, min(1.0, cubes / (root * root * root)))


def skewed_interval(value: float, error: float, skewness: float, reach: float) -> tuple[float, float]:
    """The interval of a mean of skewed terms, by Hall's cubic transform; symmetric where the skewness is zero.

    The mean less its truth over the standard error, ``T``, is skewed, and against the terms: a sample without its
    share of the rare large ones has a small mean and a small error. With g the skewness of the terms over the root of
    their number, ``T + g T^2 / 3 + g^2 T^3 / 27 + g / 6`` is normal up to order 1 / number. It increases with T, so
    the interval is ``[value - error f(reach), value - error f(-reach)]`` with its inverse ``f(w) = 3 (cbrt(1 + g (w -
    g / 6)) - 1) / g``.

    Parameters
    ----------
    value, error
        The mean and its standard error.
    skewness
        ``g``, see :func:`skewness_over_root`.
    reach
        How many standard errors a symmetric interval reaches.

    References
    ----------
    Hall (1992), On the removal of skewness by transformation, JRSS B 54.

    Examples
    --------
    >>> skewed_interval(10.0, 1.0, 0.0, 2.0)
    (8.0, 12.0)
    >>> tuple(round(end, 3) for end in skewed_interval(10.0, 1.0, 0.1, 2.0))
    (8.135, 12.17)
    """
    return value - error * _unskewed(reach, skewness), value - error * _unskewed(-reach, skewness)


def _unskewed(w: float, g: float) -> float:
    """Hall's ``f(w)``, without its division by a skewness that may be zero."""
    w -= g / 6.0
    root = _cbrt(1.0 + g * w)
    return w / ((root * root + root + 1.0) / 3.0)


def _cbrt(x: float) -> float:
    """The cube root by Newton's method: from operations that every machine rounds alike, as its libm may not."""
    if x <= 0.0:
        return -_cbrt(-x) if x < 0.0 else 0.0
    root, better = math.inf, max(x, 1.0)
    while better < root:  # from above it falls until rounding stops it
        root, better = better, (2.0 * better + x / (better * better)) / 3.0
    return root


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
