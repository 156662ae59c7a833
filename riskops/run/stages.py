"""The way of the data, as one lazy graph: paths -> losses -> reductions -> measures, every chunk drawn once a pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr
from dask.base import tokenize

from riskops.history import historical_value_at_risk
from riskops.measures import (
    base_growth,
    comoments_reduction,
    contributions_from,
    controlled_tail_risk,
    dependence_from,
    histogram_dataset,
    histogram_reduction,
    moments_from,
    moments_reduction,
    tail_reduction,
    tail_risk_from,
)
from riskops.portfolio import portfolio_loss
from riskops.reductions import boxed, chunk_states, combine_states, finalized, fuse, reduce_paths
from riskops.run.job import RiskJob
from riskops.run.recorder import Recorder
from riskops.scenarios import stress_losses
from riskops.simulation import paths_of

__all__ = ["LazyResults", "market_risk", "results_of"]


@dataclass(frozen=True)
class LazyResults:
    """What one call of ``compute`` has to make: the measures, the histogram of the losses, and the stored digests."""

    measures: xr.Dataset
    summary: da.Array
    digests: Mapping[str, da.Array]


def market_risk(job: RiskJob, *, recorder: Recorder | None = None) -> LazyResults:
    """Build the graph of a run; nothing is computed.

    Parameters
    ----------
    job
        What to compute.
    recorder
        Stores losses (and paths) as they are made and spares what is stored already; None stores nothing.

    Returns
    -------
    LazyResults
        The lazy measures, named as in ``riskops.schema``, the summary and the digests of what is stored.

    Raises
    ------
    StoreError
        The partial run that is resumed holds arrays of another shape.

    Examples
    --------
    >>> from riskops.run.example import small_job
    >>> lazy = market_risk(small_job())
    >>> 10.0 < float(lazy.measures["value_at_risk"].sel(scenario="base").squeeze()) < 40.0
    True
    """
    paths = paths_of(job.paths)
    if job.source is not None:
        paths = job.source.paths(paths, shifts=job.paths.output_shift)
    if recorder is not None and job.store_paths:
        paths = _keep(recorder, paths, "log_growth", "likelihood_ratio")
    losses = portfolio_loss(paths, book=job.book, horizons=job.horizons)
    if job.source is not None:
        losses = job.source.losses(losses)
    if recorder is not None and job.store_losses:
        losses = _keep(recorder, losses, "loss", "loss_weight")

    again = None if recorder is None or not job.store_losses else partial(_read_again, recorder, losses)
    tail = tail_reduction(losses, level=job.levels, controlled=job.controlled)
    moments, histogram = moments_reduction(losses), histogram_reduction(losses)
    summary = reduce_paths(losses, fuse(tail=tail, moments=moments, histogram=histogram))
    options: dict[str, Any] = {"level": job.levels, "again": again}
    tails = tail_risk_from(summary, losses, key="tail", **options)
    if job.controlled:  # changes under stress stay those of the plain draws, whose paths they match
        tails = tails.assign(controlled_tail_risk(summary, losses, job=job.paths, book=job.book, **options))
    parts = [tails, moments_from(summary, losses, key="moments")]
    if job.dependence:
        parts.append(_dependence(job, paths, recorder))
    if job.contributions:
        parts.append(contributions_from(summary, losses, job=job.paths, book=job.book, key="tail", **options))
    measures = xr.merge(parts, compat="equals", join="exact")
    return LazyResults(measures, _histogram_of(summary), {} if recorder is None else dict(recorder.digests))


def _histogram_of(summary: da.Array) -> da.Array:
    """The part of the summary that the results take as it is: the tails stay with the workers."""
    name = f"pick-histogram-{tokenize(summary.name)}"
    return da.map_blocks(_pick_histogram, summary, dtype=object, meta=np.empty((), object), name=name)


def _pick_histogram(summary: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return boxed({"histogram": summary.item()["histogram"]})


def _read_again(recorder: Recorder, losses: xr.Dataset, after: da.Array) -> xr.Dataset:
    """The losses from the store, once ``after`` is computed."""
    stored = [name for name in ("loss", "loss_weight") if name in losses]
    return losses.assign({name: losses[name].copy(data=recorder.again(name, after=after)) for name in stored})


def _dependence(job: RiskJob, paths: xr.Dataset, recorder: Recorder | None) -> xr.Dataset:
    """Covariances and correlations, whose states are written beside the run: the paths themselves may not be stored."""
    growth = base_growth(paths, horizons=None if job.times == job.horizons else job.horizons)
    comoments = comoments_reduction(growth)
    states = chunk_states(growth, comoments, name="reduce-returns")
    taken = job.source if job.source is not None and job.source.dependence else None
    if recorder is not None and taken is None:
        states = recorder.checkpoint(states, "returns")
    figures = dependence_from(finalized(combine_states(states, comoments), comoments), growth)
    return figures if taken is None else taken.dependence_figures(figures)


def _keep(recorder: Recorder, ds: xr.Dataset, *names: str) -> xr.Dataset:
    """Store those of the arrays that the dataset has: what is read back needs its weights as well."""
    for name in names:
        if name in ds:
            ds = recorder.keep(ds, name)
    return ds


def results_of(job: RiskJob, measures: xr.Dataset, summary: Any) -> xr.Dataset:
    """Join the computed measures with what needs no paths: the histogram, historical simulation and stress losses."""
    reached = {} if job.target is None else {"target": job.target.outcome(measures)}
    lead = measures[["mean_loss"]].coords.to_dataset()[["scenario", "portfolio", "horizon"]]
    parts = [
        measures,
        histogram_dataset(summary, lead, key="histogram"),
        stress_losses(job.book, scenarios=job.scenarios, prices=job.prices),
        job.book,
    ]
    if job.historical:
        parts.append(
            historical_value_at_risk(
                job.prices, book=job.book, level=job.levels, horizons=job.horizons, window=job.window
            )
        )
    return (
        xr.merge(parts, compat="equals", join="exact", combine_attrs="override")
        .drop_attrs(deep=False)
        .assign_attrs(job.attrs() | reached)
    )
