"""A scheduler that runs already, somewhere else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from riskops.cluster.connection import check_address, connect
from riskops.cluster.handle import Cluster
from riskops.cluster.interrupts import undisturbed
from riskops.cluster.members import cluster_of_workers
from riskops.cluster.security import client_security
from riskops.cluster.settings import Settings

__all__ = ["open_address"]


@contextmanager
def open_address(settings: Settings) -> Iterator[Cluster]:
    """Connect to ``settings.address`` for the block; the scheduler and its workers stay when it ends."""
    address = check_address(settings.address, allow_insecure=settings.allow_insecure)
    security = client_security(settings.tls, address=address)
    with undisturbed() as stack:
        client = stack.enter_context(connect(address, workers=settings.workers or 1, security=security))
        yield cluster_of_workers(client, settings, link=client.dashboard_link or None)
