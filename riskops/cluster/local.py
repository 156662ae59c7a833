"""Worker processes on this machine, bound to loopback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dask
from dask.system import cpu_count
from dask.utils import format_bytes

from riskops.cluster.connection import connect
from riskops.cluster.handle import Cluster
from riskops.cluster.interrupts import children_deaf_to_interrupts, interrupts_deferred, undisturbed
from riskops.cluster.memory import total_memory
from riskops.cluster.settings import Settings
from riskops.errors import ClusterError
from riskops.threads import ONE_THREAD

__all__ = ["open_processes", "pinned_workers"]

#: Seconds without a sign of life after which a worker is ended and another started; Dask waits for five minutes.
SILENT_SECONDS = 60
_DASKS_OWN = "5 minutes"
#: Bytes below which a worker's interpreter is ended for its memory again and again while it starts.
LEAST_MEMORY = 128 * 2**20


def pinned_workers() -> dask.config.set:
    """Give every worker that is started inside the block one thread in each linear algebra library.

    It is set before a worker starts: a pool of threads is sized when its library is first loaded.
    """
    environment = {**dask.config.get("distributed.nanny.pre-spawn-environ"), **ONE_THREAD}
    return dask.config.set({"distributed.nanny.pre-spawn-environ": environment})


def silent_workers_replaced() -> dask.config.set:
    """Have a scheduler that is made inside the block replace stopped workers early, unless the user says when.

    Tasks take seconds and kernels let the worker's own thread run meanwhile, so a minute's silence is no long task.
    """
    name = "distributed.scheduler.worker-ttl"
    return dask.config.set({name: f"{SILENT_SECONDS}s"} if dask.config.get(name) == _DASKS_OWN else {})


@contextmanager
def _started() -> Iterator[None]:
    """A worker that dies while it is started is said in one line."""
    try:
        yield
    except RuntimeError as error:
        raise ClusterError(f"cluster.processes: a worker died while it was started ({error}); begin again") from error


@contextmanager
def open_processes(settings: Settings) -> Iterator[Cluster]:
    """Start worker processes for the block.

    An adaptive cluster begins with the fewest; each worker's share of the memory is that among the most.
    """
    from distributed import LocalCluster

    threads, bounds = settings.threads_per_worker or 1, settings.adaptive
    count = bounds.maximum if bounds else settings.workers or max(1, cpu_count() // threads)
    first = bounds.minimum if bounds else count
    memory = settings.memory_limit or total_memory() // count
    if memory < LEAST_MEMORY:
        setting = "memory_limit" if settings.memory_limit else "workers"
        raise ClusterError(
            f"cluster.{setting}: a worker would have {format_bytes(memory)}, and its interpreter alone takes more than "
            f"{format_bytes(LEAST_MEMORY)}; {'raise' if settings.memory_limit else 'lower'} cluster.{setting}"
        )
    with undisturbed() as stack:
        stack.enter_context(pinned_workers())
        stack.enter_context(silent_workers_replaced())
        with _started(), interrupts_deferred(), children_deaf_to_interrupts():
            local = stack.enter_context(
                LocalCluster(
                    n_workers=first,
                    threads_per_worker=threads,
                    memory_limit=memory,
                    processes=True,
                    host="127.0.0.1",
                    dashboard_address="127.0.0.1:0",
                    scheduler_kwargs={"dashboard": settings.dashboard},
                    silence_logs="CRITICAL",
                )
            )
        client = stack.enter_context(connect(local, workers=first))
        if bounds:
            local.adapt(minimum=bounds.minimum, maximum=bounds.maximum)
        link = local.dashboard_link if settings.dashboard else None
        yield Cluster("processes", count, count * threads, memory, link, client, _options={"scheduler": client})
