"""Tails and ranks of windows whose losses weigh less the older they are.

The weights change every day, so the whole window is held sorted, each loss with its day: a day puts one loss in and
takes one out, and the worst are gone through until their weights suffice.
"""

from __future__ import annotations

from collections.abc import Sequence

import numba
import numpy as np
import numpy.typing as npt

from riskops.checks import exact_level
from riskops.history.forecasts.base import Floats
from riskops.history.forecasts.windows import checked_windows

__all__ = ["weighted_window_tails", "window_probabilities"]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _weighted_tails(losses, starts, ends, tail, power, value_at_risk, shortfall):  # type: ignore[no-untyped-def]
    """VaR and ES ``[series, level, day]`` of losses that weigh ``power[age]``, age 0 being the last of the window.

    ``tail`` is 1 - level.
    """
    days = len(ends)
    longest = 0
    for i in range(days):
        longest = max(longest, ends[i] - starts[i])
    held, when = np.empty(longest + 1), np.empty(longest + 1, np.int64)
    total = np.cumsum(power)
    for s in range(len(losses)):
        row = losses[s]
        first, last, size = 0, 0, 0
        for i in range(days):
            start, end = starts[i], ends[i]
            if start >= last:
                first, last, size = start, start, 0
            for k in range(first, start):
                # the oldest stands first among equal ones
                low, high = 0, size
                while low < high:
                    middle = (low + high) // 2
                    if held[middle] > row[k]:
                        low = middle + 1
                    else:
                        high = middle
                size -= 1
                for j in range(low, size):
                    held[j], when[j] = held[j + 1], when[j + 1]
            for k in range(last, end):
                place = size
                while place > 0 and held[place - 1] < row[k]:
                    held[place], when[place] = held[place - 1], when[place - 1]
                    place -= 1
                held[place], when[place] = row[k], k
                size += 1
            first, last = start, end
            for j in range(len(tail)):
                mass = tail[j] * total[size - 1]
                beyond, weight = 0, power[end - 1 - when[0]]
                while weight <= mass and beyond < size - 1:
                    beyond += 1
                    weight += power[end - 1 - when[beyond]]
                worst, excess = held[beyond], 0.0
                for k in range(beyond - 1, -1, -1):
                    excess += power[end - 1 - when[k]] * (held[k] - worst)
                value_at_risk[s, j, i] = worst
                shortfall[s, j, i] = worst + excess / mass


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _probabilities(losses, came, starts, ends, decay, out):  # type: ignore[no-untyped-def]
    """The weight below each loss that came and half of that at it, of the window and the loss itself together."""
    for i in range(len(ends)):
        if decay == 1.0:  # counted in integers, several losses at a time
            window, loss, fewer, upto = losses[starts[i] : ends[i]], came[i], 0, 0
            for k in range(len(window)):
                fewer += window[k] < loss
                upto += window[k] <= loss
            out[i] = (0.5 * (fewer + upto) + 0.5) / (len(window) + 1.0)
            continue
        below, total = 0.0, 0.0
        for k in range(starts[i], ends[i]):
            below = below * decay + (losses[k] < came[i]) + 0.5 * (losses[k] == came[i])
            total = total * decay + 1.0
        out[i] = (below * decay + 0.5) / (total * decay + 1.0)


def weighted_window_tails(
    losses: Floats, *, starts: npt.ArrayLike, ends: npt.ArrayLike, levels: Sequence[float], decay: float
) -> tuple[Floats, Floats]:
    """Value at risk and expected shortfall of every window where a loss weighs ``decay`` times as much as the next.

    Value at risk is the smallest loss above which the weights are at most ``1 - level`` of all, expected shortfall
    the average of the weighted quantile function beyond ``level``. Arguments and results are those of
    :func:`~riskops.history.forecasts.windows.window_tails`.

    Examples
    --------
    >>> found = weighted_window_tails(np.array([4.0, 3.0, 2.0, 1.0]), starts=[0], ends=[4], levels=(0.75,), decay=0.5)
    >>> [round(float(figures[0, 0]), 6) for figures in found]
    [2.0, 3.066667]
    """
    rows, first, last = checked_windows(losses, starts, ends)
    tail = np.array([float(1 - exact_level(level)) for level in levels])
    power = np.cumprod(np.append(1.0, np.full(int((last - first).max()) - 1, decay)))
    shape = (len(rows), len(tail), len(last))
    value_at_risk, shortfall = np.empty(shape), np.empty(shape)
    _weighted_tails(rows, first, last, tail, power, value_at_risk, shortfall)
    return (value_at_risk, shortfall) if losses.ndim == 2 else (value_at_risk[0], shortfall[0])


def window_probabilities(
    losses: Floats, came: Floats, *, starts: npt.ArrayLike, ends: npt.ArrayLike, decay: float = 1.0
) -> Floats:
    """The rank of the loss that came after each window, as a share: strictly between 0 and 1.

    Window and loss are ranked together, the loss as the latest of them with half its own weight, equal losses with half
    of theirs. Where every one of them is as likely to be the loss that came, the shares are uniform on a grid; the
    share of smaller losses in the window alone would be 0 or 1 for a loss beyond all of it.

    Examples
    --------
    >>> window_probabilities(np.arange(4.0), np.array([1.0, 9.0]), starts=[0, 0], ends=[4, 4]).tolist()
    [0.4, 0.9]
    """
    rows, first, last = checked_windows(losses, starts, ends)
    out = np.empty(len(last))
    _probabilities(rows[0], np.asarray(came, np.float64), first, last, decay, out)
    return out
