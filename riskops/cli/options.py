"""Arguments and options that several commands share, and the groups that hold the commands."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "AsJson",
    "ClusterName",
    "ConfigPath",
    "LogJson",
    "MetricsPort",
    "Overrides",
    "Quiet",
    "Root",
    "RunName",
    "Workers",
    "group",
]

ConfigPath = Annotated[
    Path, typer.Argument(metavar="CONFIG", help="A YAML configuration, such as configs/market_risk.yaml.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Set any key over what the configuration says: --set simulation.paths=65536. May be given several times; "
        "`riskops describe config` lists the keys.",
    ),
]
ClusterName = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="WHERE",
        help="threads, synchronous, processes (a Dask cluster on this machine), another kind of the section cluster "
        "(cuda, ssh, slurm, pbs, lsf, kubernetes), or the address of a Dask scheduler.",
    ),
]
Workers = Annotated[int | None, typer.Option("--workers", metavar="N", help="How many threads or worker processes.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress and no table: one line, the place of the result.")]
Root = Annotated[Path, typer.Option("--root", metavar="DIR", help="The folder in which run ids are looked up.")]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run's id under the root, or its path.")]
LogJson = Annotated[
    bool,
    typer.Option(
        "--log-json",
        help="Write what happens to standard error as JSON, one object a line, in place of the progress bar and of "
        "every other line there.",
    ),
]
MetricsPort = Annotated[
    str | None,
    typer.Option(
        "--metrics-port",
        metavar="PORT",
        help="Serve Prometheus metrics of the work meanwhile, on this port of loopback; host:port for another address.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def group(name: str, doc: str) -> typer.Typer:
    """A command that has commands; without one it prints its help.

    The help is plain text: it can be copied, and it is there in a tenth of a second, where boxes and colours take one.
    """
    return typer.Typer(
        name=name,
        help=inspect.cleandoc(doc),
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"max_content_width": 100},
    )
