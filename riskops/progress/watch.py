"""Watch computations, on every scheduler: show where they are, tell it to a log, and keep how long each stage took."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Protocol

from rich.console import Console

from riskops.progress.display import Display
from riskops.progress.events import is_heard, tell
from riskops.progress.tasks import Counts, LocalTasks, StageRecord
from riskops.progress.telling import Telling
from riskops.progress.work import Snapshot, Work, add_records

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["Progress"]


class _Tasks(Protocol):
    def counts(self) -> Counts: ...


class _View(Protocol):
    """What snapshots are given to, every so many ``seconds`` and at the end."""

    @property
    def seconds(self) -> float: ...

    def start(self) -> None: ...

    def show(self, now: Snapshot, ending: str | None) -> None: ...

    def stop(self) -> None: ...


class Progress:
    """Watches computations, on every scheduler, and keeps how long each stage took.

    One value may watch several computations in turn; ``stages`` sums over them.

    Parameters
    ----------
    quiet
        Show nothing; ``stages`` is kept all the same, and events go to the loggers ``riskops.*``.
    console
        Where to show it; standard error when not given.
    """

    def __init__(self, *, quiet: bool = False, console: Console | None = None) -> None:
        self._quiet = quiet
        self._console = Console(stderr=True) if console is None else console
        self._tasks: _Tasks | None = None
        self._began = 0.0
        self._lost = 0
        self.work = Work()
        """What the tasks of the next computation stand for, in paths and bytes."""
        self.stages: dict[str, StageRecord] = {}
        self.suspects: tuple[str, ...] = ()
        self.moving = 0.0
        """Seconds in which workers fetched inputs and unpacked tasks, summed over all of them."""
        self.seconds = 0.0
        """Seconds on the clock, of all computations together."""

    @contextmanager
    def watching(self, client: Client | None = None) -> Iterator[None]:
        """Watch what is computed inside the block: by ``client``'s scheduler, or by this process without one."""
        views: list[_View] = [] if self._quiet else [Display(self._console)]
        if is_heard():
            views.append(Telling())
        with _tasks_of(client) as tasks:
            self._tasks, self._began, self._lost = tasks, time.monotonic(), 0
            try:
                with _Sampling(self._look, views) if views else nullcontext():
                    yield
            finally:
                last = self._look()
                self._tasks = None
                self._keep(last)

    def snapshot(self) -> Snapshot:
        """Where the computation under way is, asked of its scheduler now; empty between computations."""
        tasks = self._tasks
        if tasks is None:
            return Snapshot(Counts({}, {}, {}, {}), self.work, 0.0)
        return Snapshot(tasks.counts(), self.work, time.monotonic() - self._began)

    def _look(self) -> Snapshot:
        now = self.snapshot()
        for worker in now.counts.lost[self._lost :]:
            told = "a worker was lost, what it held is computed again"
            tell("warning", level=logging.WARNING, run=self.work.run, message=told, worker=worker)
        self._lost = len(now.counts.lost)
        return now

    def _keep(self, last: Snapshot) -> None:
        self.suspects = last.counts.suspects
        self.moving += last.counts.moving
        self.seconds += last.elapsed
        self.stages = add_records(self.stages, last.records())


def _tasks_of(client: Client | None) -> AbstractContextManager[_Tasks]:
    if client is None:
        return LocalTasks()
    # Importing distributed takes half a second that a local run has no use for.
    from riskops.progress.remote import RemoteTasks

    return RemoteTasks(client)


class _Sampling:
    """A thread that looks at the computation and hands what it sees to the views until the block ends."""

    def __init__(self, look: Callable[[], Snapshot], views: Sequence[_View]) -> None:
        self._look, self._views = look, views
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="riskops-progress", daemon=True)

    def __enter__(self) -> None:
        for view in self._views:
            view.start()
        self._thread.start()

    def __exit__(self, kind: type[BaseException] | None, *_rest: object) -> None:
        self._stop.set()
        self._thread.join(timeout=2.0)
        last = self._look()
        for view in self._views:
            view.show(last, "done" if kind is None else "stopped")
            view.stop()

    def _run(self) -> None:
        began = time.monotonic()
        due = [began + view.seconds for view in self._views]
        while not self._stop.wait(max(0.0, min(due) - time.monotonic())):
            now, at = self._look(), time.monotonic()
            for k, view in enumerate(self._views):
                if at >= due[k]:
                    view.show(now, None)
                    due[k] = at + view.seconds
