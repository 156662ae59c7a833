"""The way of the data, as one lazy graph: paths -> losses -> reductions -> measures, every chunk drawn once a pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dask.array as da
import xarray as xr

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
from riskops.reductions import chunk_states, combine_states, finalized, fuse, reduce_paths
from riskops.run.job import RiskJob
from riskops.run.recorder import Recorder
from riskops.scenarios import stress_losses
from riskops.simulation import paths_of

__all__ = ["LazyResults", "market_risk", "results_of"]


@dataclass(frozen=True)
class LazyResults:
    """What one call of ``compute`` has to make: the measures, the fused summary of the losses, and the stored
    digests."""

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
    if recorder is not None and job.store_paths:
        paths = _keep(recorder, paths, "log_growth", "likelihood_ratio")
    losses = portfolio_loss(paths, book=job.book, horizons=job.horizons)
    if recorder is not None and job.store_losses:
        losses = _keep(recorder, losses, "loss", "loss_weight")

    tail = tail_reduction(losses, level=job.levels, controlled=job.controlled)
    moments, histogram = moments_reduction(losses), histogram_reduction(losses)
    summary = reduce_paths(losses, fuse(tail=tail, moments=moments, histogram=histogram))
    tails = tail_risk_from(summary, losses, level=job.levels, key="tail")
    if job.controlled:  # changes under stress stay those of the plain draws, whose paths they match
        tails = tails.assign(controlled_tail_risk(summary, losses, job=job.paths, book=job.book, level=job.levels))
    parts = [tails, moments_from(summary, losses, key="moments")]
    if job.dependence:
        parts.append(_dependence(paths, recorder))
    if job.contributions:
        parts.append(contributions_from(summary, losses, job=job.paths, book=job.book, level=job.levels, key="tail"))
    measures = xr.merge(parts, compat="equals", join="exact")
    return LazyResults(measures, summary, {} if recorder is None else dict(recorder.digests))


def _dependence(paths: xr.Dataset, recorder: Recorder | None) -> xr.Dataset:
    """Covariances and correlations, whose states are written beside the run: the paths themselves may not be stored."""
    growth = base_growth(paths)
    comoments = comoments_reduction(growth)
    states = chunk_states(growth, comoments, name="reduce-returns")
    if recorder is not None:
        states = recorder.checkpoint(states, "returns")
    return dependence_from(finalized(combine_states(states, comoments), comoments), growth)


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
