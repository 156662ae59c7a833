"""What a job would take on a cluster, before it runs: its plan, and how it is cut into chunks."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from riskops.cluster import Cluster
from riskops.run.backtest import BacktestJob, backtest_plan_record
from riskops.run.device import settle_device
from riskops.run.job import RiskJob
from riskops.run.rehearsal import rehearse
from riskops.run.target import first_batch, last_batch
from riskops.run.watch import tell_planned
from riskops.simulation import Plan, plan
from riskops.simulation.memory import state_bytes
from riskops.simulation.scaling import DISTRIBUTED, THREADED, projection, scaled

__all__ = ["cut_job", "plan_job", "plan_record"]


def plan_job(job: RiskJob, *, cluster: Cluster, place: Path, held: int = 0) -> Plan:
    """Plan a job for a cluster and refuse what will not fit.

    Parameters
    ----------
    job
        What to compute.
    cluster
        Where; its memory and threads bound the plan.
    place
        Where the run will be stored, for the free disk.
    held
        Bytes of the run that are stored already.

    Returns
    -------
    Plan
        Chunks, tasks, bytes on disk and peak memory of a worker.

    Raises
    ------
    PlanError
        Memory or disk do not suffice; one line that names the setting to change.

    Examples
    --------
    >>> from riskops.cluster import open_cluster
    >>> from riskops.run.example import small_job
    >>> with open_cluster("synchronous") as cluster:
    ...     plan_job(small_job(), cluster=cluster, place=Path("runs")).chunks
    1
    """
    home = next(folder for folder in (place, *place.absolute().parents) if folder.exists())
    projected = _projected(job, cluster=cluster)
    elsewhere = job.store_url is not None  # what room there is, its store knows
    free = projected.bytes_on_disk if elsewhere else shutil.disk_usage(home).free
    return tell_planned(projected).check(memory=_memory(cluster), free_disk=free, held=held)


def _memory(cluster: Cluster) -> int:
    """Bytes of a worker; the threads of one process share theirs."""
    return cluster.memory_per_worker * (cluster.workers if cluster.client is None else 1)


def _projected(job: RiskJob, *, cluster: Cluster) -> Plan:
    workers = 1 if cluster.client is None else cluster.workers
    threads = max(1, cluster.threads // workers)
    return plan(job.spec, work=job.workload, memory=_memory(cluster), threads=threads, workers=workers)


def cut_job(job: RiskJob, *, cluster: Cluster, place: Path) -> tuple[RiskJob, Plan]:
    """The job in the chunks of its plan, and of a run towards a target its first batch; with the plan of that.

    Raises
    ------
    PlanError
        As :func:`plan_job`.
    """
    projected = plan_job(job, cluster=cluster, place=place)
    job = replace(job, spec=replace(job.spec, chunk_paths=projected.chunk_paths))
    if job.bounds is not None:
        job = replace(job, spec=replace(job.spec, paths=first_batch(job.spec, bounds=job.bounds)))
        projected = plan_job(job, cluster=cluster, place=place)
    return job, projected


def plan_record(job: RiskJob | BacktestJob, *, cluster: Cluster, place: Path) -> dict[str, Any]:
    """Everything that is known of a job before it runs, for ``riskops plan``: its plan, and after a rehearsal its time.

    Parameters
    ----------
    job
        What to compute.
    cluster
        Where.
    place
        Where the run will be stored.

    Returns
    -------
    dict
        The plan of the job, or of its first batch, and of the most that its bounds allow; the device; seconds here and
        on other numbers of workers, with the scheduler's share of them. A run that is read again is not rehearsed.

    Raises
    ------
    PlanError
        As :func:`plan_job`.
    """
    if isinstance(job, BacktestJob):
        return backtest_plan_record(job, cluster=cluster, place=place)
    cut, projected = cut_job(job, cluster=cluster, place=place)
    record = projected.record()
    if job.bounds is not None:
        paths = last_batch(cut.spec, bounds=job.bounds)
        most = _projected(replace(cut, spec=replace(cut.spec, paths=paths)), cluster=cluster).record()
        record["at_most"] = {name: most[name] for name in ("paths", "chunks", "bytes_on_disk", "peak_memory")}
    record["device"] = settle_device(cut, cluster=cluster)[1].reason
    if job.source is not None:
        return record
    rehearsed = rehearse(cut)
    cost = THREADED if cluster.client is None else DISTRIBUTED
    moved = state_bytes(cut.spec, cut.workload, paths=min(projected.chunk_paths, projected.paths))
    here = scaled(projected, rehearsed, workers=cluster.threads, moved=moved, cost=cost, cores=cluster.threads)
    record["tasks"] = here.tasks
    record["task_seconds"] = min(projected.chunk_paths, projected.paths) * rehearsed.path_seconds
    return record | {
        "rehearsed_paths": rehearsed.paths,
        "seconds_here": here.seconds,
        "scheduler_share_here": here.scheduler_share,
        **projection(job.spec, job.workload, rehearsed),
    }
