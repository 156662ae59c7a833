"""The pipelines are scripts that a user runs and copies: they do what the command does, to the same bytes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from riskops.cluster import open_cluster
from riskops.config import load_backtest
from riskops.run import RunDirectory, execute, prepare, verify


def pipeline(project: Path, *words: str, cwd: Path, name: str = "market_risk") -> subprocess.CompletedProcess[str]:
    script = project / "pipelines" / f"{name}.py"
    return subprocess.run([sys.executable, str(script), *words], cwd=cwd, capture_output=True, text=True)


def test_market_risk_gives_the_bytes_of_riskops_run(
    project: Path, small_configuration: Path, finished_run: Path, tmp_path: Path
) -> None:
    overrides = ("cluster={kind: processes, workers: 2}", "simulation.chunk_paths=2048", "report.html=false")
    done = pipeline(project, str(small_configuration), *overrides, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    runs = list((tmp_path / "runs").iterdir())
    assert [re.fullmatch(r"small-\d{8}t\d{6}z", run.name) is not None for run in runs] == [True]
    assert (runs[0] / "results.json").read_bytes() == (finished_run / "results.json").read_bytes()
    assert json.loads((runs[0] / "manifest.json").read_text())["cluster"]["kind"] == "processes"
    assert verify(RunDirectory(runs[0])) == []
    assert "equal" in done.stdout, "the figures"
    assert str(runs[0].relative_to(tmp_path)) in done.stdout, "the place"


#: The bundled backtest, made small.
SMALL_BACKTEST = (
    "market={prices: sp500, start: 2021-06-01, assets: [KO, XOM]}",
    "backtest={methods: [historical, ewma], levels: [0.95, 0.99], window: 250}",
    "ensemble.window=60",
    "tests={names: [kupiec, z2], simulations: 99}",
    "report.html=false",
)


def test_var_backtest_gives_the_bytes_of_a_run_in_this_process(project: Path, tmp_path: Path) -> None:
    file = project / "configs" / "var_backtest.yaml"
    done = pipeline(
        project, str(file), *SMALL_BACKTEST, "cluster={kind: threads, workers: 2}", cwd=tmp_path, name="var_backtest"
    )
    assert done.returncode == 0, done.stderr
    (run,) = (tmp_path / "runs").iterdir()
    assert verify(RunDirectory(run)) == []
    assert json.loads((run / "manifest.json").read_text())["cluster"]["kind"] == "threads"
    job = prepare(load_backtest(file, overrides=SMALL_BACKTEST))
    with open_cluster("synchronous") as cluster:
        again = execute(job, configuration={}, out=tmp_path / "again", cluster=cluster, html=False)
    assert (run / "results.json").read_bytes() == (again / "results.json").read_bytes()
    assert job.series["asset"].values.tolist() == ["KO", "XOM", "SP500", *job.weights]
    for name in ("historical", "ewma", "ensemble", f"run: {run.relative_to(tmp_path)}"):
        assert name in done.stdout


@pytest.mark.parametrize("name", ["market_risk", "var_backtest"])
def test_without_arguments_it_says_what_it_is(project: Path, tmp_path: Path, name: str) -> None:
    done = pipeline(project, cwd=tmp_path, name=name)
    assert done.returncode == 2
    assert f"pipelines/{name}.py configs/{name}.yaml" in done.stderr


def test_bad_input_is_one_line(project: Path, small_configuration: Path, tmp_path: Path) -> None:
    done = pipeline(project, str(small_configuration), "simulation.paths=0", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "market_risk: simulation.paths: 0 is not an integer >= 1 and < 2**34\n"
    assert list(tmp_path.iterdir()) == []


def test_bad_input_to_a_backtest_is_one_line(project: Path, tmp_path: Path) -> None:
    file = project / "configs" / "var_backtest.yaml"
    done = pipeline(project, str(file), "backtest.window=9", cwd=tmp_path, name="var_backtest")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "var_backtest: backtest.window: 9 is not a whole number of days, at least 50\n"
    assert list(tmp_path.iterdir()) == []
