"""Tails of rolling and expanding windows over a series of losses, exactly, without sorting a window a second time.

Of a window only the worst losses are held, sorted: all that are at least a floor. A day brings one loss and takes one
away, and most of them lie below the floor and cost a comparison each; the others move the few that are held by a place.
The window is looked through again only where fewer are left than the lowest level asks for. What comes out is read off
the losses of the window themselves, so it does not depend on where the first window began, and nothing drifts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numba
import numpy as np
import numpy.typing as npt

from riskops.checks import exact_level
from riskops.errors import InputError
from riskops.history.forecasts.base import Floats, Integers

__all__ = ["weighted_window_tails", "window_probabilities", "window_tails"]

#: Losses that are held beyond those that are needed. Fewer are soon used up, so that the window is looked through more
#: often; more have to be moved more often. From 4 to 16 the time is the same within a tenth.
SPARE = 8
#: Up to so many worst losses are picked from a window one by one; for more the window is sorted.
PICKED = 64


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _insert(held, size, loss):  # type: ignore[no-untyped-def]
    """Put a loss in its place among ``size`` descending ones, behind equal ones."""
    place = size
    while place > 0 and held[place - 1] < loss:
        held[place] = held[place - 1]
        place -= 1
    held[place] = loss


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _remove(held, size, loss):  # type: ignore[no-untyped-def]
    """Take a loss that is there out of ``size`` descending ones."""
    place = size - 1
    moving = held[place]
    while moving != loss:
        place -= 1
        moving, held[place] = held[place], moving


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _refill(held, losses, start, end, wanted):  # type: ignore[no-untyped-def]
    """Hold the ``wanted`` worst losses of a window and all that equal the least of them: their number and that least.

    Where the window has no more losses than that, all are held, and there is no floor.
    """
    n = end - start
    if wanted > PICKED or wanted >= n:
        ascending = np.sort(losses[start:end])
        floor = -np.inf if wanted >= n else ascending[n - wanted]
        size = 0
        while size < n and ascending[n - 1 - size] >= floor:
            held[size] = ascending[n - 1 - size]
            size += 1
        return size, floor
    for i in range(wanted):
        _insert(held, i, losses[start + i])
    equal = 0  # to the least that is held, and not held themselves
    for i in range(start + wanted, end):
        loss, floor = losses[i], held[wanted - 1]
        if loss > floor:
            _insert(held, wanted - 1, loss)
            equal = equal + 1 if held[wanted - 1] == floor else 0
        elif loss == floor:
            equal += 1
    floor = held[wanted - 1]
    held[wanted : wanted + equal] = floor
    return wanted + equal, floor


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _excess(held, beyond):  # type: ignore[no-untyped-def]
    """The sum of what the ``beyond`` worst losses exceed the next by, from the smallest up, with its rounding errors
    gathered (Neumaier 1974)."""
    base, total, lost = held[beyond], 0.0, 0.0
    for j in range(beyond - 1, -1, -1):
        term = held[j] - base
        moved = total + term
        part = moved - total
        lost += (total - (moved - part)) + (term - part)
        total = moved
    return total + lost


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _tails(losses, starts, ends, beyond, mass, value_at_risk, shortfall):  # type: ignore[no-untyped-def]
    """VaR and ES ``[series, level, day]`` of windows; ``beyond`` ``[level, day]`` losses lie above VaR."""
    levels, days = beyond.shape
    longest = 0
    for i in range(days):
        longest = max(longest, ends[i] - starts[i])
    held = np.empty(longest + 1)
    for s in range(len(losses)):
        row = losses[s]
        first, last, size, floor = 0, 0, 0, -np.inf
        for i in range(days):
            start, end = starts[i], ends[i]
            if start < last:
                for k in range(first, start):
                    if row[k] >= floor:
                        _remove(held, size, row[k])
                        size -= 1
                for k in range(last, end):
                    if row[k] >= floor:
                        _insert(held, size, row[k])
                        size += 1
            else:
                size = 0
            first, last = start, end
            needed = 0
            for j in range(levels):
                needed = max(needed, beyond[j, i] + 1)
            wanted = needed + SPARE
            if size < needed:
                size, floor = _refill(held, row, start, end, wanted)
            elif size > 2 * wanted:
                floor = held[wanted - 1]
                while held[size - 1] < floor:
                    size -= 1
            for j in range(levels):
                worst = held[beyond[j, i]]
                value_at_risk[s, j, i] = worst
                shortfall[s, j, i] = worst + _excess(held, beyond[j, i]) / mass[j, i]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _weighted_tails(losses, starts, ends, tail, power, value_at_risk, shortfall):  # type: ignore[no-untyped-def]
    """The same of losses that weigh ``power[age]``, age 0 being the last of the window; ``tail`` is 1 - level."""
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
        below, total = 0.0, 0.0
        for k in range(starts[i], ends[i]):
            below = below * decay + (losses[k] < came[i]) + 0.5 * (losses[k] == came[i])
            total = total * decay + 1.0
        out[i] = (below * decay + 0.5) / (total * decay + 1.0)


def window_tails(
    losses: Floats, *, starts: npt.ArrayLike, ends: npt.ArrayLike, levels: Sequence[float]
) -> tuple[Floats, Floats]:
    """Value at risk and expected shortfall of every window ``losses[..., start:end]``, exact order statistics (C4).

    Parameters
    ----------
    losses
        ``(observation,)`` or ``(series, observation)``, finite.
    starts, ends
        ``(n,)``, neither descending; windows of one length that move by a day, or grow, cost the least.
    levels
        Confidence levels.

    Returns
    -------
    tuple
        Value at risk and expected shortfall, each ``(level, n)`` or ``(series, level, n)``: of a window of n losses
        sorted ascending ``x(k)`` with ``k = ceil(n level)``, and ``x(k) + sum_{j>k} (x(j) - x(k)) / (n (1 - level))``.

    Examples
    --------
    >>> found = window_tails(np.arange(20.0), starts=[0, 1], ends=[10, 11], levels=(0.8,))
    >>> [figures.tolist() for figures in found]
    [[[7.0, 8.0]], [[8.5, 9.5]]]
    """
    rows, first, last = _checked(losses, starts, ends)
    parts = [exact_level(level) for level in levels]
    lengths, where = np.unique(last - first, return_inverse=True)
    each = lengths.tolist()
    # in integers, as contract C4 has it; the division of two integers is rounded once
    beyond = [[n + (-n * a.numerator) // a.denominator for n in each] for a in parts]
    mass = [[n * (a.denominator - a.numerator) / a.denominator for n in each] for a in parts]
    shape = (len(rows), len(parts), len(last))
    value_at_risk, shortfall = np.empty(shape), np.empty(shape)
    tables = np.array(beyond, np.int64)[:, where], np.array(mass)[:, where]
    _tails(rows, first, last, *tables, value_at_risk, shortfall)
    return (value_at_risk, shortfall) if losses.ndim == 2 else (value_at_risk[0], shortfall[0])


def weighted_window_tails(
    losses: Floats, *, starts: npt.ArrayLike, ends: npt.ArrayLike, levels: Sequence[float], decay: float
) -> tuple[Floats, Floats]:
    """The same where a loss weighs ``decay`` times as much as the one after it.

    Value at risk is the smallest loss above which the weights are at most ``1 - level`` of all, expected shortfall
    the average of the weighted quantile function beyond ``level``.

    Examples
    --------
    >>> found = weighted_window_tails(np.array([4.0, 3.0, 2.0, 1.0]), starts=[0], ends=[4], levels=(0.75,), decay=0.5)
    >>> [round(float(figures[0, 0]), 6) for figures in found]
    [2.0, 3.066667]
    """
    rows, first, last = _checked(losses, starts, ends)
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
    rows, first, last = _checked(losses, starts, ends)
    out = np.empty(len(last))
    _probabilities(rows[0], np.asarray(came, np.float64), first, last, decay, out)
    return out


def _checked(losses: Floats, starts: npt.ArrayLike, ends: npt.ArrayLike) -> tuple[Floats, Integers, Integers]:
    """Losses by series, contiguous, and bounds of windows that are none of them empty and lie inside the losses."""
    first, last = (np.ascontiguousarray(bounds, np.int64) for bounds in (starts, ends))
    rows = np.ascontiguousarray(np.atleast_2d(losses), np.float64)
    for name, bounds in (("starts", first), ("ends", last)):
        if bounds.ndim != 1 or (np.diff(bounds) < 0).any():
            raise InputError(f"{name}: the bounds of windows are not ascending")
    if len(first) != len(last) or not len(last):
        raise InputError(f"ends: {len(last)} ends do not belong to {len(first)} starts; at least one window is needed")
    if first[0] < 0 or last[-1] > rows.shape[1]:
        raise InputError(f"ends: windows from {first[0]} to {last[-1]} are not inside {rows.shape[1]} losses")
    empty = np.flatnonzero(first >= last)
    if len(empty):
        raise InputError(f"ends: the window from {first[empty[0]]} to {last[empty[0]]} holds no loss")
    return rows, first, last
