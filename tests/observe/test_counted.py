"""What is counted of a run, in tasks, paths and bytes, is the same on every kind of cluster; no figure knows of it."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from riskops.cli import app
from riskops.cluster import open_cluster
from riskops.config import load_config
from riskops.progress import Progress, Snapshot, Work, add_records
from riskops.progress.tasks import Counts
from riskops.report import as_text, timing_rows, timings_table
from riskops.run import execute, open_run, prepare

KINDS: dict[str, dict[str, Any]] = {"synchronous": {}, "threads": {"workers": 2}, "processes": {"workers": 2}}


@pytest.fixture(scope="module")
def runs(small_configuration: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, str]]:
    """The small job on each kind, with the last line that its progress showed."""
    config = load_config(small_configuration)
    out: dict[str, tuple[Path, str]] = {}
    for kind, options in KINDS.items():
        shown = io.StringIO()
        with open_cluster(kind, **options) as cluster:
            path = execute(
                prepare(config),
                configuration=config.resolved(),
                out=tmp_path_factory.mktemp("counted") / kind,
                cluster=cluster,
                progress=Progress(console=Console(file=shown, width=200)),
                html=kind == "threads",
            )
        out[kind] = path, shown.getvalue().splitlines()[-1]
    return out


@pytest.mark.parametrize("kind", KINDS)
def test_paths_and_bytes_are_those_of_the_job(runs: dict[str, tuple[Path, str]], kind: str) -> None:
    path, line = runs[kind]
    timings = json.loads((path / "manifest.json").read_text("utf-8"))["timings"]
    stages, loss = timings["stages"], open_run(path)["loss"]
    assert (stages["simulate"]["tasks"], stages["simulate"]["paths"]) == (5, 5000)
    assert stages["write-loss"]["bytes_written"] == loss.nbytes
    assert "bytes_written" not in stages["simulate"]
    assert "paths" not in stages["tail-risk"]
    assert all(record["seconds"] >= 0.0 for record in stages.values())
    assert 0.0 < stages["simulate"]["seconds"] < 2 * timings["seconds"]
    assert (timings["moving_seconds"] > 0.0) == (kind == "processes")
    assert ", 5,000 paths, " in line
    assert f", {loss.nbytes / 1024:.3g} KiB written, " in line


def test_timings_are_not_in_the_results(runs: dict[str, tuple[Path, str]]) -> None:
    texts = {(path / "results.json").read_bytes() for path, _ in runs.values()}
    assert len(texts) == 1
    assert b"seconds" not in texts.pop()


def test_the_table_and_the_report_agree_with_the_manifest(runs: dict[str, tuple[Path, str]]) -> None:
    path = runs["threads"][0]
    timings = json.loads((path / "manifest.json").read_text("utf-8"))["timings"]
    rows = timing_rows(timings)
    assert sum(row.share for row in rows) == pytest.approx(1.0)
    assert [row.seconds for row in rows] == sorted((row.seconds for row in rows), reverse=True)
    for row in rows:
        record = timings["stages"][row.stage]
        assert row.mean * row.tasks == pytest.approx(record["seconds"])
        if row.paths_per_second is not None:
            assert row.paths_per_second * row.seconds == pytest.approx(record["paths"])
    page, table = (path / "report.html").read_text("utf-8"), as_text(timings_table(timings))
    assert 'id="timings"' in page
    for row in rows:
        assert f'<td class="name">{row.stage}</td><td>{row.tasks:,}</td><td>{row.seconds:,.3f}</td>' in page
        assert f" {row.stage} " in table


def test_a_run_that_is_not_complete_has_no_timings_yet(runs: dict[str, tuple[Path, str]], tmp_path: Path) -> None:
    partial = tmp_path / "half.partial"
    partial.mkdir()
    manifest = json.loads((runs["threads"][0] / "manifest.json").read_text("utf-8"))
    (partial / "manifest.json").write_text(json.dumps({k: v for k, v in manifest.items() if k != "timings"}), "utf-8")
    result = CliRunner().invoke(app, ["runs", "show", str(tmp_path / "half"), "--timings"])
    assert result.exit_code == 2
    assert "half: the run is not complete, so it has no timings; " in result.stderr
    whole = CliRunner().invoke(app, ["runs", "show", str(runs["threads"][0]), "--timings"])
    assert "write-loss" in whole.stdout


def test_a_run_to_a_target_sums_over_its_batches(small_configuration: Path, tmp_path: Path) -> None:
    batches = (
        "simulation.target={measure: value_at_risk, level: 0.9, relative_error: 0.001}",
        "simulation.paths=2048",
        "simulation.max_paths=4096",
    )
    config = load_config(small_configuration, overrides=batches)
    progress = Progress(quiet=True)
    with open_cluster("synchronous") as cluster:
        path = execute(
            prepare(config), configuration={}, out=tmp_path / "r", cluster=cluster, progress=progress, html=False
        )
    loss = open_run(path)["loss"]
    assert loss.sizes["path"] == 4096
    # every path is simulated and written once, however many batches there were
    assert progress.stages["write-loss"]["tasks"] == 4
    assert progress.stages["write-loss"]["bytes_written"] == loss.nbytes
    assert progress.stages["simulate"]["paths"] == 4096
    assert progress.seconds > 0.0


def test_counts_of_a_resumed_job_join_what_is_read_and_what_is_drawn() -> None:
    work = Work(paths=5000, chunk_paths=1024, bytes_per_path={"write-loss": 8})
    done = {"simulate": 2, "read-loss": 3, "read-log-growth": 1, "write-loss": 2}
    now = Snapshot(Counts(done, done, {}, dict.fromkeys(done, 1.0)), work, elapsed=2.0)
    assert (now.paths, now.paths_per_second, now.bytes_written) == (5000, 2500.0, 2 * 1024 * 8)
    assert work.paths_of("reduce-partial", 3) is None
    assert Work().paths_of("simulate", 3) is None
    both = add_records(now.records(), now.records())
    assert both["write-loss"] == {"tasks": 4, "seconds": 2.0, "paths": 4096, "bytes_written": 32768}
