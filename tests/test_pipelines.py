"""The pipelines are scripts that a user runs and copies: they do what the command does, to the same bytes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from riskops.run import RunDirectory, verify


def pipeline(project: Path, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    script = project / "pipelines" / "market_risk.py"
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


def test_without_arguments_it_says_what_it_is(project: Path, tmp_path: Path) -> None:
    done = pipeline(project, cwd=tmp_path)
    assert done.returncode == 2
    assert "pipelines/market_risk.py configs/market_risk.yaml" in done.stderr


def test_bad_input_is_one_line(project: Path, small_configuration: Path, tmp_path: Path) -> None:
    done = pipeline(project, str(small_configuration), "simulation.paths=0", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "market_risk: simulation.paths: 0 is not an integer >= 1 and < 2**34\n"
    assert list(tmp_path.iterdir()) == []
