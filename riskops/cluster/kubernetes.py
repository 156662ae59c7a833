"""A scheduler and workers as pods of a Kubernetes cluster that runs Dask's operator (dask-kubernetes)."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from riskops.cluster.connection import connect
from riskops.cluster.extras import needed
from riskops.cluster.handle import Cluster
from riskops.cluster.interrupts import undisturbed
from riskops.cluster.members import cluster_of_workers
from riskops.cluster.settings import Settings
from riskops.errors import ClusterError, InputError
from riskops.threads import ONE_THREAD

__all__ = ["kubernetes_spec", "open_kubernetes"]


def kubernetes_spec(settings: Settings) -> dict[str, Any]:
    """Return the ``DaskCluster`` resource: the pods of the scheduler and of the workers.

    Raises
    ------
    ClusterError
        ``allow_insecure`` is not set: the operator's pods talk to each other without encryption (contract C9).
    MissingExtraError
        dask-kubernetes is not installed.
    """
    if not settings.allow_insecure:
        raise ClusterError(
            "cluster.allow_insecure: kind kubernetes needs true, for Dask's operator has no TLS between its pods: "
            "whoever reaches them in the cluster's network can run code; keep others out by a network policy"
        )
    options = settings.options or {}
    bounds, threads, memory = settings.adaptive, settings.threads_per_worker or 1, settings.memory_limit
    if memory is None:  # refused by check_settings
        raise InputError("cluster.memory_limit: is missing")
    spec: dict[str, Any] = needed("kubernetes").make_cluster_spec(
        name=options["name"].format(uuid=uuid.uuid4().hex[:10]),
        image=options["image"],
        n_workers=bounds.minimum if bounds else settings.workers or 1,
        # What is asked for is what is allowed: a pod is never squeezed, and never killed for a neighbour's sake.
        resources={kind: {"cpu": str(threads), "memory": str(memory)} for kind in ("limits", "requests")},
        env=dict(ONE_THREAD),
        worker_command=["dask", "worker", "--nthreads", str(threads), "--memory-limit", str(memory)],
    )
    return spec


@contextmanager
def open_kubernetes(settings: Settings) -> Iterator[Cluster]:
    """Create the pods for the block and delete them afterwards; the connection goes through the Kubernetes API."""
    spec, options, bounds = kubernetes_spec(settings), settings.options or {}, settings.adaptive
    count = bounds.minimum if bounds else settings.workers or 1
    with undisturbed() as stack:
        try:
            started = stack.enter_context(
                needed("kubernetes").KubeCluster(
                    custom_cluster_spec=spec,
                    namespace=options["namespace"],
                    resource_timeout=int(options["wait"]),
                    shutdown_on_close=True,
                    quiet=True,
                )
            )
        except Exception as error:  # the packages under it raise many kinds, and none but these concerns a task
            what = str(error).splitlines() or [type(error).__name__]
            raise ClusterError(f"cluster.kind: kubernetes can't start a cluster ({what[0]})") from error
        if bounds:
            started.adapt(minimum=bounds.minimum, maximum=bounds.maximum)
        client = stack.enter_context(connect(started, workers=count, seconds=options["wait"]))
        yield cluster_of_workers(client, settings, link=started.dashboard_link if settings.dashboard else None)
