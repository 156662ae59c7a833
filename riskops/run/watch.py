"""What is said and kept of a run under way: what its tasks stand for, the events of its life, and its timings."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from riskops.progress import Progress, Work, tell
from riskops.run.directory import RunDirectory
from riskops.run.job import RiskJob
from riskops.simulation import Plan

__all__ = ["expect", "tell_begun", "tell_complete", "tell_planned", "timings_of", "work_of"]


def work_of(job: RiskJob, *, run: str | None = None) -> Work:
    """What the tasks of a job stand for: the paths of a chunk, and the bytes a path of every array that is written.

    Examples
    --------
    >>> from riskops.run.example import small_job
    >>> work = work_of(small_job())
    >>> work.paths, work.bytes_per_path
    (4096, {'write-loss': 8})
    """
    spec, rows = job.spec, job.workload.rows
    weights = 8 * len(job.horizons) * spec.sampling.weighted
    growth = len(job.scenarios) * len(job.times) * len(spec.assets) * spec.itemsize
    sizes = {"write-loss": 8 * rows, "write-loss_weight": weights} if job.store_losses else {}
    if job.store_paths:
        sizes |= {"write-log_growth": growth, "write-likelihood_ratio": 8 * len(job.times) * spec.sampling.weighted}
    # the names of stages have no underscores, see riskops.progress.stage_of
    written = {name.replace("_", "-"): size for name, size in sizes.items() if size}
    return Work(spec.paths, spec.chunk_paths or spec.paths, written, run)


def expect(progress: Progress | None, job: RiskJob, run: RunDirectory) -> None:
    """Let the progress of the next computation be counted in this job's paths and bytes."""
    if progress is not None:
        progress.work = work_of(job, run=run.path.name)


def tell_planned(projected: Plan) -> Plan:
    """Tell what would run, before anything is refused; returns the plan."""
    names = ("paths", "chunks", "chunk_paths", "bytes_on_disk", "peak_memory")  # tasks are known by a rehearsal alone
    tell("planned", **{name: getattr(projected, name) for name in names})
    return projected


def tell_begun(job: RiskJob, run: RunDirectory, *, event: str = "begun") -> None:
    """Tell that a run begins, or goes on."""
    tell(event, run=run.path.name, directory=str(run.path), paths=job.spec.paths, spec_hash=job.fingerprint())


def tell_complete(done: Path, timings: Mapping[str, Any]) -> Path:
    """Tell that the run in this directory is complete, and how long it took; returns the directory."""
    tell("complete", run=done.name, directory=str(done), seconds=timings["seconds"])
    return done


def timings_of(progress: Progress | None, *, started: float) -> dict[str, Any]:
    """What the manifest keeps: seconds since ``started`` on this process's clock, and every stage's tasks, seconds
    summed over the workers, paths and bytes written."""
    seconds = round(time.perf_counter() - started, 3)
    if progress is None:
        return {"seconds": seconds, "stages": {}}
    stages = {name: {**record, "seconds": round(record["seconds"], 6)} for name, record in progress.stages.items()}
    return {"seconds": seconds, "moving_seconds": round(progress.moving, 6), "stages": stages}
