"""Carry a backtest out: make its directory, compute its graph once, write results and report, rename it; and again."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from dask.local import get_sync

from riskops.cluster import Cluster
from riskops.errors import RiskopsError, StoreError
from riskops.history import backtest
from riskops.progress import Progress, tell
from riskops.run.backtest.figures import COLUMNS, backtest_figures
from riskops.run.backtest.job import BacktestJob
from riskops.run.backtest.memory import RunMemory, kept_tasks
from riskops.run.backtest.page import write_backtest_page
from riskops.run.backtest.plan import plan_backtest
from riskops.run.backtest.stages import LazyBacktest, forecasts_of, var_backtest
from riskops.run.directory import RunDirectory, canonical
from riskops.run.job import spec_hash
from riskops.run.lifecycle import (
    Finished,
    begun,
    check_same_versions,
    finish_run,
    held_bytes,
    resumed,
    stored_prices,
    text_of_results,
)
from riskops.run.manifest import manifest_head
from riskops.simulation.store import array_checksum

__all__ = ["compute_backtest", "execute_backtest", "recorded_backtest", "replayed_results", "resume_backtest"]

#: Days of forecasts, and simulations, of the small backtest that compiles the kernels.
_FEW, _FEW_DRAWS = 30, 99


def execute_backtest(
    job: BacktestJob,
    *,
    configuration: Mapping[str, Any],
    out: Path,
    cluster: Cluster,
    progress: Progress | None = None,
    html: bool = True,
    performance: bool = False,
) -> Path:
    """Run a backtest into a new directory; parameters and errors are those of :func:`riskops.execute`."""
    projected = plan_backtest(job, cluster=cluster, place=out.parent)
    run = RunDirectory(out)
    manifest = {
        **manifest_head(
            job=job.kind,
            what=job.record(),
            spec_hash=job.fingerprint(),
            how={"html": html},
            configuration=configuration,
            versions=cluster.versions(),
            root=str(out.parent),
        ),
        "plan": projected.record(),
        "seed": str(job.seed),
        "prices_sha256": job.prices.attrs["sha256"],
        "adjustments": list(job.prices.attrs.get("adjustments", [])),
    }
    run.check_free()
    with begun(run, manifest, prices=job.prices, check=partial(_check_seen, run, cluster)):
        _tell("begun", job, run)
        return _complete(job, run, manifest, cluster=cluster, progress=progress, performance=performance)


def resume_backtest(run: RunDirectory, *, cluster: Cluster, progress: Progress | None, break_lock: bool) -> Path:
    """Finish an interrupted backtest: what tasks forecast and kept is read back, the rest is computed."""
    manifest = run.manifest()
    with resumed(run, break_lock=break_lock):
        check_same_versions(run, manifest, cluster)
        job = recorded_backtest(run)
        plan_backtest(job, cluster=cluster, place=run.path.parent, held=held_bytes(run))
        _check_seen(run, cluster)
        _tell("resumed", job, run)
        return _complete(job, run, manifest, cluster=cluster, progress=progress)


def recorded_backtest(run: RunDirectory) -> BacktestJob:
    """The job that a run directory records, with its own prices; nothing outside the directory is read."""
    manifest = run.manifest()
    what, claimed = manifest.get("what", {}), str(manifest.get("spec_hash"))
    wrong = StoreError(f"{run.path}: the manifest's spec does not have the hash {claimed[:12]} that it claims")
    if spec_hash(what) != claimed:
        raise wrong
    job = BacktestJob.from_record(what, prices=stored_prices(run, sha256=what["prices_sha256"]))
    if job.fingerprint() != claimed:  # another version of riskops may read the same record as something else
        raise wrong
    return job


def replayed_results(run: RunDirectory, *, cluster: Cluster, progress: Progress | None) -> str:
    """The text of ``results.json`` as it comes out of the recorded job, computed again."""
    job = recorded_backtest(run)
    plan_backtest(job, cluster=cluster, place=run.path.parent)
    results, _ = compute_backtest(job, var_backtest(job), cluster=cluster, progress=progress)
    return text_of_results(results.attrs, backtest_figures(results))


def compute_backtest(
    job: BacktestJob, lazy: LazyBacktest, *, cluster: Cluster, progress: Progress | None
) -> tuple[xr.Dataset, dict[str, float]]:
    """Ask once for everything; the results, and the seconds that each method's fits took, which are no result."""
    parts = (lazy.forecasts, lazy.judged)
    # arrays, not datasets: Dask loses tasks that two datasets share when it is asked for both at once
    arrays = iter(cluster.compute(*(array.data for part in parts for array in part.values()), progress=progress))
    forecasts, judged = (
        part.assign({name: array.copy(data=next(arrays)) for name, array in part.items()}) for part in parts
    )
    taken = forecasts["fit_seconds"].sum(str(forecasts["fit_seconds"].dims[1]), skipna=False)
    # the ensemble fits nothing
    seconds = {
        str(method): round(float(taken[m]), 3) for m, method in enumerate(taken["method"].values) if taken[m] >= 0
    }
    forecasts = forecasts.drop_vars("fit_seconds")
    empty = [
        name for name in forecasts if str(name).endswith("_standard_error") and not np.isfinite(forecasts[name]).any()
    ]
    results = xr.merge([forecasts.drop_vars(empty), judged], compat="equals", join="outer", combine_attrs="drop")
    digests = {
        str(name): array_checksum(results[name].values)
        for name in forecasts
        if name in results and results[name].dtype.kind in "fb"
    }
    return results.assign_attrs(job.attrs() | {"forecasts_sha256": canonical(digests)}), seconds


def _complete(
    job: BacktestJob,
    run: RunDirectory,
    manifest: Mapping[str, Any],
    *,
    cluster: Cluster,
    progress: Progress | None,
    performance: bool = False,
) -> Path:
    started = time.perf_counter()
    _warm(job, cluster)
    found = kept_tasks(run)
    lazy = var_backtest(job, memory=RunMemory.of(run))
    with cluster.performance_report(run.partial / "performance.html") if performance else nullcontext():
        results, seconds = compute_backtest(job, lazy, cluster=cluster, progress=progress)
    done = Finished(
        results=results,
        figures=backtest_figures(results),
        checksums={},
        facts={"fit_seconds": seconds, "resumed_chunks": {"forecasts": found}},
        columns=COLUMNS,
    )
    page = partial(write_backtest_page, results, title=job.title) if manifest["how"]["html"] else None
    return finish_run(run, manifest, done, cluster=cluster, progress=progress, started=started, page=page)


def _warm(job: BacktestJob, cluster: Cluster) -> None:
    """Forecast and judge a few days of one series in this process, so that kernels are compiled before several workers
    would."""
    if cluster.client is None:
        return
    few = job.prices.isel(observation=slice(0, job.window + _FEW + 1))
    small = replace(
        job,
        prices=few,
        assets=job.assets[:1],
        weights={} if job.assets else job.weights,
        first=None,
        failures="nan",
    )
    try:
        forecasts = forecasts_of(small).compute(scheduler=get_sync)
        backtest(forecasts, tests=job.tests, simulations=min(job.simulations, _FEW_DRAWS), seed=job.seed)
    except RiskopsError:
        return


def _check_seen(run: RunDirectory, cluster: Cluster) -> None:
    """The workers keep what they forecast in the run's folder, so each must see it."""
    if cluster.client is None:
        return
    for worker, there in cluster.client.run(os.path.isdir, str(run.partial.absolute())).items():
        if not there:
            raise StoreError(f"store.root: worker {worker} does not see {run.path.absolute()}; use a shared folder")


def _tell(event: str, job: BacktestJob, run: RunDirectory) -> None:
    tell(event, run=run.path.name, directory=str(run.path), spec_hash=job.fingerprint())
