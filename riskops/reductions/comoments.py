"""Means, covariances and correlations of the assets' returns, with their errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

import numba
import numpy as np
import numpy.typing as npt

from riskops.checks import check_one_of
from riskops.errors import InputError
from riskops.reductions.batches import (
    LEAF_NUMBERS,
    SLOT,
    batch_error,
    batch_leaves,
    batch_reach,
    fold_batches,
    merge_batches,
    replicate_tree,
    widen,
)
from riskops.reductions.groups import Groups
from riskops.reductions.lanes import LANES, tile_product, tile_sum
from riskops.reductions.order import Z95
from riskops.reductions.reduction import Array, Reduction, first_tile_of, rows_of
from riskops.reductions.tree import TILE, TileTree, Values, tile_count
from riskops.scalar import expm1_f64

__all__ = ["CoMoments"]

Float = npt.NDArray[np.float64]
Pairs = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]

#: Numbers that a node may hold in the slots of replicates (8 MB); beyond that the errors come from tiles.
SLOT_NUMBERS = 1 << 20


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


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _tile_weighted_comoments(data, weights, exponential, masses, means, products):  # type: ignore[no-untyped-def]
    """The same with every path counted by its weight ``[row, path]``; also the sums of the weights ``[tile, row]``."""
    rows, assets, paths = data.shape
    x, w, scaled, lane = np.empty((assets, TILE)), np.empty(TILE), np.empty(TILE), np.empty(LANES)
    for row in range(rows):
        for tile in range(means.shape[0]):
            start = tile * TILE
            n = min(TILE, paths - start)
            w[n:] = 0.0
            for i in range(n):
                w[i] = np.float64(weights[row, start + i])
            mass = tile_sum(w, lane)
            masses[tile, row] = mass
            for a in range(assets):
                source, target = data[row, a], x[a]
                target[n:] = 0.0
                if exponential:
                    for i in range(n):
                        target[i] = expm1_f64(np.float64(source[start + i]))
                else:
                    for i in range(n):
                        target[i] = np.float64(source[start + i])
                mean = tile_product(w, target, lane) / mass if mass > 0.0 else 0.0
                for i in range(n):
                    target[i] = target[i] - mean
                means[tile, row, a] = mean
            pair = 0
            for a in range(assets):
                for i in range(TILE):
                    scaled[i] = w[i] * x[a, i]
                for b in range(a + 1):
                    products[tile, row, pair] = tile_product(scaled, x[b], lane)
                    pair += 1


def _central(left: Values, right: Values, prefix: str = "") -> dict[str, Float]:
    """Counts, means and sums of products of two runs together (Chan, Golub and LeVeque 1979); sums of weights stand in
    for counts."""
    mass = prefix + ("weight" if prefix + "weight" in left else "count")
    mean, products = prefix + "mean", prefix + "products"
    number = left[mass] + right[mass]
    share = right[mass] / np.where(number > 0.0, number, 1.0)
    with np.errstate(all="ignore"):  # an infinite return gives NaN, without a warning from every merge
        step = right[mean] - left[mean]
        a, b = _pairs(step.shape[-1])
        cross = step[..., a] * step[..., b]
        return {
            prefix + "count": left[prefix + "count"] + right[prefix + "count"],
            mass: number,
            mean: left[mean] + step * widen(share, step),
            products: left[products] + right[products] + cross * widen(left[mass] * share, cross),
        }


def _merge(left: Values, right: Values) -> dict[str, Float]:
    """Two runs together, and their batches, or their replicates slot by slot."""
    errors = _central(left, right, SLOT) if SLOT + "count" in left else merge_batches(left, right)
    return _central(left, right) | errors


def _matrices(values: Values, prefix: str = "") -> tuple[Float, Float]:
    """Packed covariances (ddof=1) and correlations; the diagonal of the latter is 1, NaN where there is no variance."""
    products = values[prefix + "products"]
    a, b = _pairs(values[prefix + "mean"].shape[-1])
    n, weight = widen(values[prefix + "count"], products), values.get(prefix + "weight")
    diagonal = np.flatnonzero(a == b)
    with np.errstate(all="ignore"):
        freedom = n - 1.0 if weight is None else weight[..., None] * ((n - 1.0) / n)
        covariance = products / np.where(n > 1, freedom, np.nan)
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
    weight
        The variable that weights the paths, ``(time, path)``, not negative, where ``variable`` is ``(..., time, asset,
        path)``: leads repeat it. None counts every path once.
    groups
        Which paths depend on each other.

    Notes
    -----
    ``finalize`` gives ``mean`` ``(..., asset)``; ``covariance`` and ``correlation`` ``(..., asset, asset)``, each with
    ``_standard_error`` by batch means over tiles (:mod:`riskops.reductions.batches`); ``count``, ``batches`` and
    ``reach``, how many standard errors a 95 % interval reaches. An asset without variance has no correlations: NaN. NaN
    or infinity among its paths gives NaN in what it enters.

    Where replicates are the groups, they are the batches, unless a node of the tree would hold more than 2^20 numbers
    for them (from 256 assets at one horizon and 32 replicates on): then tiles stay the batches,
    which overstates the error, since what makes replicates good is that their tiles balance each other. With weights or
    groups ``reach`` is Student's t for the number of batches. Weighted sums are divided by the sum of the weights,
    in every batch by its own; covariances keep the factor ``n / (n - 1)`` of n paths.

    The state is a :class:`~riskops.reductions.tree.TileTree` of ``count``, ``mean``, ``products`` (packed lower
    triangles; and ``weight``), and the ``batches``, ``batch_mean``, ``batch_squares`` of packed covariances and
    correlations; for replicates, in place of these, of the former once more for each replicate.
    """

    variable: str = "log_growth"
    transform: Literal["expm1", "none"] = "expm1"
    select: tuple[int, ...] | None = None
    weight: str | None = None
    groups: Groups = field(default_factory=Groups)

    def __post_init__(self) -> None:
        check_one_of("transform", self.transform, ("expm1", "none"))

    @property
    def variables(self) -> tuple[str, ...]:
        return (self.variable,) if self.weight is None else (self.variable, self.weight)

    def chunk(self, block: Mapping[str, Array], *, first_path: int) -> TileTree:
        array = block[self.variable]
        if array.ndim < 2 + len(self.select or ()):
            raise InputError(f"{self.variable}: {array.ndim} dims are not (..., asset, path) with select {self.select}")
        weights = None if self.weight is None else self._weights(block[self.weight], array.shape[:-2])
        array = array[self.select or ()]
        lead, (assets, paths) = array.shape[:-2], array.shape[-2:]
        data = np.ascontiguousarray(array).reshape(-1, assets, paths)
        tiles, pairs = tile_count(paths), assets * (assets + 1) // 2
        stretch = max(1, LEAF_NUMBERS // (len(data) * (assets + 5 * pairs)))
        slots = self.groups.replicates  # zero where replicates are not the groups
        slots = slots if len(data) * (assets + pairs) * slots <= SLOT_NUMBERS else 0
        first = first_tile_of(first_path)
        trees = []
        for start in range(0, tiles, stretch):
            part = slice(start * TILE, (start + stretch) * TILE)
            own = None if weights is None else weights[:, part]
            sums = _sums(data[..., part], own, self.transform == "expm1", lead)
            if slots:
                trees.append(replicate_tree(first + start, sums, slots, _merge))
            else:
                errors = batch_leaves(np.concatenate(_matrices(sums), axis=-1), sums["count"] == TILE)
                trees.append(TileTree.from_tiles(first + start, sums | errors, _merge))
        return TileTree.join(trees, _merge)

    def _weights(self, weights: Array, lead: tuple[int, ...]) -> Array:
        """The weights of the rows that are selected of leading dims of these sizes, ``(row, path)``."""
        rows, weights = np.arange(int(np.prod(lead, dtype=np.int64))).reshape(lead), rows_of(weights)
        if rows.size % len(weights):
            raise InputError(f"{self.weight}: {len(weights)} rows do not weight the {rows.size} of {self.variable}")
        return weights[rows[self.select or ()].reshape(-1) % len(weights)]

    def combine(self, states: Sequence[TileTree]) -> TileTree:
        return TileTree.join(states, _merge)

    def finalize(self, state: TileTree) -> dict[str, Array]:
        total = state.fold(_merge)
        assets = total["mean"].shape[-1]
        covariance, correlation = _matrices(total)
        if SLOT + "count" in total:
            each = np.concatenate(_matrices(total, SLOT), axis=-1)
            total |= fold_batches(each, total[SLOT + "count"] > 0.0)
        error = batch_error(total)
        pairs = covariance.shape[-1]
        plain = self.weight is None and self.groups.unit == "path"
        return {
            "count": total["count"].astype(np.int64),
            "batches": total["batches"].astype(np.int64),
            "reach": np.asarray(Z95 if plain else batch_reach(float(total["batches"]))),
            "mean": total["mean"],
            "covariance": _unpack(covariance, assets),
            "covariance_standard_error": _unpack(error[..., :pairs], assets),
            "correlation": _unpack(correlation, assets),
            "correlation_standard_error": _unpack(error[..., pairs:], assets),
        }


def _sums(data: Array, weights: Array | None, exponential: bool, lead: tuple[int, ...]) -> dict[str, Float]:
    """Counts, means and sums of products of every tile, and the sums of its weights where there are any."""
    rows, assets, paths = data.shape
    tiles = tile_count(paths)
    means, products = np.empty((tiles, rows, assets)), np.empty((tiles, rows, assets * (assets + 1) // 2))
    masses = np.empty((tiles, rows))
    if weights is None:
        _tile_comoments(data, exponential, means, products)
    else:
        _tile_weighted_comoments(data, weights, exponential, masses, means, products)
    count = np.full(tiles, float(TILE))
    count[-1] = paths - (tiles - 1) * TILE
    sums = {
        "count": count,
        "mean": means.reshape(tiles, *lead, assets),
        "products": products.reshape(tiles, *lead, -1),
    }
    return sums if weights is None else sums | {"weight": masses.reshape(tiles, *lead)}
