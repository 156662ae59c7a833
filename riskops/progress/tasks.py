"""Counting tasks by stage: the names of stages, the books, and the callback that keeps them on a local scheduler.

A stage is the name of a graph layer without its token (``simulate``, ``portfolio-loss``). The books are plain and know
nothing of a scheduler: they are told which tasks exist, which start, which finish, which fail and which are lost again.
"""

from __future__ import annotations

import ast
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NotRequired, TypedDict

from dask.callbacks import Callback
from dask.typing import Key

__all__ = ["Counts", "LocalTasks", "StageRecord", "TaskBook", "describe_task", "stage_of"]

_DIGIT = re.compile(r"\d")
_COLLECT = "collect"
#: What Dask calls its own steps between stages; it joins their names to those of the tasks that it fuses them with.
_BETWEEN = ("getitem", "blocks", "concatenate")


class StageRecord(TypedDict):
    """What the manifest keeps of a stage: the tasks done, and the seconds that they ran, summed over all workers; for
    a stage that goes along the paths how many these were, and for one that writes how many bytes."""

    tasks: int
    seconds: float
    paths: NotRequired[int]
    bytes_written: NotRequired[int]


@dataclass(frozen=True, slots=True)
class Counts:
    """The books at one moment: per stage the tasks in all, done and running, the seconds spent; and what failed."""

    total: Mapping[str, int]
    done: Mapping[str, int]
    running: Mapping[str, int]
    seconds: Mapping[str, float]
    suspects: tuple[str, ...] = ()
    moving: float = 0.0
    """Seconds in which workers fetched inputs from each other and unpacked tasks, summed over all."""
    memory: Mapping[str, int] = field(default_factory=dict)
    """Bytes that each worker process holds; empty for a scheduler inside this process."""
    lost: tuple[str, ...] = ()
    """Workers that went away while tasks were left to do."""

    def stage(self) -> str:
        """The stage that most running tasks belong to; among equals the one with the most tasks left."""
        left = {name: total - self.done.get(name, 0) for name, total in self.total.items()}
        busy = [name for name, tasks in self.running.items() if tasks > 0]
        return max(busy, key=lambda name: (self.running[name], left.get(name, 0)), default="starting")

    def remaining(self, elapsed: float) -> float | None:
        """Seconds left: the tasks left at their stage's mean time, at the parallelism seen so far; None if unknown."""
        spent, done = sum(self.seconds.values()), sum(self.done.values())
        if spent <= 0.0 or elapsed <= 0.0 or done == 0:
            return None
        work = 0.0
        for name, total in self.total.items():
            finished = self.done.get(name, 0)
            mean = self.seconds.get(name, 0.0) / finished if finished else spent / done
            work += (total - finished) * mean
        return work * elapsed / spent


def _as_key(key: Key) -> Key:
    """A key that came over the wire as its own repr, as the tuple it was."""
    if isinstance(key, str) and key.startswith("("):
        try:
            return tuple(ast.literal_eval(key))
        except (ValueError, SyntaxError):
            return key
    return key


def stage_of(key: Key) -> str:
    """Return the stage of a task key: the layer's name up to its token.

    Dask's own ``key_split`` is not used: it cuts names at any word of eight letters that begins with a to f
    (``stress-drawdown``).

    Examples
    --------
    >>> stage_of(("portfolio-loss-0f3a9c", 0, 3))
    'portfolio-loss'
    >>> stage_of("tail_combine-partial-72f6b7-finalize-hlgfinalizecompute-60a6")
    'tail-combine-partial'
    >>> stage_of(("write-loss-concatenate-8a1c", 3, 0))
    'write-loss'
    """
    key = _as_key(key)
    name = key[0] if isinstance(key, tuple) and key else key
    words: list[str] = []
    for word in str(name).replace("_", "-").split("-"):
        if word == "finalize" or _DIGIT.search(word):
            break
        if word:
            words.append(word)
    return "-".join([word for word in words if word not in _BETWEEN] or words) or _COLLECT


def describe_task(key: Key) -> str:
    """Return a task's name for an error text: its stage, and its chunk when it works on one.

    Examples
    --------
    >>> describe_task(("simulate-0f3a9c", 0, 3))
    'task simulate, chunk (0, 3)'
    """
    key = _as_key(key)
    chunk = f", chunk {key[1:]}" if isinstance(key, tuple) and len(key) > 1 else ""
    return f"task {stage_of(key)}{chunk}"


class TaskBook:
    """The running tally of one computation; about five microseconds of the scheduler's time a task."""

    def __init__(self) -> None:
        self._stages: dict[Key, str] = {}
        self._names: dict[str, str] = {}
        self._done: set[Key] = set()
        self._running: dict[Key, None] = {}
        self._failed: dict[Key, None] = {}
        self._totals: dict[str, int] = {}
        self._finished: dict[str, int] = {}
        self._active: dict[str, int] = {}
        self._seconds: dict[str, float] = {}
        self.moving = 0.0
        self.lost: list[str] = []

    def add(self, keys: Iterable[Key]) -> None:
        """Enter tasks that are to be done; a task known already is not counted twice."""
        for key in keys:
            if key not in self._stages:
                layer = key[0] if isinstance(key, tuple) and key else key
                name = self._names.get(str(layer)) or self._names.setdefault(str(layer), stage_of(key))
                self._stages[key] = name
                self._totals[name] = self._totals.get(name, 0) + 1

    def __contains__(self, key: Key) -> bool:
        return key in self._stages

    def start(self, key: Key) -> None:
        """Note that a task runs (or waits at a worker)."""
        if key not in self._running:
            self._running[key] = None
            name = self._stages[key]
            self._active[name] = self._active.get(name, 0) + 1

    def stop(self, key: Key) -> None:
        """Note that a task runs no longer, however it ended."""
        if key in self._running:
            del self._running[key]
            self._active[self._stages[key]] -= 1

    def finish(self, key: Key, seconds: float) -> None:
        """Note that a task is done and took so many seconds."""
        self.stop(key)
        name = self._stages[key]
        self._seconds[name] = self._seconds.get(name, 0.0) + seconds
        if key not in self._done:
            self._done.add(key)
            self._finished[name] = self._finished.get(name, 0) + 1

    def lose(self, key: Key) -> None:
        """Note that a finished task's result is gone and that it has to be done again."""
        if key in self._done:
            self._done.remove(key)
            self._finished[self._stages[key]] -= 1

    def fail(self, key: Key) -> None:
        """Note that a task raised."""
        self._failed[key] = None

    @property
    def busy(self) -> bool:
        """Whether tasks are left to do."""
        return len(self._done) < len(self._stages)

    def counts(self, *, memory: Mapping[str, int] | None = None) -> Counts:
        """The books now, with the memory of the workers; safe to call from another thread."""
        suspects = dict(self._failed) or dict(self._running)
        return Counts(
            total=dict(self._totals),
            done=dict(self._finished),
            running=dict(self._active),
            seconds=dict(self._seconds),
            suspects=tuple(describe_task(key) for key in list(suspects)[:4]),
            moving=self.moving,
            memory=dict(memory or {}),
            lost=tuple(self.lost),
        )


class LocalTasks(Callback):
    """Keeps the books of what the threaded or the synchronous scheduler of this process computes."""

    def __init__(self) -> None:
        super().__init__()
        self._book = TaskBook()
        self._began: dict[Key, float] = {}

    def counts(self) -> Counts:
        """The books now."""
        return self._book.counts()

    def _start_state(self, dsk: Mapping[Key, Any], state: Mapping[str, Any]) -> None:
        self._book.add(state["waiting"])
        self._book.add(state["ready"])

    def _pretask(self, key: Key, dsk: Mapping[Key, Any], state: Mapping[str, Any]) -> None:
        self._began[key] = time.perf_counter()
        self._book.start(key)

    def _posttask(self, key: Key, result: Any, dsk: Any, state: Any, worker_id: Any) -> None:
        self._book.finish(key, time.perf_counter() - self._began.pop(key))
