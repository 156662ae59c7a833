"""Sums of losses that are drawn from a sample, with replacement and independent of one another."""

from __future__ import annotations

import numba
import numpy as np

from riskops.history.forecasts.base import Floats

__all__ = ["resampled_sums"]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _sums(sample, draws, out):  # type: ignore[no-untyped-def]
    n = len(sample)
    out[:] = 0.0
    for row in range(draws.shape[0]):
        uniforms = draws[row]
        for path in range(len(out)):
            out[path] += sample[min(np.int64(uniforms[path] * n), n - 1)]


def resampled_sums(sample: Floats, draws: Floats) -> Floats:
    """The sum over days of sample members that uniforms ``(day, path)`` pick, ``(path,)``.

    Examples
    --------
    >>> resampled_sums(np.array([1.0, 10.0]), np.array([[0.2, 0.7], [0.4, 0.9]])).tolist()
    [2.0, 20.0]
    """
    out = np.empty(draws.shape[1])
    _sums(np.ascontiguousarray(sample), draws, out)
    return out
