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

__all__ = [
    "checked_windows",
    "rescaled_losses",
    "rescaled_window_probabilities",
    "rescaled_window_tails",
    "window_tails",
]

#: Losses that are held beyond those that are needed. Fewer are soon used up, so that the window is looked through more
#: often; more have to be moved more often. From 4 to 16 the time is the same within a tenth.
SPARE = 8
#: Up to so many worst losses are picked from a window one by one; for more the window is sorted.
PICKED = 64


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _insert(held, size, loss):  # type: ignore[no-untyped-def]
    """Put a loss in its place among ``size`` descending ones, behind equal ones, and return the place."""
    place = size
    while place > 0 and held[place - 1] < loss:
        held[place] = held[place - 1]
        place -= 1
    held[place] = loss
    return place


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _remove(held, size, loss):  # type: ignore[no-untyped-def]
    """Take a loss that is there out of ``size`` descending ones, and return the place it had."""
    place = size - 1
    moving = held[place]
    while moving != loss:
        place -= 1
        moving, held[place] = held[place], moving
    return place


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
    longest, alike = 0, np.zeros(days, np.bool_)  # alike: asked for as many losses as the day before
    for i in range(days):
        longest = max(longest, ends[i] - starts[i])
        alike[i] = i > 0
        for j in range(levels):
            if i > 0 and (beyond[j, i] != beyond[j, i - 1] or mass[j, i] != mass[j, i - 1]):
                alike[i] = False
    held = np.empty(longest + 1)
    for s in range(len(losses)):
        row = losses[s]
        first, last, size, floor = 0, 0, 0, -np.inf
        for i in range(days):
            start, end = starts[i], ends[i]
            touched = longest  # the first place of what is held that is not as it was on the day before
            if start < last:
                for k in range(first, start):
                    if row[k] >= floor:
                        touched = min(touched, _remove(held, size, row[k]))
                        size -= 1
                for k in range(last, end):
                    if row[k] >= floor:
                        touched = min(touched, _insert(held, size, row[k]))
                        size += 1
            else:
                size, touched = 0, 0
            first, last = start, end
            if touched == longest and alike[i]:  # on most days neither the loss that came nor the one that went is held
                for j in range(levels):
                    value_at_risk[s, j, i], shortfall[s, j, i] = value_at_risk[s, j, i - 1], shortfall[s, j, i - 1]
                continue
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
                if touched > beyond[j, i] and alike[i]:
                    value_at_risk[s, j, i], shortfall[s, j, i] = value_at_risk[s, j, i - 1], shortfall[s, j, i - 1]
                    continue
                worst = held[beyond[j, i]]
                value_at_risk[s, j, i] = worst
                shortfall[s, j, i] = worst + _excess(held, beyond[j, i]) / mass[j, i]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _rescaled(returns, start, first, end, skip, decay, count, sums, out):  # type: ignore[no-untyped-def]
    """Go on with a window's losses over their days' volatility from day ``first``: put behind the ``count`` in ``out``
    those from day ``start + skip`` on that have a volatility, and return how many there are then.

    ``sums`` are the weighted squares and the weights so far.
    """
    squares, weights = sums[0], sums[1]
    day = first
    while day < end and (day < start + skip or squares == 0.0):
        squares, weights = squares * decay + returns[day] * returns[day], weights * decay + 1.0
        day += 1
    behind = count + end - day
    rest, chosen = returns[day:end], out[count:behind]
    for k in range(len(rest)):  # one day after the other; what can be done for several at once follows
        chosen[k] = squares / weights
        squares, weights = squares * decay + rest[k] * rest[k], weights * decay + 1.0
    for k in range(len(rest)):
        chosen[k] = (0.0 - rest[k]) / np.sqrt(chosen[k])
    sums[0], sums[1] = squares, weights
    return behind


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _rescaled_tails(returns, starts, ends, skip, decay, beyond, mass, value_at_risk, shortfall):  # type: ignore[no-untyped-def]
    """VaR and ES ``[level, day]`` of the rescaled losses of windows, at the volatility after them.

    ``beyond`` and ``mass`` ``[level, count]`` are for every number of losses. Returns the first window that has no
    loss, or -1.
    """
    levels, most = beyond.shape
    rescaled, held, sums = np.empty(most), np.empty(most + 1), np.zeros(2)
    begun, last, count, size, floor = -1, 0, 0, 0, -np.inf
    for i in range(len(ends)):
        start, end = starts[i], ends[i]
        if start != begun:  # volatility is known from the window alone, so that another one has all of it anew
            sums[:] = 0.0
            begun, last, count, size, floor = start, start, 0, 0, np.inf
        before = count
        count = _rescaled(returns, start, last, end, skip, decay, count, sums, rescaled)
        if count == 0:
            return i
        for k in range(before, count):
            if rescaled[k] >= floor:
                _insert(held, size, rescaled[k])
                size += 1
        last = end
        needed = 0
        for j in range(levels):
            needed = max(needed, beyond[j, count] + 1)
        wanted = needed + SPARE
        if size < needed:
            size, floor = _refill(held, rescaled, 0, count, wanted)
        elif size > 2 * wanted:
            floor = held[wanted - 1]
            while held[size - 1] < floor:
                size -= 1
        today = np.sqrt(sums[0] / sums[1])
        for j in range(levels):
            worst = held[beyond[j, count]]
            value_at_risk[j, i] = today * worst
            shortfall[j, i] = today * (worst + _excess(held, beyond[j, count]) / mass[j, count])
    return -1


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _rescaled_ranks(returns, came, starts, ends, skip, decay, rescaled, out):  # type: ignore[no-untyped-def]
    """The shares of :func:`rescaled_window_probabilities`; ``rescaled`` is room. The first window without a loss, or
    -1."""
    sums, begun, last, count = np.zeros(2), -1, 0, 0
    for i in range(len(ends)):
        start, end = starts[i], ends[i]
        if start != begun:
            sums[:] = 0.0
            begun, last, count = start, start, 0
        count = _rescaled(returns, start, last, end, skip, decay, count, sums, rescaled)
        if count == 0:
            return i
        last = end
        loss, below, upto = came[i] / np.sqrt(sums[0] / sums[1]), 0, 0
        for k in range(count):
            below += rescaled[k] < loss
            upto += rescaled[k] <= loss
        out[i] = (0.5 * (below + upto) + 0.5) / (count + 1.0)
    return -1


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
    rows, first, last = checked_windows(losses, starts, ends)
    shape = (len(rows), len(levels), len(last))
    value_at_risk, shortfall = np.empty(shape), np.empty(shape)
    _tails(rows, first, last, *_ranks(last - first, levels), value_at_risk, shortfall)
    return (value_at_risk, shortfall) if losses.ndim == 2 else (value_at_risk[0], shortfall[0])


def rescaled_losses(returns: Floats, *, decay: float, skip: int) -> tuple[Floats, float]:
    """The losses of one window over their days' volatility, and the volatility after it.

    The volatility of a day is the root of the weighted mean of the squared returns before it in the window, each
    weighing ``decay`` times as much as the one before it. The first ``skip`` days are left out, and days before which
    all returns are zero.

    Raises
    ------
    InputError
        No loss is left.

    Examples
    --------
    >>> losses, today = rescaled_losses(np.array([0.3, 0.1, -0.2]), decay=0.5, skip=1)
    >>> losses.round(4).tolist(), round(today, 4)
    ([-0.3333, 1.0445], 0.1964)
    """
    rows, first, last = checked_windows(returns, [0], [len(returns)])
    sums, out = np.zeros(2), np.empty(len(returns))
    count = _rescaled(rows[0], 0, 0, len(returns), skip, decay, 0, sums, out)
    _refuse_empty(-1 if count else 0, first, last, skip)
    return out[:count], float(np.sqrt(sums[0] / sums[1]))


def rescaled_window_tails(
    returns: Floats, *, starts: npt.ArrayLike, ends: npt.ArrayLike, levels: Sequence[float], decay: float, skip: int
) -> tuple[Floats, Floats]:
    """Value at risk and expected shortfall ``(level, n)`` of the :func:`rescaled_losses` of every window, at the
    volatility after it.

    Raises
    ------
    InputError
        A window of which no loss is left.
    """
    rows, first, last = checked_windows(returns, starts, ends)
    tables = _ranks(np.arange(max(int((last - first).max()) - skip, 0) + 1), levels)
    value_at_risk, shortfall = np.empty((len(levels), len(last))), np.empty((len(levels), len(last)))
    empty = _rescaled_tails(rows[0], first, last, skip, decay, *tables, value_at_risk, shortfall)
    _refuse_empty(empty, first, last, skip)
    return value_at_risk, shortfall


def rescaled_window_probabilities(
    returns: Floats, came: Floats, *, starts: npt.ArrayLike, ends: npt.ArrayLike, decay: float, skip: int
) -> Floats:
    """The rank of the loss that came after each window among that window's rescaled losses at the volatility after it.

    As a share, the loss itself counted with half its weight: strictly between 0 and 1.
    """
    rows, first, last = checked_windows(returns, starts, ends)
    out, losses = np.empty(len(last)), np.ascontiguousarray(came, np.float64)
    room = np.empty(int((last - first).max()))
    _refuse_empty(_rescaled_ranks(rows[0], losses, first, last, skip, decay, room, out), first, last, skip)
    return out


def _ranks(lengths: Integers, levels: Sequence[float]) -> tuple[Integers, Floats]:
    """How many losses lie above VaR in windows of these lengths, and how many the tail counts as: ``[level, window]``.

    In integers, as contract C4 has it; Python rounds the quotient of two integers once.
    """
    parts = [exact_level(level) for level in levels]
    different, where = np.unique(lengths, return_inverse=True)
    each = different.tolist()
    beyond = [[n + (-n * a.numerator) // a.denominator for n in each] for a in parts]
    mass = [[n * (a.denominator - a.numerator) / a.denominator for n in each] for a in parts]
    return np.array(beyond, np.int64)[:, where], np.array(mass)[:, where]


def _refuse_empty(window: int, starts: Integers, ends: Integers, skip: int) -> None:
    """Refuse the first window whose returns leave no loss to rescale."""
    if window >= 0:
        start, end = int(starts[window]), int(ends[window])
        raise InputError(
            f"returns: of returns {start} to {end - 1} none comes after the first {skip} and after one that is not zero"
        )


def checked_windows(losses: Floats, starts: npt.ArrayLike, ends: npt.ArrayLike) -> tuple[Floats, Integers, Integers]:
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
