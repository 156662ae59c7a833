"""One worker process for each GPU of this machine, bound to loopback (dask-cuda)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from riskops.cluster.connection import connect
from riskops.cluster.extras import needed
from riskops.cluster.handle import Cluster
from riskops.cluster.interrupts import children_deaf_to_interrupts, interrupts_deferred, undisturbed
from riskops.cluster.local import pinned_workers
from riskops.cluster.members import cluster_of_workers
from riskops.cluster.settings import Settings
from riskops.errors import ClusterError

__all__ = ["cuda_arguments", "open_cuda"]


def cuda_arguments(settings: Settings) -> dict[str, Any]:
    """Return what ``dask_cuda.LocalCUDACluster`` is called with.

    One thread a worker: its tasks queue on one device anyway. Device memory is not spilled to the host, for chunks are
    cut to fit it.
    """
    options = settings.options or {}
    pool = options["rmm_pool_size"]
    return {
        "CUDA_VISIBLE_DEVICES": None if options["devices"] is None else list(options["devices"]),
        "threads_per_worker": 1,
        "memory_limit": "auto" if settings.memory_limit is None else settings.memory_limit,
        "device_memory_limit": None,
        "rmm_pool_size": pool,
        "rmm_allocator_external_lib_list": None if pool is None else ["cupy"],
        "protocol": "tcp",
        "host": "127.0.0.1",
        "dashboard_address": "127.0.0.1:0",
        "scheduler_kwargs": {"dashboard": settings.dashboard},
        "silence_logs": "CRITICAL",
    }


@contextmanager
def open_cuda(settings: Settings) -> Iterator[Cluster]:
    """Start a worker on each GPU for the block."""
    package = needed("cuda")
    with undisturbed() as stack:
        stack.enter_context(pinned_workers())
        with interrupts_deferred(), children_deaf_to_interrupts():
            try:
                local = stack.enter_context(package.LocalCUDACluster(**cuda_arguments(settings)))
            except (RuntimeError, ValueError) as error:
                what = str(error).splitlines()[0] if str(error) else type(error).__name__
                raise ClusterError(f"cluster.kind: cuda can't start workers on the GPUs ({what})") from error
        client = stack.enter_context(connect(local, workers=len(local.workers)))
        yield cluster_of_workers(client, settings, link=local.dashboard_link if settings.dashboard else None)
