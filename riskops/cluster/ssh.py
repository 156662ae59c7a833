"""A scheduler and workers that are started on other machines over SSH (distributed's SSHCluster, by asyncssh)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from riskops.cluster.connection import connect, is_loopback
from riskops.cluster.extras import needed
from riskops.cluster.handle import Cluster
from riskops.cluster.interrupts import undisturbed
from riskops.cluster.local import pinned_workers
from riskops.cluster.members import cluster_of_workers
from riskops.cluster.security import inherited_tls, network_security
from riskops.cluster.settings import Settings
from riskops.errors import ClusterError

if TYPE_CHECKING:
    from distributed import Client, Security

__all__ = ["open_ssh", "ssh_arguments"]


def ssh_arguments(settings: Settings, security: Security | None) -> dict[str, Any]:
    """Return what ``distributed.SSHCluster`` is called with.

    Hosts that are this machine listen on loopback alone. The host keys are always held to the known ones.
    """
    options = settings.options or {}
    hosts = list(options["hosts"])
    login = {
        "username": options["user"],
        "port": options["port"],
        "client_keys": options["key"],
        "known_hosts": options["known_hosts"],
    }
    here = {"host": "127.0.0.1"} if all(is_loopback(host) for host in hosts) else {}
    limit = {} if settings.memory_limit is None else {"memory_limit": settings.memory_limit}
    dashboard = {"dashboard_address": "127.0.0.1:0", "dashboard": settings.dashboard}
    return {
        "hosts": [hosts[0], *hosts],  # the first one runs the scheduler, and each of the others workers
        "connect_options": {name: value for name, value in login.items() if value is not None},
        "worker_options": {
            "nthreads": settings.threads_per_worker or 1,
            "n_workers": options["workers_per_host"],
            "dashboard": False,
            "dashboard_address": "127.0.0.1:0",  # health and metrics are served there even so
            **here,
            **limit,
        },
        "scheduler_options": {
            "port": 0,
            **dashboard,
            **here,
            **({} if security is None else {"protocol": "tls"}),
        },
        "remote_python": options["python"],
        "security": security,
        "silence_logs": "CRITICAL",  # what fails is raised
    }


@contextmanager
def open_ssh(settings: Settings) -> Iterator[Cluster]:
    """Log in to the hosts and start a scheduler and workers for the block; they end with it."""
    ssh, options = needed("ssh"), settings.options or {}
    hosts = options["hosts"]
    # On loopback nobody else can reach the scheduler, as with worker processes.
    local = settings.tls is None and all(is_loopback(host) for host in hosts)
    security = None if local else network_security(settings)
    from distributed import SSHCluster

    with undisturbed() as stack:
        stack.enter_context(pinned_workers())
        stack.enter_context(inherited_tls(settings.tls))
        try:
            started = stack.enter_context(SSHCluster(**ssh_arguments(settings, security)))
        except (OSError, ssh.Error, RuntimeError) as error:
            what = str(error.__cause__ or error).splitlines() or [type(error).__name__]
            raise ClusterError(f"cluster.options.hosts: {', '.join(hosts)}: {what[0]}") from error
        count = len(hosts) * options["workers_per_host"]
        client = stack.enter_context(connect(started, workers=count, seconds=options["wait"]))
        yield cluster_of_workers(client, settings, link=_link(client, hosts[0]) if settings.dashboard else None)


def _link(client: Client, host: str) -> str:
    """Where the dashboard is: on loopback of the scheduler's host, to be reached through a tunnel."""
    port = client.scheduler_info()["services"]["dashboard"]
    return f"http://127.0.0.1:{port}/status (on {host}; ssh -L {port}:127.0.0.1:{port} {host})"
