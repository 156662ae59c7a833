"""Carry a run out: plan it, make its directory, compute its graph once, write results and manifest, rename it."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import xarray as xr

import riskops
from riskops.cluster import Cluster
from riskops.errors import PlanError, StoreError
from riskops.market import prices_checksum
from riskops.progress import Progress
from riskops.report import figures, figures_csv
from riskops.run.device import describe_device, settle_device
from riskops.run.directory import LOCK, MANIFEST, STORE, RunDirectory, canonical, file_checksum
from riskops.run.elsewhere import place_elsewhere
from riskops.run.job import RiskJob, spec_hash
from riskops.run.lock import owned
from riskops.run.manifest import first_manifest, now, sealed
from riskops.run.page import write_page
from riskops.run.planning import cut_job, plan_job
from riskops.run.recorder import Recorder
from riskops.run.stages import LazyResults, market_risk, results_of
from riskops.run.target import next_batch
from riskops.run.warm import warm_kernels
from riskops.run.watch import expect, tell_begun, tell_complete, timings_of
from riskops.simulation.fallbacks import clear_fallbacks, collect_fallbacks
from riskops.simulation.location import Remote
from riskops.simulation.store import array_checksum, checksum, create_store, write_small

__all__ = ["compute_results", "execute", "recorded_job", "results_text", "resume"]

PRICES = "prices"


def execute(
    job: RiskJob,
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
    run.make_partial()
    with _disk_errors(run), owned(run):
        run.create()
        with _nothing_half_begun(run):
            create_store(run.store / PRICES)
            write_small(job.prices[["price"]], run.store / PRICES)
            _check_seen(job, run, cluster)
            run.flush()  # a manifest on the disk promises prices on the disk
            run.write_json(MANIFEST, manifest)
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
    with _disk_errors(run), owned(run, break_lock=break_lock):
        _check_versions(run, manifest, cluster)
        job = recorded_job(run)
        plan_job(job, cluster=cluster, place=run.path.parent, held=_held(run))
        job, _ = settle_device(job, cluster=cluster)
        _check_seen(job, run, cluster)
        tell_begun(job, run, event="resumed")
        return _complete(job, run, manifest, cluster=cluster, progress=progress)


def _held(run: RunDirectory) -> int:
    """Bytes that a partial run holds already."""
    return sum(path.stat().st_size for path in run.partial.rglob("*") if path.is_file())


def _check_versions(run: RunDirectory, manifest: Mapping[str, Any], cluster: Cluster) -> None:
    """Chunks of two versions must not be mixed: what resumes a run must be what began it."""
    begun, present = manifest.get("versions", {}), cluster.versions()
    for name in sorted({*begun, *present}):
        if begun.get(name) != present.get(name):
            raise StoreError(
                f"{run.path}: the run was begun with {name} {begun.get(name)} and this is {present.get(name)}; "
                "resume it with the former, or begin it anew"
            )


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
    what, claimed = manifest.get("what", {}), str(manifest.get("spec_hash"))
    wrong = StoreError(f"{run.path}: the manifest's spec does not have the hash {claimed[:12]} that it claims")
    if spec_hash(what) != claimed:
        raise wrong
    try:
        prices = xr.open_zarr(run.store / PRICES, consolidated=False).load()
        same = prices_checksum(prices) == what["prices_sha256"]
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError) as problem:
        reason = " ".join(str(problem).split()) or type(problem).__name__
        raise StoreError(
            f"{run.path}: {STORE}/{PRICES}: can't be read ({reason}); the run can't go on, begin it anew"
        ) from problem
    if not same:
        raise StoreError(f"{run.path}: {STORE}/{PRICES}: dates, names or prices are not those of prices_sha256")
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
    checksums = {name: checksum(digest) for name, digest in digests.items()}
    if job.store_paths:
        results = results.assign_coords(time=("time", list(job.times), {"units": "days"}))
    write_small(results, run.store)
    checksums |= {str(name): array_checksum(variable.values) for name, variable in results.variables.items()}
    run.write_text("results.json", results_text(results))
    run.write_text("figures.csv", figures_csv(figures(results)))
    run.write_json("configuration.json", manifest["configuration"])
    final = {
        **manifest,
        "status": "complete",
        "finished": now(),
        "cluster": {"kind": cluster.kind, "workers": cluster.workers, "threads": cluster.threads},
        "fallbacks": manifest["fallbacks"] + collect_fallbacks(cluster.client, since=since),
        "resumed_chunks": recorder.found if found is None else found,
        "timings": timings_of(progress, started=started),
        "arrays": dict(sorted(checksums.items())),
        "metadata": run.metadata_checksums(),
    }
    if manifest["how"]["html"]:
        write_page(results, path=run.partial / "report.html", manifest=final, title=job.title)
    files = sorted(path for path in run.partial.iterdir() if path.is_file() and path.name not in (MANIFEST, LOCK))
    final["files"] = {path.name: file_checksum(path) for path in files}
    return tell_complete(run.finish(sealed(final)), final["timings"])


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
                projected = plan_job(longer, cluster=cluster, place=run.path.parent, held=_held(run))
            except PlanError as problem:
                ended = f"plan: {problem}"
            else:
                job = longer
                manifest |= {"what": job.record(), "spec_hash": job.fingerprint(), "plan": projected.record()}
                manifest["target"] = {"batches": batches}
                run.write_json(MANIFEST, manifest)
                continue
        return job, manifest | {"target": outcome | {"ended_by": ended, "batches": batches}}, found


@contextmanager
def _disk_errors(run: RunDirectory) -> Iterator[None]:
    """Turn a full or read-only disk into one line that says where the work is kept."""
    try:
        yield
    except StoreError as problem:
        if not str(problem).startswith("store.url: ") or not run.resumable:
            raise
        raise StoreError(f"{problem}; what was computed is kept: {run.resume_command}") from problem
    except OSError as problem:
        if problem.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EFBIG, errno.EIO):
            raise
        kept = (
            f"what was computed is kept in {run.partial}: make room, then {run.resume_command}"
            if run.resumable
            else "the run was not begun"
        )
        raise StoreError(f"store.root: {problem.strerror}; {kept}") from problem


@contextmanager
def _nothing_half_begun(run: RunDirectory) -> Iterator[None]:
    """Without a manifest nothing can be resumed, so a failure before it leaves no directory behind."""
    try:
        yield
    except BaseException:
        if not run.resumable:
            shutil.rmtree(run.partial, ignore_errors=True)
        raise


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
    """``results.json``: the figures and what they depend on; no timing, cutting or id, so equal specs give equal
    bytes."""
    head = {"format": 1, "riskops": riskops.__version__, **results.attrs}
    lines = [canonical(name) + ": " + canonical(value) for name, value in head.items()]
    body = ",\n".join("  " + canonical(record) for record in figures(results))
    return "{\n " + ",\n ".join(lines) + ',\n "figures": [\n' + body + "\n ]\n}\n"
