"""The extremal index: one over the mean size of the clusters that the largest losses of a dependent series come in."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from riskops.checks import check_finite, check_integer, check_number, exact_level
from riskops.errors import InputError

__all__ = ["blocks_extremal_index", "extremal_index"]

#: Fewer exceedances do not tell how they cluster.
FEWEST = 10


def extremal_index(losses: npt.ArrayLike, *, fraction: float = 0.1) -> float:
    """The extremal index of a series of losses by the intervals between its largest ones.

    With ``T`` the ``N - 1`` times between neighbouring exceedances of the threshold it is
    ``2 (sum T)^2 / ((N - 1) sum T^2)`` where no time is above 2, else
    ``2 (sum (T - 1))^2 / ((N - 1) sum (T - 1)(T - 2))``; at most 1. It asks for no choice of a run length or block.

    Parameters
    ----------
    losses
        ``(n,)``, in the order of time.
    fraction
        The share of the losses that count as large.

    Returns
    -------
    float
        In (0, 1]; 1 for independent losses.

    Raises
    ------
    InputError
        A loss that is not finite (the NaN rule), or fewer than 10 of them above the threshold.

    References
    ----------
    Ferro and Segers (2003), Inference for clusters of extreme values.

    Examples
    --------
    >>> noise = np.random.default_rng(1).standard_exponential(5001)
    >>> round(extremal_index(np.maximum(noise[1:], noise[:-1])), 1)  # each large value comes twice
    0.5
    """
    series = check_finite("losses", losses).ravel()
    if not 0.0 < check_number("fraction", fraction) < 1.0:
        raise InputError(f"fraction: {fraction!r} is not between 0 and 1")
    count = math.floor(len(series) * exact_level(fraction))
    if count >= FEWEST:
        threshold = np.partition(series, len(series) - 1 - count)[len(series) - 1 - count]
        times = np.diff(np.flatnonzero(series > threshold)).astype(np.float64)
        if len(times) + 1 >= FEWEST:
            return _intervals(times)
    raise InputError(
        f"extremal_index: {count} of {len(series)} losses are too few to tell how they cluster; {FEWEST} different "
        "ones are needed"
    )


def blocks_extremal_index(losses: npt.ArrayLike, *, block: int) -> float:
    """The extremal index of a series of losses as its blocks show it: the one that makes ``F^(m theta)`` their maxima.

    ``log(1 - K / k) / (m log(1 - N / n))`` at the median of the maxima of ``k`` whole blocks of ``m`` losses, counted
    back from the last: ``K`` blocks and ``N`` of their ``n`` losses exceed it; at most 1. Clusters longer than a block
    do not show in it, nor in the maxima.

    References
    ----------
    Embrechts, Klueppelberg and Mikosch (1997), Modelling Extremal Events, 8.1.3; McNeil (1998), Calculating quantile
    risk measures for financial return series using extreme value theory.

    Examples
    --------
    >>> noise = np.random.default_rng(1).standard_exponential(20001)
    >>> round(blocks_extremal_index(np.maximum(noise[1:], noise[:-1]), block=50), 1)  # each large value comes twice
    0.5
    """
    series = check_finite("losses", losses).ravel()
    blocks = len(series) // check_integer("block", block, at_least=2)
    if blocks < FEWEST:
        raise InputError(f"block: {len(series)} losses hold {blocks} blocks of {block}; at least {FEWEST} are needed")
    table = series[len(series) - blocks * block :].reshape(blocks, block)
    above = table > np.sort(table.max(axis=1))[(blocks - 1) // 2]
    exceeding = int(above.any(axis=1).sum())
    if not exceeding:
        raise InputError(f"block: no maximum of the {blocks} blocks is above their median; all large losses are equal")
    return min(1.0, math.log1p(-exceeding / blocks) / (block * math.log1p(-above.mean())))


def _intervals(times: npt.NDArray[np.float64]) -> float:
    if times.max() <= 2.0:
        found = 2.0 * times.sum() ** 2 / (len(times) * (times**2).sum())
    else:
        less = times - 1.0
        found = 2.0 * less.sum() ** 2 / (len(times) * (less * (times - 2.0)).sum())
    return min(1.0, float(found))
