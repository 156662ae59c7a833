"""Where the time of a run goes: measured stage by stage and kernel by kernel, bare and through Dask."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from riskops.checks import check_integer
from riskops.cluster import Cluster
from riskops.errors import InputError
from riskops.observe.kernels import KernelTimers
from riskops.observe.walk import Walk
from riskops.progress import Progress
from riskops.run.device import settle_device
from riskops.run.directory import RunDirectory
from riskops.run.execute import compute_results, plan_job
from riskops.run.job import RiskJob
from riskops.run.recorder import Recorder
from riskops.run.stages import market_risk

__all__ = ["profile_job"]


def profile_job(job: RiskJob, *, cluster: Cluster, root: Path, chunks: int = 32) -> dict[str, Any]:
    """Measure where the time of a job goes, on its first chunks, cut as in the whole.

    The part is carried out twice, after kernels were loaded: bare, that is the tasks of the same graph called one after
    the other in one thread, with a timer on each kernel; and on the cluster. Both store what the job stores, in a
    temporary folder of the run root.

    Parameters
    ----------
    job
        What to compute; a target is left out.
    cluster
        Where; it decides the cutting as well.
    root
        The folder of runs.
    chunks
        How many chunks of the job to work on, at the most.

    Returns
    -------
    dict
        ``stages``, the longest first, each with ``tasks``, ``bare_seconds``, ``run_seconds`` summed over the workers
        and its ``kernels`` (seconds of their own); ``bare_seconds`` and ``busy_seconds`` in all; ``capacity_seconds``,
        the run's ``wall_seconds`` times ``threads``, and what of it went to ``moving_seconds`` (fetching inputs and
        unpacking tasks, on workers) and ``idle_seconds`` (the scheduler, waiting, the ends).

    Raises
    ------
    InputError
        The job runs on a CUDA device, whose kernels this does not time.
    PlanError
        The job does not fit.

    Examples
    --------
    >>> import tempfile
    >>> from riskops.cluster import open_cluster
    >>> from riskops.run.example import small_job
    >>> with tempfile.TemporaryDirectory() as folder, open_cluster("synchronous") as cluster:
    ...     profile = profile_job(small_job(), cluster=cluster, root=Path(folder))
    >>> {"simulate", "portfolio-loss"} <= {stage["stage"] for stage in profile["stages"]}
    True
    """
    check_integer("chunks", chunks, at_least=1)
    size = plan_job(job, cluster=cluster, place=root).chunk_paths
    spec = replace(job.spec, chunk_paths=size, paths=min(job.spec.paths, chunks * size))
    part, _ = settle_device(replace(job, spec=spec, target=None, bounds=None), cluster=cluster)
    if part.device == "cuda":
        raise InputError("simulation.device: cuda: the profile times the kernels of a CPU; set simulation.device=cpu")
    root.mkdir(parents=True, exist_ok=True)
    timers = KernelTimers()
    with tempfile.TemporaryDirectory(prefix=".profile-", dir=root) as folder:
        place = Path(folder)
        _bare(part, place / "warm", Walk())
        walk = Walk(timers.enter)
        with timers.on(part.paths.models):
            _bare(part, place / "bare", walk)
        if cluster.client is not None:  # the workers load their kernels as well
            _carry_out(part, place / "warm-workers", cluster, Progress(quiet=True))
        progress = Progress(quiet=True)
        _carry_out(part, place / "run", cluster, progress)
    return _record(part, cluster, walk, timers, progress)


def _bare(job: RiskJob, place: Path, walk: Walk) -> None:
    alone = Cluster("bare", 1, 1, 0, _options={"scheduler": walk})
    _carry_out(job, place, alone, Progress(quiet=True))


def _carry_out(job: RiskJob, place: Path, cluster: Cluster, progress: Progress) -> None:
    """What a run does between its plan and its results."""
    run = RunDirectory(place)
    run.create()
    compute_results(job, market_risk(job, recorder=Recorder(run)), cluster=cluster, progress=progress)


def _record(job: RiskJob, cluster: Cluster, walk: Walk, timers: KernelTimers, progress: Progress) -> dict[str, Any]:
    stages = []
    for name in dict.fromkeys([*walk.stages, *progress.stages]):
        bare, run = walk.stages.get(name), progress.stages.get(name)
        stages.append(
            {
                "stage": name,
                "tasks": (run or bare or {"tasks": 0})["tasks"],
                "bare_seconds": bare["seconds"] if bare else 0.0,
                "run_seconds": run["seconds"] if run else 0.0,
                "kernels": timers.of(name),
            }
        )
    stages.sort(key=lambda stage: -float(str(stage["run_seconds"])))
    busy = sum(record["seconds"] for record in progress.stages.values())
    capacity = cluster.threads * progress.seconds
    size = job.spec.chunk_paths or job.spec.paths
    return {
        "title": job.title,
        "paths": job.spec.paths,
        "chunk_paths": size,
        "chunks": -(-job.spec.paths // size),
        "cluster": cluster.kind,
        "workers": cluster.workers,
        "threads": cluster.threads,
        "tasks": sum(record["tasks"] for record in progress.stages.values()),
        "stages": stages,
        "bare_seconds": sum(record["seconds"] for record in walk.stages.values()),
        "busy_seconds": busy,
        "moving_seconds": progress.moving,
        "idle_seconds": capacity - busy - progress.moving,
        "capacity_seconds": capacity,
        "wall_seconds": progress.seconds,
    }
