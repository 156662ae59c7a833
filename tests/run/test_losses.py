"""The stored losses of a run, and the curve that the command line reads off them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from riskops.cli import app
from riskops.errors import StoreError
from riskops.reductions import INDEPENDENT
from riskops.run import open_run
from riskops.run.losses import stored_losses
from tests import small_job


def ask(*words: object, status: int = 0) -> str:
    result = CliRunner().invoke(app, ["runs", "curve", *map(str, words)])
    assert result.exit_code == status, result.output
    return result.output


def test_they_are_those_of_the_store(finished_run: Path) -> None:
    losses, results = stored_losses(finished_run), open_run(finished_run)
    assert losses["loss"].dims == ("scenario", "portfolio", "horizon", "path")
    xr.testing.assert_equal(losses["loss"].compute(), results["loss"].compute())
    assert losses.attrs[INDEPENDENT] == "path"


def test_they_say_which_paths_are_independent(small_configuration: Path, tmp_path: Path) -> None:
    overrides = ("report.html=false", "simulation.paths=4096", "stress.scenarios=[]")
    run = small_job.make_run(
        small_configuration, tmp_path / "pairs", *overrides, "simulation.sampling.method=antithetic"
    )
    assert stored_losses(run).attrs[INDEPENDENT] == "pair"
    assert "its paths depend on each other by pair" in ask(run, "--portfolio", "equal", status=2)


def test_a_damaged_chunk_is_an_error(run_copy: Path) -> None:
    chunk = run_copy / "results.zarr" / "loss" / "c" / "0" / "0" / "0" / "1"
    chunk.write_bytes(chunk.read_bytes()[:-9])
    with pytest.raises(StoreError, match="loss"):
        stored_losses(run_copy).compute(scheduler="synchronous")


def test_runs_without_losses_have_none(small_configuration: Path, tmp_path: Path) -> None:
    run = small_job.make_run(
        small_configuration, tmp_path / "none", "report.html=false", "store.losses=false", "stress.scenarios=[]"
    )
    with pytest.raises(StoreError, match=r"stores no losses \(store\.losses is false\), and nothing else has them$"):
        stored_losses(run)


def test_the_curve_on_the_command_line(finished_run: Path) -> None:
    about = (finished_run, "--portfolio", "long_short", "--levels", 40)
    records = json.loads(ask(*about, "--json"))
    loss = open_run(finished_run)["loss"].sel(portfolio="long_short", scenario="base", horizon=5.0)
    ascending = np.sort(loss.values)
    assert [record["value"] for record in records] == ascending[np.arange(62, 5000, 125)].tolist()
    rows = list(csv.DictReader(io.StringIO(ask(*about, "--csv"))))
    assert [float(row["value"]) for row in rows] == [record["value"] for record in records]
    assert {row["measure"] for row in rows} == {"loss_quantile"}
    table = ask(*about, "--horizon", 1, "--scenario", "crash_20")
    assert "long_short, 1 day, crash_20: 5,000 paths" in table
    assert "25 of 40 levels" in table
    assert "portfolio: 'none' is not in the run; it has equal, long_short" in ask(
        finished_run, "--portfolio", "none", status=2
    )
    assert "give one of them" in ask(*about, "--csv", "--json", status=2)
