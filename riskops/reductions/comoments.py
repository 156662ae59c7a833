"""Means, covariances and correlations of the assets' returns, with their errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numba
import numpy as np
import numpy.typing as npt

from riskops.checks import check_one_of
from riskops.errors import InputError
from riskops.reductions.batches import batch_error, batch_leaves, merge_batches, widen
from riskops.reductions.lanes import LANES, tile_product, tile_sum
from riskops.reductions.reduction import Array, Reduction, first_tile_of
from riskops.reductions.tree import TILE, TileTree, Values, tile_count
from riskops.scalar import expm1_f64

__all__ = ["CoMoments"]

Float = npt.NDArray[np.float64]
Pairs = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]

#: Numbers that the leaves of one stretch of tiles may hold (16 MB): with many assets a tile's matrices are large.
LEAF_NUMBERS = 1 << 21


@lru_cache(maxsize=8)
def _pairs(assets: int) -> Pairs:
    """Row and column of the lower triangle's entries, row by row."""
    return np.tril_indices(assets)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _tile_comoments(data, exponential, means, products):  # type: ignore[no-untyped-def]
    """Means ``[tile, row, asset]`` and sums of products of deviations from them ``[tile, row, pair]``."""
    rows, assets, paths = data.shape
    x, lane = np.empty((assets, TILE)), np.empty(LANES)
    for row in range(rows):
        for tile in range(means.shape[0]):
            start = tile * TILE
            n = min(TILE, paths - start)
            for a in range(assets):
                source, target = data[row, a], x[a]
                target[n:] = 0.0
                if exponential:
                    for i in range(n):
                        target[i] = expm1_f64(np.float64(source[start + i]))
                else:
                    for i in range(n):
                        target[i] = np.float64(source[start + i])
                mean = tile_sum(target, lane) / n
                for i in range(n):
                    target[i] = target[i] - mean
                means[tile, row, a] = mean
            pair = 0
            for a in range(assets):
                for b in range(a + 1):
                    products[tile, row, pair] = tile_product(x[a], x[b], lane)
                    pair += 1


def _merge(left: Values, right: Values) -> dict[str, Float]:
    """Counts, means and sums of products of two runs together (Chan, Golub and LeVeque 1979)."""
    number = left["count"] + right["count"]
    share = right["count"] / number
    with np.errstate(all="ignore"):  # an infinite return gives NaN, without a warning from every merge
        step = right["mean"] - left["mean"]
        a, b = _pairs(step.shape[-1])
        cross = step[..., a] * step[..., b]
        return {
            "count": number,
            "mean": left["mean"] + step * widen(share, step),
            "products": left["products"] + right["products"] + cross * widen(left["count"] * share, cross),
            **merge_batches(left, right),
        }


def _matrices(n: Float, products: Float, assets: int) -> tuple[Float, Float]:
    """Packed covariances (ddof=1) and correlations; the diagonal of the latter is 1, NaN where there is no variance."""
    a, b = _pairs(assets)
    diagonal = np.flatnonzero(a == b)
    with np.errstate(all="ignore"):
        covariance = products / np.where(n > 1, n - 1.0, np.nan)
        squares = products[..., diagonal]
        correlation = products / np.sqrt(squares[..., a] * squares[..., b])
        correlation[..., diagonal] = squares / squares
    return covariance, correlation


def _unpack(packed: Float, assets: int) -> Float:
    a, b = _pairs(assets)
    full = np.empty((*packed.shape[:-1], assets, assets))
    full[..., a, b] = packed
    full[..., b, a] = packed
    return full


@dataclass(frozen=True)
class CoMoments(Reduction):
    """Mean vector, covariance and correlation matrix (ddof=1) over the assets of every row.

    Parameters
    ----------
    variable
        The variable to read, ``(..., asset, path)``.
    transform
        ``expm1`` takes simple returns from log growth, in double precision; ``none`` takes the numbers as they are.
    select
        Positions in the leading dims, to reduce that part only: ``(0,)`` takes the first scenario of
        ``(scenario, time, asset, path)``. None takes all.

    Notes
    -----
    ``finalize`` gives ``mean`` ``(..., asset)``; ``covariance`` and ``correlation`` ``(..., asset, asset)``, each with
    ``_standard_error`` by batch means over tiles (:mod:`riskops.reductions.batches`); ``count`` and ``batches``. An
    asset without variance has no correlations: NaN. NaN or infinity among its paths gives NaN in what it enters.

    The state is a :class:`~riskops.reductions.tree.TileTree` of ``count``, ``mean``, ``products`` (packed lower
    triangles), and the ``batches``, ``batch_mean``, ``batch_squares`` of packed covariances and correlations.
    """

    variable: str = "log_growth"
    transform: Literal["expm1", "none"] = "expm1"
    select: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        check_one_of("transform", self.transform, ("expm1", "none"))

    @property
    def variables(self) -> tuple[str, ...]:
        return (self.variable,)

    def chunk(self, block: Mapping[str, Array], *, first_path: int) -> TileTree:
        array = block[self.variable]
        if array.ndim < 2 + len(self.select or ()):
            raise InputError(f"{self.variable}: {array.ndim} dims are not (..., asset, path) with select {self.select}")
        array = array[self.select or ()]
        lead, (assets, paths) = array.shape[:-2], array.shape[-2:]
        data = np.ascontiguousarray(array).reshape(-1, assets, paths)
        tiles, pairs = tile_count(paths), assets * (assets + 1) // 2
        stretch = max(1, LEAF_NUMBERS // (len(data) * (assets + 5 * pairs)))
        first = first_tile_of(first_path)
        trees = []
        for start in range(0, tiles, stretch):
            part = data[..., start * TILE : (start + stretch) * TILE]
            trees.append(TileTree.from_tiles(first + start, _leaves(part, self.transform == "expm1", lead), _merge))
        return TileTree.join(trees, _merge)

    def combine(self, states: Sequence[TileTree]) -> TileTree:
        return TileTree.join(states, _merge)

    def finalize(self, state: TileTree) -> dict[str, Array]:
        total = state.fold(_merge)
        assets = total["mean"].shape[-1]
        covariance, correlation = _matrices(total["count"], total["products"], assets)
        error = batch_error(total)
        pairs = covariance.shape[-1]
        return {
            "count": total["count"].astype(np.int64),
            "batches": total["batches"].astype(np.int64),
            "mean": total["mean"],
            "covariance": _unpack(covariance, assets),
            "covariance_standard_error": _unpack(error[..., :pairs], assets),
            "correlation": _unpack(correlation, assets),
            "correlation_standard_error": _unpack(error[..., pairs:], assets),
        }


def _leaves(data: Array, exponential: bool, lead: tuple[int, ...]) -> dict[str, Float]:
    rows, assets, paths = data.shape
    tiles = tile_count(paths)
    means, products = np.empty((tiles, rows, assets)), np.empty((tiles, rows, assets * (assets + 1) // 2))
    _tile_comoments(data, exponential, means, products)
    means, products = means.reshape(tiles, *lead, assets), products.reshape(tiles, *lead, -1)
    count = np.full(tiles, float(TILE))
    count[-1] = paths - (tiles - 1) * TILE
    statistics = np.concatenate(_matrices(widen(count, products), products, assets), axis=-1)
    return {"count": count, "mean": means, "products": products, **batch_leaves(statistics, count == TILE)}
