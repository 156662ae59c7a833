"""What would run, before it runs: chunks, tasks, bytes on disk and peak memory a worker (contract C7).

The figures are projections of this module's documented model of the work, not measurements: a chunk of paths passes
through the stages simulate, portfolio-loss, reduce and write; a thread holds one chunk in the making and the scheduler
one more that waits; reduced states are merged eight at a time.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from riskops.errors import PlanError
from riskops.rng import TILE
from riskops.simulation.spec import SimulationSpec

__all__ = ["Plan", "Workload", "chunk_sizes", "plan"]

#: Seconds of one core, measured roughly and rounded up: a draw, one multiply-add of mixing, one number kept or priced.
DRAW_SECONDS, MIX_SECONDS, KEEP_SECONDS = 2.0e-9, 1.5e-10, 1.5e-9
#: What a chunk aims at: long enough for the scheduler's cost to vanish, small enough to spread and to show progress.
TASK_SECONDS, CHUNK_BYTES = 0.6, 96 * 2**20
#: Interpreter, libraries and compiled kernels of one worker process.
PROCESS_BYTES = 350 * 2**20
SPLIT_EVERY = 8
DEFAULT_MEMORY = 8 * 2**30


@dataclass(frozen=True)
class Workload:
    """How many numbers each path gives rise to, beyond the simulation itself."""

    times: int = 1
    scenarios: int = 1
    models: int = 1
    portfolios: int = 0
    horizons: int = 0
    tail_paths: int = 0
    store_losses: bool = False
    store_paths: bool = False
    dependence: bool = False
    contributions: bool = False

    @property
    def rows(self) -> int:
        """Losses a path: one for each scenario, portfolio and horizon."""
        return self.scenarios * self.portfolios * self.horizons


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
    bytes_on_disk: int
    peak_memory: int
    threads: int
    task_seconds: float

    def check(self, *, memory: int, free_disk: int | None = None) -> Plan:
        """Return the plan when it fits; otherwise one line that names the setting to change."""
        if self.peak_memory > memory:
            setting = (
                "simulation.chunk_paths" if self.chunk_bytes > self.tail_bytes else "simulation.paths or risk.levels"
            )
            raise PlanError(
                f"{setting}: a worker would need {_size(self.peak_memory)} and has {_size(memory)}; "
                f"lower {setting}, or raise cluster.memory_limit"
            )
        if free_disk is not None and self.bytes_on_disk > free_disk:
            raise PlanError(
                f"store.root: the run needs {_size(self.bytes_on_disk)} on disk and {_size(free_disk)} are free; "
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


def _growth_bytes(spec: SimulationSpec, work: Workload) -> int:
    return work.scenarios * work.times * len(spec.assets) * spec.itemsize


def draws_of_step(spec: SimulationSpec) -> int:
    """Words that a path takes in a step: one a factor of each shock."""
    return sum(shock.count(len(spec.assets)) for shock in spec.model.shocks)


def mixed_terms(spec: SimulationSpec) -> float:
    """Multiply-adds that correlate an asset's normal in a step: one a factor, or half a row of the Cholesky factor."""
    factors = sum(shock.factors for shock in spec.model.shocks)
    return factors + 1.0 if factors else 0.5 * len(spec.assets)


def _path_seconds(spec: SimulationSpec, work: Workload) -> float:
    assets = len(spec.assets)
    terms = mixed_terms(spec)
    step = draws_of_step(spec) * DRAW_SECONDS + work.models * assets * (terms * MIX_SECONDS + KEEP_SECONDS)
    return spec.steps * step + work.scenarios * work.times * assets * KEEP_SECONDS * (1 + work.portfolios)


def automatic_chunk(spec: SimulationSpec, work: Workload, *, memory: int, threads: int) -> int:
    """Paths in a chunk: whole tiles, a power of two of them, bounded by task time, memory and an even spread."""
    per_path = _growth_bytes(spec, work) + 24 * work.rows
    bounds = (
        TASK_SECONDS / _path_seconds(spec, work),
        min(CHUNK_BYTES, memory / (4 * threads)) / per_path,
        max(spec.paths / (4 * threads), 16 * TILE),
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


def _tail_bytes(spec: SimulationSpec, work: Workload, *, chunk: int) -> int:
    """What the exact tail holds at its worst: states that wait to be merged, level by level, or the final sorting.

    A state is the losses themselves until it has more than twice the paths that are kept; then it is cut down to those,
    with their path numbers.
    """
    waiting, size, paths = 0, chunk, spec.paths
    while size < paths:
        if spec.sampling.weighted:  # each loss keeps its path and its weight from the start
            state = work.rows * 24 * min(size, work.tail_paths)
        else:
            state = work.rows * (8 * size if size <= 2 * work.tail_paths else 16 * work.tail_paths)
        here = min(SPLIT_EVERY, -(-paths // size))
        size *= SPLIT_EVERY
        waiting += state * (here if size < paths else here - 1)
    return max(waiting, 9 * 8 * work.rows * work.tail_paths)


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
    size = spec.chunk_paths or automatic_chunk(spec, work, memory=memory, threads=threads * workers)
    chunks = -(-spec.paths // size)
    held = min(size, spec.paths)
    growth, loss = held * _growth_bytes(spec, work), held * 8 * work.rows
    tail = _tail_bytes(spec, work, chunk=held)
    stages = 1 + (work.portfolios > 0) * 3 + work.store_losses + work.store_paths + work.contributions * 2
    merges = -(-(chunks - 1) // (SPLIT_EVERY - 1)) if chunks > 1 else 1
    weights = 8 * work.horizons * spec.sampling.weighted
    stored = (8 * work.rows + weights) * work.store_losses + _growth_bytes(spec, work) * work.store_paths
    chunk = growth + 2 * loss + held * stored // 4
    return Plan(
        paths=spec.paths,
        chunk_paths=size,
        chunks=chunks,
        tasks=stages * chunks + 3 * merges,
        numbers_drawn=spec.paths * spec.steps * draws_of_step(spec),
        chunk_bytes=growth + loss,
        tail_bytes=tail,
        bytes_on_disk=spec.paths * stored + 8 * 2**20,
        peak_memory=PROCESS_BYTES + threads * 2 * chunk + tail,
        threads=threads,
        task_seconds=held * _path_seconds(spec, work),
    )
