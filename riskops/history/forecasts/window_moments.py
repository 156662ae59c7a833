"""Moments of many windows of one series: each from its own returns alone, in two passes, so nothing drifts or cancels.

Sums that are carried from window to window keep the rounding of every return that has left them: after one crash they
are wrong for the rest of the series.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from riskops.errors import InputError
from riskops.history.forecasts.base import Floats, Integers, window_starts

__all__ = ["WindowMoments", "window_moments"]


class WindowMoments(NamedTuple):
    """Of each window ``(n,)``: how many returns, their mean, and their mean squared, cubed and fourth deviations."""

    number: Floats
    mean: Floats
    second: Floats
    third: Floats
    fourth: Floats


@njit(cache=True, nogil=True, error_model="numpy")
def _moments(returns, starts, ends, out):  # type: ignore[no-untyped-def]
    for i in range(ends.shape[0]):
        start, end = starts[i], ends[i]
        number = np.float64(end - start)
        # four sums beside each other: additions of one sum wait for each other
        a, b, c, d = 0.0, 0.0, 0.0, 0.0
        whole = start + 4 * ((end - start) // 4)
        for t in range(start, whole, 4):
            a += returns[t]
            b += returns[t + 1]
            c += returns[t + 2]
            d += returns[t + 3]
        for t in range(whole, end):
            a += returns[t]
        mean = ((a + b) + (c + d)) / number
        first, second, third, fourth = 0.0, 0.0, 0.0, 0.0
        for t in range(start, end):
            x = returns[t] - mean
            square = x * x
            first += x
            second += square
            third += square * x
            fourth += square * square
        # what the rounding of the mean left over
        rest = first / number
        out[0, i] = mean + rest
        out[1, i] = second / number - rest * rest
        out[2, i] = third / number
        out[3, i] = fourth / number


def window_moments(returns: Floats, ends: Integers, *, window: int | None, least: int) -> WindowMoments:
    """The moments of the last ``window`` returns before each end, or of all of them; population moments (divisor n).

    Raises
    ------
    InputError
        A window holds fewer than ``least`` returns.
    """
    starts = window_starts(ends, window)
    short = np.flatnonzero(ends - starts < least)
    if len(short):
        day = int(short[0])
        raise InputError(f"returns: {int(ends[day] - starts[day])} of them are too few; at least {least} are needed")
    out = np.empty((4, len(ends)))
    _moments(np.ascontiguousarray(returns), starts, ends, out)
    return WindowMoments((ends - starts).astype(np.float64), *out)
