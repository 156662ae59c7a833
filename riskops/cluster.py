"""Where a computation runs: the one place that makes a scheduler or talks to one, and that closes it again.

Library functions build graphs and use whatever scheduler is active; a pipeline opens a cluster around them and asks
once. Inside the block the cluster is also Dask's active scheduler, so a notebook's ``.compute()`` goes there too.
What can go wrong with a scheduler is turned into a ``ClusterError`` that names the setting to change.
"""

from __future__ import annotations

import concurrent.futures
import logging
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
from dask.local import get_sync
from dask.system import cpu_count
from dask.threaded import get as get_threaded
from dask.utils import parse_bytes

from riskops.checks import check_integer, check_one_of
from riskops.connection import check_address, connect, package_versions
from riskops.errors import ClusterError, InputError
from riskops.progress import Progress, describe_task
from riskops.threads import ONE_THREAD

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["KINDS", "Cluster", "open_cluster", "total_memory"]

KINDS = ("threads", "synchronous", "processes", "address")


def total_memory() -> int:
    """Return the bytes of memory that this process may use: the machine's, or its control group's if that is less."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            limits.append(int(Path("/sys/fs/cgroup", name).read_text(encoding="ascii")))
        except (OSError, ValueError):
            # No control group of this version, or one without a limit (it then says "max").
            continue
    return min(limits)


@dataclass(frozen=True)
class Cluster:
    """A scheduler that is ready to compute, and what a plan has to know of it."""

    kind: str
    """``threads``, ``synchronous``, ``processes`` or ``address``."""
    workers: int
    """Workers; a thread of the threaded scheduler counts as one."""
    threads: int
    """Tasks that run at once, over all workers."""
    memory_per_worker: int
    """Bytes that one worker may use."""
    dashboard_link: str | None = None
    """Where the Dask dashboard is, if there is one."""
    client: Client | None = field(default=None, repr=False)
    """The client of a distributed scheduler; None for the schedulers inside this process."""
    _options: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def compute(self, *collections: Any, progress: Progress | None = None) -> tuple[Any, ...]:
        """Compute everything in one pass and return the results in order.

        Parameters
        ----------
        collections
            Lazy datasets, arrays and delayed values; what is not lazy is returned as it is.
        progress
            Shows how far the computation is and keeps the time of each stage; nothing is shown without it.

        Returns
        -------
        tuple
            One in-memory result for each argument.

        Raises
        ------
        ClusterError
            If memory ran out, workers died under a task, or the scheduler was lost. A task's own exception is raised
            as it is.
        """
        watch = Progress(quiet=True) if progress is None else progress
        try:
            with watch.watching(self.client):
                results: tuple[Any, ...] = dask.compute(*collections, **self._options)
                return results
        except MemoryError as error:
            where = " or ".join(watch.suspects) or "the computation"
            raise ClusterError(f"{self._memory_setting()}: memory ran out in {where}; {self._advice()}") from error
        except Exception as error:
            line = self._lost(error)
            if line is None:
                raise
            raise ClusterError(line) from error

    def versions(self) -> dict[str, str]:
        """Return the versions of Python and of the packages that figures depend on; every node has the same ones."""
        return {name: version or "not installed" for name, version in package_versions().items()}

    @contextmanager
    def performance_report(self, path: str | Path) -> Iterator[None]:
        """Record what the block computes into a self-contained HTML page at ``path``: each task, when and where."""
        if self.client is not None:
            from distributed import performance_report

            with self.client.as_current(), performance_report(filename=str(path), mode="inline"):
                yield
            return
        from dask.diagnostics import Profiler, ResourceProfiler, visualize

        with Profiler() as tasks, ResourceProfiler(dt=0.25) as resources:
            yield
        if not tasks.results:
            raise InputError(f"performance_report: nothing was computed, so there is nothing to write to {path}")
        visualize([tasks, resources], filename=str(path), show=False, save=True, mode="inline")

    def _memory_setting(self) -> str:
        return "simulation.chunk_paths" if self.client is None else "cluster.memory_limit"

    def _advice(self) -> str:
        if self.kind in ("threads", "synchronous"):
            return "lower simulation.chunk_paths or cluster.workers"
        return "lower simulation.chunk_paths or raise cluster.memory_limit"

    def _lost(self, error: Exception) -> str | None:
        """The line for an error that comes from the cluster and not from a task; None for any other."""
        if self.client is None:
            return None
        from distributed.client import FutureCancelledError, FuturesCancelledError
        from distributed.comm import CommClosedError
        from distributed.scheduler import KilledWorker

        if isinstance(error, KilledWorker):
            return (
                f"cluster.memory_limit: {error.allowed_failures + 1} workers died one after the other in "
                f"{describe_task(error.task)}, most likely out of memory; {self._advice()}"
            )
        if isinstance(error, FutureCancelledError | FuturesCancelledError | CommClosedError):
            return f"cluster.{self.kind}: the scheduler was lost in mid-run; a run that was begun can be resumed"
        return None


@contextmanager
def open_cluster(
    kind: str = "threads",
    *,
    address: str | None = None,
    workers: int | None = None,
    threads_per_worker: int | None = None,
    memory_limit: int | str | None = None,
    dashboard: bool = False,
    allow_insecure: bool = False,
) -> Iterator[Cluster]:
    """Open a scheduler for the block and close it afterwards, whatever happens inside.

    A script that opens ``processes`` must do so under ``if __name__ == "__main__":``, for its workers import it.

    Parameters
    ----------
    kind
        ``threads`` (this process, ``workers`` threads), ``synchronous`` (this process, one task after the other),
        ``processes`` (worker processes on this machine, bound to loopback) or ``address`` (a scheduler that runs).
    address
        ``tcp://host:port`` or ``tls://host:port``, with ``kind="address"`` only; the certificates of ``tls`` come from
        Dask's configuration.
    workers
        How many; by default as many as there are processors. With an address: how many must have joined.
    threads_per_worker
        Tasks at once in a worker process; 1 unless given.
    memory_limit
        Bytes a worker may use (``4e9`` as an integer, or ``"4GiB"``); by default an equal share of this machine.
        Schedulers inside this process are planned by it and cannot enforce it.
    dashboard
        Serve the Dask dashboard on loopback (``processes``). A running scheduler's own is linked in any case; those
        inside this process have none, and their handle says so (``dashboard_link`` is None).
    allow_insecure
        Accept a ``tcp://`` scheduler that is not on loopback: whoever can reach it can run code on it.

    Returns
    -------
    Cluster
        The handle; use it as a context manager.

    Raises
    ------
    InputError
        If an argument is out of range or has no meaning for this kind.
    ClusterError
        If the scheduler may not be used, does not answer, has too few workers, or runs other versions.

    Examples
    --------
    >>> import dask.array as da
    >>> with open_cluster("threads", workers=2) as cluster:
    ...     cluster.compute(da.ones(8, chunks=4).sum())
    (np.float64(8.0),)
    """
    check_one_of("cluster.kind", kind, KINDS)
    if workers is not None:
        check_integer("cluster.workers", workers, at_least=1)
    if threads_per_worker is not None:
        check_integer("cluster.threads_per_worker", threads_per_worker, at_least=1)
    limit = _parse_limit(memory_limit)
    _refuse_idle_settings(kind, address, workers, threads_per_worker, limit)
    if kind == "address":
        opened = _existing(check_address(address, allow_insecure=allow_insecure), workers)
    elif kind == "processes":
        opened = _processes(workers, threads_per_worker or 1, limit, dashboard)
    else:
        opened = _local(kind, workers, limit)
    with opened as cluster:
        yield cluster


def _parse_limit(memory_limit: int | str | None) -> int | None:
    if memory_limit is None:
        return None
    if isinstance(memory_limit, str):
        try:
            memory_limit = parse_bytes(memory_limit)
        except ValueError as error:
            raise InputError(f"cluster.memory_limit: {memory_limit!r} is not a number of bytes such as 4GiB") from error
    return check_integer("cluster.memory_limit", memory_limit, at_least=1)


def _refuse_idle_settings(
    kind: str, address: str | None, workers: int | None, threads: int | None, limit: int | None
) -> None:
    """No setting is ignored in silence: one that does nothing for this kind is an error."""
    idle = {
        "address": address is not None and kind != "address",
        "workers": kind == "synchronous" and workers not in (None, 1),
        "threads_per_worker": kind != "processes" and threads is not None,
        "memory_limit": kind == "address" and limit is not None,
    }
    values = {
        "address": address,
        "workers": workers,
        "threads_per_worker": threads,
        "memory_limit": limit,
    }
    for name, is_idle in idle.items():
        if is_idle:
            raise InputError(f"cluster.{name}: {values[name]!r} has no meaning with cluster.kind: {kind}")


@contextmanager
def _local(kind: str, workers: int | None, limit: int | None) -> Iterator[Cluster]:
    count = 1 if kind == "synchronous" else workers or cpu_count()
    memory = limit or total_memory() // count
    # The functions themselves, not their names: to look a name up, Dask imports distributed, for half a second.
    if kind == "synchronous":
        with dask.config.set(scheduler=get_sync):
            yield Cluster(kind, 1, 1, memory, _options={"scheduler": get_sync})
        return
    # An own pool, not Dask's: it ends with the block, and no task of an interrupted computation outlives it.
    pool = concurrent.futures.ThreadPoolExecutor(count, thread_name_prefix="riskops")
    try:
        with dask.config.set(scheduler=get_threaded, pool=pool):
            yield Cluster(kind, count, count, memory, _options={"scheduler": get_threaded, "pool": pool})
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _undisturbed() -> Iterator[ExitStack]:
    """A stack whose unwinding Ctrl-C does not cut short: that would leave processes to be waited for at exit."""
    with ExitStack() as stack:
        # What befalls the client is raised as an error; its log would say it again, as a traceback.
        for name in ("asyncio", "distributed.client"):
            notices = logging.getLogger(name)
            notices.addFilter(_is_worth_reading)
            stack.callback(notices.removeFilter, _is_worth_reading)
        try:
            yield stack
        finally:
            with _interrupts_deferred():
                stack.close()


@contextmanager
def _interrupts_deferred() -> Iterator[None]:
    """Let a Ctrl-C that comes inside the block take effect at its end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, _frame: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if came and callable(handler):
        handler(came[0], None)


@contextmanager
def _children_deaf_to_interrupts() -> Iterator[None]:
    """Make processes that are started inside the block, and by threads that are, not hear Ctrl-C.

    A terminal sends it to them as well, but it is this process that ends them, in order. What a thread blocks is handed
    down to the threads and processes that it starts.
    """
    # Python's own helper of child processes would lift the block, were it started later.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _is_worth_reading(record: logging.LogRecord) -> bool:
    """Whether a notice is; those on lost connections, and on waits that an interrupted computation gave up, are not."""
    kind = record.exc_info[0] if record.exc_info else None
    return record.levelno < logging.ERROR or (record.name == "asyncio" and (kind is None or kind.__name__ != "AllExit"))


@contextmanager
def _processes(workers: int | None, threads: int, limit: int | None, dashboard: bool) -> Iterator[Cluster]:
    from distributed import LocalCluster

    count = workers or max(1, cpu_count() // threads)
    memory = limit or total_memory() // count
    environment = {**dask.config.get("distributed.nanny.pre-spawn-environ"), **ONE_THREAD}
    with _undisturbed() as stack:
        # Set before the worker starts: a thread pool is sized when its library is first loaded.
        stack.enter_context(dask.config.set({"distributed.nanny.pre-spawn-environ": environment}))
        with _interrupts_deferred(), _children_deaf_to_interrupts():
            local = stack.enter_context(
                LocalCluster(
                    n_workers=count,
                    threads_per_worker=threads,
                    memory_limit=memory,
                    processes=True,
                    host="127.0.0.1",
                    dashboard_address="127.0.0.1:0",
                    scheduler_kwargs={"dashboard": dashboard},
                    silence_logs="CRITICAL",
                )
            )
        client = stack.enter_context(connect(local))
        link = local.dashboard_link if dashboard else None
        yield Cluster("processes", count, count * threads, memory, link, client, _options={"scheduler": client})


@contextmanager
def _existing(address: str, workers: int | None) -> Iterator[Cluster]:
    with _undisturbed() as stack:
        client = stack.enter_context(connect(address, workers=workers or 1))
        known = client.scheduler_info(n_workers=-1)["workers"]
        limits = {name: worker["memory_limit"] for name, worker in known.items()}
        if not all(limits.values()):
            machines = client.run(total_memory)
            limits = {name: limit or machines[name] for name, limit in limits.items()}
        threads = sum(worker["nthreads"] for worker in known.values())
        memory = int(min(limits.values()))
        link = client.dashboard_link or None
        yield Cluster("address", len(known), threads, memory, link, client, _options={"scheduler": client})
