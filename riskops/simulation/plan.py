"""What would run, before it runs: chunks, tasks, bytes on disk and peak memory a worker (contract C7).

The figures are projections of a documented model of the work, not measurements: a chunk of paths passes through the
stages simulate, portfolio-loss, reduce and write; what is held meanwhile is the subject of
:mod:`riskops.simulation.memory`, and how long it takes on many workers that of :mod:`riskops.simulation.scaling`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from riskops.errors import PlanError
from riskops.rng import TILE
from riskops.simulation.memory import (
    FIGURE_BYTES,
    PROCESS_BYTES,
    SPLIT_EVERY,
    chunk_memory,
    disk_bytes,
    growth_bytes,
    state_bytes,
    waiting_bytes,
)
from riskops.simulation.spec import SimulationSpec
from riskops.simulation.workload import Workload

__all__ = ["Plan", "Workload", "chunk_sizes", "plan"]

#: Seconds of one core, measured roughly and rounded up: a draw, one multiply-add of mixing, one number kept or priced.
DRAW_SECONDS, MIX_SECONDS, KEEP_SECONDS = 2.0e-9, 1.5e-10, 1.5e-9
#: Seconds of one core to read a byte and check it.
READ_SECONDS = 1.0e-9
#: What a chunk aims at: long enough for the scheduler's cost to vanish, small enough to spread and to show progress.
TASK_SECONDS, CHUNK_BYTES = 0.6, 96 * 2**20
#: Chunks that any machine gets, and beyond them one for each of so many tasks' worth of work: more would wait for the
#: scheduler.
LEAST_CHUNKS, CHUNK_OVERHEAD = 32, 5.0e-3
#: More figures than this are no report: half a gigabyte of ``results.json``.
MOST_FIGURES = 2_000_000
SWITCHES = ("risk.dependence", "risk.contributions")
DEFAULT_MEMORY = 8 * 2**30


@dataclass(frozen=True)
class Plan:
    """The projection; every size in bytes, ``peak_memory`` for one worker with all its threads."""

    paths: int
    chunk_paths: int
    chunks: int
    tasks: int
    numbers_drawn: int
    chunk_bytes: int
    tail_bytes: int
    bytes_moved: int
    bytes_on_disk: int
    peak_memory: int
    threads: int
    task_seconds: float
    figures: Mapping[str, int]

    def check(self, *, memory: int, free_disk: int | None = None, held: int = 0) -> Plan:
        """Return the plan when it fits; otherwise one line that names the setting to change.

        ``held`` is how much of the run is on the disk already.
        """
        if sum(self.figures.values()) > MOST_FIGURES:
            by = max(self.figures, key=lambda name: self.figures[name])
            change = f"set {by} to false" if by in SWITCHES else "ask for fewer of them"
            raise PlanError(
                f"{by}: {self.figures[by]:,} figures would come out, and more than {MOST_FIGURES:,} are no report; "
                f"{change}"
            )
        if memory < PROCESS_BYTES:
            raise PlanError(
                f"cluster.memory_limit: a worker would need {_size(self.peak_memory)} and has {_size(memory)}, less "
                f"than the {_size(PROCESS_BYTES)} of a process without a path; raise cluster.memory_limit or lower "
                "cluster.workers"
            )
        if self.peak_memory > memory and self.numbers_drawn == 0:
            raise PlanError(
                f"stress.scenarios: a worker would need {_size(self.peak_memory)} and has {_size(memory)}; chunks are "
                "those of the run that is read, so ask for fewer scenarios or portfolios, or raise cluster.memory_limit"
            )
        if self.peak_memory > memory:
            setting = (
                "simulation.chunk_paths" if self.chunk_bytes > self.tail_bytes else "simulation.paths or risk.levels"
            )
            raise PlanError(
                f"{setting}: a worker would need {_size(self.peak_memory)} and has {_size(memory)}; "
                f"lower {setting}, or raise cluster.memory_limit"
            )
        if free_disk is not None and self.bytes_on_disk - held > free_disk:
            missing = f"{_size(self.bytes_on_disk - held)}{' more' if held else ''}"
            raise PlanError(
                f"store.root: the run needs {missing} on disk and {_size(free_disk)} are free; "
                "lower simulation.paths, or set store.losses or store.paths to false"
            )
        return self

    def record(self) -> dict[str, Any]:
        """The plan as a plain mapping."""
        return asdict(self)


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.4g} {unit}"
        count /= 1024
    return f"{count:.4g} TiB"


def draws_of_step(spec: SimulationSpec) -> int:
    """Words that a path takes in a step: one a factor of each shock."""
    return sum(shock.count(len(spec.assets)) for shock in spec.model.shocks)


def mixed_terms(spec: SimulationSpec) -> float:
    """Multiply-adds that correlate an asset's normal in a step: one a factor, or half a row of the Cholesky factor."""
    factors = sum(shock.factors for shock in spec.model.shocks)
    return factors + 1.0 if factors else 0.5 * len(spec.assets)


def expected_seconds(spec: SimulationSpec, work: Workload) -> float:
    """Seconds of one core a path, by the costs above: what a chunk is cut by, the same on every machine."""
    assets = len(spec.assets)
    if work.read_bytes:
        kept = 0 if work.reads_losses else work.scenarios * work.times * assets * (1 + work.portfolios)
        return work.read_bytes * READ_SECONDS + kept * KEEP_SECONDS
    terms = mixed_terms(spec)
    step = draws_of_step(spec) * DRAW_SECONDS + work.models * assets * (terms * MIX_SECONDS + KEEP_SECONDS)
    return spec.steps * step + work.scenarios * work.times * assets * KEEP_SECONDS * (1 + work.portfolios)


def automatic_chunk(spec: SimulationSpec, work: Workload, *, memory: int, threads: int, workers: int = 1) -> int:
    """Paths in a chunk: whole tiles, a power of two of them, bounded by task time, memory and an even spread.

    On many workers the spread is not even: with n chunks of work that takes s seconds, ``s / n`` in which a chunk is
    worked on and ``n`` times the scheduler's cost of a chunk are least together at ``sqrt(s / cost)`` chunks.
    """
    per_path = growth_bytes(spec, work) + 8 * work.rows
    seconds = expected_seconds(spec, work)
    spread = min(4 * threads * workers, max(LEAST_CHUNKS, math.sqrt(spec.paths * seconds / CHUNK_OVERHEAD)))
    bounds = (
        TASK_SECONDS / seconds,
        min(CHUNK_BYTES, memory / (4 * threads)) / max(per_path, 1),
        max(spec.paths / spread, 16 * TILE),
    )
    tiles = max(1, int(min(bounds)) // TILE)
    return TILE * 2 ** (tiles.bit_length() - 1)


def chunk_sizes(
    spec: SimulationSpec, *, work: Workload | None = None, first_path: int = 0, stop_path: int | None = None
) -> tuple[int, ...]:
    """The sizes of the chunks that cover a range of paths; the last one may be short."""
    size = spec.chunk_paths or automatic_chunk(spec, work or Workload(), memory=DEFAULT_MEMORY, threads=2)
    paths = (spec.paths if stop_path is None else stop_path) - first_path
    whole, rest = divmod(paths, size)
    return (size,) * whole + ((rest,) if rest else ())


def plan(
    spec: SimulationSpec, *, work: Workload, memory: int = DEFAULT_MEMORY, threads: int = 1, workers: int = 1
) -> Plan:
    """Project a run.

    Parameters
    ----------
    spec
        What to simulate; ``chunk_paths`` is chosen when it is None.
    work
        What is computed from the paths.
    memory, threads, workers
        Bytes and threads of one worker, and the number of workers.

    Returns
    -------
    Plan
        Chunks, tasks, bytes on disk and peak memory of a worker; nothing is refused until :meth:`Plan.check`.

    Examples
    --------
    >>> import numpy as np
    >>> from riskops.models import GeometricBrownianMotion
    >>> model = GeometricBrownianMotion(("A",), np.zeros(1), np.array([0.2]), np.eye(1))
    >>> plan(SimulationSpec(model, paths=1 << 20, chunk_paths=65536), work=Workload()).chunks
    16
    """
    size = spec.chunk_paths or automatic_chunk(spec, work, memory=memory, threads=threads, workers=workers)
    chunks = -(-spec.paths // size)
    held = min(size, spec.paths)
    passes = 1 + (work.bracket_entries > 0)
    stages = 1 + (work.portfolios > 0) * (1 + passes) + work.store_losses + work.store_paths
    stages += 2 * work.dependence + work.contributions
    merges = -(-(chunks - 1) // (SPLIT_EVERY - 1)) if chunks > 1 else 1
    kinds = passes + work.dependence + work.contributions
    state = state_bytes(spec, work, paths=held)
    waiting = waiting_bytes(spec, work, chunk=held, threads=threads)
    figures = work.figures(len(spec.assets))
    return Plan(
        paths=spec.paths,
        chunk_paths=size,
        chunks=chunks,
        tasks=stages * chunks + kinds * merges,
        numbers_drawn=0 if work.read_bytes else spec.paths * spec.steps * draws_of_step(spec),
        chunk_bytes=held * (growth_bytes(spec, work) + 8 * work.rows),
        tail_bytes=waiting,
        bytes_moved=chunks * state,
        bytes_on_disk=spec.paths * disk_bytes(spec, work) + 8 * 2**20,
        peak_memory=PROCESS_BYTES
        + max(threads * chunk_memory(spec, work, paths=held) + waiting, FIGURE_BYTES * sum(figures.values())),
        threads=threads,
        task_seconds=held * expected_seconds(spec, work),
        figures=figures,
    )
