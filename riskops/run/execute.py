"""Carry a run out: plan it, make its directory, compute its graph once, write results and manifest, rename it."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import xarray as xr

from riskops.cluster import Cluster
from riskops.errors import PlanError, StoreError
from riskops.progress import Progress
from riskops.report import figures
from riskops.run.backtest import BacktestJob, execute_backtest, resume_backtest
from riskops.run.device import describe_device, settle_device
from riskops.run.directory import MANIFEST, RunDirectory, check_kind, job_kind
from riskops.run.elsewhere import place_elsewhere
from riskops.run.job import RiskJob, spec_hash
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
from riskops.run.manifest import first_manifest
from riskops.run.page import write_page
from riskops.run.planning import cut_job, plan_job
from riskops.run.recorder import Recorder
from riskops.run.stages import LazyResults, market_risk, results_of
from riskops.run.target import next_batch
from riskops.run.warm import warm_kernels
from riskops.run.watch import expect, tell_begun
from riskops.simulation.fallbacks import clear_fallbacks, collect_fallbacks
from riskops.simulation.location import Remote
from riskops.simulation.store import checksum

__all__ = ["compute_results", "execute", "recorded_job", "results_text", "resume"]


def execute(
    job: RiskJob | BacktestJob,
    *,
    configuration: Mapping[str, Any],
    out: Path,
    cluster: Cluster,
    progress: Progress | None = None,
    html: bool = True,
    performance: bool = False,
) -> Path:
    """Run a job into a new directory.

    Parameters
    ----------
    job
        What to compute.
    configuration
        The resolved configuration, recorded as it is.
    out
        The run directory; it must not exist.
    cluster
        Where to compute.
    progress
        Shows how far the work is.
    html
        Whether to write ``report.html``.
    performance
        Whether to save Dask's performance report as ``performance.html``.

    Returns
    -------
    Path
        The finished run directory.

    Raises
    ------
    PlanError
        The run does not fit.
    StoreError
        The directory exists or can't be written; what was computed by then stays in ``<out>.partial``.

    Examples
    --------
    >>> import tempfile
    >>> from riskops.cluster import open_cluster
    >>> from riskops.run.example import small_job
    >>> with tempfile.TemporaryDirectory() as folder, open_cluster("synchronous") as cluster:
    ...     run = execute(small_job(), configuration={}, out=Path(folder, "first"), cluster=cluster, html=False)
    ...     sorted(path.name for path in run.iterdir())
    ['configuration.json', 'figures.csv', 'manifest.json', 'results.json', 'results.zarr']
    """
    if isinstance(job, BacktestJob):
        return execute_backtest(
            job,
            configuration=configuration,
            out=out,
            cluster=cluster,
            progress=progress,
            html=html,
            performance=performance,
        )
    job, projected = cut_job(job, cluster=cluster, place=out.parent)
    wanted = job.device
    job, choice = settle_device(job, cluster=cluster)
    run = RunDirectory(out)
    manifest = first_manifest(
        job,
        configuration=configuration,
        projected=projected,
        html=html,
        root=str(out.parent),
        versions=cluster.versions(),
        device=describe_device(choice, wanted=wanted, cluster=cluster),
    )
    run.check_free()
    manifest["how"]["store_url"] = place_elsewhere(job.store_url, run, cluster)
    with begun(run, manifest, prices=job.prices, check=partial(_check_seen, job, run, cluster)):
        tell_begun(job, run)
        return _complete(job, run, manifest, cluster=cluster, progress=progress, performance=performance)


def resume(run: RunDirectory, *, cluster: Cluster, progress: Progress | None = None, break_lock: bool = False) -> Path:
    """Finish an interrupted run: compute what is missing, verify what is there, and end in the same bytes.

    Parameters
    ----------
    run
        A partial run.
    cluster
        Where to compute; it need not be the kind that began the run.
    progress
        Shows how far the work is.
    break_lock
        Take the run from another process that is said to work on it.

    Returns
    -------
    Path
        The finished run directory.

    Raises
    ------
    StoreError
        The run is complete already, another process works on it, or what it holds is not what its manifest says.

    Examples
    --------
    >>> from riskops.cluster import open_cluster
    >>> with open_cluster("synchronous") as cluster:
    ...     resume(RunDirectory(Path("nowhere")), cluster=cluster)
    Traceback (most recent call last):
    riskops.errors.StoreError: nowhere: is no run directory, manifest.json is missing
    """
    if run.complete:
        raise StoreError(f"{run.path}: the run is complete, there is nothing to resume")
    manifest = run.manifest()
    if job_kind(manifest) == BacktestJob.kind:
        return resume_backtest(run, cluster=cluster, progress=progress, break_lock=break_lock)
    with resumed(run, break_lock=break_lock):
        check_same_versions(run, manifest, cluster)
        job = recorded_job(run)
        plan_job(job, cluster=cluster, place=run.path.parent, held=held_bytes(run))
        job, _ = settle_device(job, cluster=cluster)
        _check_seen(job, run, cluster)
        tell_begun(job, run, event="resumed")
        return _complete(job, run, manifest, cluster=cluster, progress=progress)


def _check_seen(job: RiskJob, run: RunDirectory, cluster: Cluster) -> None:
    """The workers write the chunks, and read those of an analysed run, so each must see the directories."""
    if cluster.client is None or isinstance(run.arrays, Remote):
        return
    for one in (run, *([] if job.source is None else [RunDirectory(Path(job.source.run))])):
        seen = cluster.client.run(os.path.isdir, str(one.store.absolute()))
        for worker, there in seen.items():
            if not there:
                raise StoreError(f"store.root: worker {worker} does not see {one.path.absolute()}; use a shared folder")


def recorded_job(run: RunDirectory) -> RiskJob:
    """The job that a run directory records, with its own prices; nothing outside the directory is read."""
    manifest = run.manifest()
    check_kind(run, manifest)
    what, claimed = manifest.get("what", {}), str(manifest.get("spec_hash"))
    wrong = StoreError(f"{run.path}: the manifest's spec does not have the hash {claimed[:12]} that it claims")
    if spec_hash(what) != claimed:
        raise wrong
    prices = stored_prices(run, sha256=what["prices_sha256"])
    job = RiskJob.from_record(what, prices=prices, cutting=manifest["how"])
    if job.fingerprint() != claimed:  # another version of riskops may read the same record as something else
        raise wrong
    return job


def _complete(
    job: RiskJob,
    run: RunDirectory,
    manifest: dict[str, Any],
    *,
    cluster: Cluster,
    progress: Progress | None,
    performance: bool = False,
) -> Path:
    started, since = time.perf_counter(), time.time()
    warm_kernels(job, cluster=cluster)
    clear_fallbacks()
    found: Mapping[str, int] | None = None
    if job.target is not None and job.bounds is not None:
        job, manifest, found = _reach_target(job, run, manifest, cluster=cluster, progress=progress)
    recorder = Recorder(run)
    lazy = market_risk(job, recorder=recorder)
    expect(progress, job, run)
    with cluster.performance_report(run.partial / "performance.html") if performance else nullcontext():
        results, digests = compute_results(job, lazy, cluster=cluster, progress=progress)
    if job.store_paths:
        results = results.assign_coords(time=("time", list(job.times), {"units": "days"}))
    done = Finished(
        results=results,
        figures=figures(results),
        checksums={name: checksum(digest) for name, digest in digests.items()},
        facts={
            "fallbacks": manifest["fallbacks"] + collect_fallbacks(cluster.client, since=since),
            "resumed_chunks": recorder.found if found is None else found,
        },
    )
    page = partial(write_page, results, title=job.title) if manifest["how"]["html"] else None
    return finish_run(run, manifest, done, cluster=cluster, progress=progress, started=started, page=page)


def _reach_target(
    job: RiskJob, run: RunDirectory, manifest: dict[str, Any], *, cluster: Cluster, progress: Progress | None
) -> tuple[RiskJob, dict[str, Any], Mapping[str, int]]:
    """Extend a run batch by batch until its target is met or a bound is reached.

    Each batch is the same run with more paths: what is stored is read back, and only what is new is simulated. The
    manifest says how many paths are under way before they are, so that a run can be resumed anywhere.
    """
    target, bounds = job.target, job.bounds
    assert target is not None
    assert bounds is not None
    started, found = time.perf_counter(), None
    batches: list[dict[str, Any]] = list(manifest.get("target", {}).get("batches", ()))  # of what is resumed
    while True:
        recorder = Recorder(run)
        lazy = market_risk(job, recorder=recorder)
        found = recorder.found if found is None else found
        expect(progress, job, run)
        # the dependence of the assets writes the checkpoints of what is not stored
        also = ["covariance"] if job.dependence else []
        names = [target.measure, f"{target.measure}_standard_error", *also]
        values = cluster.compute(
            *(lazy.measures[name].data for name in names),
            *lazy.digests.values(),
            progress=progress,
            chunk_paths=job.spec.chunk_paths,
        )
        measures = {name: lazy.measures[name].copy(data=values[k]) for k, name in enumerate(names[:2])}
        outcome = target.outcome(xr.Dataset(measures))
        batches.append({"paths": job.spec.paths, "relative_error": outcome["reached"]})
        following = next_batch(job.spec, bounds=bounds)
        if outcome["met"]:
            ended = "target"
        elif following is None:
            ended = "max_paths"
        elif bounds.max_seconds is not None and time.perf_counter() - started >= bounds.max_seconds:
            ended = "max_seconds"
        else:
            longer = replace(job, spec=replace(job.spec, paths=following))
            try:
                projected = plan_job(longer, cluster=cluster, place=run.path.parent, held=held_bytes(run))
            except PlanError as problem:
                ended = f"plan: {problem}"
            else:
                job = longer
                manifest |= {"what": job.record(), "spec_hash": job.fingerprint(), "plan": projected.record()}
                manifest["target"] = {"batches": batches}
                run.write_json(MANIFEST, manifest)
                continue
        return job, manifest | {"target": outcome | {"ended_by": ended, "batches": batches}}, found


def compute_results(
    job: RiskJob, lazy: LazyResults, *, cluster: Cluster, progress: Progress | None
) -> tuple[xr.Dataset, dict[str, Any]]:
    """Ask once for everything that is lazy, and join the results; the digests of what was stored come apart."""
    names = list(lazy.measures.data_vars)
    computed = cluster.compute(
        *(lazy.measures[name].data for name in names),
        lazy.summary,
        *lazy.digests.values(),
        progress=progress,
        chunk_paths=job.spec.chunk_paths,
    )
    values, (summary, *digests) = computed[: len(names)], computed[len(names) :]
    measures = lazy.measures.assign(
        {name: lazy.measures[name].copy(data=value) for name, value in zip(names, values, strict=True)}
    )
    return results_of(job, measures, summary), dict(zip(lazy.digests, digests, strict=True))


def results_text(results: xr.Dataset) -> str:
    """The text of ``results.json``."""
    return text_of_results(results.attrs, figures(results))
