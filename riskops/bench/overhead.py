"""What Dask costs: over the bare kernels, a task, and in the model by which a plan speaks of many workers."""

from __future__ import annotations

import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from riskops.bench.problem import ASSETS, LEVEL, TailProblem, book, market_model
from riskops.bench.rows import Row, Target
from riskops.bench.timing import Setting, core_count, on_threads, race
from riskops.cluster import Cluster, open_cluster
from riskops.config import config_from_mapping
from riskops.measures.tail_risk import tail_risk
from riskops.portfolio import portfolio_loss
from riskops.run import market_risk, prepare
from riskops.run.planning import cut_job
from riskops.run.rehearsal import rehearse
from riskops.simulation import SimulationSpec, simulate
from riskops.simulation.memory import state_bytes
from riskops.simulation.scaling import DISTRIBUTED, THREADED, SchedulerCost, scaled

__all__ = ["overhead"]

SUITE = "overhead"
PATHS = 16 * 2**20
MODEL_PATHS = 4 * 2**20
TASKS = 2000
KINDS: tuple[tuple[str, SchedulerCost], ...] = (("threads", THREADED), ("processes", DISTRIBUTED))
CONFIGURATION: dict[str, Any] = {
    "market": {"prices": "sp500", "start": "2015-01-02"},
    "portfolios": [{"name": "equal", "capital": 1e6, "weights": "equal"}],
    "simulation": {"steps": 10},
    "risk": {"levels": [0.99], "horizons": [10], "historical": False, "contributions": False},
    "store": {"losses": False},
}


def overhead(setting: Setting) -> list[Row]:
    """Rows for threads and for worker processes."""
    return [*_kernels(setting), *_tasks(setting), *_model(setting)]


def _lazy(problem: TailProblem) -> xr.Dataset:
    paths = simulate(problem.spec, times=[problem.spec.times[-1]])
    return tail_risk(portfolio_loss(paths, book=book(problem.spec.assets)), level=LEVEL)


def _kernels(setting: Setting) -> list[Row]:
    """The same figures by the same kernels, with a graph and without."""
    problem = TailProblem(SimulationSpec(market_model(), paths=setting.count(PATHS), seed=99))
    workers, rows = min(2, core_count()), []
    for kind, _ in KINDS:
        with open_cluster(kind, workers=workers) as cluster, on_threads(workers) as pool:
            compute = partial(_compute, cluster, problem)
            ours, bare = race(compute, partial(problem.figures, pool), rounds=5)
        same = all(float(ours.result[name].item()) == float(bare.result[name].item()) for name in bare.result)
        rows.append(
            Row(
                SUITE,
                f"Dask, {kind}",
                f"VaR and ES at 99 % of {problem.spec.paths:,} scenarios x {ASSETS} assets, {workers} at once",
                ours.seconds,
                f"the bare kernels on {workers} threads",
                bare.seconds,
                same,
                Target(least_ratio=1 / 1.1),
            )
        )
    return rows


def _compute(cluster: Cluster, problem: TailProblem) -> xr.Dataset:
    (figures,) = cluster.compute(_lazy(problem))
    return figures


def _nothing(*_: Any, block_info: Any = None) -> Any:
    return np.zeros(1)


def _empty_tasks(cluster: Cluster, number: int) -> int:
    """Pairs of tasks that do nothing, the second after the first, which Dask does not fuse; how many there were."""
    first = da.map_blocks(_nothing, chunks=((1,) * number,), dtype=float, meta=np.empty(0), name=f"first-{number}")
    second = [
        da.map_blocks(_nothing, first, dtype=float, meta=np.empty(0), name=f"second-{k}-{number}") for k in (1, 2)
    ]
    cluster.compute(*second)
    return 3 * number


def _processor_seconds(cluster: Cluster, number: int) -> tuple[float, int]:
    """Processor time of this process while it computes them, which other work on the machine does not lengthen."""
    start = time.process_time()
    tasks = _empty_tasks(cluster, number)
    return time.process_time() - start, tasks


def _tasks(setting: Setting) -> list[Row]:
    """What a task costs a scheduler, against what a plan takes it to cost."""
    number = max(100, round(TASKS * min(setting.scale, 1.0)))
    rows = []
    for kind, cost in KINDS:
        with open_cluster(kind, workers=1) as cluster:
            _empty_tasks(cluster, number // 3)
            seconds, tasks = min(_processor_seconds(cluster, number // 3) for _ in range(3))
        each = seconds / tasks
        rows.append(
            Row(
                SUITE,
                f"a task, {kind}",
                f"{tasks:,} tasks that do nothing: {1e6 * each:.0f} us each of this process, the scheduler in it",
                seconds,
                f"{1e6 * cost.task:.0f} us each, as planned",
                tasks * cost.task,
                True,
                Target(least_ratio=0.5, most_ratio=2.0),
                details={"task_seconds": each},
            )
        )
    return rows


def _model(setting: Setting) -> list[Row]:
    """Whole jobs on one and on two workers, against what the plan's model says of them."""
    settings = CONFIGURATION | {"simulation": {"steps": 10, "paths": setting.count(MODEL_PATHS)}}
    job = prepare(config_from_mapping(settings))
    rehearsed, rows = rehearse(job), []
    for kind, cost in KINDS:
        for workers in (1, 2)[: core_count()]:
            with ExitStack() as stack:
                cluster = stack.enter_context(open_cluster(kind, workers=workers))
                cut, projected = cut_job(job, cluster=cluster, place=Path.cwd())
                lazy = market_risk(cut)
                arrays = [lazy.measures[name].data for name in lazy.measures]
                (timed,) = race(partial(cluster.compute, *arrays, lazy.summary), rounds=3)
            said = scaled(
                projected,
                rehearsed,
                workers=workers,
                moved=state_bytes(cut.spec, cut.workload, paths=projected.chunk_paths),
                cost=cost,
                cores=core_count(),
            )
            rows.append(
                Row(
                    SUITE,
                    f"the plan's model, {kind}",
                    f"{cut.spec.paths:,} paths x 20 assets x 10 steps, {workers} worker{'s' * (workers > 1)}",
                    timed.seconds,
                    f"as planned, {said.chunks} chunks, {said.tasks} tasks",
                    said.seconds,
                    True,
                    Target(least_ratio=0.67, most_ratio=1.5),
                    details={"path_seconds": rehearsed.path_seconds},
                )
            )
    return rows
