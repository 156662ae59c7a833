"""A scheduler and workers that run apart from riskops, as a cluster's do: each its own process, each to be killed."""

from __future__ import annotations

import socket
import time
from types import TracebackType
from typing import Self

from tests.faults.commands import Command

__all__ = ["Service"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Service:
    """``dask scheduler`` and ``dask worker`` on loopback, for the block."""

    def __init__(self, *, workers: int = 2, nanny: bool = True, memory: str = "2GiB", **environment: str) -> None:
        self.address = f"tcp://127.0.0.1:{_free_port()}"
        self._nanny, self._memory, self._environment = nanny, memory, environment
        port = self.address.rpartition(":")[2]
        words = ("scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard", "--no-show")
        self._scheduler = Command(*words, program=("-m", "dask"), **environment)
        self.workers: list[Command] = []
        self.add_workers(workers)

    def __enter__(self) -> Self:
        self._await()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for command in (*self.workers, self._scheduler):
            command.kill()

    def add_workers(self, count: int, *, address: str | None = None) -> None:
        """Start more workers, which find the scheduler at its address or at another; they join when they are up."""
        nanny = "--nanny" if self._nanny else "--no-nanny"
        words = (
            "worker",
            address or self.address,
            nanny,
            "--nthreads",
            "1",
            "--memory-limit",
            self._memory,
            "--no-dashboard",
            "--host",
            "127.0.0.1",
        )
        for _ in range(count):
            self.workers.append(Command(*words, program=("-m", "dask"), **self._environment))

    def kill_workers(self) -> None:
        """SIGKILL of all workers, and of their nannies."""
        for command in self.workers:
            command.kill()
        self.workers = []

    def kill_scheduler(self) -> None:
        """SIGKILL of the scheduler."""
        self._scheduler.kill()

    def _await(self) -> None:
        """Until the scheduler listens; the run itself waits for workers."""
        host, _, port = self.address.removeprefix("tcp://").rpartition(":")
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex((host, int(port))) == 0:
                    return
            time.sleep(0.1)
        raise OSError(f"no scheduler at {self.address}: {self._scheduler.result(1.0).error}")
