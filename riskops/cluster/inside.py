"""The schedulers inside this process: a pool of threads, or one task after the other."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Iterator
from contextlib import contextmanager

import dask
from dask.local import get_sync
from dask.system import cpu_count
from dask.threaded import get as get_threaded

from riskops.cluster.handle import Cluster
from riskops.cluster.memory import total_memory
from riskops.cluster.settings import Settings

__all__ = ["open_inside"]


@contextmanager
def open_inside(settings: Settings) -> Iterator[Cluster]:
    """Make Dask's own scheduler of ``settings.kind`` the active one for the block."""
    kind = settings.kind
    count = 1 if kind == "synchronous" else settings.workers or cpu_count()
    memory = settings.memory_limit or total_memory() // count
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
