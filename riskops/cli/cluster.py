"""The commands about clusters: certificates, a scheduler and workers of one's own, the job script of a batch system."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from riskops.cli.frame import guarded, load, say
from riskops.cli.options import ConfigPath, Overrides, group

__all__ = ["app"]

app = group(
    "cluster",
    """
    Certificates, a scheduler and workers of your own, job scripts.

    \b
    riskops cluster certificates certificates
    riskops cluster scheduler --host 10.0.0.1 --certificates certificates
    riskops cluster worker tls://10.0.0.1:8786 --certificates certificates --workers 8
    riskops cluster script config.yaml
    """,
)

Certificates = Annotated[
    Path | None,
    typer.Option("--certificates", metavar="DIR", help="The folder that `riskops cluster certificates` filled."),
]
AllowInsecure = Annotated[
    bool,
    typer.Option("--allow-insecure", help="No TLS on the network: whoever reaches the scheduler can run code on it."),
]


@app.command("certificates")
@guarded
def certificates_(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write them; it is made.")],
    days: Annotated[int, typer.Option("--days", metavar="N", help="How long they are valid.")] = 365,
) -> None:
    """Make an authority and a certificate for a cluster.

    The same three files go to the scheduler, the workers and the clients. Whoever has the key can run code on the
    cluster.
    """
    from riskops.cluster import write_certificates

    for name, path in write_certificates(folder, days=days).items():
        print(f"cluster.tls.{name}: {path}")


@app.command("scheduler")
@guarded
def scheduler_(
    host: Annotated[
        str, typer.Option("--host", metavar="HOST", help="The address to listen on; loopback is this machine alone.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", metavar="N", help="The port; 0: any that is free.")] = 8786,
    certificates: Certificates = None,
    dashboard: Annotated[
        bool, typer.Option("--dashboard", help="Serve Dask's dashboard on 127.0.0.1:8787 of this machine.")
    ] = False,
    allow_insecure: AllowInsecure = False,
) -> None:
    """Run a Dask scheduler until it is interrupted."""
    from riskops.cluster.nodes import certificate_files, scheduler_command

    tls = certificate_files(certificates)
    _become(scheduler_command(host, port, tls=tls, dashboard=dashboard, allow_insecure=allow_insecure))


@app.command("worker")
@guarded
def worker_(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="The scheduler: tls://host:8786.")],
    certificates: Certificates = None,
    workers: Annotated[int, typer.Option("--workers", metavar="N", help="Worker processes.")] = 1,
    threads: Annotated[int, typer.Option("--threads", metavar="N", help="Threads of each.")] = 1,
    memory_limit: Annotated[
        str | None,
        typer.Option("--memory-limit", metavar="SIZE", help="Memory of each (4GiB); default: an equal share."),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option("--host", metavar="HOST", help="The address to listen on; default: that seen by the scheduler."),
    ] = None,
    allow_insecure: AllowInsecure = False,
) -> None:
    """Run Dask workers until they are interrupted.

    Their linear algebra libraries have one thread, as a figure's last bits demand.
    """
    from riskops.cluster.nodes import certificate_files, worker_command

    command = worker_command(
        address,
        tls=certificate_files(certificates),
        workers=workers,
        threads=threads,
        memory_limit=memory_limit,
        host=host,
        allow_insecure=allow_insecure,
    )
    _become(command)


@app.command("script")
@guarded
def script_(config: ConfigPath, overrides: Overrides = None) -> None:
    """Print the job script of a configuration.

    For the kinds slurm, pbs and lsf: what is submitted for each job of workers. Nothing is started or submitted.
    """
    from riskops.cluster import job_script

    print(job_script(load(config, overrides, None, None).cluster.model_dump()), end="")


def _become(command: list[str]) -> None:
    """Run a command in the place of this process, so that signals reach it; each library has one thread."""
    from riskops.threads import ONE_THREAD

    say(f"riskops: {shlex.join(command)}")
    os.execve(command[0], command, {**os.environ, **ONE_THREAD})
