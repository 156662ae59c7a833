"""``riskops analyse``: a stored run analysed again, without simulating again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from riskops.cli.frame import check_outlives, cluster_of, guarded, kept, measured, overrides_of, progress_bar, show
from riskops.cli.options import ClusterName, LogJson, MetricsPort, Quiet, Root, RunName, Workers

__all__ = ["analyse"]


@guarded
def analyse(
    name: RunName,
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="What is asked for; without one, what --set says."),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Set any key over what the configuration says: --set risk.levels=[0.9]. May be given several times; "
            "`riskops describe analysis` lists the keys.",
        ),
    ] = None,
    root: Root = Path("runs"),
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="The directory of the outcome; default: <store.root>/<name>-<time>."),
    ] = None,
    cluster: ClusterName = None,
    workers: Workers = None,
    metrics_port: MetricsPort = None,
    log_json: LogJson = False,
    quiet: Quiet = False,
) -> None:
    """Analyse a stored run again: other levels, portfolios, scenarios.

    \b
    riskops analyse runs/market_risk-20260102t030405z --set risk.levels=[0.9,0.999]
    riskops analyse market_risk-20260102t030405z --config configs/scale/reanalyse.yaml

    What a configuration leaves out is as in the run. Where the run keeps its paths (store.paths), portfolios are priced
    on them, and scenarios that only move today's prices are made from them; where it keeps its losses alone, other
    levels, and some of its portfolios, scenarios and horizons can be had. The outcome is a run like any other, with
    the figures of a run that simulates the same, to the last bit.
    """
    from riskops.config import load_analysis
    from riskops.run import RunDirectory, find_run, new_run_id, open_run, open_stored, prepare_analysis, run_analysis

    stored = open_stored(find_run(name, root=root))
    settings = load_analysis(config, overrides=overrides_of(overrides, cluster, workers), portfolios=stored.portfolios)
    stem = "analysis" if config is None else config.stem
    place = out if out is not None else Path(settings.store.root) / new_run_id(stem)
    RunDirectory(place).check_free()
    check_outlives(settings.store.url)
    job = prepare_analysis(stored, settings)
    watch, progress = settings.cluster.dashboard, progress_bar(quiet)
    with (
        kept(place),
        cluster_of(settings.cluster.model_dump(), quiet=quiet, watch=watch) as where,
        measured(progress, metrics_port, cluster=where, quiet=quiet),
    ):
        done = run_analysis(
            job, stored=stored, config=settings, out=place, cluster=where, progress=progress, performance=watch
        )
    if not quiet:
        from riskops.report import summary_table

        show(summary_table(open_run(done)))
    print(f"report: {done / 'report.html'}" if settings.report.html else f"run: {done}")
