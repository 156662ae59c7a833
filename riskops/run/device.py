"""Where the paths of a run are simulated: the device asked for, settled against those that the workers have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from riskops import backend
from riskops.cluster import Cluster
from riskops.run.job import RiskJob
from riskops.simulation.device_plan import DeviceChoice, choose_device

__all__ = ["describe_device", "settle_device"]


def settle_device(job: RiskJob, *, cluster: Cluster) -> tuple[RiskJob, DeviceChoice]:
    """Decide where the paths of a job are simulated, and return the job with the choice and the choice itself.

    Parameters
    ----------
    job
        A job whose chunks are settled; its ``device`` is what was asked for.
    cluster
        The workers; on a cluster the device with the least free memory counts, and every worker must have one.

    Raises
    ------
    InputError
        ``cuda`` was asked for, and a worker has no device.
    PlanError
        ``cuda`` was asked for, and the work does not fit into a device's memory.

    Examples
    --------
    >>> from riskops.cluster import open_cluster
    >>> from riskops.run.example import small_job
    >>> with open_cluster("synchronous") as cluster:
    ...     settle_device(small_job(), cluster=cluster)[1].reason
    'simulation.device is cpu'
    """
    choice = choose_device(
        job.device,
        spec=job.spec,
        work=job.workload,
        free_memory=None if job.device == "cpu" else _least_free(cluster),
        threads=cluster.threads if cluster.client is None else max(1, cluster.threads // cluster.workers),
        device_fallback=job.device_fallback,
    )
    return replace(job, device=choice.device), choice


def describe_device(choice: DeviceChoice, *, wanted: str, cluster: Cluster) -> dict[str, Any]:
    """What the manifest says of the device: which, why, and what it would need."""
    names = _asked(cluster, backend.device_name) if choice.device == "cuda" else ["cpu"]
    return {
        "device": choice.device,
        "name": ", ".join(sorted(set(names))),
        "wanted": wanted,
        "reason": choice.reason,
        "device_memory": choice.memory,
    }


def _least_free(cluster: Cluster) -> int | None:
    """The free memory of the fullest device; None where a worker has none."""
    free = _asked(cluster, backend.free_device_memory)
    known = [memory for memory in free if memory is not None]
    return min(known) if known and len(known) == len(free) else None


def _asked(cluster: Cluster, question: Callable[[], Any]) -> list[Any]:
    """The answer of every worker, or of this process where there are none."""
    return [question()] if cluster.client is None else list(cluster.client.run(question).values())
