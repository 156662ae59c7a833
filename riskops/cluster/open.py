"""``open_cluster``: the one context manager for every kind of cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from riskops.cluster.address import open_address
from riskops.cluster.cuda import open_cuda
from riskops.cluster.handle import Cluster
from riskops.cluster.inside import open_inside
from riskops.cluster.jobqueue import open_jobqueue
from riskops.cluster.kubernetes import open_kubernetes
from riskops.cluster.local import open_processes
from riskops.cluster.settings import Settings, check_settings
from riskops.cluster.ssh import open_ssh

__all__ = ["open_cluster"]

#: What opens each kind.
_OPENED: dict[str, Callable[[Settings], AbstractContextManager[Cluster]]] = {
    "threads": open_inside,
    "synchronous": open_inside,
    "processes": open_processes,
    "address": open_address,
    "cuda": open_cuda,
    "ssh": open_ssh,
    "slurm": open_jobqueue,
    "pbs": open_jobqueue,
    "lsf": open_jobqueue,
    "kubernetes": open_kubernetes,
}


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
    tls: Mapping[str, str | None] | None = None,
    adaptive: Mapping[str, int | None] | None = None,
    options: Mapping[str, Any] | None = None,
) -> Iterator[Cluster]:
    """Open a scheduler for the block and close it afterwards, whatever happens inside.

    A script that opens ``processes`` or ``cuda`` must do so under ``if __name__ == "__main__":``, for its workers
    import it.

    Parameters
    ----------
    kind
        ``threads`` (this process, ``workers`` threads), ``synchronous`` (this process, one task after the other),
        ``processes`` (worker processes on this machine, bound to loopback), ``address`` (a scheduler that runs),
        ``cuda`` (a worker for each GPU of this machine), ``ssh`` (other machines), ``slurm``, ``pbs`` or ``lsf`` (jobs
        of a batch system), ``kubernetes`` (pods). Those from ``cuda`` on need an extra of riskops.
    address
        ``tcp://host:port`` or ``tls://host:port``, with ``kind="address"`` only.
    workers
        How many; by default as many as there are processors, or one job's. With an address: how many must have joined.
    threads_per_worker
        Tasks at once in a worker process; 1 unless given.
    memory_limit
        Bytes a worker may use (``4e9`` as an integer, or ``"4GiB"``); by default an equal share of this machine, or
        what a machine has elsewhere. Jobs and pods ask for it and must be told.
        Schedulers inside this process are planned by it and cannot enforce it.
    dashboard
        Serve the Dask dashboard on loopback of the scheduler's machine. A running scheduler's own is linked in any
        case; those inside this process have none, and their handle says so (``dashboard_link`` is None).
    allow_insecure
        Accept a scheduler on the network without encryption: whoever can reach it can run code on it.
    tls
        The files ``ca``, ``cert`` and ``key`` (:func:`riskops.cluster.write_certificates` makes them), for ``tls://``
        addresses and the kinds that listen on the network; by default those of Dask's configuration.
    adaptive
        ``minimum`` and ``maximum`` number of workers, for ``processes``, batch systems and ``kubernetes``: workers come
        and go with the work, instead of ``workers``.
    options
        What only this kind has; ``riskops describe config`` lists them all.

    Returns
    -------
    Cluster
        The handle; use it as a context manager.

    Raises
    ------
    InputError
        If an argument is out of range or has no meaning for this kind.
    MissingExtraError
        If the kind's package is not installed.
    ClusterError
        If the scheduler may not be used, does not answer, has too few workers, or runs other versions.

    Examples
    --------
    >>> import dask.array as da
    >>> with open_cluster("threads", workers=2) as cluster:
    ...     cluster.compute(da.ones(8, chunks=4).sum())
    (np.float64(8.0),)
    """
    settings = check_settings(
        kind,
        address=address,
        workers=workers,
        threads_per_worker=threads_per_worker,
        memory_limit=memory_limit,
        dashboard=dashboard,
        allow_insecure=allow_insecure,
        tls=tls,
        adaptive=adaptive,
        options=options,
    )
    with _OPENED[kind](settings) as cluster:
        yield cluster
