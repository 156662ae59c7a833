"""A scheduler that runs already, somewhere else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from riskops.cluster.connection import connect
from riskops.cluster.handle import Cluster
from riskops.cluster.interrupts import undisturbed
from riskops.cluster.memory import total_memory

__all__ = ["open_address"]


@contextmanager
def open_address(address: str, workers: int | None) -> Iterator[Cluster]:
    with undisturbed() as stack:
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
