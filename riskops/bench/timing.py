"""How times are taken: contestants in turn, round after round, so that all see the same noise; the best round counts.

Before the first round each is called once: it compiles or loads its kernels, touches its memory, and gives the result
that is compared. The garbage collector rests while a clock runs.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import dask

from riskops.rng import TILE

__all__ = ["Setting", "Timed", "core_count", "on_threads", "race"]


def core_count() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Setting:
    """What all suites share: where to say what is left out, and the share of the full size to work on."""

    say: Callable[[str], None]
    scale: float = 1.0

    def count(self, full: int) -> int:
        """A number of paths or draws: all of them at full size, else a share in whole tiles, eight at least."""
        return full if self.scale >= 1.0 else max(8, int(full * self.scale) // TILE) * TILE


class Timed(NamedTuple):
    """The best time of a contestant, and what its first, untimed call returned."""

    seconds: float
    result: Any


def race(
    *contestants: Callable[[], Any],
    rounds: int = 7,
    seconds: float = 12.0,
    between: Callable[[], None] | None = None,
) -> list[Timed]:
    """Time all contestants in turn.

    Parameters
    ----------
    contestants
        Functions that do the same work.
    rounds
        How many rounds at most.
    seconds
        No round begins after this time, but three are always run.
    between
        Called after each call, outside the clock, to clear up.
    """
    results = []
    for contestant in contestants:
        results.append(contestant())
        if between is not None:
            between()
    best = [float("inf")] * len(contestants)
    gc.collect()
    started = time.perf_counter()
    for done in range(rounds):
        if done >= 3 and time.perf_counter() - started > seconds:
            break
        for i, contestant in enumerate(contestants):
            best[i] = min(best[i], _clock(contestant))
            if between is not None:
                between()
    return [Timed(best_time, result) for best_time, result in zip(best, results, strict=True)]


def _clock(contestant: Callable[[], Any]) -> float:
    was_on = gc.isenabled()
    gc.disable()
    try:
        start = time.perf_counter()
        result = contestant()
        took = time.perf_counter() - start
    finally:
        if was_on:
            gc.enable()
    del result  # freed after the clock has stopped
    return took


@contextmanager
def on_threads(count: int) -> Iterator[Executor]:
    """A pool of threads that is also Dask's scheduler inside the block."""
    with (
        ThreadPoolExecutor(count, thread_name_prefix="bench") as pool,
        dask.config.set(scheduler="threads", pool=pool),
    ):
        yield pool
