"""The commands that start a scheduler and workers by hand: Dask's own, bound where they are told, pinned and safe."""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from riskops.checks import check_integer
from riskops.cluster.certificates import CA, CERT, KEY
from riskops.cluster.connection import check_address
from riskops.cluster.memory import parse_memory
from riskops.cluster.security import client_security
from riskops.errors import ClusterError, InputError

__all__ = ["QUIET_WORKER", "certificate_files", "scheduler_command", "worker_command"]

#: Dask's workers serve their health and metrics by HTTP even without a dashboard: on loopback, not on every interface.
QUIET_WORKER = ("--no-dashboard", "--dashboard-address", "127.0.0.1:0")


def certificate_files(folder: str | Path | None) -> dict[str, str]:
    """Return the files that :func:`riskops.cluster.write_certificates` made in a folder; none for no folder.

    Raises
    ------
    InputError
        A file is missing.
    """
    if folder is None:
        return {}
    files = {"ca": Path(folder, CA), "cert": Path(folder, CERT), "key": Path(folder, KEY)}
    for path in files.values():
        if not path.is_file():
            raise InputError(f"--certificates: {path} is not a file; riskops cluster certificates {folder} makes it")
    return {name: str(path.absolute()) for name, path in files.items()}


def scheduler_command(
    host: str, port: int, *, tls: Mapping[str, str], dashboard: bool = False, allow_insecure: bool = False
) -> list[str]:
    """Return the command that runs a scheduler on ``host:port``; its dashboard is on loopback (contract C9).

    Raises
    ------
    ClusterError
        The place is on the network, there are no certificates, and ``allow_insecure`` is not set.

    Examples
    --------
    >>> scheduler_command("127.0.0.1", 8786, tls={})[3:9]
    ['--host', '127.0.0.1', '--port', '8786', '--protocol', 'tcp']
    """
    check_integer("--port", port, at_least=0, below=65536)
    scheme = "tls" if tls else "tcp"
    check_address(f"{scheme}://{_bracketed(host)}:{port}", allow_insecure=allow_insecure)
    place = ["--host", host, "--port", str(port), "--protocol", scheme]
    shown = ["--dashboard-address", "127.0.0.1:8787" if dashboard else "127.0.0.1:0"]
    switch = [] if dashboard else ["--no-dashboard"]
    return [sys.executable, "-m", "distributed.cli.dask_scheduler", *place, *shown, *switch, *_files(tls)]


def worker_command(
    address: str,
    *,
    tls: Mapping[str, str],
    workers: int = 1,
    threads: int = 1,
    memory_limit: str | None = None,
    host: str | None = None,
    allow_insecure: bool = False,
) -> list[str]:
    """Return the command that runs workers of the scheduler at ``address``.

    They listen on ``host`` alone; without one, on the address by which this machine reaches the scheduler.

    Raises
    ------
    ClusterError
        The scheduler is on the network and not encrypted, and ``allow_insecure`` is not set; or it is encrypted and
        there are no certificates.
    """
    full = check_address(address, allow_insecure=allow_insecure)
    if not tls:
        _check_inherited(full)
    check_integer("--workers", workers, at_least=1)
    check_integer("--threads", threads, at_least=1)
    limit = parse_memory(memory_limit, name="--memory-limit")
    each = ["--nworkers", str(workers), "--nthreads", str(threads)]
    memory = [] if limit is None else ["--memory-limit", str(limit)]
    own = _own_address(full) if host is None else host
    place = [] if own is None else ["--host", own]
    command = [sys.executable, "-m", "distributed.cli.dask_worker", full, *each, *memory, *place, *QUIET_WORKER]
    return [*command, *_files(tls)]


def _check_inherited(address: str) -> None:
    """Without certificates from files, those of Dask's configuration must do."""
    try:
        client_security(None, address=address)
    except ClusterError as error:
        raise ClusterError(
            f"--certificates: is missing; {address} needs certificates: give their folder (riskops cluster "
            "certificates makes it), or set distributed.comm.tls in the Dask configuration"
        ) from error


def _own_address(scheduler: str) -> str | None:
    """This machine's address on the way to the scheduler; None where there is no way, as the worker will say."""
    parts = urlsplit(scheduler)
    try:
        family, kind, _, _, target = socket.getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as probe:
            probe.connect(target)  # a datagram socket: nothing is sent
            return str(probe.getsockname()[0])
    except OSError:
        return None


def _files(tls: Mapping[str, str]) -> list[str]:
    return [f"--tls-{name}={tls[key]}" for name, key in (("ca-file", "ca"), ("cert", "cert"), ("key", "key")) if tls]


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
