"""Blocks that were computed on the CPU for want of device memory: noted where it happens, collected by who records.

A note is an event on the scheduler, which outlives the worker that made it; without a distributed worker it stays in
this process. A block that is computed twice is noted twice: the number says what happened, not what was stored.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from threading import Lock
from typing import Any

__all__ = ["clear_fallbacks", "collect_fallbacks", "note_fallback"]

TOPIC = "riskops-device-fallback"
_log = logging.getLogger("riskops.simulation.device")
_notes: list[dict[str, Any]] = []
_lock = Lock()


def note_fallback(*, first_counter: int, paths: int, reason: str) -> None:
    """Say that a block was computed on the CPU."""
    note = {"first_counter": first_counter, "paths": paths, "reason": reason}
    _log.warning("%d paths were computed on the CPU: %s", paths, reason)
    worker = _worker()
    if worker is not None:
        worker.log_event(TOPIC, note)
        return
    with _lock:
        _notes.append(note)


def _worker() -> Any:
    """The distributed worker that runs this task, or None."""
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return None
    try:
        return distributed.get_worker()
    except ValueError:
        return None


def clear_fallbacks() -> None:
    """Forget the notes of this process, before a run; events of a scheduler are told apart by their time instead."""
    with _lock:
        _notes.clear()


def collect_fallbacks(client: Any = None, *, since: float = 0.0) -> list[str]:
    """One line for the manifest, or none: how many blocks and paths were computed on the CPU, and why.

    Parameters
    ----------
    client
        The distributed client that the run used; None where it ran in this process.
    since
        The time, in seconds of ``time.time()``, that the run began; earlier events belong to another one.
    """
    with _lock:
        found: list[Mapping[str, Any]] = list(_notes)
    if client is not None:
        found += [note for at, note in client.get_events(TOPIC) if at >= since]
    if not found:
        return []
    paths = sum(int(note["paths"]) for note in found)
    reasons = sorted({str(note["reason"]) for note in found})
    return [
        f"device: {len(found)} blocks with {paths} paths were computed on the CPU, as simulation.device_fallback "
        f"allows: {'; '.join(reasons)}"
    ]
