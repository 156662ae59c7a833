"""The compiled part of the regressions of expected shortfall: a line of quantiles, and what lies beyond it.

With relative losses ``r = L / e`` and ``a`` proportional to ``1 / e``, the line ``b0 a + b1`` is the quantile of r, and
``b0 a + b1 + max(r - b0 a - b1, 0) / p`` has the expected shortfall of r as its mean. Days below the line enter by sums
over all days only, so that a sample need hold none but its largest relative losses.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

__all__ = ["quantile_line", "regressions"]

_STEPS = 200
_FLAT = 1e-12
_MOVED, _GOLDEN = 1e-9, 0.6180339887498949


@njit(cache=True, nogil=True, error_model="numpy")
def _swap(place, weight, label, i, j):  # type: ignore[no-untyped-def]
    place[i], place[j] = place[j], place[i]
    weight[i], weight[j] = weight[j], weight[i]
    label[i], label[j] = label[j], label[i]


@njit(cache=True, nogil=True, error_model="numpy")
def _reached(place, weight, label, size, wanted):  # type: ignore[no-untyped-def]
    """The label of the least place up to which weights add to ``wanted``, by selection; the arrays are reordered."""
    low, high = 0, size - 1
    while low < high:
        x, y, z = place[low], place[(low + high) // 2], place[high]
        pivot = max(min(x, y), min(max(x, y), z))
        below, equal = 0.0, 0.0
        less, at, more = low, low, high
        while at <= more:
            if place[at] < pivot:
                below += weight[at]
                _swap(place, weight, label, at, less)
                less += 1
                at += 1
            elif place[at] > pivot:
                _swap(place, weight, label, at, more)
                more -= 1
            else:
                equal += weight[at]
                at += 1
        if wanted <= below:
            high = less - 1
        elif wanted <= below + equal:
            return label[less]
        else:
            wanted -= below + equal
            low = more + 1
    return label[min(low, size - 1)]


@njit(cache=True, nogil=True, error_model="numpy")
def quantile_line(a, r, days, tail, total, work, label):  # type: ignore[no-untyped-def]
    """The quantile regression of r on a and a constant: ``b0`` and ``b1``; NaN where it has no bound.

    From a day's point, the best line through it is found among those through another day's, and so on from that one,
    until two points agree: the corner of a convex function along whose edges it rises. Where all a are the same b0 is
    zero.

    Parameters
    ----------
    a, r
        Of the days that may lie above the line; all others lie below it.
    days, tail, total
        How many days there are, the probability beyond the quantile, and the sum of a over all days.
    work, label
        Room for the days: ``(3, n)`` floats and ``(n,)`` integers.
    """
    size = len(r)
    above = math.floor(days * tail + 1e-9) + 1
    if size < above:
        return math.nan, math.nan
    for t in range(size):
        # moved by less than matters, each by its own bit: of three points on one line the search would see two only
        work[2, t] = r[t] + _MOVED * ((t * _GOLDEN) % 1.0)
        work[0, t], work[1, t], label[t] = -work[2, t], 1.0, t
    here = _reached(work[0], work[1], label, size, float(above))
    before = -1
    for _ in range(_STEPS):
        others, upper, whole = 0, 0.0, 0.0
        for t in range(size):
            apart = a[t] - a[here]
            if abs(apart) > _FLAT * a[here]:
                work[0, others], work[1, others], label[others] = (work[2, t] - work[2, here]) / apart, abs(apart), t
                others += 1
                whole += abs(apart)
                upper += max(apart, 0.0)
        wanted = upper - tail * (total - days * a[here])
        if others == 0 and abs(total - days * a[here]) <= 1e-9 * total:
            return 0.0, r[here]
        if not 0.0 < wanted < whole:
            return math.nan, math.nan
        there = _reached(work[0], work[1], label, others, wanted)
        if there == before:
            break
        before, here = here, there
    slope = (r[here] - r[before]) / (a[here] - a[before])
    return slope, r[here] - slope * a[here]


@njit(cache=True, nogil=True, error_model="numpy")
def regressions(offsets, day, relative, over, tail, sums, out):  # type: ignore[no-untyped-def]
    """Of each sample the Wald statistic of the strict test and the t of the intercept test; NaN without a spread.

    Parameters
    ----------
    offsets, day, relative
        Samples of days that may lie above the line: sample i is the entries from ``offsets[i]`` up to
        ``offsets[i + 1]``, ``relative`` their r.
    over
        ``(n,)``, a of all days.
    tail
        The probability beyond the quantile.
    sums
        ``(5,)``, of the powers of a from 0 to 4.
    out
        ``(sample, 2)``.
    """
    n = len(over)
    longest = 0
    for i in range(len(out)):
        longest = max(longest, offsets[i + 1] - offsets[i])
    work, label = np.empty((3, longest)), np.empty(longest, np.int64)
    points = np.empty(longest)
    spread = sums[0] * sums[2] - sums[1] * sums[1]
    for i in range(len(out)):
        first, last = offsets[i], offsets[i + 1]
        r = relative[first:last]
        a = points[: last - first]
        for k in range(len(a)):
            a[k] = over[day[first + k]]
        out[i] = math.nan
        b0, b1 = quantile_line(a, r, n, tail, sums[1], work, label)
        if math.isnan(b1):
            continue
        # x is what a day has beyond the line, over p
        x0, x1 = 0.0, 0.0
        for k in range(len(a)):
            x = max(r[k] - b0 * a[k] - b1, 0.0) / tail
            x0 += x
            x1 += a[k] * x
        # the slope held at one
        c0, c1 = b0, b1 - 1.0
        intercept = c0 + (c1 * sums[1] + x1) / sums[2]
        d0 = c0 - intercept
        meat = d0 * d0 * sums[4] + 2.0 * d0 * c1 * sums[3] + c1 * c1 * sums[2]
        for k in range(len(a)):
            x = max(r[k] - b0 * a[k] - b1, 0.0) / tail
            meat += a[k] * a[k] * x * (2.0 * (d0 * a[k] + c1) + x)
        if meat > _FLAT * x1 * x1:
            out[i, 1] = intercept * sums[2] / math.sqrt(meat * n / (n - 1.0))
        # intercept and slope free: x regressed on a and one
        if not spread > _FLAT * sums[0] * sums[2]:
            continue
        e0 = (sums[0] * x1 - sums[1] * x0) / spread
        e1 = (sums[2] * x0 - sums[1] * x1) / spread
        m2 = e0 * e0 * sums[4] + 2.0 * e0 * e1 * sums[3] + e1 * e1 * sums[2]
        m1 = e0 * e0 * sums[3] + 2.0 * e0 * e1 * sums[2] + e1 * e1 * sums[1]
        m0 = e0 * e0 * sums[2] + 2.0 * e0 * e1 * sums[1] + e1 * e1 * sums[0]
        for k in range(len(a)):
            x = max(r[k] - b0 * a[k] - b1, 0.0) / tail
            more = x * (x - 2.0 * (e0 * a[k] + e1))
            m2 += a[k] * a[k] * more
            m1 += a[k] * more
            m0 += more
        determinant = m2 * m0 - m1 * m1
        if not determinant > _FLAT * m2 * m0:
            continue
        v0, v1 = b0 + e0, b1 + e1 - 1.0
        w0, w1 = sums[2] * v0 + sums[1] * v1, sums[1] * v0 + sums[0] * v1
        out[i, 0] = (m0 * w0 * w0 - 2.0 * m1 * w0 * w1 + m2 * w1 * w1) / determinant * (n - 2.0) / n
