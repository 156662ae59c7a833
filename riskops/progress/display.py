"""One line that says how far a computation is: stage, tasks done, time elapsed, time left.

On a terminal it is a bar that is redrawn; elsewhere (a log file) it is a plain line every ten seconds and one at the
end. Both go to standard error, so that the output of a command can be piped.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Protocol

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

from riskops.progress.tasks import Counts, LocalTasks, StageRecord

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["Progress", "format_seconds"]

_BAR_SECONDS = 0.3
_LINE_SECONDS = 10.0


class _Tasks(Protocol):
    def counts(self) -> Counts: ...


def format_seconds(seconds: float) -> str:
    """Return a duration as people say it.

    Examples
    --------
    >>> format_seconds(7.4), format_seconds(200), format_seconds(7500)
    ('7 s', '3 min 20 s', '2 h 05 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class Progress:
    """Watches computations, on every scheduler, and keeps how long each stage took.

    One value may watch several computations in turn; ``stages`` sums over them.

    Parameters
    ----------
    quiet
        Show nothing; ``stages`` is kept all the same.
    console
        Where to show it; standard error when not given.
    """

    def __init__(self, *, quiet: bool = False, console: Console | None = None) -> None:
        self._quiet = quiet
        self._console = Console(stderr=True) if console is None else console
        self.stages: dict[str, StageRecord] = {}
        self.suspects: tuple[str, ...] = ()

    @contextmanager
    def watching(self, client: Client | None = None) -> Iterator[None]:
        """Watch what is computed inside the block: by ``client``'s scheduler, or by this process without one."""
        with self._tasks(client) as tasks, nullcontext() if self._quiet else _Shown(tasks, self._console):
            try:
                yield
            finally:
                self._keep(tasks.counts())

    @staticmethod
    def _tasks(client: Client | None) -> AbstractContextManager[_Tasks]:
        if client is None:
            return LocalTasks()
        # Importing distributed takes half a second that a local run has no use for.
        from riskops.progress.remote import RemoteTasks

        return RemoteTasks(client)

    def _keep(self, counts: Counts) -> None:
        self.suspects = counts.suspects
        for name, done in counts.done.items():
            record = self.stages.setdefault(name, StageRecord(tasks=0, seconds=0.0))
            record["tasks"] += done
            record["seconds"] += counts.seconds.get(name, 0.0)


class _Shown:
    """A thread that asks for the counts and shows them until the block ends."""

    def __init__(self, tasks: _Tasks, console: Console) -> None:
        self._tasks = tasks
        self._console = console
        self._bar = _make_bar(console) if console.is_terminal else None
        self._row = self._bar.add_task("", total=1.0, stage="starting", tally="", times="") if self._bar else None
        self._stop = threading.Event()
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="riskops-progress", daemon=True)

    def __enter__(self) -> None:
        self._began = time.monotonic()
        if self._bar is not None:
            self._bar.start()
        self._thread.start()

    def __exit__(self, kind: type[BaseException] | None, *_rest: object) -> None:
        self._stop.set()
        self._thread.join(timeout=2.0)
        self._show("done" if kind is None else "stopped")
        if self._bar is not None:
            self._bar.stop()

    def _run(self) -> None:
        pause = _LINE_SECONDS if self._bar is None else _BAR_SECONDS
        while not self._stop.wait(pause):
            self._show(None)

    def _show(self, ending: str | None) -> None:
        counts = self._tasks.counts()
        done, total = sum(counts.done.values()), sum(counts.total.values())
        elapsed = time.monotonic() - self._began
        stage = ending or counts.stage()
        left = None if ending else counts.remaining(elapsed)
        times = format_seconds(elapsed) + (f", {format_seconds(left)} left" if left is not None else "")
        tally = f"{done} of {total} tasks" if total else ""
        if self._bar is None or self._row is None:
            self._console.print(", ".join(part for part in (stage, tally, times) if part), highlight=False)
        else:
            self._bar.update(self._row, total=max(total, 1), completed=done, stage=stage, tally=tally, times=times)
            self._bar.refresh()


def _make_bar(console: Console) -> Bar:
    columns = (
        TextColumn("{task.fields[stage]}"),
        BarColumn(),
        TextColumn("{task.fields[tally]}"),
        TextColumn("{task.fields[times]}", style="progress.remaining"),
    )
    return Bar(*columns, console=console, auto_refresh=False)
