"""Euler contributions of the assets to VaR and ES: a second pass that draws again only the paths that lie in a tail.

A draw is a pure function of its path number (contract C1), so once the tails are known their paths are made again from
the counters they share, four paths a counter, and nothing but sums over them is kept. The sums are plain float64 in path
order inside a tile and merge over the aligned tree of tiles, so they do not depend on the chunks (contract C2).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numba
import numpy as np
import numpy.typing as npt
import xarray as xr
from dask.base import tokenize

from riskops.checks import exact_level
from riskops.measures.lazy import lazy_variables
from riskops.measures.tail_risk import Z95
from riskops.reductions import Reduction, Tail, combine_states, interval_ranks, needed_tail, order_index, reduce_paths
from riskops.reductions.tree import TileTree
from riskops.rng import TILE
from riskops.scalar import expm1_f32, expm1_f64, fma
from riskops.schema import ERROR_SUFFIXES, validate
from riskops.simulation import PathJob

__all__ = ["contributions_from", "tail_contributions"]

QUARTER = TILE // 4
MEASURES = ("component_value_at_risk", "component_expected_shortfall")
Float = npt.NDArray[np.float64]


def _ranks(levels: Sequence[float], n: int) -> npt.NDArray[np.int64]:
    """For each level the positions in the descending tail: beyond VaR, and the first and last of VaR's 95 % interval."""
    rows = []
    for level in levels:
        low, high = interval_ranks(level, n)
        rows.append((n - order_index(level, n), n - high, n - low))
    return np.array(rows, dtype=np.int64)


def _boundary_weights(levels: Sequence[float], n: int) -> Float:
    """The weight of VaR's own order statistic in the exact ES: ``n (1 - level) - (n - k)``, in [0, 1)."""
    return np.array([float(n * (1 - exact_level(a)) - (n - order_index(a, n))) for a in levels])


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _add_contributions(sums, growth, exposure, expm1, tile, column, position, ranks, boundary):  # type: ignore[no-untyped-def]
    """Add the losses of the assets, path by path, to ``sums[tile, level, (ES, ES^2, VaR, VaR^2), asset]``."""
    for e in range(len(tile)):
        for a in range(len(exposure)):
            loss = -exposure[a] * np.float64(expm1(growth[a, column[e]]))
            square = loss * loss
            for level in range(len(boundary)):
                weight = np.float64(position[e] < ranks[level, 0])
                if position[e] == ranks[level, 0]:
                    weight = boundary[level]
                target = sums[tile[e], level]
                target[0, a] = fma(weight, loss, target[0, a])
                target[1, a] = fma(weight, square, target[1, a])
                if ranks[level, 1] <= position[e] <= ranks[level, 2]:
                    target[2, a] += loss
                    target[3, a] += square
