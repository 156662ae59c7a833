"""What the workers of a scheduler are: how many, with how many threads and how much memory, asked of themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from riskops.cluster.handle import Cluster
from riskops.cluster.memory import total_memory
from riskops.cluster.settings import Settings

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["cluster_of_workers"]


def cluster_of_workers(client: Client, settings: Settings, *, link: str | None) -> Cluster:
    """Return the handle of a cluster whose workers have joined; an adaptive one counts as the most that it may become.

    The worker with the least memory bounds the plan. One without a limit of its own has its machine's memory.
    """
    known = client.scheduler_info(n_workers=-1)["workers"]
    limits = {name: worker["memory_limit"] for name, worker in known.items()}
    if not all(limits.values()):
        machines = client.run(total_memory)
        limits = {name: limit or machines[name] for name, limit in limits.items()}
    threads = sum(worker["nthreads"] for worker in known.values())
    workers = len(known)
    if settings.adaptive is not None:
        workers = settings.adaptive.maximum
        threads = workers * max(worker["nthreads"] for worker in known.values())
    memory = int(min(limits.values()))
    return Cluster(settings.kind, workers, threads, memory, link, client, _options={"scheduler": client})
