"""Workers as jobs of a batch system, Slurm, PBS or LSF (dask-jobqueue); the scheduler runs in this process."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from riskops.cluster.connection import connect
from riskops.cluster.extras import needed
from riskops.cluster.handle import Cluster
from riskops.cluster.interrupts import undisturbed
from riskops.cluster.members import cluster_of_workers
from riskops.cluster.nodes import QUIET_WORKER
from riskops.cluster.security import network_security
from riskops.cluster.settings import Settings, check_settings
from riskops.errors import ClusterError, InputError
from riskops.threads import ONE_THREAD

if TYPE_CHECKING:
    from distributed import Security

__all__ = ["job_arguments", "job_script", "open_jobqueue"]

#: By kind: the class of dask-jobqueue, and the name that it has for the account.
_CLASSES = {
    "slurm": ("SLURMCluster", "account"),
    "pbs": ("PBSCluster", "account"),
    "lsf": ("LSFCluster", "project"),
}


def job_arguments(settings: Settings, security: Security | None) -> dict[str, Any]:
    """Return what every job is made of, as dask-jobqueue's classes of jobs take it."""
    options = settings.options or {}
    each, threads, memory = options["workers_per_job"], settings.threads_per_worker or 1, settings.memory_limit
    if memory is None:  # refused by check_settings
        raise InputError("cluster.memory_limit: is missing")
    pinned = [f"export {name}={value}" for name, value in sorted(ONE_THREAD.items())]
    arguments = {
        "cores": each * threads,
        "memory": f"{each * memory}B",
        "processes": each,
        "queue": options["queue"],
        _CLASSES[settings.kind][1]: options["account"],
        "walltime": options["walltime"],
        "interface": options["interface"],
        "job_name": "riskops",
        "job_script_prologue": [*(options["prologue"] or ()), *pinned],
        "job_extra_directives": list(options["directives"] or ()) or None,
        "python": options["python"],
        "worker_extra_args": list(QUIET_WORKER),
    }
    if security is not None:
        arguments |= {"protocol": "tls://", "security": security}
    return {name: value for name, value in arguments.items() if value is not None}


def job_script(section: Mapping[str, Any]) -> str:
    """Return the job script by which a batch system starts workers; nothing is started or submitted.

    Parameters
    ----------
    section
        ``kind``, which is ``slurm``, ``pbs`` or ``lsf``, and the other settings, as the section ``cluster`` of a
        configuration and :func:`riskops.cluster.open_cluster` have them.

    Returns
    -------
    str
        The script of one job; its scheduler's address and its worker's name are put in when it is submitted.

    Raises
    ------
    InputError
        A setting is wrong, or the kind has no job scripts.
    MissingExtraError
        dask-jobqueue is not installed.

    Examples
    --------
    >>> section = {"kind": "slurm", "memory_limit": "4GiB", "allow_insecure": True, "options": {"queue": "night"}}
    >>> print(job_script(section).splitlines()[3])
    #SBATCH -p night
    """
    checked = check_settings(**section)
    kind = checked.kind
    if kind not in _CLASSES:
        raise InputError(f"cluster.kind: {kind} has no job script; {', '.join(_CLASSES)} have one")
    security = network_security(checked)
    job = getattr(needed(kind), _CLASSES[kind][0]).job_cls
    scheme = "tcp" if security is None else "tls"
    written: str = job(f"{scheme}://SCHEDULER:PORT", name="NAME", **job_arguments(checked, security)).job_script()
    return written


@contextmanager
def open_jobqueue(settings: Settings) -> Iterator[Cluster]:
    """Start a scheduler here and submit jobs for the block; they are cancelled when it ends."""
    options = settings.options or {}
    each, bounds = options["workers_per_job"], settings.adaptive
    count = bounds.minimum if bounds else settings.workers or each
    for name, number in (
        (("adaptive.maximum", bounds.maximum), ("adaptive.minimum", count)) if bounds else (("workers", count),)
    ):
        if number % each:
            raise InputError(f"cluster.{name}: {number} is not a multiple of cluster.options.workers_per_job, {each}")
    deployed = getattr(needed(settings.kind), _CLASSES[settings.kind][0])
    security = network_security(settings)
    command = deployed.job_cls.submit_command
    if shutil.which(command.split()[0]) is None:
        raise ClusterError(
            f"cluster.kind: {settings.kind} needs the command {command} on this machine; run riskops where jobs are "
            "submitted"
        )
    with undisturbed() as stack:
        started = stack.enter_context(
            deployed(
                scheduler_options={"dashboard_address": "127.0.0.1:0", "dashboard": settings.dashboard},
                silence_logs="CRITICAL",
                **job_arguments(settings, security),
            )
        )
        started.scale(count)
        if bounds:
            started.adapt(minimum=bounds.minimum, maximum=bounds.maximum)
        client = stack.enter_context(connect(started, workers=count, seconds=options["wait"]))
        yield cluster_of_workers(client, settings, link=started.dashboard_link if settings.dashboard else None)
