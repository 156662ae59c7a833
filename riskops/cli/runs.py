"""``riskops runs``: list, inspect, check, finish and repeat what was run."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from riskops.cli.curve import curve
from riskops.cli.frame import cluster_keys, cluster_of, guarded, kept, measured, progress_bar, say, show, show_run
from riskops.cli.options import AsJson, ClusterName, LogJson, MetricsPort, Quiet, Root, RunName, Workers, group

__all__ = ["app"]

ROOT = Path("runs")

app = group(
    "runs",
    """List, inspect, check, finish and repeat runs.

    A run is named by its id, the name of its folder under the root (--root, else runs/), or by its path.
    """,
)


@app.command("list")
@guarded
def list_(root: Root = ROOT, as_json: AsJson = False) -> None:
    """List the runs, complete and interrupted."""
    from riskops.report import listing_table
    from riskops.run import list_runs

    rows = [run.summary() for run in list_runs(root)]
    if as_json:
        print(json.dumps(rows, indent=1))
    elif rows:
        shown = ("run", "job", "status", "created", "paths", "title")
        show(listing_table([{key: _short(row[key]) for key in shown if key in row} for row in rows]))
    else:
        say(f"riskops: no runs under {root}")


def _short(value: Any) -> Any:
    """A moment to the minute, everything else as it is."""
    return re.sub(r"^(\d{4}-\d\d-\d\d)T(\d\d:\d\d):.*", r"\1 \2", value) if isinstance(value, str) else value


@app.command("show")
@guarded
def show_(
    name: RunName,
    root: Root = ROOT,
    timings: Annotated[bool, typer.Option("--timings", help="Show where the time went, stage by stage.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show a run's figures, timings or manifest (--json)."""
    from riskops.errors import StoreError
    from riskops.report import timings_table
    from riskops.run import find_run

    run = find_run(name, root=root)
    if as_json:
        print(json.dumps(run.manifest(), indent=1))
    elif timings:
        record = run.manifest()
        if "timings" not in record:
            raise StoreError(f"{run.path}: the run is not complete, so it has no timings; {run.resume_command}")
        show(timings_table(record["timings"]))
    else:
        show_run(run)


@app.command("verify")
@guarded
def verify_(name: RunName, root: Root = ROOT) -> None:
    """Hold a run to the checksums of its manifest.

    Every file and every stored number is read. Exit status 1 when something is not what it was, one line for each.
    """
    from riskops.run import find_run, verify

    run = find_run(name, root=root)
    wrong = verify(run)
    for line in wrong:
        say(f"riskops: {run.path}: {line}")
    if wrong:
        raise typer.Exit(1)
    print(f"{run.path}: every file and array is what the manifest says")


@app.command("resume")
@guarded
def resume_(
    name: RunName,
    root: Root = ROOT,
    cluster: ClusterName = None,
    workers: Workers = None,
    break_lock: Annotated[
        bool, typer.Option("--break-lock", help="Take the run from a process that is said to work on it, and is not.")
    ] = False,
    metrics_port: MetricsPort = None,
    log_json: LogJson = False,
    quiet: Quiet = False,
) -> None:
    """Finish an interrupted run, to the same bytes.

    What is stored is checked and kept, what is missing is computed: where the run was begun, unless --cluster says
    otherwise.
    """
    from riskops.run import RunDirectory, find_run, resume

    run = find_run(name, root=root)
    begun: dict[str, Any] = {} if run.complete else run.manifest()["configuration"].get("cluster", {})
    section = {"kind": "threads"} | (begun if cluster is None else {}) | cluster_keys(cluster, workers)
    progress = progress_bar(quiet)
    with (
        kept(run.path),
        cluster_of(section, quiet=quiet) as where,
        measured(progress, metrics_port, cluster=where, quiet=quiet),
    ):
        done = resume(run, cluster=where, progress=progress, break_lock=break_lock)
    if not quiet:
        show_run(RunDirectory(done))
    report = done / "report.html"
    print(f"report: {report}" if report.is_file() else f"run: {done}")


@app.command("replay")
@guarded
def replay_(
    name: RunName,
    root: Root = ROOT,
    cluster: ClusterName = None,
    workers: Workers = None,
    log_json: LogJson = False,
    quiet: Quiet = False,
) -> None:
    """Compute a run again; are the figures identical?

    Nothing but the run's directory is read. Exit status 1 when a figure differs, in its last bit even.
    """
    from riskops.report import compare_table
    from riskops.run import find_run, replay

    run = find_run(name, root=root)
    with cluster_of(cluster_keys(cluster or "threads", workers), quiet=quiet) as where:
        outcome = replay(run, cluster=where, progress=progress_bar(quiet))
    if outcome.identical:
        print(f"{run.path}: {outcome.verdict}; {outcome.refit}")
        return
    show(compare_table(outcome.differences))
    say(f"riskops: {run.path}: {outcome.verdict}; {outcome.refit}")
    raise typer.Exit(1)


@app.command("publish")
@guarded
def publish_(
    name: RunName,
    to: Annotated[str, typer.Option("--to", metavar="DIR_OR_URL", help="The Icechunk repository: a folder, or s3://.")],
    root: Root = ROOT,
) -> None:
    """Copy a finished run into an Icechunk repository.

    One commit a run, on the branch main, in a group named after it; read back and checked before it is committed.
    """
    from riskops.run import find_run
    from riskops.run.publish import publish

    run = find_run(name, root=root)
    print(f"{to}: {run.path.name} is snapshot {publish(run, to=to)}")


@app.command("compare")
@guarded
def compare_(
    first: RunName,
    second: Annotated[str, typer.Argument(metavar="RUN", help="The run to compare it with.")],
    root: Root = ROOT,
    as_json: AsJson = False,
) -> None:
    """Compare the figures of two runs, to the last bit.

    Exit status 1 when they differ.
    """
    from riskops.report import compare_table
    from riskops.run import compare, find_run

    differences = compare(find_run(first, root=root), find_run(second, root=root))
    if as_json:
        print(json.dumps(differences, indent=1))
    elif differences:
        show(compare_table(differences))
    else:
        print("all figures are identical")
    if differences:
        say(f"riskops: figures that differ: {len(differences):,}")
        raise typer.Exit(1)


app.command("curve")(curve)
