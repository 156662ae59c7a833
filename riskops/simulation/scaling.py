"""How long a run takes on any number of workers: a model of the work, the scheduler and the tree of merges.

A worker of one thread takes one chunk after the other; one scheduler hands out all tasks; at the end states go up a
tree of merges, eight into one. So, with n chunks on W workers::

    seconds = alone + max(waves * chunk, tasks * scheduler) + levels * (merge + moved / bandwidth)

where ``alone`` is what nothing shares (the graph is built, figures are written), ``waves`` is n / W rounded up,
``chunk`` the seconds of a chunk on one core, both passes together, and ``moved`` the states that meet in one merge. On
fewer cores than there are workers, with the scheduler among them, no run ends before all its work is done::

    seconds >= alone + (n * chunk + tasks * scheduler) / cores

The costs are measured (``riskops bench --suite overhead``), the seconds of a path by a rehearsal of the job itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from riskops.simulation.memory import SPLIT_EVERY, state_bytes
from riskops.simulation.plan import DEFAULT_MEMORY, Plan, plan
from riskops.simulation.spec import SimulationSpec
from riskops.simulation.workload import Workload

__all__ = ["WORKERS", "Rehearsed", "Scaled", "SchedulerCost", "projection", "scaled"]

#: The numbers of workers that a plan speaks of.
WORKERS = (1, 2, 10, 100, 1000)
#: Bytes a second from one worker to another, and seconds that a merge takes for each byte of the states it joins.
BANDWIDTH, MERGE_SECONDS = 4.0e8, 4.0e-9


@dataclass(frozen=True)
class SchedulerCost:
    """Seconds of one core that a task costs."""

    task: float


#: The scheduler of the threads of one process, and a distributed one: its client, the messages, its bookkeeping.
THREADED, DISTRIBUTED = SchedulerCost(1.0e-4), SchedulerCost(5.0e-4)


@dataclass(frozen=True)
class Rehearsed:
    """What a rehearsal of the job measured.

    Parameters
    ----------
    path_seconds
        Seconds of one core a path, all passes together.
    alone_seconds
        Seconds that do not shrink with workers.
    tasks_a_chunk, other_tasks
        Tasks of the graph: so many for each chunk, merges included, and so many besides.
    paths
        How many paths were drawn to measure it.
    """

    path_seconds: float
    alone_seconds: float
    tasks_a_chunk: float
    other_tasks: float
    paths: int

    def tasks(self, chunks: int) -> float:
        """Tasks of a graph of so many chunks."""
        return self.other_tasks + self.tasks_a_chunk * chunks


@dataclass(frozen=True)
class Scaled:
    """What the model says of one number of workers."""

    workers: int
    chunks: int
    tasks: int
    seconds: float
    scheduler_share: float
    """The scheduler's seconds over all seconds: above a half it is nearly all that the run waits for."""


def scaled(
    projected: Plan,
    rehearsed: Rehearsed,
    *,
    workers: int,
    moved: int,
    cost: SchedulerCost = DISTRIBUTED,
    cores: int | None = None,
) -> Scaled:
    """The time of a planned run on a number of workers of one thread each.

    Parameters
    ----------
    projected
        The plan of the run, cut as it would be on so many workers.
    rehearsed
        What a path costs.
    workers
        Their number.
    moved
        Bytes of a state.
    cost
        What a task costs.
    cores
        The cores that workers and scheduler share; None: each has its own.

    Examples
    --------
    >>> import numpy as np
    >>> from riskops.models import GeometricBrownianMotion
    >>> model = GeometricBrownianMotion(("A",), np.zeros(1), np.array([0.2]), np.eye(1))
    >>> projected = plan(SimulationSpec(model, paths=1 << 20, chunk_paths=65536), work=Workload())
    >>> rehearsed = Rehearsed(1e-6, 0.0, 3.0, 10.0, 4096)
    >>> scaled(projected, rehearsed, workers=1, moved=0).seconds
    1.048576
    >>> round(scaled(projected, rehearsed, workers=16, moved=0).seconds, 3)
    0.066
    """
    chunks, held = projected.chunks, min(projected.chunk_paths, projected.paths)
    tasks = rehearsed.tasks(chunks)
    scheduler = tasks * cost.task
    waves = min(math.ceil(chunks / workers) * held, projected.paths) * rehearsed.path_seconds
    levels = math.ceil(math.log(chunks, SPLIT_EVERY) - 1e-9) if chunks > 1 else 0
    apart = moved / BANDWIDTH * (workers > 1)
    merging = levels * SPLIT_EVERY * (moved * MERGE_SECONDS + apart)
    busy = max(waves, scheduler)
    if cores is not None:
        busy = max(busy, (projected.paths * rehearsed.path_seconds + scheduler) / cores)
    seconds = rehearsed.alone_seconds + busy + merging
    return Scaled(workers, chunks, round(tasks), seconds, min(scheduler / seconds, 1.0) if seconds else 0.0)


def projection(
    spec: SimulationSpec, work: Workload, rehearsed: Rehearsed, *, workers: Sequence[int] = WORKERS
) -> dict[str, Any]:
    """What any number of workers would do: each with the chunks that a plan for so many would choose.

    Returns
    -------
    dict
        ``projected_seconds``, ``scheduler_share`` and ``chunks`` by number of workers, and ``scheduler_limits_at``, the
        number of workers beyond which the scheduler takes longer than they do, with the chunks of the last of them.
    """
    found = []
    for number in workers:
        projected = plan(spec, work=work, memory=DEFAULT_MEMORY, threads=1, workers=number)
        moved = state_bytes(spec, work, paths=min(projected.chunk_paths, spec.paths))
        found.append(scaled(projected, rehearsed, workers=number, moved=moved))
    last = found[-1]
    limit = spec.paths * rehearsed.path_seconds / (last.tasks * DISTRIBUTED.task)
    return {
        "projected_seconds": {_name(one.workers): one.seconds for one in found},
        "scheduler_share": {_name(one.workers): one.scheduler_share for one in found},
        "chunks_on": {_name(one.workers): one.chunks for one in found},
        "scheduler_limits_beyond": {"workers": max(1, int(limit))},
    }


def _name(workers: int) -> str:
    return f"{workers:,} worker{'s' if workers > 1 else ''}"
