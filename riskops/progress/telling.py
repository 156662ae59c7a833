"""Progress as log events: where the work is every few seconds, each stage that is finished, each worker that is
lost."""

from __future__ import annotations

from typing import Any

from riskops.progress.events import tell
from riskops.progress.work import Snapshot

__all__ = ["Telling", "facts_of"]

_LOG_SECONDS = 5.0
_LOOK_SECONDS = 0.5


def facts_of(now: Snapshot) -> dict[str, Any]:
    """The numbers of a snapshot by name, rounded to what they can mean."""
    left = now.left
    return {
        "tasks": now.done,
        "tasks_in_all": now.total,
        "paths": now.paths,
        "paths_in_all": now.work.paths or None,
        "paths_per_second": round(now.paths_per_second),
        "bytes_written": now.bytes_written,
        "seconds": round(now.elapsed, 3),
        "seconds_left": None if left is None else round(left, 1),
    }


class Telling:
    """Turns snapshots into events; looks often, so that a stage's end is told when it comes."""

    def __init__(self) -> None:
        self.seconds = min(_LOOK_SECONDS, _LOG_SECONDS)
        self._told = 0.0
        self._finished: set[str] = set()

    def start(self) -> None:
        """Nothing has to be made ready."""

    def stop(self) -> None:
        """Nothing is left open."""

    def show(self, now: Snapshot, ending: str | None) -> None:
        """Tell what has happened since the last time."""
        for name, record in now.records().items():
            if record["tasks"] == now.counts.total.get(name) and name not in self._finished:
                self._finished.add(name)
                told: dict[str, Any] = {**record, "seconds": round(record["seconds"], 3)}
                tell("stage finished", run=now.work.run, stage=name, **told)
        if ending or now.elapsed - self._told >= _LOG_SECONDS:
            self._told = now.elapsed
            tell("progress", run=now.work.run, stage=ending or now.counts.stage(), **facts_of(now))
