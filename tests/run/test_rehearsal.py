"""A rehearsal: its count of tasks is that of the graph that runs, and the plan of a target speaks of its batches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from riskops.cluster import open_cluster
from riskops.config import load_config
from riskops.progress import Progress
from riskops.run import RunDirectory, execute, plan_record, prepare
from riskops.run.rehearsal import rehearse

SMALL = ("report.html=false", "risk.historical=false", "stress.scenarios=[crash_20]")


def record(configuration: Path, place: Path, *overrides: str) -> dict[str, Any]:
    job = prepare(load_config(configuration, overrides=[*SMALL, *overrides]))
    with open_cluster("synchronous") as cluster:
        return plan_record(job, cluster=cluster, place=place)


@pytest.mark.parametrize("switches", [(), ("store.losses=false", "risk.dependence=false", "risk.contributions=false")])
def test_tasks_are_those_of_the_run(small_configuration: Path, tmp_path: Path, switches: tuple[str, ...]) -> None:
    overrides = [*SMALL, "simulation.paths=40960", *switches]  # 40 chunks
    config = load_config(small_configuration, overrides=overrides)
    job, progress = prepare(config), Progress(quiet=True)
    with open_cluster("synchronous") as cluster:
        run = execute(
            job, configuration=config.resolved(), out=tmp_path / "run", cluster=cluster, progress=progress, html=False
        )
    done = sum(stage["tasks"] for stage in progress.stages.values())
    assert rehearse(job).tasks(40) == pytest.approx(done, rel=0.03)
    planned = RunDirectory(run).manifest()["plan"]
    assert planned["tasks"] == pytest.approx(done, rel=0.35)  # what is known without a graph


def test_a_plan_says_seconds_and_shares(small_configuration: Path, tmp_path: Path) -> None:
    found = record(small_configuration, tmp_path)
    assert found["seconds_here"] > 0.0
    assert 0.0 < found["scheduler_share_here"] <= 1.0
    assert list(found["projected_seconds"]) == ["1 worker", "2 workers", "10 workers", "100 workers", "1,000 workers"]
    assert found["scheduler_limits_beyond"]["workers"] >= 1
    json.dumps(found, allow_nan=False)
    assert list(tmp_path.iterdir()) == []


def test_a_plan_towards_a_target_has_its_first_batch_and_its_bound(small_configuration: Path, tmp_path: Path) -> None:
    target = ("simulation.target.relative_error=0.01", "simulation.target.level=0.99", "simulation.max_paths=100000")
    found = record(small_configuration, tmp_path, *target)
    assert (found["paths"], found["at_most"]["paths"]) == (5120, 99_328)  # whole chunks of 1024
    assert found["at_most"]["bytes_on_disk"] > found["bytes_on_disk"]
