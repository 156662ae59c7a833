"""What a backtest would take, before it runs: fits, forecasts, memory, disk, and after a rehearsal the time."""

from __future__ import annotations

import math
import shutil
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from dask.local import get_sync

from riskops.cluster import Cluster
from riskops.errors import PlanError
from riskops.history import backtest
from riskops.progress import tell
from riskops.run.backtest.job import BacktestJob
from riskops.run.backtest.prepare import method_of
from riskops.run.backtest.stages import forecasts_of

__all__ = ["BacktestPlan", "backtest_plan_record", "plan_backtest"]

#: Copies of the forecasts that a process holds at once: those of its tasks, those that it gathers, those it writes.
_COPIES = 4
_BASE_MEMORY = 400 << 20


@dataclass(frozen=True)
class BacktestPlan:
    """The size of a backtest."""

    methods: int
    series: int
    days: int
    refits: int
    fits: int
    forecasts: int
    tasks: int
    bytes_on_disk: int
    peak_memory: int

    def record(self) -> dict[str, Any]:
        """The plan as plain values."""
        return asdict(self)


def plan_backtest(job: BacktestJob, *, cluster: Cluster, place: Path, held: int = 0) -> BacktestPlan:
    """Plan a backtest and refuse what will not fit.

    Parameters
    ----------
    job
        What to compute.
    cluster
        Where; its memory bounds the plan.
    place
        Where the run will be stored, for the free disk.
    held
        Bytes of the run that are stored already.

    Returns
    -------
    BacktestPlan
        Fits, forecasts, tasks, bytes on disk and the peak memory of the process that gathers the forecasts.

    Raises
    ------
    PlanError
        Memory or disk do not suffice; one line that names the setting to change.

    Examples
    --------
    >>> from riskops.cluster import open_cluster
    >>> from riskops.run.backtest.example import small_backtest
    >>> with open_cluster("synchronous") as cluster:
    ...     plan_backtest(small_backtest(), cluster=cluster, place=Path("runs")).days
    503
    """
    methods = [method_of(record) for record in job.methods]
    series = len(job.assets) + len(job.weights)
    days = len(_origins(job))
    refits = math.ceil(days / _days_of_a_fit(job))
    judged = len(methods) + (job.ensemble is not None)
    levels = len(job.levels)
    per_day = 8 * (2 * levels + 1) + levels + 2
    size = judged * series * days * per_day
    weights = 8 * len(methods) * series * levels * days if job.ensemble is not None else 0
    tasks = len(methods) * series
    found = BacktestPlan(
        methods=judged,
        series=series,
        days=days,
        refits=refits,
        fits=refits * series * sum(method.estimated for method in methods),
        forecasts=judged * series * levels * days,
        tasks=tasks,
        bytes_on_disk=2 * (size + weights),
        peak_memory=_BASE_MEMORY + _COPIES * (size + weights),
    )
    tell("planned", **found.record())
    memory = cluster.memory_per_worker * (cluster.workers if cluster.client is None else 1)
    if found.peak_memory > memory:
        raise PlanError(
            f"backtest.methods: the forecasts take {found.peak_memory / 2**30:.1f} GiB of memory and there are "
            f"{memory / 2**30:.1f}; take fewer methods, levels or series"
        )
    home = next(folder for folder in (place, *place.absolute().parents) if folder.exists())
    free = shutil.disk_usage(home).free + held
    if found.bytes_on_disk > free:
        raise PlanError(
            f"store.root: the run needs {found.bytes_on_disk / 2**30:.2f} GiB on disk and {free / 2**30:.2f} are free"
        )
    return found


def backtest_plan_record(job: BacktestJob, *, cluster: Cluster, place: Path) -> dict[str, Any]:
    """The plan with the time: every method is fitted once to the first series, what it forecasts is judged, repeated to
    the length of the whole, and the seconds are scaled to all series and refits."""
    found = plan_backtest(job, cluster=cluster, place=place)
    first = int(_origins(job)[0])
    short = job.prices.isel(observation=slice(first - job.window, first + max(job.refit_every, job.horizon) + 1))
    little = replace(job, prices=short, first=None, failures="nan", ensemble=None)
    if job.assets:
        little = replace(little, assets=job.assets[:1], weights={})
    began = time.perf_counter()
    little_forecasts = forecasts_of(little).compute(scheduler=get_sync)  # kernels are compiled here
    compiled = time.perf_counter() - began
    seconds = forecasts_of(little)["fit_seconds"].compute(scheduler=get_sync)
    fitting = float(seconds.sum()) / seconds.sizes["asset"]
    judging = _judging_seconds(job, little_forecasts, days=found.days)
    return found.record() | {
        "seconds_to_compile": max(compiled - fitting, 0.0),
        "seconds_of_fits_here": fitting * found.series * found.refits / cluster.threads,
        "seconds_of_tests_here": judging * found.series * found.methods / cluster.threads,
    }


def _judging_seconds(job: BacktestJob, forecasts: xr.Dataset, *, days: int) -> float:
    """Seconds that all tests take for one method and series of so many days, once their nulls are simulated."""
    one = forecasts.drop_vars("observation").isel(method=[0], asset=[0])
    repeated = one.isel(observation=np.arange(days) % one.sizes["observation"])
    for _ in range(2):  # the first simulates the nulls, which all series share
        began = time.perf_counter()
        backtest(repeated, tests=job.tests, simulations=job.simulations, size=job.size, seed=job.seed)
    return time.perf_counter() - began


def _days_of_a_fit(job: BacktestJob) -> int:
    """Forecasts that one fit serves for: they are made every ``horizon`` days."""
    return math.ceil(job.refit_every / job.horizon)


def _origins(job: BacktestJob) -> np.ndarray:
    """The rows of the returns that forecasts are made before."""
    dates = job.prices["observation"].to_numpy()[1:]
    first = job.window if job.first is None else int(np.searchsorted(dates, np.datetime64(job.first)))
    return np.arange(first, len(dates) - job.horizon + 1, job.horizon)
