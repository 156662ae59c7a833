"""Where the time of a run goes: measured stage by stage and kernel by kernel, bare and through Dask."""

from __future__ import annotations

import shutil
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
from riskops.run.execute import compute_results
from riskops.run.job import RiskJob
from riskops.run.planning import plan_job
from riskops.run.recorder import Recorder
from riskops.run.stages import market_risk

__all__ = ["profile_job"]


def profile_job(job: RiskJob, *, cluster: Cluster, root: Path, chunks: int = 32, rounds: int = 2) -> dict[str, Any]:
    """Measure where the time of a job goes, on its first chunks, cut as in the whole.

    The part is carried out in two ways: bare, that is the tasks of the same graph called one after the other in one
    thread, with a timer on each kernel; and on the cluster. Both store what the job stores, in a temporary folder of
    the run root, and the quicker round of each counts: the first one also loads kernels.

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
    rounds
        How often each way is carried out.

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
    check_integer("rounds", rounds, at_least=1)
    size = plan_job(job, cluster=cluster, place=root).chunk_paths
    spec = replace(job.spec, chunk_paths=size, paths=min(job.spec.paths, chunks * size))
    part, _ = settle_device(replace(job, spec=spec, target=None, bounds=None), cluster=cluster)
    if part.device == "cuda":
        raise InputError("simulation.device: cuda: the profile times the kernels of a CPU; set simulation.device=cpu")
    root.mkdir(parents=True, exist_ok=True)
    bare: list[tuple[float, Walk, KernelTimers]] = []
    runs: list[Progress] = []
    with tempfile.TemporaryDirectory(prefix=".profile-", dir=root) as folder:
        place = Path(folder)
        for number in range(rounds):
            bare.append(_bare(part, place / f"bare-{number}"))
            runs.append(Progress(quiet=True))
            _carry_out(part, place / f"run-{number}", cluster, runs[-1])
    _, walk, timers = min(bare, key=lambda one: one[0])
    return _record(part, cluster, walk, timers, min(runs, key=lambda one: one.seconds))


def _bare(job: RiskJob, place: Path) -> tuple[float, Walk, KernelTimers]:
    """Seconds, stages and kernels of the tasks alone."""
    timers = KernelTimers()
    walk = Walk(timers.enter)
    with timers.on(job.paths.models):
        _carry_out(job, place, Cluster("bare", 1, 1, 0, _options={"scheduler": walk}), Progress(quiet=True))
    return sum(record["seconds"] for record in walk.stages.values()), walk, timers


def _carry_out(job: RiskJob, place: Path, cluster: Cluster, progress: Progress) -> None:
    """What a run does between its plan and its results."""
    run = RunDirectory(place)
    run.create()
    compute_results(job, market_risk(job, recorder=Recorder(run)), cluster=cluster, progress=progress)
    shutil.rmtree(run.partial)  # a profile holds one round on the disk, as the plan says


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
