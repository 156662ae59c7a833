"""Counting tasks on a distributed scheduler: a plugin there keeps the books, this side asks for them.

The plugin sees each task change state, so nothing has to walk the graph: a question costs one small message, whatever
the number of tasks. Only this client's tasks are counted; others may share the scheduler.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any

from dask.typing import Key
from distributed import Client, Scheduler
from distributed.diagnostics.plugin import SchedulerPlugin

from riskops.progress.tasks import Counts, TaskBook

__all__ = ["RemoteTasks", "TaskPlugin"]


class TaskPlugin(SchedulerPlugin):
    """Keeps the books of one client's tasks; lives on the scheduler."""

    def __init__(self, client_id: str) -> None:
        self.client_id = client_id
        self.book = TaskBook()

    def update_graph(self, scheduler: Scheduler, *, client: str, tasks: Iterable[Key], **_rest: Any) -> None:
        """Enter the tasks of a new graph; a result that is there already counts as done."""
        if client == self.client_id:
            for key in tasks:
                self.book.add((key,))
                if scheduler.tasks[key].state == "memory":
                    self.book.finish(key, 0.0)

    def transition(
        self,
        key: Key,
        start: str,
        finish: str,
        *_args: Any,
        startstops: Iterable[Mapping[str, Any]] | None = None,
        **_rest: Any,
    ) -> None:
        """Follow one task from state to state."""
        if key not in self.book:
            return
        if finish == "processing":
            self.book.start(key)
        elif finish == "memory":
            spans = [(span["action"], span["stop"] - span["start"]) for span in startstops or ()]
            self.book.finish(key, sum(seconds for action, seconds in spans if action == "compute"))
            self.book.moving += sum(seconds for action, seconds in spans if action != "compute")
        else:
            self.book.stop(key)
            if finish == "waiting":
                self.book.lose(key)
            elif finish == "erred" and start == "processing":
                self.book.fail(key)

    def remove_worker(self, scheduler: Scheduler, worker: str, *, stimulus_id: str = "", **_rest: Any) -> None:
        """Note a worker that went away in the middle of the work; one that adaptive scaling sends home is no loss."""
        if self.book.busy and not stimulus_id.startswith("retire-workers"):
            self.book.lost.append(worker)


def _read(name: str, dask_scheduler: Scheduler | None = None) -> Counts | None:
    """The books of the plugin called ``name``; runs on the scheduler, which passes itself by that argument's name."""
    plugin = dask_scheduler.plugins.get(name) if dask_scheduler is not None else None
    if dask_scheduler is None or not isinstance(plugin, TaskPlugin):
        return None
    memory = {address: int(worker.metrics.get("memory", 0)) for address, worker in dask_scheduler.workers.items()}
    return plugin.book.counts(memory=memory)


class RemoteTasks:
    """Puts the plugin on the scheduler, asks for its books, and takes it away again."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._name = f"riskops-progress-{uuid.uuid4().hex}"
        self._last = Counts({}, {}, {}, {})

    def __enter__(self) -> RemoteTasks:
        self._client.register_plugin(TaskPlugin(self._client.id), name=self._name)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.counts()
        if self._client.status == "running":
            try:
                self._client.unregister_scheduler_plugin(self._name)
            except (OSError, ValueError):
                # The scheduler went away, or came back without the plugin: there is nothing left to take away.
                return

    def counts(self) -> Counts:
        """The books now, or as they last were while the scheduler does not answer or has restarted."""
        if self._client.status == "running":
            try:
                self._last = self._client.run_on_scheduler(_read, self._name) or self._last
            except OSError:
                return self._last
        return self._last
