"""Workers that are gone and do not come back: a computation waits for some time, says so, and then gives up.

A scheduler without workers keeps its tasks and waits for ever. Where workers are started by somebody else, by a queue
or by hand, waiting is right; but not without a word, and not without an end.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

import dask
from dask.utils import parse_timedelta

if TYPE_CHECKING:
    from distributed import Client, Scheduler

__all__ = ["Attendance"]

#: Seconds without any worker after which a computation is given up, unless Dask's own setting says otherwise.
GIVE_UP_SECONDS = 300.0
_SAY_SECONDS = 5.0
_LOOK_SECONDS = 1.0

_log = logging.getLogger("riskops.cluster")


def _count_workers(dask_scheduler: Scheduler | None = None) -> int:
    """Runs on the scheduler."""
    return 0 if dask_scheduler is None else len(dask_scheduler.workers)


class Attendance:
    """For the block, see whether a scheduler has workers; without any for too long, its tasks are cancelled.

    Dask's ``distributed.scheduler.no-workers-timeout`` of this process sets how long that is.
    """

    def __init__(self, client: Client | None) -> None:
        self._client = client
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="riskops-attendance", daemon=True)
        set_by_user = dask.config.get("distributed.scheduler.no-workers-timeout", None)
        self.patience = parse_timedelta(set_by_user) if set_by_user else GIVE_UP_SECONDS
        self.given_up = False

    def __enter__(self) -> Attendance:
        if self._client is not None:
            self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2.0)

    def line(self, kind: str) -> str:
        """What to say when it was given up."""
        return (
            f"cluster.{kind}: no worker has been there for {self.patience:g} s; start some, then resume "
            "(Dask's distributed.scheduler.no-workers-timeout sets how long to wait)"
        )

    def _watch(self) -> None:
        assert self._client is not None
        since: float | None = None
        said = False
        while not self._stop.wait(_LOOK_SECONDS):
            try:
                there = self._client.run_on_scheduler(_count_workers)
            except Exception:
                # The scheduler is lost: the computation ends by itself, with its own line.
                return
            if there:
                since, said = None, False
                continue
            since = time.monotonic() if since is None else since
            gone = time.monotonic() - since
            if gone >= self.patience:
                self.given_up = True
                self._cancel()
                return
            if gone >= _SAY_SECONDS and not said:
                said = True
                _log.warning("riskops: no worker is left; waiting up to %g s for one to join", self.patience)

    def _cancel(self) -> None:
        from distributed import Future

        assert self._client is not None
        self._client.cancel([Future(key, client=self._client) for key in list(self._client.futures)], force=True)
