"""Carrying a run out: what its directory holds, that equal specs give equal bytes, and that what is cut off goes on."""

from __future__ import annotations

import csv
import errno
import hashlib
import json
import math
import os
import resource
import shutil
import subprocess
import sys
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import riskops
from riskops.cluster import open_cluster
from riskops.config import load_config
from riskops.errors import ConfigError, InputError, PlanError, StoreError
from riskops.report.figures import COLUMNS
from riskops.run import RunDirectory, execute, list_runs, open_run, plan_job, prepare, recorded_job, resume
from riskops.schema import ERROR_SUFFIXES, MEASURES, REGISTRY
from tests.small_job import edit_json, make_run, run_config


def read(run: Path, name: str = "results.json") -> Any:
    return json.loads((run / name).read_text("utf-8"))


def continued(place: Path) -> Path:
    """Resume on the synchronous scheduler."""
    with open_cluster("synchronous") as cluster:
        return resume(RunDirectory(place), cluster=cluster)


# -- what a run holds


def test_a_run_holds_what_the_contract_lists(finished_run: Path) -> None:
    assert {path.name for path in finished_run.iterdir()} == {
        *("manifest.json", "results.json", "figures.csv", "configuration.json", "report.html", "results.zarr"),
    }
    manifest = read(finished_run, "manifest.json")
    assert (manifest["status"], manifest["riskops"], manifest["format"]) == ("complete", riskops.__version__, 1)
    assert (manifest["device"]["device"], manifest["dtype"], manifest["seed"]) == ("cpu", "float32", "7")
    assert (manifest["fallbacks"], manifest["adjustments"]) == ([], [])
    assert {"python", "numpy", "numba", "dask", "xarray", "zarr"} <= manifest["versions"].keys()
    assert manifest["timings"]["seconds"] > 0
    assert manifest["cluster"] == {"kind": "synchronous", "workers": 1, "threads": 1}
    assert manifest["how"]["chunk_paths"] == 1024
    assert "chunk_paths" not in json.dumps(manifest["what"]), "how the work was cut is no part of what was computed"
    assert manifest["what"]["prices_sha256"] == manifest["prices_sha256"]
    assert set(manifest["files"]) == {"results.json", "figures.csv", "configuration.json", "report.html"}
    assert manifest["configuration"] == read(finished_run, "configuration.json")
    assert manifest["configuration"]["simulation"]["paths"] == 5000
    stored = open_run(finished_run)
    assert set(manifest["arrays"]) == {str(name) for name in stored.variables}
    if manifest["git_revision"] is not None:
        assert len(manifest["git_revision"].removesuffix("+changes")) == 40


def test_the_spec_records_every_fitted_number_exactly(finished_run: Path, small_configuration: Path) -> None:
    job = prepare(load_config(small_configuration))
    recorded = recorded_job(RunDirectory(finished_run))
    assert recorded.fingerprint() == job.fingerprint()
    assert recorded.spec.model.fingerprint() == job.spec.model.fingerprint()
    xr.testing.assert_identical(recorded.book, job.book)


def test_results_json_is_the_what_only(finished_run: Path) -> None:
    results = read(finished_run)
    assert set(results) == {
        *("format", "riskops", "title", "as_of", "window_start", "window_end", "window_observations", "currency"),
        *("model", "paths", "steps", "step_days", "seed", "dtype", "sampling", "adjustments", "left_out"),
        *("spec_hash", "figures"),
    }
    text = (finished_run / "results.json").read_text("utf-8")
    for word in ("NaN", "Infinity", "chunk", "seconds", "created", str(finished_run), finished_run.name):
        assert word not in text


def test_every_figure_is_a_record_of_the_documented_keys(finished_run: Path) -> None:
    records = read(finished_run)["figures"]
    assert {tuple(record) for record in records} == {tuple(sorted(COLUMNS))}
    for record in records:
        assert record["measure"] in MEASURES
        assert math.isfinite(record["value"])
        assert record["unit"] in ("USD", "1")
        for error in ("standard_error", "low", "high"):
            assert record[error] is None or math.isfinite(record[error])
        if record["low"] is not None:
            assert record["low"] <= record["high"]
    keys = [tuple(record[k] for k in COLUMNS[:7]) for record in records]
    assert len(set(keys)) == len(keys), "no figure is there twice"
    measures = {record["measure"] for record in records}
    assert measures >= {"value_at_risk", "expected_shortfall", "value_at_risk_change", "component_expected_shortfall"}
    assert measures >= {"correlation", "mean_loss", "historical_value_at_risk", "stress_loss", "stress_drawdown"}


def test_every_simulated_figure_carries_its_error(finished_run: Path) -> None:
    unsimulated = ("historical_", "stress_", "component_value_at_risk_scale")
    for record in read(finished_run)["figures"]:
        if not record["measure"].startswith(unsimulated):
            assert record["standard_error"] is not None, record
            assert record["effective_paths"] == 5000


def test_figures_csv_says_the_same(finished_run: Path) -> None:
    with (finished_run / "figures.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    records = read(finished_run)["figures"]
    assert list(rows[0]) == list(COLUMNS)
    assert len(rows) == len(records)
    for row, record in zip(rows, records, strict=True):
        for name in COLUMNS:
            value = record[name]
            assert row[name] == ("" if value is None else value if isinstance(value, str) else repr(value))


def test_the_store_opens_with_xarray(finished_run: Path) -> None:
    stored = xr.open_zarr(finished_run / "results.zarr", consolidated=False)
    for name in MEASURES:
        assert name in stored, name
        assert stored[name].dims == REGISTRY[name].dims
        if REGISTRY[name].unit != "1":
            assert stored[name].attrs["units"], name
        assert stored[name].attrs["description"], name
    assert {"loss", "loss_histogram", "exposure", "portfolio_value"} <= set(stored)
    assert stored["loss"].dims == ("scenario", "portfolio", "horizon", "path")
    assert (stored["loss"].dtype, stored.sizes["path"]) == (np.float64, 5000)
    assert "path" not in stored.coords
    assert stored["scenario"].values.tolist() == ["base", "covid_2020_q1", "volatility_doubled", "crash_20"]
    assert stored.attrs["as_of"] == "2022-12-28"
    assert not np.isnan(stored["loss"].values).any()
    assert not (finished_run / "results.zarr" / ".zmetadata").exists()


def test_the_store_and_the_figures_agree(finished_run: Path) -> None:
    stored = open_run(finished_run).load()
    names = ("portfolio", "scenario", "horizon", "level", "asset", "other_asset")
    for record in read(finished_run)["figures"]:
        measure = stored[record["measure"]]
        at = measure.sel({name: record[name] for name in names if name in measure.dims})
        assert at.item() == record["value"]
        for suffix in ERROR_SUFFIXES:
            if record[suffix[1:]] is not None:
                error = stored[record["measure"] + suffix]
                assert (
                    error.sel({name: record[name] for name in names if name in error.dims}).item() == record[suffix[1:]]
                )


def test_value_at_risk_is_an_order_statistic_of_the_stored_losses(finished_run: Path) -> None:
    stored = open_run(finished_run).load()
    losses = np.sort(stored["loss"].sel(scenario="base", portfolio="equal", horizon=5.0).values)
    figure = stored["value_at_risk"].sel(scenario="base", portfolio="equal", horizon=5.0, level=0.99)
    assert figure.item() == losses[math.ceil(5000 * 0.99) - 1]


# -- equal specs, equal bytes


@pytest.mark.parametrize(
    ("overrides", "kind", "options"),
    [
        (["simulation.chunk_paths=null"], "threads", {"workers": 3}),
        (["simulation.chunk_paths=2048", "report.html=false"], "threads", {"workers": 2}),
        (["simulation.chunk_paths=3072", "store.losses=false"], "synchronous", {}),
        (["simulation.chunk_paths=4096", "store.paths=true"], "processes", {"workers": 2}),
    ],
    ids=["one chunk", "threads", "no losses kept", "processes, paths kept"],
)
def test_results_do_not_depend_on_how_the_work_was_done(
    overrides: list[str],
    kind: str,
    options: dict[str, int],
    small_configuration: Path,
    finished_run: Path,
    tmp_path: Path,
) -> None:
    other = make_run(small_configuration, tmp_path / "other", "report.html=false", *overrides, kind=kind, **options)
    for name in ("results.json", "figures.csv"):
        assert (other / name).read_bytes() == (finished_run / name).read_bytes()
    mine, theirs = read(other, "manifest.json"), read(finished_run, "manifest.json")
    assert mine["spec_hash"] == theirs["spec_hash"]
    assert {name: mine["arrays"][name] for name in mine["arrays"] if name in theirs["arrays"]} == {
        name: theirs["arrays"][name] for name in theirs["arrays"] if name in mine["arrays"]
    }
    assert ("loss" in mine["arrays"]) == ("store.losses=false" not in overrides)
    assert ("log_growth" in mine["arrays"]) == ("store.paths=true" in overrides)
    assert not (other / "report.html").exists()


@pytest.mark.parametrize("override", ["simulation.seed=8", "simulation.dtype=float64", "risk.levels=[0.9]"])
def test_another_spec_has_another_hash(override: str, small_configuration: Path) -> None:
    one, other = (prepare(load_config(small_configuration, overrides=o)) for o in ([], [override]))
    assert one.fingerprint() != other.fingerprint()


# -- cut off, and resumed


class Cut(Exception):
    """The run was killed here."""


def cut_run(configuration: Path, place: Path, monkeypatch: pytest.MonkeyPatch, *overrides: str, after: int) -> None:
    """Begin a run that dies when ``after`` chunks of losses are stored."""
    import riskops.simulation.store as store

    write, written = store._write_block, []

    @wraps(write)
    def dying(*args: Any, **kwargs: Any) -> Any:
        if len(written) == after:
            raise Cut
        written.append(1)
        return write(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(store, "_write_block", dying)
        with pytest.raises(Cut):
            make_run(configuration, place, *overrides)


@pytest.mark.parametrize("after", [0, 2, 4])
def test_a_killed_run_resumes_to_the_same_bytes(
    after: int, small_configuration: Path, finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "one"
    cut_run(small_configuration, place, monkeypatch, "report.html=false", after=after)
    assert not place.exists()
    assert [run.summary()["status"] for run in list_runs(tmp_path)] == ["partial"]
    with pytest.raises(StoreError, match="not complete"):
        open_run(place)
    assert continued(place) == place
    assert (place / "results.json").read_bytes() == (finished_run / "results.json").read_bytes()
    manifest, whole = read(place, "manifest.json"), read(finished_run, "manifest.json")
    assert manifest["arrays"] == whole["arrays"]
    assert manifest["resumed_chunks"]["loss"] == after
    assert not (place / "checkpoints").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one"]


def test_a_resumed_run_reads_nothing_but_its_directory(
    small_configuration: Path, finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prices, portfolios and scenarios may be gone, or other ones, by then."""
    prices = tmp_path / "prices.csv"
    table = riskops.load_prices("sp500", start="2019-01-02", assets=["XOM", "AAPL", "JPM"])["price"].to_pandas()
    table.to_csv(prices)
    override = f"market={{prices: {prices}, end: 2022-12-28}}"
    cut_run(small_configuration, tmp_path / "one", monkeypatch, "report.html=false", override, after=2)
    prices.unlink()
    continued(tmp_path / "one")
    assert read(tmp_path / "one")["figures"] == read(finished_run)["figures"]


@pytest.mark.parametrize(
    ("keys", "value", "line"),
    [
        (("what", "simulation", "seed"), 8, r"the manifest's spec does not have the hash \w{12} that it claims"),
        (("how", "chunk_paths"), 2048, r"loss is stored as .* in chunks of 1024 paths, not as .* 2048 paths"),
        (
            ("versions", "numpy"),
            "1.0",
            r"the run was begun with numpy 1\.0 and this is 2\..*; resume it with the former",
        ),
    ],
)
def test_an_edited_partial_run_is_refused(
    keys: tuple[str, ...],
    value: object,
    line: str,
    small_configuration: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cut_run(small_configuration, tmp_path / "one", monkeypatch, after=1)
    edit_json(tmp_path / "one.partial" / "manifest.json", keys, value)
    with pytest.raises(StoreError, match=line):
        continued(tmp_path / "one")


def test_a_complete_run_is_not_resumed(run_copy: Path) -> None:
    with pytest.raises(StoreError, match="the run is complete, there is nothing to resume"):
        continued(run_copy)


# -- refused, or out of room: nothing half-begun


def test_a_run_that_does_not_fit_leaves_nothing(small_configuration: Path, tmp_path: Path) -> None:
    config = load_config(small_configuration)
    job = prepare(config)
    line = r"cluster\.memory_limit: a worker would need .* and has 100 MiB"
    with (
        open_cluster("threads", workers=1, memory_limit="100MiB") as cluster,
        pytest.raises(PlanError, match=line),
    ):
        execute(job, configuration=config.resolved(), out=tmp_path / "one", cluster=cluster)
    assert list(tmp_path.iterdir()) == []


def test_the_plan_refuses_a_disk_that_is_too_small(
    small_configuration: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=5_000_000))
    with (
        open_cluster("synchronous") as cluster,
        pytest.raises(PlanError, match=r"store\.root: the run needs .* on disk"),
    ):
        plan_job(prepare(load_config(small_configuration)), cluster=cluster, place=tmp_path / "deep" / "er")


def test_a_failure_before_the_manifest_leaves_nothing(
    small_configuration: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(sys.modules["riskops.run.lifecycle"], "write_small", full)
    with pytest.raises(StoreError, match=r"^store\.root: No space left on device; the run was not begun$"):
        make_run(small_configuration, tmp_path / "one")
    assert list(tmp_path.iterdir()) == []


def test_an_error_that_is_no_matter_of_the_disk_is_raised_as_it_is(
    small_configuration: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise FileNotFoundError(errno.ENOENT, "gone")

    monkeypatch.setattr(sys.modules["riskops.run.execute"], "figures", broken)
    with pytest.raises(FileNotFoundError, match="gone"):
        make_run(small_configuration, tmp_path / "one")


@pytest.mark.parametrize("level", [0.9999, 0.001])
def test_more_than_the_paths_can_carry_is_refused(level: float, small_configuration: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"^simulation\.paths: 2048 carry no 95 % interval at level .* remove that level"
    ):
        prepare(load_config(small_configuration, overrides=["simulation.paths=2048", f"risk.levels=[0.9, {level}]"]))


def test_a_scenario_that_does_not_fit_the_prices_is_refused_before_anything_is_made(
    small_configuration: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="energy_shock"):
        make_run(small_configuration, tmp_path / "one", "stress.scenarios=[energy_shock]")
    assert list(tmp_path.iterdir()) == []


def test_the_configuration_in_the_manifest_makes_the_run_again(finished_run: Path, tmp_path: Path) -> None:
    from riskops.config import config_from_mapping

    config = config_from_mapping(read(finished_run, "configuration.json"))
    again = run_config(config, tmp_path / "again")
    assert (again / "results.json").read_bytes() == (finished_run / "results.json").read_bytes()
    digest = hashlib.sha256((again / "results.json").read_bytes()).hexdigest()
    assert read(again, "manifest.json")["files"]["results.json"] == digest


#: Runs the small job in a process whose files may not grow beyond some size: a disk that is full in mid-run.
CRAMPED = """
import resource, sys
from pathlib import Path
from tests.small_job import make_run
limit = int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    make_run(Path(sys.argv[1]), Path(sys.argv[2]), "report.html=false")
except Exception as problem:
    print(type(problem).__name__, problem)
"""


def test_a_disk_that_is_full_in_mid_run_keeps_what_there_is(
    small_configuration: Path, finished_run: Path, tmp_path: Path, project: Path
) -> None:
    biggest = max(path.stat().st_size for path in (finished_run / "results.zarr").rglob("*") if path.is_file())
    assert biggest > 100_000, "the losses' chunks, which will not fit"
    place = tmp_path / "one"
    words = [sys.executable, "-c", CRAMPED, str(small_configuration), str(place), str(biggest - 50_000)]
    done = subprocess.run(words, cwd=project, capture_output=True, text=True, check=True)
    assert done.stdout == (
        f"StoreError store.root: File too large; what was computed is kept in {place}.partial: "
        f"make room, then riskops runs resume {place}\n"
    )
    assert not place.exists()
    continued(place)
    assert (place / "results.json").read_bytes() == (finished_run / "results.json").read_bytes()
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
