"""Sums over one tile in a fixed order: 64 lanes of 16 terms each, then the lanes pairwise, 64 to 32 to ... to 1.

Lane ``j`` adds the terms ``j, j+64, j+128, ...`` in this order. The lanes are independent, so LLVM runs them side by
side without changing any rounding, whatever the width of the processor's vectors. A short tile is padded with zeros.
"""

from __future__ import annotations

import numba

from riskops.scalar import fma, scalar_function

__all__ = ["LANES", "tile_product", "tile_sum"]

LANES = 64


@scalar_function
def _lane_sum(x, j):  # type: ignore[no-untyped-def]
    # Written out: LLVM vectorises the loop over lanes only when no inner loop is left in it.
    s = x[j] + x[j + 64]
    s = ((s + x[j + 128]) + x[j + 192]) + x[j + 256]
    s = ((s + x[j + 320]) + x[j + 384]) + x[j + 448]
    s = ((s + x[j + 512]) + x[j + 576]) + x[j + 640]
    s = ((s + x[j + 704]) + x[j + 768]) + x[j + 832]
    return (s + x[j + 896]) + x[j + 960]


@scalar_function
def _lane_product(x, y, j):  # type: ignore[no-untyped-def]
    s = fma(x[j + 64], y[j + 64], x[j] * y[j])
    s = fma(x[j + 192], y[j + 192], fma(x[j + 128], y[j + 128], s))
    s = fma(x[j + 320], y[j + 320], fma(x[j + 256], y[j + 256], s))
    s = fma(x[j + 448], y[j + 448], fma(x[j + 384], y[j + 384], s))
    s = fma(x[j + 576], y[j + 576], fma(x[j + 512], y[j + 512], s))
    s = fma(x[j + 704], y[j + 704], fma(x[j + 640], y[j + 640], s))
    s = fma(x[j + 832], y[j + 832], fma(x[j + 768], y[j + 768], s))
    return fma(x[j + 960], y[j + 960], fma(x[j + 896], y[j + 896], s))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _halve(lane):  # type: ignore[no-untyped-def]
    width = LANES // 2
    while width > 0:
        for j in range(width):
            lane[j] = lane[j] + lane[j + width]
        width //= 2
    return lane[0]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def tile_sum(x, lane):  # type: ignore[no-untyped-def]
    """The sum of the 1024 numbers of ``x``; ``lane`` is scratch of 64."""
    for j in range(LANES):
        lane[j] = _lane_sum(x, j)
    return _halve(lane)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def tile_product(x, y, lane):  # type: ignore[no-untyped-def]
    """The sum of the 1024 products of ``x`` and ``y``; ``lane`` is scratch of 64."""
    for j in range(LANES):
        lane[j] = _lane_product(x, y, j)
    return _halve(lane)
