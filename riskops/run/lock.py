"""One writer a run: a lock file in the directory of a run in the making, which names its owner.

The file is made with ``O_EXCL``, so that one of two takes it, on a network file system too. No clock decides anything:
an owner is gone when its process is, told by number and start, and it is judged only where it can be seen, on the same
machine since the same start of it. A lock whose owner can't be judged stays, until the user breaks it.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import riskops
from riskops.errors import StoreError
from riskops.run.directory import LOCK, RunDirectory

__all__ = ["owned"]

LOG = logging.getLogger(__name__)
BOOT = Path("/proc/sys/kernel/random/boot_id")
MACHINE = Path("/etc/machine-id")
PROCESSES = Path("/proc")


@contextmanager
def owned(run: RunDirectory, *, break_lock: bool = False) -> Iterator[None]:
    """Hold the lock of a run in the making, whose partial directory is there.

    Parameters
    ----------
    run
        The run that is begun or resumed.
    break_lock
        Take the lock from whoever has it.

    Raises
    ------
    StoreError
        Another process works on the run, or may do so; one line names it.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run = RunDirectory(Path(folder, "one")).create()
    ...     with owned(run):
    ...         print(sorted(path.name for path in run.partial.iterdir()))
    ['lock.json']
    """
    mine = _owner()
    try:
        _take(run, mine, break_lock=break_lock)
    except OSError:
        with suppress(OSError):
            run.partial.rmdir()  # where nothing was begun, nothing is left
        raise
    try:
        yield
    finally:
        for place in (run.path / LOCK, run.partial / LOCK):  # a finished run was renamed meanwhile
            if _read(place) == mine:
                place.unlink(missing_ok=True)


def _take(run: RunDirectory, mine: dict[str, Any], *, break_lock: bool) -> None:
    """Make the lock file; one that is there goes only if nobody stands behind it, or the user says so."""
    with _alone(run.partial):
        place = run.partial / LOCK
        if place.exists():
            found = _read(place)
            gone = _is_gone(found)
            if not (gone or break_lock):
                raise StoreError(f"{run.path}: {_refusal(found)}")
            LOG.warning(
                "riskops: %s: took the lock over from %s, which %s",
                run.path,
                _described(found),
                "is gone" if gone else "was told to go (--break-lock)",
            )
            place.unlink(missing_ok=True)
        try:
            handle = os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:  # on another machine, this very moment
            raise StoreError(f"{run.path}: {_refusal(_read(place))}") from None
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(mine, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            place.unlink(missing_ok=True)
            raise


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process of this machine at a time: of two that find the same lock left behind, one takes it over."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _owner() -> dict[str, Any]:
    """Who this process is, so that another can tell whether it lives."""
    return {
        "host": socket.gethostname(),
        "machine": _line(MACHINE),
        "boot": _line(BOOT),
        "pid_namespace": _namespace(),
        "pid": os.getpid(),
        "started": _started(os.getpid()),
        "riskops": riskops.__version__,
        "since": datetime.now(UTC).isoformat(timespec="seconds"),  # for people: nothing is decided by it
        "token": os.urandom(8).hex(),
    }


def _line(path: Path) -> str | None:
    try:
        return path.read_text("utf-8").strip() or None
    except OSError:
        return None


def _namespace() -> str | None:
    try:
        return os.readlink(PROCESSES / "self" / "ns" / "pid")
    except OSError:
        return None


def _started(pid: int) -> int | None:
    """When a process started, in ticks since the machine did; None when it is gone, or the system does not tell."""
    text = _line(PROCESSES / str(pid) / "stat")
    if text is None:
        return None
    state, *fields = text.rpartition(")")[2].split()  # the name in front may hold anything
    return None if state in "ZX" else int(fields[18])


def _read(place: Path) -> dict[str, Any] | None:
    """The owner that a lock file names; None where it can't be read."""
    try:
        found = json.loads(place.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("pid"), int) else None


def _is_gone(owner: dict[str, Any] | None) -> bool:
    """Whether the owner is known to be gone."""
    if owner is None:
        return False
    here = _owner()
    if owner.get("boot") != here["boot"]:  # the machine was started anew since, if it is the same one
        return all(here[name] is not None and owner.get(name) == here[name] for name in ("host", "machine"))
    if here["boot"] is None and owner.get("host") != here["host"]:
        return False
    if owner.get("pid_namespace") != here["pid_namespace"]:  # another container: its processes are not seen from here
        return False
    return not _lives(owner["pid"], owner.get("started"))


def _lives(pid: int, started: int | None) -> bool:
    """Whether a process is there and is the one that started then, not a later one of the same number."""
    if started is not None:
        return _started(pid) == started
    try:
        os.kill(pid, 0)  # signal 0 asks and does nothing
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _described(owner: dict[str, Any] | None) -> str:
    if owner is None:
        return "an owner that can't be read"
    return f"process {owner['pid']} on {owner.get('host')} (riskops {owner.get('riskops')}, since {owner.get('since')})"


def _refusal(owner: dict[str, Any] | None) -> str:
    return (
        f"{_described(owner)} works on it ({LOCK}); wait for it, or, if you know that it is gone, "
        "resume with --break-lock"
    )
