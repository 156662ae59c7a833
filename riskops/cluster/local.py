"""Worker processes on this machine, bound to loopback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dask
from dask.system import cpu_count

from riskops.cluster.connection import connect
from riskops.cluster.handle import Cluster
from riskops.cluster.interrupts import children_deaf_to_interrupts, interrupts_deferred, undisturbed
from riskops.cluster.memory import total_memory
from riskops.threads import ONE_THREAD

__all__ = ["open_processes"]


@contextmanager
def open_processes(workers: int | None, threads: int, limit: int | None, dashboard: bool) -> Iterator[Cluster]:
    from distributed import LocalCluster

    count = workers or max(1, cpu_count() // threads)
    memory = limit or total_memory() // count
    environment = {**dask.config.get("distributed.nanny.pre-spawn-environ"), **ONE_THREAD}
    with undisturbed() as stack:
        # Set before the worker starts: a thread pool is sized when its library is first loaded.
        stack.enter_context(dask.config.set({"distributed.nanny.pre-spawn-environ": environment}))
        with interrupts_deferred(), children_deaf_to_interrupts():
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
