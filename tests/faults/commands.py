"""Commands of riskops in processes of their own, that can be watched, signalled and asked what they said."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

__all__ = ["MODEL", "ROOT", "Command", "Result", "stored_chunks", "until"]

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "tests" / "faults" / "model"
_PATIENCE = 120.0


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


class Command:
    """A program of its own process group; leaving the block kills whatever is left of it, and what it started."""

    def __init__(self, *words: str, program: tuple[str, ...] = ("-m", "riskops"), **environment: str) -> None:
        paths = f"{ROOT}{os.pathsep}{MODEL}"
        # Dozens of processes are started: each reads bytecode, even where the caller's environment wants none.
        inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        self._error = tempfile.TemporaryFile("w+")
        self._output = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [sys.executable, *program, *words],
            env={**inherited, "PYTHONPATH": paths, **environment},
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._error,
            start_new_session=True,
        )
        self._family: list[psutil.Process] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.kill()

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    def workers(self) -> list[psutil.Process]:
        """The worker processes that it started and that are alive."""
        try:
            family = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        found = []
        for child in family:
            try:
                if "spawn_main" in " ".join(child.cmdline()):
                    found.append(child)
            except psutil.NoSuchProcess:
                continue
        return found

    def send(self, number: int) -> None:
        """Send a signal to the command alone, unless it has ended."""
        if self.running:
            self.process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL it, and then what it leaves behind."""
        family = self.workers()
        self.send(signal.SIGKILL)
        self.process.wait()
        for child in family:
            try:
                child.kill()
            except psutil.NoSuchProcess:
                continue

    def result(self, seconds: float = _PATIENCE) -> Result:
        """Wait for its end and return what it said; one that does not end is killed and has status -1."""
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            status = -1
        texts = []
        for stream in (self._output, self._error):
            stream.seek(0)
            texts.append(stream.read())
        return Result(status, *texts)


def stored_chunks(place: Path, name: str = "loss") -> int:
    """The chunks of an array that a partial run holds."""
    folder = place.with_name(place.name + ".partial") / "results.zarr" / name / "c" / "0" / "0" / "0"
    try:
        return sum(entry.name.isdigit() for entry in os.scandir(folder))
    except OSError:
        return 0


def until(condition: Callable[[], bool], *, while_running: Command | None = None, seconds: float = 60.0) -> bool:
    """Wait for a condition, looking again every half millisecond; False when the command ends, or time, before it."""
    stop = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > stop or (while_running is not None and not while_running.running):
            return condition()
        time.sleep(0.0005)
    return True
