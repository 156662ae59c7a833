"""The command line: reads arguments, calls the library, prints; no mathematics.

Exit status 0: done; 1: the check that was asked for failed (verify, replay, compare); 2: bad input or a run that could
not be carried out, explained in one line; 130: interrupted.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec, TypeVar

import typer

from riskops.errors import RiskopsError

if TYPE_CHECKING:
    from riskops.cluster import Cluster
    from riskops.config import Config

__all__ = ["app", "main"]

P = ParamSpec("P")
R = TypeVar("R")

app = typer.Typer(
    name="riskops",
    help="Monte-Carlo and historical risk on Dask: exact VaR and ES with their errors, from a laptop to a cluster.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
runs_app = typer.Typer(no_args_is_help=True, help="List, inspect, check, finish and repeat runs.")
describe_app = typer.Typer(no_args_is_help=True, help="What there is: models, measures, scenarios, configuration keys.")
app.add_typer(runs_app, name="runs")
app.add_typer(describe_app, name="describe")

ConfigPath = Annotated[Path, typer.Argument(metavar="CONFIG", help="A YAML configuration, e.g. configs/market_risk.yaml.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override any key: --set simulation.paths=65536. May be repeated."),
]
ClusterOption = Annotated[
    str | None,
    typer.Option("--cluster", metavar="KIND", help="threads, synchronous, processes, or the address of a Dask scheduler."),
]
Workers = Annotated[int | None, typer.Option("--workers", metavar="N", help="Threads or worker processes.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress and no table: the last line alone, the run's place.")]
Root = Annotated[Path, typer.Option("--root", metavar="DIR", help="Where run ids are looked up (store.root).")]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run's id under the root, or a path.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _guarded(command: Callable[P, R]) -> Callable[P, R]:
    """Bad input ends in one clear line and status 2, an interrupt in one line and status 130; never in a traceback."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except RiskopsError as problem:
            for line in str(problem).splitlines():
                _say(f"riskops: {line}")
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            _say("riskops: interrupted")
            raise typer.Exit(130) from None

    return run


@contextmanager
def _cluster(config: Config, *, dashboard: bool = False) -> Iterator[Cluster]:
    from riskops.cluster import open_cluster

    section = config.cluster
    live = section.kind in ("processes", "address")
    if dashboard and not live:
        _say(f"riskops: cluster.kind {section.kind} has no live dashboard (--cluster processes has); its report is saved")
    with open_cluster(
        section.kind,
        address=section.address,
        workers=section.workers,
        threads_per_worker=section.threads_per_worker,
        memory_limit=section.memory_limit,
        dashboard=dashboard and live,
        allow_insecure=section.allow_insecure,
    ) as cluster:
        if cluster.dashboard_link:
            _say(f"dashboard: {cluster.dashboard_link}")
        yield cluster


def _load(path: Path, overrides: list[str] | None, cluster: str | None = None, workers: int | None = None) -> Config:
    from riskops.config import load_config

    given = list(overrides or [])
    if cluster is not None:
        known = cluster in ("threads", "synchronous", "processes")
        given += [f"cluster.kind={cluster}"] if known else ["cluster.kind=address", f"cluster.address={cluster}"]
    if workers is not None:
        given.append(f"cluster.workers={workers}")
    return load_config(path, overrides=given)


def _progress(quiet: bool) -> Any:
    from riskops.progress import Progress

    return Progress(quiet=quiet)


@app.command()
@_guarded
def init(
    prices: Annotated[Path, typer.Argument(metavar="PRICES", help="Your prices: CSV, Parquet or Zarr; dates, then a column an asset.")],
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Where to write; default: <prices>.yaml here.")] = None,
) -> None:
    """Write a commented starter configuration for your own price file."""
    from riskops.config import starter_config
    from riskops.errors import InputError
    from riskops.market import load_prices

    target = out or Path(prices.name.split(".")[0] + ".yaml")
    if target.exists():
        raise InputError(f"--out: {target} exists; choose another file")
    text = starter_config(prices, load_prices(str(prices)))
    target.write_text(text, "utf-8")
    print(f"{target}: edit it, then riskops run {target}")


@app.command()
@_guarded
def run(
    config: ConfigPath,
    overrides: Overrides = None,
    cluster: ClusterOption = None,
    workers: Workers = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="The run directory; default: store.root/<config>-<utc time>.")] = None,
    dashboard: Annotated[bool, typer.Option("--dashboard", help="Serve the Dask dashboard and save a performance report.")] = False,
    quiet: Quiet = False,
) -> None:
    """Run a configuration: simulate, measure, stress, and write a run directory with a report."""
    from riskops.run import execute, new_run_id, prepare

    settings = _load(config, overrides, cluster, workers)
    place = out if out is not None else Path(settings.store.root) / new_run_id(config.stem)
    _refuse_existing(place)
    job = prepare(settings, title=config.stem)
    watch = dashboard or settings.cluster.dashboard
    with _cluster(settings, dashboard=watch) as where, _interrupt_hint(place):
        done = execute(
            job,
            configuration=settings.resolved(),
            out=place,
            cluster=where,
            progress=_progress(quiet),
            html=settings.report.html,
            performance=watch,
        )
    if not quiet:
        _show(done)
    print(f"{'report' if settings.report.html else 'run'}: {done / 'report.html' if settings.report.html else done}")


def _refuse_existing(place: Path) -> None:
    from riskops.errors import StoreError

    if place.exists():
        raise StoreError(f"--out: {place} exists; choose another directory")


@contextmanager
def _interrupt_hint(place: Path) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        _say(f"riskops: interrupted; what was computed is kept: riskops runs resume {place}")
        raise typer.Exit(130) from None


def _show(place: Path) -> None:
    from riskops.report import summary_table, terminal
    from riskops.run import open_run

    terminal().print(summary_table(open_run(place)))


@app.command()
@_guarded
def plan(
    config: ConfigPath, overrides: Overrides = None, cluster: ClusterOption = None, workers: Workers = None, as_json: AsJson = False
) -> None:
    """Say what would run: chunks, tasks, memory and disk; refuse what will not fit."""
    from riskops.report import plan_table, terminal
    from riskops.run import plan_job, prepare

    settings = _load(config, overrides, cluster, workers)
    job = prepare(settings, title=config.stem)
    with _cluster(settings) as where:
        projected = plan_job(job, cluster=where, place=Path(settings.store.root))
    if as_json:
        print(json.dumps(projected.record(), indent=1))
    else:
        terminal().print(plan_table(projected.record()))


@runs_app.command("list")
@_guarded
def runs_list(root: Root = Path("runs"), as_json: AsJson = False) -> None:
    """List the runs under the root, complete and interrupted."""
    from riskops.report import terminal
    from riskops.report.tables import runs_table
    from riskops.run import list_runs

    rows = [run.summary() for run in list_runs(root)]
    if as_json:
        print(json.dumps(rows, indent=1))
    else:
        terminal().print(runs_table(rows) if rows else f"no runs under {root}")


@runs_app.command("show")
@_guarded
def runs_show(name: RunName, root: Root = Path("runs"), as_json: AsJson = False) -> None:
    """Show the figures of a run, or with --json its manifest."""
    from riskops.run import find_run

    run = find_run(name, root=root)
    if as_json:
        print(json.dumps(run.manifest(), indent=1))
    else:
        _show(run.path)


@runs_app.command("verify")
@_guarded
def runs_verify(name: RunName, root: Root = Path("runs")) -> None:
    """Hold everything in a run to the checksums of its manifest."""
    from riskops.run import find_run, verify

    run = find_run(name, root=root)
    wrong = verify(run)
    for line in wrong:
        _say(f"riskops: {run.path}: {line}")
    if wrong:
        raise typer.Exit(1)
    print(f"{run.path}: every file and array is what the manifest says")


@runs_app.command("resume")
@_guarded
def runs_resume(
    name: RunName, root: Root = Path("runs"), cluster: ClusterOption = None, workers: Workers = None, quiet: Quiet = False
) -> None:
    """Finish an interrupted run: compute what is missing, end in the same bytes."""
    from riskops.run import find_run, resume

    run = find_run(name, root=root)
    with _any_cluster(cluster, workers) as where, _interrupt_hint(run.path):
        done = resume(run, cluster=where, progress=_progress(quiet))
    if not quiet:
        _show(done)
    print(f"run: {done}")


@runs_app.command("replay")
@_guarded
def runs_replay(
    name: RunName, root: Root = Path("runs"), cluster: ClusterOption = None, workers: Workers = None, quiet: Quiet = False
) -> None:
    """Compute a run again from its manifest and say whether every figure is identical."""
    from riskops.report import compare_table, terminal
    from riskops.run import find_run, replay

    run = find_run(name, root=root)
    with _any_cluster(cluster, workers) as where:
        outcome = replay(run, cluster=where, progress=_progress(quiet))
    if outcome.identical:
        print(f"{run.path}: all {outcome.figures} figures are identical; {outcome.refit}")
        return
    terminal().print(compare_table(outcome.differences))
    _say(f"riskops: {run.path}: {len(outcome.differences)} of {outcome.figures} figures differ; {outcome.refit}")
    raise typer.Exit(1)


@runs_app.command("compare")
@_guarded
def runs_compare(
    first: RunName,
    second: Annotated[str, typer.Argument(metavar="RUN", help="The run to compare with.")],
    root: Root = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """Compare the figures of two runs, to the last bit."""
    from riskops.report import compare_table, terminal
    from riskops.run import compare, find_run

    differences = compare(find_run(first, root=root), find_run(second, root=root))
    if as_json:
        print(json.dumps(differences, indent=1))
    elif differences:
        terminal().print(compare_table(differences))
    else:
        print("all figures are identical")
    if differences:
        raise typer.Exit(1)


def _any_cluster(cluster: str | None, workers: int | None) -> Any:
    """A scheduler for commands that have no configuration of their own."""
    from riskops.cluster import open_cluster

    kind = cluster or "threads"
    if kind in ("threads", "synchronous", "processes"):
        return open_cluster(kind, workers=workers)
    return open_cluster("address", address=kind, workers=workers)


@app.command()
@_guarded
def bench(
    suite: Annotated[str | None, typer.Option("--suite", metavar="NAME,...", help="Some suites only; default: all of them.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Also write the rows as JSON.")] = None,
) -> None:
    """Measure riskops against NumPy and Dask in this process, on the same cores, for equal outputs."""
    from riskops.bench import bench_table, run_suites
    from riskops.report import terminal

    rows = run_suites(None if suite is None else suite.split(","), say=_say)
    terminal().print(bench_table(rows))
    if json_file is not None:
        json_file.write_text(json.dumps([row.record() for row in rows], indent=1) + "\n", "utf-8")
    if not all(row.agrees for row in rows):
        _say("riskops: a row does not agree in value with its baseline")
        raise typer.Exit(1)


def _describe(rows: list[dict[str, Any]], as_json: bool) -> None:
    from riskops.report import terminal
    from riskops.report.tables import listing_table

    if as_json:
        print(json.dumps(rows, indent=1))
    else:
        terminal().print(listing_table(rows))


@describe_app.command("models")
@_guarded
def describe_models(as_json: AsJson = False) -> None:
    """The simulation models, with their parameters, states and shocks."""
    from riskops.models import describe_models as rows

    _describe(rows(), as_json)


@describe_app.command("measures")
@_guarded
def describe_measures(as_json: AsJson = False) -> None:
    """The measures, with dims, unit and meaning."""
    from riskops.schema import MEASURES, REGISTRY

    rows = [
        {"measure": name, "dims": ", ".join(REGISTRY[name].dims), "unit": REGISTRY[name].unit, "meaning": REGISTRY[name].doc}
        for name in MEASURES
    ]
    _describe(rows, as_json)


@describe_app.command("scenarios")
@_guarded
def describe_scenarios(
    library: Annotated[str, typer.Option("--library", metavar="FILE", help="A scenario library.")] = "market", as_json: AsJson = False
) -> None:
    """The scenarios of a library."""
    from riskops.scenarios import load_library

    rows = [{"scenario": s.name, "what it does": s.summary(), "description": s.description} for s in load_library(library)]
    _describe(rows, as_json)


@describe_app.command("config")
@_guarded
def describe_config(as_json: AsJson = False) -> None:
    """Every configuration key, with its type, default and meaning."""
    from riskops.config import config_keys

    _describe([dict(key._asdict()) for key in config_keys()], as_json)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        import riskops

        print(f"riskops {riskops.__version__}")
        raise typer.Exit()


def main() -> None:
    """The entry point of the ``riskops`` command."""
    app()


if __name__ == "__main__":
    main()
