"""The commands that begin something: ``init``, ``run``, ``plan`` and ``bench``."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from riskops.cli.frame import (
    check_outlives,
    cluster_of,
    guarded,
    kept,
    load,
    measured,
    progress_bar,
    say,
    show,
    show_run,
    write_file,
)
from riskops.cli.options import AsJson, ClusterName, ConfigPath, LogJson, MetricsPort, Overrides, Quiet, Workers

__all__ = ["bench", "init", "plan", "run"]


@guarded
def init(
    prices: Annotated[
        Path,
        typer.Argument(
            metavar="PRICES", help="Your prices (.csv, .csv.gz, .parquet, .zarr): dates, then one column an asset."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Where to write; default: <prices>.yaml, here."),
    ] = None,
    gaps: Annotated[
        str,
        typer.Option(
            "--gaps", metavar="POLICY", help="Missing prices: error, drop_assets, drop_dates, {forward_fill: N}."
        ),
    ] = "error",
) -> None:
    """Write a starter configuration for your own prices."""
    from riskops.config import starter_config
    from riskops.errors import InputError
    from riskops.market import load_prices
    from riskops.textfile import parse_yaml

    target = Path(prices.name.split(".")[0] + ".yaml") if out is None else out
    if target.exists():
        raise InputError(f"--out: {target} exists; choose another file")
    policy: Any = parse_yaml(gaps, name="--gaps")
    table = load_prices(str(prices), gaps=policy)
    write_file("--out", target, starter_config(_seen_from(target.parent, prices), table, gaps=policy))
    print(f"{target}: look through it, then riskops run {shlex.quote(str(target))}")


def _seen_from(folder: Path, prices: Path) -> str:
    """The path of the prices as a configuration in ``folder`` has it: relative when they lie in there or below."""
    if not prices.exists():
        return str(prices)  # the name of a bundled data set
    inside = os.path.relpath(prices, folder)
    return os.path.abspath(prices) if inside.startswith("..") else inside


@guarded
def run(
    config: ConfigPath,
    overrides: Overrides = None,
    cluster: ClusterName = None,
    workers: Workers = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="The run's directory; default: <store.root>/<config>-<utc time>."),
    ] = None,
    dashboard: Annotated[
        bool,
        typer.Option(
            "--dashboard", help="Show Dask's dashboard meanwhile, and keep its performance report in the run."
        ),
    ] = False,
    metrics_port: MetricsPort = None,
    log_json: LogJson = False,
    quiet: Quiet = False,
) -> None:
    """Do what a configuration says; print and keep the report.

    \b
    riskops run configs/market_risk.yaml
    riskops run configs/var_backtest.yaml
    riskops run configs/market_risk.yaml --set simulation.paths=4194304 --set risk.levels=[0.99]
    riskops run configs/market_risk.yaml --cluster processes --workers 4 --dashboard

    The run's directory holds the report (report.html), all figures (results.json, figures.csv), the losses of every
    path (results.zarr) and the manifest. It appears when it is complete; an interrupted run can be resumed.
    """
    from riskops.config import Config
    from riskops.run import RunDirectory, execute, new_run_id, prepare
    from riskops.run.manifest import target_line

    settings = load(config, overrides, cluster, workers)
    place = out if out is not None else Path(settings.store.root) / new_run_id(config.stem)
    RunDirectory(place).check_free()
    if isinstance(settings, Config):
        check_outlives(settings.store.url)
    job = prepare(settings, title=config.stem)
    watch = dashboard or settings.cluster.dashboard
    progress = progress_bar(quiet)
    with (
        kept(place),
        cluster_of(settings.cluster.model_dump(), quiet=quiet, watch=watch) as where,
        measured(progress, metrics_port, cluster=where, quiet=quiet),
    ):
        done = execute(
            job,
            configuration=settings.resolved(),
            out=place,
            cluster=where,
            progress=progress,
            html=settings.report.html,
            performance=watch,
        )
    if not quiet:
        show_run(RunDirectory(done))
        ended = RunDirectory(done).manifest().get("target")
        if ended is not None:
            print(f"target: {target_line(ended)}")
    print(f"report: {done / 'report.html'}" if settings.report.html else f"run: {done}")


@guarded
def plan(
    config: ConfigPath,
    overrides: Overrides = None,
    cluster: ClusterName = None,
    workers: Workers = None,
    log_json: LogJson = False,
    as_json: AsJson = False,
) -> None:
    """Say what would run: chunks, tasks, memory, disk, time.

    Nothing is kept; a little of the job is computed to tell the time. What will not fit is refused, with the setting to
    change.
    """
    from riskops.report import plan_table
    from riskops.run import plan_record, prepare

    settings = load(config, overrides, cluster, workers)
    job = prepare(settings, title=config.stem)
    with cluster_of(settings.cluster.model_dump(), quiet=True) as where:
        projected = plan_record(job, cluster=where, place=Path(settings.store.root))
    if as_json:
        print(json.dumps(projected, indent=1))
    else:
        show(plan_table(projected))


@guarded
def bench(
    suite: Annotated[
        str | None,
        typer.Option("--suite", metavar="NAME,...", help="Some suites only; default: those that take seconds."),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write the rows as JSON.")
    ] = None,
) -> None:
    """Time riskops against NumPy, dask.array and zarr.

    Each row is measured in this process, on the same cores, for equal outputs, and held to its target where it has one.
    """
    from riskops.bench import bench_table, run_suites

    rows = run_suites(None if suite is None else suite.split(","), say=say)
    show(bench_table(rows))
    if json_file is not None:
        write_file("--json", json_file, json.dumps([row.record() for row in rows], indent=1) + "\n")
    if not all(row.agrees for row in rows):
        say("riskops: a row does not agree in value with its baseline")
        raise typer.Exit(1)
