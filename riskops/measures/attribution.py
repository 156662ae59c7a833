"""Euler contributions of the assets to VaR and ES: a second pass that draws again only the paths that lie in a tail.

A draw is a pure function of its path number (contract C1), so once the tails are known their paths are made again from
the counters they share, four paths a counter, and nothing but sums over them is kept. The sums are plain float64 in
path order inside a tile and merge over the aligned tree of tiles, so they do not depend on the chunks (contract C2).
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
from dask.layers import ArrayValuesDep

from riskops.backend import to_host
from riskops.checks import check_levels, exact_level
from riskops.errors import InputError
from riskops.measures.grouped_attribution import (
    SUMS,
    add_group_sums,
    grouped_contributions,
    grouped_marks,
    tail_weight,
)
from riskops.measures.lazy import lazy_variables
from riskops.measures.tail_risk import put_figure, tail_reduction, with_errors
from riskops.reductions import (
    Z95,
    Groups,
    Reduction,
    combine_states,
    finalized,
    groups_of,
    interval_ranks,
    order_index,
    quantile_and_shortfall,
    reduce_paths,
)
from riskops.reductions.batches import replicate_tree
from riskops.reductions.tree import TileTree
from riskops.rng import TILE
from riskops.scalar import expm1_f32, expm1_f64, fma
from riskops.schema import validate
from riskops.simulation import PathJob

__all__ = ["contributions_from", "tail_contributions"]

QUARTER = TILE // 4
MEASURES = ("component_value_at_risk", "component_expected_shortfall")
Float = npt.NDArray[np.float64]


def _ranks(levels: Sequence[float], n: int) -> npt.NDArray[np.int64]:
    """For each level the positions in the descending tail: beyond VaR, and the first and last of VaR's 95 %
    interval."""
    rows = []
    for level in levels:
        low, high = interval_ranks(level, n)
        rows.append((n - order_index(level, n), n - high, n - low))
    return np.array(rows, dtype=np.int64)


def _boundary_weights(levels: Sequence[float], n: int) -> Float:
    """The weight of VaR's own order statistic in the exact ES: ``n (1 - level) - (n - k)``, in [0, 1)."""
    return np.array([float(n * (1 - exact_level(a)) - (n - order_index(a, n))) for a in levels])


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
def _add_contributions(  # type: ignore[no-untyped-def]
    weight, mean, squares, losses, tile, column, position, own, ranks, boundary
):
    """Take in the losses of the assets, path by path, each of its ``own`` weight: ``weight[tile, level, (ES, VaR)]``,
    the weighted ``mean[..., asset]`` and the sum of weighted ``squares[..., asset]`` of deviations (West 1979)."""
    for e in range(len(tile)):
        for level in range(len(boundary)):
            for kind in range(2):
                w = tail_weight(kind, position[e], own[e], ranks[level], boundary[level])
                if w > 0.0:
                    weight[tile[e], level, kind] += w
                    share = w / weight[tile[e], level, kind]
                    for a in range(len(losses)):
                        loss = losses[a, column[e]]
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
    """Sums of asset losses over the tail paths ``(portfolio, horizon, level, 4, asset)``, merged over the tree of
    tiles.

    ``chunk`` takes the tail itself, as ``loss`` and ``path`` ``(portfolio, horizon, keep)`` of the base scenario,
    and the range of paths that it is to look at. With ``groups``, or weights ``path_weight``, it also takes the marks
    of the tail (:func:`riskops.measures.grouped_attribution.grouped_marks`) and adds up what their errors need.
    """

    job: PathJob
    exposure: Float
    levels: tuple[float, ...]
    groups: Groups | None = None

    def __dask_tokenize__(self) -> object:
        groups = self.groups and self.groups.text
        return ("TailSums", self.job.__dask_tokenize__(), self.exposure.tobytes(), self.levels, groups)

    @property
    def variables(self) -> tuple[str, ...]:
        return ("path",)

    def chunk(self, block: Mapping[str, Any], *, first_path: int) -> TileTree:
        """The sums over the tail paths in ``[first_path, first_path + block["paths"])``, which are drawn again."""
        paths, stop = block["path"], first_path + int(block["paths"])
        rows, _ = np.divmod(np.arange(paths.size), paths.shape[-1])
        flat = paths.reshape(-1)
        inside = (flat >= first_path) & (flat < stop)
        order = np.lexsort((flat[inside], rows[inside]))
        row, path = rows[inside][order], flat[inside][order]
        position = (np.arange(paths.size) % paths.shape[-1])[inside][order]
        own = block["path_weight"].reshape(-1)[inside][order] if "path_weight" in block else np.ones(len(path))
        tiles = -(-(stop - first_path) // TILE)
        portfolios, horizons = paths.shape[:2]
        shape = (tiles, portfolios, horizons, len(self.levels), 2)
        wide = (*shape, len(self.job.spec.assets))
        leaves = {"weight": np.zeros(shape), "mean": np.zeros(wide), "squares": np.zeros(wide)}
        inner = self.groups is not None and self.groups.unit != "replicate"  # groups do not leave their tiles
        sums = dict(zip(SUMS, (np.zeros(shape), np.zeros(wide), np.zeros(wide)), strict=True)) if inner else {}
        n, groups, tile = self.job.spec.paths, self.groups, (path - first_path) // TILE
        plain = (_ranks(self.levels, n), _boundary_weights(self.levels, n)) if groups is None else None
        if len(path):
            growth, column = self._draw_again(path)
            returns = [_simple_returns(growth[0, h]) for h in range(horizons)]
            for p, h in np.ndindex(portfolios, horizons):
                losses = -self.exposure[p][:, None] * returns[h]
                marks = plain or (block["ranks"][p, h], block["boundary"][p, h])
                mine = np.flatnonzero(row == p * horizons + h)
                of = (each[mine] for each in (tile, column, position, own))
                _add_contributions(*(array[:, p, h] for array in leaves.values()), losses, *of, *marks)
                if groups is not None and inner:
                    group = groups.of(path)
                    mine = mine[np.argsort(group[mine], kind="stable")]
                    of = (each[mine] for each in (tile, group, column, position, own))
                    add_group_sums(*(array[:, p, h] for array in sums.values()), losses, *of, *marks)
        first = first_path // TILE
        if groups is None or inner:
            return TileTree.from_tiles(first, leaves | sums, _merge)
        leaves["sums"] = leaves["weight"][..., None] * leaves["mean"]
        return replicate_tree(first, leaves, groups.replicates, _merge, names=("weight", "sums"))

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


def tail_contributions(
    losses: xr.Dataset, *, job: PathJob, book: xr.Dataset, level: float | Sequence[float] = (0.95, 0.99)
) -> xr.Dataset:
    """Euler contributions of every asset to VaR and ES under the base scenario; lazy.

    Parameters
    ----------
    losses
        ``loss`` ``([scenario,] portfolio, horizon, path)`` of the job's paths, with ``loss_weight`` where they are
        weighted.
    job
        What the paths were made from (:func:`riskops.simulation.path_job`): tail paths are drawn again from it.
    book
        ``exposure`` ``(portfolio, asset)`` in money.
    level
        One or several confidence levels in (0, 1).

    Returns
    -------
    Dataset
        ``component_value_at_risk``, ``component_expected_shortfall`` ``(portfolio, horizon, level, asset)`` in money
        and ``component_value_at_risk_scale`` ``(portfolio, horizon, level)``, with ``_standard_error``, ``_low``,
        ``_high``.

    Raises
    ------
    InputError
        A level outside (0, 1), too few paths, or a loss horizon that the job does not hold.

    Notes
    -----
    ES: ``E[L_a | tail]`` with the weights of the exact ES, so the contributions sum to it; the error is that of the
    influence function ``(L_a - m_a) 1{L > VaR} / (1 - level) - (C_a - m_a)``. VaR: the mean asset loss ``m_a`` over the
    order statistics inside VaR's 95 % interval, times the reported scale, which makes them sum to VaR; the error
    joins the mean's own and ``m_a / VaR`` times the error of VaR. It shrinks as slowly as ``n^(-1/4)``, since the
    window does, and the scale means nothing where VaR is near zero. A NaN loss is an error. Where paths are weighted,
    or depend on each other (attribute ``independent``), every path counts by its weight, and the sums of the same
    influence functions over the independent groups give the errors.

    References
    ----------
    Tasche (2000), Risk contributions and performance measurement; Glasserman (2005), Measuring marginal risk
    contributions.

    Examples
    --------
    >>> import numpy as np
    >>> from riskops.models import GeometricBrownianMotion
    >>> from riskops.portfolio import portfolio_loss
    >>> from riskops.schema import variable
    >>> from riskops.simulation import SimulationSpec, path_job, paths_of
    >>> model = GeometricBrownianMotion(("A", "B"), np.zeros(2), np.array([0.2, 0.3]), np.eye(2))
    >>> job = path_job(SimulationSpec(model, paths=4096, seed=1), times=[1])
    >>> names = {"portfolio": ["p"], "asset": ["A", "B"]}
    >>> book = xr.Dataset({"exposure": variable("exposure", ("portfolio", "asset"), [[1.0, 1.0]], coords=names)})
    >>> losses = portfolio_loss(paths_of(job), book=book)
    >>> parts = tail_contributions(losses, job=job, book=book, level=0.95).compute()
    >>> 0.03 < float(parts["component_expected_shortfall"].sum()) < 0.06
    True
    """
    levels = check_levels("level", level)
    validate(losses, "loss")
    tail = reduce_paths(losses, tail_reduction(losses, level=levels))
    return contributions_from(tail, losses, job=job, book=book, level=levels)


def contributions_from(
    result: Any, losses: xr.Dataset, *, job: PathJob, book: xr.Dataset, level: Sequence[float], key: str | None = None
) -> xr.Dataset:
    """The same from a tail that a (fused) reduction has already found; ``key`` is its name in the fused reduction."""
    loss = losses["loss"]
    horizons = [float(h) for h in loss["horizon"].values]
    steps = job.spec.steps_of(horizons, name="horizon")
    if not set(steps) <= set(job.steps):
        raise InputError(f"horizon: {horizons} are not all among the times of the job")
    assets = list(job.spec.assets)
    exposure = np.ascontiguousarray(book["exposure"].sel(asset=assets, portfolio=loss["portfolio"].values).values)
    base = job.select(job.scenarios[:1], steps)
    groups = groups_of(losses.attrs)
    plain = groups.unit == "path" and "loss_weight" not in losses
    sums = TailSums(base, exposure, tuple(level), None if plain else groups)
    tail = da.map_blocks(
        _base_tail,
        result,
        scenario="scenario" in loss.dims,
        key=key,
        sums=sums,
        dtype=object,
        meta=np.empty((), object),
        name=f"base-tail-{tokenize(result.name, key, sums)}",
    )
    sizes = loss.data.chunks[-1]
    starts = np.concatenate([[0], np.cumsum(sizes[:-1], dtype=np.int64)])
    states = da.blockwise(
        _chunk_sums,
        ("chunk",),
        tail,
        (),
        ArrayValuesDep((sizes,), starts),
        ("chunk",),
        ArrayValuesDep((sizes,), np.asarray(sizes)),
        ("chunk",),
        reduction=sums,
        adjust_chunks={"chunk": 1},
        align_arrays=False,
        dtype=object,
        meta=np.empty((0,), object),
        name=f"attribute-{tokenize(tail.name, sums, sizes)}",
    )
    total = finalized(combine_states(states, sums, name="attribute"), sums)
    lead, full = ("portfolio", "horizon", "level"), ("portfolio", "horizon", "level", "asset")
    return lazy_variables(
        da.map_blocks(_join, total, tail, dtype=object, meta=np.empty((), object), name=f"join-{tokenize(total.name)}"),
        contribution_figures,
        outputs=dict.fromkeys(with_errors(MEASURES), full) | {"component_value_at_risk_scale": lead},
        coords={"portfolio": loss["portfolio"], "horizon": loss["horizon"], "level": list(level), "asset": assets},
        sizes={"portfolio": len(exposure), "horizon": len(horizons), "level": len(level), "asset": len(assets)},
        stage="contributions",
        levels=tuple(level),
        groups=None if plain else groups.text,
    )


def _box(value: Any, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    boxed = np.empty(shape, object)
    boxed[(0,) * len(shape)] = value
    return boxed


def _base_tail(result: npt.NDArray[Any], scenario: bool, key: str | None, sums: TailSums) -> npt.NDArray[Any]:
    tail = result.item() if key is None else result.item()[key]
    first = 0 if scenario else slice(None)
    base = {"loss": tail["loss"][first], "path": tail["path"][first], "paths": int(tail["paths"])}
    if "weight" in tail:
        base["path_weight"] = tail["weight"][first]
    return _box(base if sums.groups is None else base | grouped_marks(base, levels=sums.levels, groups=sums.groups), ())


def _chunk_sums(tail: npt.NDArray[Any], first_path: Any, size: Any, reduction: TailSums) -> npt.NDArray[Any]:
    block = tail.item() | {"paths": int(size)}
    return _box(reduction.chunk(block, first_path=int(first_path)), (1,))


def _join(total: npt.NDArray[Any], tail: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return _box(total.item() | tail.item(), ())


def contribution_figures(
    result: Mapping[str, Any], *, levels: Sequence[float], groups: str | None = None
) -> dict[str, Float]:
    """Contributions and their errors from the sums: plain arithmetic, no graph."""
    if groups is not None:
        return grouped_contributions(result, levels=levels, groups=Groups.from_text(groups), measures=MEASURES)
    weight, mean, squares = result["weight"], result["mean"], result["squares"]
    losses, n = result["loss"], int(result["paths"])
    portfolios, horizons = losses.shape[:2]
    shape = (portfolios, horizons, len(levels))
    out = {name: np.empty((*shape, mean.shape[-1])) for name in with_errors(MEASURES)}
    scales = np.empty(shape)
    ranks = _ranks(levels, n)
    for p, h, c in np.ndindex(*shape):
        mass = float(1 - exact_level(levels[c]))
        var, _ = quantile_and_shortfall(losses[p, h], levels[c], n)
        var_error = float(losses[p, h, ranks[c, 1]] - losses[p, h, ranks[c, 2]]) / (2 * Z95)
        (tail_weight, count), (tail, near) = weight[p, h, c], mean[p, h, c]
        tail_squares, window_squares = squares[p, h, c]
        total = math.fsum(near.tolist())
        scale = var / total if total != 0.0 else float("nan")
        scales[p, h, c] = scale
        share = near * (var_error / var) if var != 0.0 else np.full_like(near, np.nan)
        component = near * scale
        error = np.abs(scale) * np.sqrt(window_squares / count / count + share * share)
        put_figure(out, MEASURES[0], (p, h, c), component, error, component - Z95 * error, component + Z95 * error)
        component = tail * (tail_weight / (n * mass))
        # the influence function's second moment, about its mean of zero: within the tail, and of the tail against
        # the rest
        spread = tail_squares / (n * mass * mass) + (component - near) ** 2 * (1.0 / mass - 1.0)
        error = np.sqrt(spread / n)
        put_figure(out, MEASURES[1], (p, h, c), component, error, component - Z95 * error, component + Z95 * error)
    return out | {"component_value_at_risk_scale": scales}
