"""Commands of riskops in processes of their own, that can be watched, signalled and asked what they said.

Most are forked from a server that has imported riskops already: dozens of processes are started, and importing costs
more than the job. What has to be a command from its first moment to its last is started as one (``program``).
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from tests.faults.hooks import watch_operations

__all__ = ["MODEL", "RISKOPS", "ROOT", "Command", "Result", "stored_chunks", "until"]

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "tests" / "faults" / "model"
RISKOPS = ("-m", "riskops")
_PATIENCE = 240.0

_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(
    ["riskops.cli", "riskops.cli.frame", "riskops.run", "riskops.report", "riskops.cluster.local", "distributed"]
)


@cache
def _said() -> str:
    """A folder for what commands say, until this process ends."""
    folder = tempfile.mkdtemp(prefix="riskops-commands-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    status: int
    output: str
    error: str

    @property
    def last_line(self) -> str:
        """The last line of what it said on standard error."""
        return (self.error.strip().splitlines() or [""])[-1]


def _be_riskops(words: Sequence[str], output: str, error: str, environment: Mapping[str, str]) -> None:
    """In a fork of the server: become the command ``riskops``."""
    from riskops.cli import main

    os.setsid()
    os.environ.update(environment)
    sys.path += [str(ROOT), str(MODEL)]  # it and its workers find the model with the fault there, and no test does
    for path, number in ((output, 1), (error, 2)):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(handle, number)
        os.close(handle)
    sys.argv = ["riskops", *words]
    count = watch_operations(environment)
    try:
        main()
    finally:
        count()


class Command:
    """A program of its own session; leaving the block kills whatever is left of it, and what it started."""

    def __init__(self, *words: str, program: tuple[str, ...] | None = None, **environment: str) -> None:
        folder = Path(tempfile.mkdtemp(dir=_said()))
        self._output, self._error = folder / "output", folder / "error"
        self._process: subprocess.Popen[bytes] | None = None
        self._fork: multiprocessing.process.BaseProcess | None = None
        environment = {"PYTHONPATH": f"{ROOT}{os.pathsep}{MODEL}", **environment}
        if program is None:
            arguments = (words, str(self._output), str(self._error), environment)
            self._fork = _server.Process(target=_be_riskops, args=arguments)
            self._fork.start()
            self.pid = int(self._fork.pid or 0)
            return
        with self._output.open("wb") as output, self._error.open("wb") as error:
            self._process = subprocess.Popen(
                [sys.executable, *program, *words],
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=error,
                start_new_session=True,
            )
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._status() is None

    def _status(self) -> int | None:
        if self._process is not None:
            return self._process.poll()
        assert self._fork is not None
        return self._fork.exitcode

    def _wait(self, seconds: float | None = None) -> int | None:
        if self._process is not None:
            try:
                return self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                return None
        assert self._fork is not None
        self._fork.join(seconds)
        return self._fork.exitcode

    def workers(self) -> list[psutil.Process]:
        """The worker processes that it started and that are alive."""
        found = []
        try:
            for child in psutil.Process(self.pid).children(recursive=True):
                try:
                    if "spawn_main" in " ".join(child.cmdline()):
                        found.append(child)
                except psutil.NoSuchProcess:
                    continue
        except psutil.NoSuchProcess:
            return []
        return found

    def send(self, number: int) -> None:
        """Send a signal to the command alone, unless it has ended."""
        if self.running:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL it, and then what it leaves behind."""
        family = self.workers()
        self.send(signal.SIGKILL)
        self._wait()
        for child in family:
            try:
                child.kill()
            except psutil.NoSuchProcess:
                continue

    def result(self, seconds: float = _PATIENCE) -> Result:
        """Wait for its end and return what it said; one that does not end is killed and has status -1."""
        status = self._wait(seconds)
        if status is None:
            self.kill()
            status = -1
        texts = [path.read_text("utf-8") if path.exists() else "" for path in (self._output, self._error)]
        return Result(status, *texts)


def stored_chunks(place: Path, name: str = "loss") -> int:
    """The chunks of an array that a partial run holds."""
    folder = place.with_name(place.name + ".partial") / "results.zarr" / name / "c" / "0" / "0" / "0"
    try:
        return sum(entry.name.isdigit() for entry in os.scandir(folder))
    except OSError:
        return 0


def until(condition: Callable[[], bool], *, while_running: Command | None = None, seconds: float = 120.0) -> bool:
    """Wait for a condition, looking again every millisecond; False when the command ends, or time, before it."""
    stop = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > stop or (while_running is not None and not while_running.running):
            return condition()
        time.sleep(0.001)
    return True
