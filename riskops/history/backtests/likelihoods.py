"""Logarithms of likelihoods of breaches, as compiled functions of counts, so that the tests share them.

All ratios are taken in logarithms, and a factor that comes no times is worth nothing: 0 log 0 = 0.
"""

from __future__ import annotations

import math

from numba import njit

__all__ = ["breach_ratio", "times_log", "waiting_ratio"]


@njit(cache=True, nogil=True, error_model="numpy")
def times_log(times, value):  # type: ignore[no-untyped-def]
    """``times * log(value)``, and 0 where there are none."""
    if times == 0:
        return 0.0
    return times * math.log(value)


@njit(cache=True, nogil=True, error_model="numpy")
def breach_ratio(m, n, tail):  # type: ignore[no-untyped-def]
    """Twice the log-likelihood ratio of ``m`` breaches in ``n`` days: of the rate ``m / n`` over the rate ``tail``."""
    kept = n - m
    free = times_log(m, m / n) + times_log(kept, kept / n)
    held = m * math.log(tail) + kept * math.log1p(-tail)
    return max(2.0 * (free - held), 0.0)


@njit(cache=True, nogil=True, error_model="numpy")
def waiting_ratio(days, tail):  # type: ignore[no-untyped-def]
    """Twice the log-likelihood ratio of waiting ``days`` for a breach: of the rate ``1 / days`` over ``tail``."""
    calm = days - 1
    free = -math.log(days) + times_log(calm, calm / days)
    held = math.log(tail) + calm * math.log1p(-tail)
    return max(2.0 * (free - held), 0.0)
