"""Euler contributions of the assets to VaR and ES: a second pass that draws again only the paths that lie in a tail.

Which paths those are comes from a tail that was kept whole or, where it would be too large, from the losses themselves,
read or drawn once more; see :mod:`riskops.measures.tail_passes`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr
from dask.base import tokenize
from dask.layers import ArrayValuesDep

from riskops.checks import check_levels, exact_level
from riskops.errors import InputError
from riskops.measures.found_tail import worst_of
from riskops.measures.grouped_attribution import grouped_contributions
from riskops.measures.lazy import lazy_variables
from riskops.measures.tail_passes import Again, find_tail, found_tail, is_plain, lazy_marks, second_pass, tail_reduction
from riskops.measures.tail_risk import figures_of, put_figure, with_errors
from riskops.measures.tail_shares import shares_of_tail
from riskops.measures.tail_sums import TailSums
from riskops.reductions import Z95, Groups, boxed, combine_states, finalized, groups_of, reduce_paths
from riskops.schema import validate
from riskops.simulation import PathJob

__all__ = ["contributions_from", "tail_contributions"]

MEASURES = ("component_value_at_risk", "component_expected_shortfall")
Float = npt.NDArray[np.float64]


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
    result: Any,
    losses: xr.Dataset,
    *,
    job: PathJob,
    book: xr.Dataset,
    level: Sequence[float],
    key: str | None = None,
    again: Again | None = None,
) -> xr.Dataset:
    """The same from a tail that a (fused) reduction has already found; ``key`` is its name in the fused reduction, and
    ``again`` gives the losses once more where one pass over them does not suffice."""
    loss = losses["loss"]
    horizons = [float(h) for h in loss["horizon"].values]
    steps = job.spec.steps_of(horizons, name="horizon")
    if not set(steps) <= set(job.steps):
        raise InputError(f"horizon: {horizons} are not all among the times of the job")
    assets = list(job.spec.assets)
    exposure = np.ascontiguousarray(book["exposure"].sel(asset=assets, portfolio=loss["portfolio"].values).values)
    base = job.select(job.scenarios[:1], steps)
    groups = groups_of(losses.attrs)
    plain = is_plain(losses)
    sums = TailSums(base, exposure, tuple(level), None if plain else groups, "loss_weight" in losses)
    found = find_tail(result, losses, level=level, key=key, again=again)
    if found is result:
        total = _sums_of_whole(result, losses, sums, key=key)
    else:
        marks = lazy_marks(result, losses, level=level, key=key)
        total = second_pass(marks, losses, sums, again=again, name="attribute")
    lead, full = ("portfolio", "horizon", "level"), ("portfolio", "horizon", "level", "asset")
    return lazy_variables(
        da.map_blocks(
            _join, total, found, dtype=object, meta=np.empty((), object), name=f"join-{tokenize(total.name)}"
        ),
        contribution_figures,
        outputs=dict.fromkeys(with_errors(MEASURES), full) | {"component_value_at_risk_scale": lead},
        coords={"portfolio": loss["portfolio"], "horizon": loss["horizon"], "level": list(level), "asset": assets},
        sizes={"portfolio": len(exposure), "horizon": len(horizons), "level": len(level), "asset": len(assets)},
        stage="contributions",
        levels=tuple(level),
        groups=groups.text,
        plain=plain,
        stressed="scenario" in loss.dims,
        key=key,
    )


def _sums_of_whole(result: da.Array, losses: xr.Dataset, sums: TailSums, *, key: str | None) -> da.Array:
    """The sums over a tail that was kept whole; its paths are drawn again chunk by chunk."""
    shares = da.map_blocks(
        _base_shares,
        result,
        stressed="scenario" in losses["loss"].dims,
        key=key,
        levels=sums.levels,
        dtype=object,
        meta=np.empty((), object),
        name=f"base-tail-{tokenize(result.name, key, sums)}",
    )
    sizes = losses["loss"].data.chunks[-1]
    starts = np.concatenate([[0], np.cumsum(sizes[:-1], dtype=np.int64)])
    states = da.blockwise(
        _chunk_sums,
        ("chunk",),
        shares,
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
        name=f"attribute-{tokenize(shares.name, sums, sizes)}",
    )
    return finalized(combine_states(states, sums, name="attribute"), sums)


def _base_shares(
    result: npt.NDArray[Any], stressed: bool, key: str | None, levels: Sequence[float]
) -> npt.NDArray[Any]:
    tail = result.item() if key is None else result.item()[key]
    rows = tail["loss"].shape[1:-1] if stressed else tail["loss"].shape[:-1]
    places = [((0, *row) if stressed else row) for row in np.ndindex(*rows)]
    return boxed({"shares": [shares_of_tail(worst_of(tail, at), levels, int(tail["paths"])) for at in places]})


def _chunk_sums(shares: npt.NDArray[Any], first_path: Any, size: Any, reduction: TailSums) -> npt.NDArray[Any]:
    return boxed(reduction.chunk(shares.item() | {"paths": int(size)}, first_path=int(first_path)), (1,))


def _join(total: npt.NDArray[Any], found: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return boxed({"sums": total.item(), "found": found.item()})


def contribution_figures(
    result: Mapping[str, Any],
    *,
    levels: Sequence[float],
    groups: str = "path",
    plain: bool = True,
    stressed: bool = False,
    key: str | None = None,
) -> dict[str, Float]:
    """Contributions and their errors from the sums ``sums`` and the tail ``found``: plain arithmetic, no graph."""
    tail = found_tail(result["found"], key=key, levels=levels, groups=groups, plain=plain, stressed=stressed)
    base = figures_of(tail.base() if stressed else tail, levels=levels, stressed=False, groups=groups)
    if not plain:
        return grouped_contributions(
            result["sums"], base, levels=levels, n=tail.paths, groups=Groups.from_text(groups), measures=MEASURES
        )
    n = tail.paths
    weight, mean, squares = (result["sums"][name] for name in ("weight", "mean", "squares"))
    shape = weight.shape[:-1]
    out = {name: np.empty((*shape, mean.shape[-1])) for name in with_errors(MEASURES)}
    scales = np.empty(shape)
    for at in np.ndindex(*shape):
        mass = float(1 - exact_level(levels[at[-1]]))
        var, var_error = (float(base[name][at]) for name in ("value_at_risk", "value_at_risk_standard_error"))
        (tail_weight, count), (inside, near) = weight[at], mean[at]
        tail_squares, window_squares = squares[at]
        total = math.fsum(near.tolist())
        scale = var / total if total != 0.0 else float("nan")
        scales[at] = scale
        share = near * (var_error / var) if var != 0.0 else np.full_like(near, np.nan)
        component = near * scale
        error = np.abs(scale) * np.sqrt(window_squares / count / count + share * share)
        put_figure(out, MEASURES[0], at, component, error, component - Z95 * error, component + Z95 * error)
        component = inside * (tail_weight / (n * mass))
        # the influence function's second moment, about its mean of zero: within the tail, and of the tail against
        # the rest
        spread = tail_squares / (n * mass * mass) + (component - near) ** 2 * (1.0 / mass - 1.0)
        error = np.sqrt(spread / n)
        put_figure(out, MEASURES[1], at, component, error, component - Z95 * error, component + Z95 * error)
    return out | {"component_value_at_risk_scale": scales}
