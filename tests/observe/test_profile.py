"""A profile measures what it says: the same tasks, bare and on the cluster, with the kernels inside them."""

from __future__ import annotations

import json
import time
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
from typer.testing import CliRunner

from riskops.cli import app
from riskops.cluster import open_cluster
from riskops.config import load_config
from riskops.models import list_models
from riskops.observe.kernels import KernelTimers
from riskops.observe.profile import profile_job
from riskops.observe.walk import Walk
from riskops.run import prepare
from riskops.simulation.shocks import MixedShocks


def test_a_walk_gives_what_dask_gives() -> None:
    table = da.arange(4096, chunks=512).reshape(64, 64).rechunk(16)
    expected = dask.compute((table @ table.T).sum(axis=0), table.mean(), scheduler="synchronous")
    walk = Walk()
    found = dask.compute((table @ table.T).sum(axis=0), table.mean(), scheduler=walk)
    np.testing.assert_array_equal(found[0], expected[0])
    assert found[1] == expected[1]
    assert sum(record["tasks"] for record in walk.stages.values()) > 20


def test_timers_count_each_kernel_by_itself() -> None:
    timers = KernelTimers()

    def inner() -> None:
        time.sleep(0.02)

    slow = timers._timed("inner", inner)

    def outer() -> None:
        time.sleep(0.01)
        slow()
        slow()

    timers.enter("simulate")
    timers._timed("outer", outer)()
    first, second = timers.of("simulate")
    assert (first["kernel"], first["calls"], second["kernel"], second["calls"]) == ("inner", 2, "outer", 1)
    assert first["bare_seconds"] == pytest.approx(0.04, abs=0.02)
    assert second["bare_seconds"] == pytest.approx(0.01, abs=0.008)


@pytest.mark.parametrize("kind", ["synchronous", "threads"])
def test_stages_and_kernels_add_up(kind: str, small_configuration: Path, tmp_path: Path) -> None:
    job = prepare(load_config(small_configuration))
    before = MixedShocks.of
    with open_cluster(kind) as cluster:
        found = profile_job(job, cluster=cluster, root=tmp_path, chunks=3)
    assert MixedShocks.of is before
    assert list(tmp_path.iterdir()) == []
    assert (found["paths"], found["chunks"], found["chunk_paths"]) == (3072, 3, 1024)
    stages = {stage["stage"]: stage for stage in found["stages"]}
    assert stages["simulate"]["tasks"] == stages["write-loss"]["tasks"] == 3
    for stage in stages.values():
        assert stage["bare_seconds"] > 0.0
        assert stage["run_seconds"] > 0.0
        assert sum(kernel["bare_seconds"] for kernel in stage["kernels"]) <= stage["bare_seconds"]
    kernels = {
        name: {kernel["kernel"]: kernel["calls"] for kernel in stage["kernels"]} for name, stage in stages.items()
    }
    # five steps of three chunks, for each of the distinct models
    assert kernels["simulate"]["advance the model"] == 15 * len(job.paths.models)
    assert kernels["simulate"]["mix shocks"] == kernels["simulate"]["advance the model"]
    assert kernels["portfolio-loss"] == {"price the books": 3}
    assert kernels["write-loss"]["write a chunk"] == kernels["write-loss"]["digest tiles"] == 3
    assert kernels["attribute"]["TailSums.chunk"] == 3
    busy = sum(stage["run_seconds"] for stage in stages.values())
    assert found["busy_seconds"] == pytest.approx(busy)
    assert found["capacity_seconds"] == pytest.approx(found["threads"] * found["wall_seconds"])
    assert busy + found["moving_seconds"] + found["idle_seconds"] == pytest.approx(found["capacity_seconds"])


def test_every_model_that_a_run_may_use_can_be_timed() -> None:
    models = list(list_models().values())
    timers = KernelTimers()
    before = [kind.__dict__.get("advance") for kind in models]
    for kind in models:
        with timers.on([object.__new__(kind)]):
            assert kind.__dict__.get("advance") is not before[models.index(kind)] or "advance" not in kind.__dict__
    assert [kind.__dict__.get("advance") for kind in models] == before


def test_the_command_prints_a_table_or_json(small_configuration: Path, tmp_path: Path) -> None:
    words = ["profile", str(small_configuration), "--chunks", "2", "--set", f"store.root={tmp_path}"]
    table = CliRunner().invoke(app, words)
    assert table.exit_code == 0, table.output
    for text in ("price the books", "Bare seconds", "scheduler, waiting, idle", "2,048 paths in 2 chunks of 1,024"):
        assert text in table.stdout
    result = CliRunner().invoke(app, [*words, "--json", "--log-json"])
    assert json.loads(result.stdout)["chunks"] == 2
    assert [json.loads(line)["event"] for line in result.stderr.splitlines()].count("planned") == 1
    refused = CliRunner().invoke(app, [*words[:-4], "--chunks", "0"])
    assert (refused.exit_code, refused.stderr) == (2, "riskops: chunks: 0 is not an integer >= 1\n")
