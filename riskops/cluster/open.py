"""``open_cluster``: the one context manager for every kind of cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from riskops.checks import check_integer, check_one_of
from riskops.cluster.address import open_address
from riskops.cluster.connection import check_address
from riskops.cluster.handle import Cluster
from riskops.cluster.inside import open_inside
from riskops.cluster.local import open_processes
from riskops.cluster.memory import parse_memory
from riskops.errors import InputError

__all__ = ["KINDS", "open_cluster"]

KINDS = ("threads", "synchronous", "processes", "address")


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
    limit = parse_memory(memory_limit)
    _refuse_idle_settings(kind, address, workers, threads_per_worker, limit)
    if kind == "address":
        opened = open_address(check_address(address, allow_insecure=allow_insecure), workers)
    elif kind == "processes":
        opened = open_processes(workers, threads_per_worker or 1, limit, dashboard)
    else:
        opened = open_inside(kind, workers, limit)
    with opened as cluster:
        yield cluster


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
