"""How much memory a worker needs: a model of what is alive at once while chunks of paths pass through the stages.

A thread holds the growth and the losses of the chunk that it works on, and copies of those that it writes; the
scheduler holds what waits for its neighbours, states of reductions that are merged eight at a time, level by level.
Every constant is named after what it is, and was measured (``python tests/measure_memory.py``).
"""

from __future__ import annotations

import math

from riskops.simulation.spec import SimulationSpec
from riskops.simulation.workload import Workload

__all__ = [
    "FIGURE_BYTES",
    "PROCESS_BYTES",
    "SPLIT_EVERY",
    "chunk_memory",
    "disk_bytes",
    "growth_bytes",
    "state_bytes",
    "waiting_bytes",
]

#: States that one task merges.
SPLIT_EVERY = 8
#: Interpreter, libraries and compiled kernels of one worker process.
PROCESS_BYTES = 290 * 2**20
#: What the allocator of a thread keeps of what was freed.
ARENA_BYTES = 16 * 2**20
#: A figure as a record, as text and as a row of the table, all at once.
FIGURE_BYTES = 1600
#: Bins of the histogram that the losses of one row meet, and bytes of a bin.
BINS, BIN_BYTES = 1100, 16
#: Copies of a chunk while it is written: the store's buffer, and the same with its checksum.
WRITE_COPIES = 2
#: Numbers of a row in the moments' state: sums, and those of the batches.
MOMENT_NUMBERS = 13
#: A loss that is kept with its path, and with its weight as well.
KEPT_BYTES, WEIGHTED_BYTES = 16, 24
#: Losses that a bracket holds however few paths there are, and bytes of the objects that it is made of.
LEAST_ENTRIES, BRACKET_BYTES = 50, 1000
#: What states of many small arrays take of the allocator, over what is in them.
FRAGMENTED = 1.25


def growth_bytes(spec: SimulationSpec, work: Workload) -> int:
    """Simulated growth of one path."""
    return 0 if work.reads_losses else work.scenarios * work.times * len(spec.assets) * spec.itemsize


def disk_bytes(spec: SimulationSpec, work: Workload) -> int:
    """What is stored of one path."""
    weights = 8 * work.horizons * spec.sampling.weighted
    return (8 * work.rows + weights) * work.store_losses + growth_bytes(spec, work) * work.store_paths


def chunk_memory(spec: SimulationSpec, work: Workload, *, paths: int) -> int:
    """What one thread holds while it works on a chunk, and what waits of the chunk before."""
    growth, loss = growth_bytes(spec, work), 8 * work.rows
    written = WRITE_COPIES * max(loss * work.store_losses, growth * work.store_paths)
    read = 2 * work.read_bytes  # as the bytes of a file, and once more as numbers
    return paths * (2 * growth + 2 * loss + written + read) + ARENA_BYTES


def summary_bytes(spec: SimulationSpec, work: Workload) -> int:
    """The state of all reductions of one chunk but the tail: moments, histogram, comoments, slots of replicates."""
    assets = len(spec.assets)
    pairs = assets * (assets + 1) // 2 * work.horizons * work.dependence
    means = assets * work.horizons * work.dependence
    slots = spec.sampling.replicates * (5 * work.rows + means + pairs)
    return 8 * (MOMENT_NUMBERS * work.rows + means + 5 * pairs + slots) + work.rows * BINS * BIN_BYTES


def tail_state_bytes(spec: SimulationSpec, work: Workload, *, paths: int) -> int:
    """The state of the tail of so many paths.

    Kept whole it is the losses themselves until there are more than twice those that are kept, then these with their
    path numbers. Bounded, it is a bracket about each order statistic that is asked for.
    """
    if work.bracket_entries:
        entries = work.bracket_entries * min(1.0, math.sqrt(paths / spec.paths)) + LEAST_ENTRIES * work.levels
        return int(work.rows * (entries * WEIGHTED_BYTES + work.levels * BRACKET_BYTES))
    if spec.sampling.weighted:  # each loss keeps its path and its weight from the start
        return work.rows * WEIGHTED_BYTES * min(paths, work.tail_paths)
    return work.rows * (8 * paths if paths <= 2 * work.tail_paths else KEPT_BYTES * work.tail_paths)


def state_bytes(spec: SimulationSpec, work: Workload, *, paths: int) -> int:
    """The states of all reductions of so many paths: what moves between tasks."""
    tail = tail_state_bytes(spec, work, paths=paths)
    return int((FRAGMENTED if work.bracket_entries else 1.0) * tail + FRAGMENTED * summary_bytes(spec, work))


def waiting_bytes(spec: SimulationSpec, work: Workload, *, chunk: int, threads: int = 1) -> int:
    """What the tree of merges holds at its worst: states that wait, level by level, or the sorting at the end.

    Of the chunks' own states every thread may be merging as many as one task takes.
    """
    waiting, size, paths = 0, chunk, spec.paths
    while size < paths:
        here = min(SPLIT_EVERY * (threads if size == chunk else 1), -(-paths // size))
        state = state_bytes(spec, work, paths=size)
        size *= SPLIT_EVERY
        waiting += state * (here if size < paths else here - 1)
    kept = work.bracket_entries or work.tail_paths
    return max(waiting, 9 * 8 * work.rows * kept)
