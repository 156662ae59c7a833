"""A rehearsal: a little of a job is computed and its graph counted, so that a plan can say how long the whole takes."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask
from dask.local import get_sync

from riskops.portfolio import portfolio_loss
from riskops.reductions import needed_paths
from riskops.rng import TILE
from riskops.run.directory import RunDirectory
from riskops.run.job import RiskJob
from riskops.run.recorder import Recorder
from riskops.run.stages import market_risk
from riskops.simulation import paths_of
from riskops.simulation.plan import READ_SECONDS, expected_seconds
from riskops.simulation.scaling import Rehearsed

__all__ = ["rehearse"]

#: Paths of the first, short computation, and seconds that the second one aims at.
FEW_PATHS, MOST_PATHS, SECONDS = 8192, 2**19, 0.25
#: Chunks of the two graphs whose tasks are counted.
CHUNKS = (9, 65)


def rehearse(job: RiskJob) -> Rehearsed:
    """Compute small runs of two sizes of a job in this thread and count the tasks of two graphs; nothing is kept.

    Parameters
    ----------
    job
        The job; how it is cut does not matter.

    Returns
    -------
    Rehearsed
        Seconds a path, from the difference of both, and tasks a chunk.

    Notes
    -----
    The processor time of one thread is taken, which other work on the machine does not lengthen. Where the tail of the
    whole job is too large to be kept, the second pass is added: the losses are read from the store, or made again.

    Examples
    --------
    >>> from riskops.run.example import small_job
    >>> 0.0 < rehearse(small_job()).path_seconds < 1e-3
    True
    """
    unit = TILE * max(job.spec.sampling.replicates, 1)
    least = max(FEW_PATHS, *(needed_paths(level) for level in job.levels))
    few = -(-least // unit) * unit
    short = min(_seconds(job, few) for _ in range(3))  # the first loads the kernels, or compiles them
    many = few + max(1, round(min(SECONDS / expected_seconds(job.spec, job.workload), MOST_PATHS) / unit)) * unit
    long = min(_seconds(job, many) for _ in range(2))
    path_seconds = max(long - short, 0.0) / (many - few)
    alone = max(short - few * path_seconds, 0.0)
    if job.workload.bracket_entries and job.store_losses:
        path_seconds += 8 * job.workload.rows * READ_SECONDS
    elif job.workload.bracket_entries:
        path_seconds += max(_draw_seconds(job, many) - _draw_seconds(job, few), 0.0) / (many - few)
    one, two = (_tasks(job, chunks) for chunks in CHUNKS)
    slope = (two - one) / (CHUNKS[1] - CHUNKS[0])
    return Rehearsed(path_seconds, alone, slope, max(one - slope * CHUNKS[0], 0.0), many)


def _cut(job: RiskJob, paths: int, chunk: int) -> RiskJob:
    return replace(job, spec=replace(job.spec, paths=paths, chunk_paths=chunk), target=None, bounds=None)


def _seconds(job: RiskJob, paths: int) -> float:
    """Processor time of a run of one chunk, its graph included."""
    start = time.thread_time()
    lazy = market_risk(_cut(job, paths, -(-paths // TILE) * TILE))
    dask.compute(*(lazy.measures[name].data for name in lazy.measures), lazy.summary, scheduler=get_sync)
    return time.thread_time() - start


def _draw_seconds(job: RiskJob, paths: int) -> float:
    """Processor time of making the losses alone."""
    cut = _cut(job, paths, -(-paths // TILE) * TILE)
    losses = portfolio_loss(paths_of(cut.paths), book=cut.book, horizons=cut.horizons)
    start = time.thread_time()
    losses["loss"].data.compute(scheduler=get_sync)
    return time.thread_time() - start


def _tasks(job: RiskJob, chunks: int) -> int:
    """Tasks of the optimised graph of a run of so many chunks, with the writing of what it stores."""
    unit = TILE * max(job.spec.sampling.replicates, 1)
    chunk = -(-job.spec.paths // (chunks * unit)) * unit  # about as many paths, for they decide on the passes
    cut = _cut(job, chunks * chunk, chunk)
    with tempfile.TemporaryDirectory() as folder:
        run = RunDirectory(Path(folder, "rehearsal"))
        run.create()
        lazy = market_risk(cut, recorder=Recorder(run))
        asked = [lazy.measures[name].data for name in lazy.measures]
        (number, *_), *_ = dask.compute(asked, lazy.summary, *lazy.digests.values(), scheduler=_count)
        return int(number)


def _count(graph: Any, keys: Any, **_: Any) -> Any:
    """A scheduler that computes nothing: every result is the number of tasks."""
    number = len(dict(graph.__dask_graph__() if hasattr(graph, "__dask_graph__") else graph))
    return _filled(keys, number)


def _filled(keys: Any, number: int) -> Any:
    return [_filled(key, number) for key in keys] if isinstance(keys, list) else number
