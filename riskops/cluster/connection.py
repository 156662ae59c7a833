"""Connecting to a Dask scheduler: which address is safe, whether it answers, and whether it runs the same versions."""

from __future__ import annotations

import asyncio
import ipaddress
import platform
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import metadata
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from riskops.errors import ClusterError, InputError

if TYPE_CHECKING:
    from distributed import Client, Security
    from distributed.deploy import Cluster as DeployedCluster

__all__ = ["CONNECT_SECONDS", "PACKAGES", "check_address", "connect", "is_loopback", "package_versions"]

CONNECT_SECONDS = 10.0

PACKAGES = ("numpy", "numba", "dask", "distributed", "xarray", "zarr", "scipy", "pandas", "riskops")
"""Figures, or the graphs that make them, depend on these: every node must have the same ones (as well as Python)."""


def package_versions() -> dict[str, str | None]:
    """Return the versions of Python and of ``PACKAGES`` in this process; None for a package that is not installed."""
    versions: dict[str, str | None] = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return versions


def check_address(address: str | None, *, allow_insecure: bool) -> str:
    """Return a scheduler's address when it may be used: on loopback, over TLS, in this process, or vouched for.

    A scheduler runs whatever code it is sent and answers to anybody who reaches it (contract C9).
    """
    if address is None:
        raise InputError("cluster.address: None is not an address such as tcp://127.0.0.1:8786")
    full = address if "://" in address else f"tcp://{address}"
    scheme = full.partition("://")[0]
    if scheme == "inproc":
        return full
    try:
        parts = urlsplit(full)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if scheme not in ("tcp", "tls", "ucx") or not host or port is None:
        raise InputError(f"cluster.address: {address!r} is not an address such as tcp://127.0.0.1:8786")
    if scheme != "tls" and not is_loopback(host) and not allow_insecure:
        raise ClusterError(
            f"cluster.address: {address} is neither on this machine nor encrypted; "
            "use tls://, or set cluster.allow_insecure: true on a network that you trust"
        )
    return full


def is_loopback(host: str) -> bool:
    """Return whether a host, by name or address, is this machine and reached from nowhere else."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextmanager
def connect(
    target: str | DeployedCluster, *, workers: int = 1, security: Security | None = None, seconds: float | None = None
) -> Iterator[Client]:
    """Connect for the block to a scheduler, by address or of this process's own making, and disconnect afterwards.

    It must answer in time, have at least ``workers`` workers after ``seconds``, and all its nodes this process's
    versions.
    """
    from distributed import Client

    if isinstance(target, str):
        _knock(target, security)
    with Client(target, timeout=CONNECT_SECONDS, security=security) as client:
        name = target if isinstance(target, str) else client.scheduler.address
        _check_workers(client, name, workers, CONNECT_SECONDS if seconds is None else seconds)
        _check_versions(client, name)
        yield client


def _knock(address: str, security: Security | None) -> None:
    """Shake hands with a scheduler and hang up.

    A client would wait for ever for a server that accepts and says nothing, and leaves its thread behind when nobody
    answers. The thread here is for notebooks, whose own thread has an event loop that runs already.
    """
    from distributed.comm import connect as open_comm

    arguments = security.get_connection_args("client") if security and address.startswith("tls://") else {}

    async def knock() -> None:
        async with asyncio.timeout(CONNECT_SECONDS):
            comm = await open_comm(address, timeout=CONNECT_SECONDS, **arguments)
            await comm.close()

    with ThreadPoolExecutor(1) as pool:
        try:
            pool.submit(asyncio.run, knock()).result()
        except TimeoutError as error:
            raise ClusterError(f"cluster.address: {address} does not answer within {CONNECT_SECONDS:g} s") from error
        except (OSError, ValueError) as error:
            advice = "; it may want tls://" if address.startswith("tcp://") else ""
            raise ClusterError(f"cluster.address: {address} hangs up on a Dask client{advice} ({error})") from error


def _check_workers(client: Client, address: str, workers: int, seconds: float) -> None:
    try:
        client.wait_for_workers(workers, timeout=seconds)
    except TimeoutError as error:
        there = len(client.scheduler_info(n_workers=-1)["workers"])
        raise ClusterError(
            f"cluster.workers: {address} has {there} workers after {seconds:g} s, {workers} were asked for"
        ) from error


def _check_versions(client: Client, address: str) -> None:
    answer = cast("dict[str, Any]", client.get_versions(packages=list(PACKAGES)))
    nodes = {"the scheduler": answer["scheduler"]}
    nodes.update({f"worker {name}": info for name, info in answer["workers"].items()})
    own = answer["client"]["packages"]
    for node, info in nodes.items():
        theirs = info["packages"]
        for name in ("python", *PACKAGES):
            if theirs.get(name) != own[name]:
                raise ClusterError(
                    f"cluster.address: {node} of {address} has {name} {theirs.get(name) or '(missing)'}, "
                    f"this process has {own[name] or '(missing)'}; they must be the same"
                )
