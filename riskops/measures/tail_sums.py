"""The sums that contributions to VaR and ES are made from: over the tail paths of a chunk, which are drawn again.

A draw is a pure function of its path number (contract C1), so once it is known which paths lie in a tail they are made
again from the counters they share, four paths a counter, and nothing but sums over them is kept. The sums are plain
float64 in path order inside a tile and merge over the aligned tree of tiles, so they do not depend on the chunks
(contract C2).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from riskops.backend import to_host
from riskops.errors import InputError
from riskops.measures.grouped_attribution import SUMS, add_group_sums
from riskops.measures.tail_shares import shares_of_chunk
from riskops.reductions import Groups, Reduction
from riskops.reductions.batches import LEAF_NUMBERS, replicate_tree
from riskops.reductions.tree import TileTree
from riskops.rng import TILE
from riskops.scalar import expm1_f32, expm1_f64, fma
from riskops.simulation import PathJob

__all__ = ["TailSums"]

QUARTER = TILE // 4
Float = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _returns_f32(growth, out):  # type: ignore[no-untyped-def]
    for a in range(growth.shape[0]):
        for i in range(growth.shape[1]):
            out[a, i] = expm1_f32(growth[a, i])


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _returns_f64(growth, out):  # type: ignore[no-untyped-def]
    for a in range(growth.shape[0]):
        for i in range(growth.shape[1]):
            out[a, i] = expm1_f64(growth[a, i])


def _simple_returns(growth: npt.NDArray[Any]) -> Float:
    """expm1 in the precision of the growth, then float64: what portfolio_loss takes."""
    out = np.empty(growth.shape)
    kernel = _returns_f32 if growth.dtype == np.float32 else _returns_f64
    kernel(growth, out)
    return out


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _add_contributions(weight, mean, squares, losses, tile, shares):  # type: ignore[no-untyped-def]
    """Take in the losses of the assets, path by path, each by its share: ``weight[tile, level, (ES, VaR)]``, the
    weighted ``mean[..., asset]`` and the sum of weighted ``squares[..., asset]`` of deviations (West 1979)."""
    for e in range(len(tile)):
        for level in range(shares.shape[1]):
            for kind in range(2):
                w = shares[e, level, kind]
                if w > 0.0:
                    weight[tile[e], level, kind] += w
                    share = w / weight[tile[e], level, kind]
                    for a in range(len(losses)):
                        loss = losses[a, e]
                        before = mean[tile[e], level, kind, a]
                        after = fma(share, loss - before, before)
                        mean[tile[e], level, kind, a] = after
                        squares[tile[e], level, kind, a] = fma(
                            w * (loss - before), loss - after, squares[tile[e], level, kind, a]
                        )


def _merge(left: Mapping[str, Any], right: Mapping[str, Any]) -> dict[str, Any]:
    """Weights, means and sums of squares of two runs of tiles together (Chan, Golub and LeVeque 1979)."""
    weight = left["weight"] + right["weight"]
    share = right["weight"] / np.where(weight > 0.0, weight, 1.0)
    step = right["mean"] - left["mean"]
    between = (left["weight"] * share)[..., None] * step * step
    merged = {
        "weight": weight,
        "mean": left["mean"] + share[..., None] * step,
        "squares": left["squares"] + right["squares"] + between,
    }
    return {name: left[name] + right[name] for name in left if name not in merged} | merged


@dataclass(frozen=True, eq=False)
class TailSums(Reduction):
    """Sums of asset losses over the tail paths ``(portfolio, horizon, level, (ES, VaR), asset)``, merged over the tree
    of tiles.

    ``chunk`` takes either ``shares``, by row ``(portfolio, horizon)`` the tail's paths and what they count, with the
    number of ``paths`` to look at; or the chunk's own losses with the ``cuts`` that a first pass has found in them.
    With ``groups`` it also adds up what the errors of dependent or weighted paths need.
    """

    job: PathJob
    exposure: Float
    levels: tuple[float, ...]
    groups: Groups | None = None
    weighted: bool = False

    def __dask_tokenize__(self) -> object:
        groups = self.groups and self.groups.text
        return ("TailSums", self.job.__dask_tokenize__(), self.exposure.tobytes(), self.levels, groups, self.weighted)

    @property
    def variables(self) -> tuple[str, ...]:
        return ("loss", "loss_weight") if self.weighted else ("loss",)

    @property
    def rows(self) -> tuple[int, int]:
        """The numbers of portfolios and of horizons."""
        return len(self.exposure), len(self.job.steps)

    def chunk(self, block: Mapping[str, Any], *, first_path: int) -> TileTree:
        """The sums over the tail paths of a chunk, which are drawn again."""
        if "cuts" in block:
            found, paths = self._cut(block, first_path), block["loss"].shape[-1]
        else:
            paths = int(block["paths"])
            found = []
            for path, shares in block["shares"]:
                which = slice(*np.searchsorted(path, (first_path, first_path + paths)))
                found.append((path[which], shares[which]))
        drawn = np.unique(np.concatenate([path for path, _ in found]))
        growth, columns = self._draw_again(drawn) if len(drawn) else (None, drawn)
        tiles = -(-paths // TILE)
        portfolios, horizons = self.rows
        numbers = portfolios * horizons * len(self.levels) * 2 * len(self.job.spec.assets)
        stretch = max(1, LEAF_NUMBERS // numbers)
        trees = []
        for start in range(0, tiles, stretch):
            stop = min(start + stretch, tiles)
            bounds = (first_path + start * TILE, first_path + stop * TILE)
            part = [(path[which], shares[which]) for path, shares, which in _between(found, *bounds)]
            trees.append(self._tree(part, bounds[0] // TILE, stop - start, growth, drawn, columns))
        return TileTree.join(trees, _merge)

    def _cut(self, block: Mapping[str, Any], first_path: int) -> list[tuple[Whole, Float]]:
        """The tail paths of a chunk and what they count, by row, from its losses."""
        losses = block["loss"][0] if block["loss"].ndim == 4 else block["loss"]
        paths = np.arange(first_path, first_path + losses.shape[-1])
        found = []
        for (p, h), cuts in zip(np.ndindex(*self.rows), block["cuts"], strict=True):
            if cuts is None:
                raise InputError("loss: contributions need paths that are independent draws, these are in some order")
            weights = block["loss_weight"][h] if self.weighted else None
            found.append(shares_of_chunk(losses[p, h], paths, weights, cuts))
        return found

    def _tree(
        self,
        found: list[tuple[Whole, Float]],
        first_tile: int,
        tiles: int,
        growth: Any,
        drawn: Whole,
        columns: Whole,
    ) -> TileTree:
        """The tree of a stretch of tiles."""
        shape = (tiles, *self.rows, len(self.levels), 2)
        wide = (*shape, len(self.job.spec.assets))
        leaves = {"weight": np.zeros(shape), "mean": np.zeros(wide), "squares": np.zeros(wide)}
        inner = self.groups is not None and self.groups.unit != "replicate"  # groups do not leave their tiles
        sums = dict(zip(SUMS, (np.zeros(shape), np.zeros(wide), np.zeros(wide)), strict=True)) if inner else {}
        for (p, h), (path, shares) in zip(np.ndindex(*self.rows), found, strict=True):
            if not len(path):
                continue
            place = columns[np.searchsorted(drawn, path)]
            losses = -self.exposure[p][:, None] * _simple_returns(np.ascontiguousarray(growth[0, h][:, place]))
            tile = path // TILE - first_tile
            _add_contributions(*(array[:, p, h] for array in leaves.values()), losses, tile, shares)
            if self.groups is not None and inner:
                group = self.groups.of(path)
                order = np.argsort(group, kind="stable")
                of = (np.ascontiguousarray(losses[:, order]), tile[order], group[order], shares[order])
                add_group_sums(*(array[:, p, h] for array in sums.values()), *of)
        if self.groups is None or inner:
            return TileTree.from_tiles(first_tile, leaves | sums, _merge)
        leaves["sums"] = leaves["weight"][..., None] * leaves["mean"]
        return replicate_tree(first_tile, leaves, self.groups.replicates, _merge, names=("weight", "sums"))

    def _draw_again(self, path: npt.NDArray[np.int64]) -> tuple[Any, npt.NDArray[np.int64]]:
        """Log growth of the counters that these paths share, and the column in which each path stands."""
        counter = path // TILE * QUARTER + path % QUARTER
        used, place = np.unique(counter, return_inverse=True)
        if self.job.spec.sampling.whole_tiles:
            used = (np.unique(path // TILE)[:, None] * QUARTER + np.arange(QUARTER)).reshape(-1)
            place = np.searchsorted(used, counter)
        padded = np.concatenate([used, np.repeat(used[-1:], -len(used) % QUARTER)]).astype(np.uint32)
        lane = path % TILE // QUARTER
        column = place // QUARTER * TILE + lane * QUARTER + place % QUARTER
        growth = to_host(self.job.block(padded, 4 * len(padded)))
        return growth[:, :, : len(self.job.spec.assets)], column

    def combine(self, states: Sequence[TileTree]) -> TileTree:
        return TileTree.join(states, _merge)

    def finalize(self, state: TileTree) -> dict[str, Any]:
        return state.fold(_merge)


def _between(found: Sequence[tuple[Whole, Float]], start: int, stop: int) -> Iterator[tuple[Whole, Float, slice]]:
    for path, shares in found:
        yield path, shares, slice(*np.searchsorted(path, (start, stop)))
