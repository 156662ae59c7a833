"""Contracts C1 and C2: the same bits for every cut, scheduler and number of workers, and over a run that was killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import example, given, settings
from hypothesis import strategies as st

from riskops.cluster import Cluster, open_cluster
from riskops.config import config_from_mapping
from riskops.models import Model
from riskops.portfolio import portfolio_loss
from riskops.rng import tile_counters
from riskops.run import RiskJob, RunDirectory, market_risk, prepare, resume
from riskops.run.execute import compute_results, results_text
from riskops.scenarios import BASE, Scenario
from riskops.simulation import METHODS, SimulationSpec, path_job, paths_of
from tests.models.toy_models import example_models
from tests.simulation.examples import Pegged, book_of, brownian, prices_of
from tests.small_job import make_run, write_configuration

CRASH = Scenario("crash", all_prices=-0.2)
MODELS: dict[str, tuple[Model, tuple[Scenario, ...]]] = {
    "geometric_brownian": (brownian(), (BASE, CRASH, Scenario("doubled", volatility=2.0))),
    "toy_pegged": (Pegged(("A", "B")), (BASE, CRASH)),
    **{kind: (model, (BASE, CRASH)) for kind, model in example_models().items()},
}

# Paths and losses


@given(
    kind=st.sampled_from(sorted(MODELS)),
    dtype=st.sampled_from(["float32", "float64"]),
    paths=st.integers(1, 9000),
    seed=st.integers(0, 2**64 - 1),
    tiles=st.integers(1, 9),
    scheduler=st.sampled_from(["synchronous", "threads"]),
)
@settings(max_examples=40)
def test_growth_and_losses_have_the_same_bytes_for_every_cut(
    kind: str, dtype: str, paths: int, seed: int, tiles: int, scheduler: str
) -> None:
    model, scenarios = MODELS[kind]
    spec = SimulationSpec(model, paths=paths, steps=3, seed=seed, dtype=dtype, chunk_paths=1024 * tiles)  # type: ignore[arg-type]
    job = path_job(spec, times=[1, 3], scenarios=scenarios, prices=prices_of(spec.assets))
    whole = job.block(tile_counters(0, paths), paths)
    lazy = paths_of(job)
    exposure = np.linspace(-1e5, 3e6, 2 * len(spec.assets)).reshape(2, -1)
    losses = portfolio_loss(lazy, book=book_of(exposure, spec.assets))
    at_once = portfolio_loss(lazy.copy(data={"log_growth": whole}), book=book_of(exposure, spec.assets))
    growth, loss = dask.compute(lazy["log_growth"].data, losses["loss"].data, scheduler=scheduler)
    assert growth.tobytes() == whole.tobytes()
    assert loss.tobytes() == at_once["loss"].values.tobytes()


# Results of a run: two portfolios, three scenarios, two levels


@lru_cache
def job_of(dtype: str, chunk_paths: int) -> RiskJob:
    configuration = {
        "market": {"prices": "sp500", "start": "2021-01-04", "assets": ["KO", "PEP", "XOM"]},
        "portfolios": [
            {"name": "all", "capital": 1e6, "weights": "equal"},
            {"name": "pair", "money": {"KO": 1e6, "PEP": -9e5}},
        ],
        "simulation": {"paths": 12_000, "steps": 3, "seed": 5, "dtype": dtype, "chunk_paths": chunk_paths},
        "risk": {"levels": [0.95, 0.99], "horizons": [1, 3]},
        "stress": {"library": "market", "scenarios": ["volatility_doubled", "crash_20"]},
    }
    return prepare(config_from_mapping(configuration))


def text_of(job: RiskJob, cluster: Cluster) -> str:
    """``results.json`` of the job."""
    results, _ = compute_results(job, market_risk(job), cluster=cluster, progress=None)
    return results_text(results)


@pytest.fixture(scope="module")
def expected() -> Mapping[str, str]:
    """The text of each dtype, all paths in one chunk."""
    with open_cluster("synchronous") as cluster:
        return {dtype: text_of(job_of(dtype, 12_288), cluster) for dtype in ("float32", "float64")}


@pytest.fixture(scope="module")
def processes() -> Iterator[Cluster]:
    with open_cluster("processes", workers=2, memory_limit="2GiB") as cluster:
        yield cluster


def test_single_and_double_precision_are_two_specs(expected: Mapping[str, str]) -> None:
    assert expected["float32"] != expected["float64"]
    for text in expected.values():
        assert len(json.loads(text)["figures"]) > 100


@given(
    dtype=st.sampled_from(["float32", "float64"]),
    tiles=st.integers(1, 12),
    kind=st.sampled_from(["synchronous", "threads", "processes"]),
    workers=st.integers(1, 4),
)
@example(dtype="float32", tiles=1, kind="processes", workers=2)
@example(dtype="float64", tiles=5, kind="threads", workers=3)
@settings(max_examples=12)
def test_results_have_the_same_bytes_for_every_cut_and_scheduler(
    expected: Mapping[str, str], processes: Cluster, dtype: str, tiles: int, kind: str, workers: int
) -> None:
    opened = {
        "synchronous": lambda: open_cluster("synchronous"),
        "threads": lambda: open_cluster("threads", workers=workers),
        "processes": lambda: nullcontext(processes),
    }[kind]()
    with opened as cluster:
        assert text_of(job_of(dtype, 1024 * tiles), cluster) == expected[dtype]


def test_a_figure_does_not_depend_on_what_else_is_in_the_run() -> None:
    whole = job_of("float32", 4096)
    alone = replace(whole, book=whole.book.isel(portfolio=[1]), scenarios=whole.scenarios[:1], levels=(0.99,))
    with open_cluster("synchronous") as cluster:
        many, one = (
            compute_results(job, market_risk(job), cluster=cluster, progress=None)[0] for job in (whole, alone)
        )
    kept = [name for name in one.data_vars if name != "loss_histogram" and "change" not in str(name)]
    assert len(kept) > 40
    some = many.sel(portfolio=["pair"], scenario=["base"], level=[0.99])
    xr.testing.assert_equal(one[kept].drop_dims("bin", errors="ignore"), some[kept].drop_dims("bin", errors="ignore"))


# The same with every arrangement of the draws


@lru_cache
def arranged_job(method: str, dtype: str) -> RiskJob:
    configuration = {
        "market": {"prices": "sp500", "start": "2021-01-04", "assets": ["KO", "PEP", "XOM"]},
        "portfolios": [
            {"name": "all", "capital": 1e6, "weights": "equal"},
            {"name": "pair", "money": {"KO": 1e6, "PEP": -9e5}},
        ],
        "simulation": {
            "paths": 12_288,
            "steps": 3,
            "seed": 5,
            "dtype": dtype,
            "chunk_paths": 12_288,
            "sampling": {"method": method} | ({"replicates": 4, "dimensions": 6} if method == "sobol" else {}),
        },
        "risk": {"levels": [0.9, 0.95], "horizons": [1, 3], "historical": False},
        "stress": {"library": "market", "scenarios": ["volatility_doubled", "crash_20"]},
    }
    return prepare(config_from_mapping(configuration))


@lru_cache
def arranged_text(method: str, dtype: str) -> str:
    """All paths in one chunk."""
    with open_cluster("synchronous") as cluster:
        return text_of(arranged_job(method, dtype), cluster)


@pytest.mark.parametrize("method", METHODS)
@given(data=st.data())
@settings(max_examples=3)
def test_arranged_results_have_the_same_bytes_for_every_cut_and_scheduler(
    processes: Cluster, method: str, data: st.DataObject
) -> None:
    dtype = data.draw(st.sampled_from(["float32", "float64"]))
    tiles = data.draw(st.integers(1, 11))
    opened = {
        "synchronous": lambda: open_cluster("synchronous"),
        "threads": lambda: open_cluster("threads", workers=2),
        "processes": lambda: nullcontext(processes),
    }[data.draw(st.sampled_from(["threads", "processes", "synchronous"]))]()
    whole = arranged_job(method, dtype)
    job = replace(whole, spec=replace(whole.spec, chunk_paths=1024 * tiles))
    assert job.fingerprint() == whole.fingerprint()
    with opened as cluster:
        assert text_of(job, cluster) == arranged_text(method, dtype)


@pytest.mark.parametrize("method", METHODS)
def test_arrangements_differ_and_say_which_they_are(method: str) -> None:
    text = arranged_text(method, "float32")
    said = json.loads(text)
    assert said["sampling"] == method
    assert text != arranged_text("plain" if method != "plain" else "antithetic", "float32")
    error = {
        (figure["measure"], figure["portfolio"], figure["horizon"], figure["level"]): figure["standard_error"]
        for figure in said["figures"]
        if figure["scenario"] == "base"
    }
    assert error[("value_at_risk", "all", 3.0, 0.95)] > 0


@given(
    method=st.sampled_from(sorted(METHODS)),
    dtype=st.sampled_from(["float32", "float64"]),
    tiles=st.integers(1, 12),
    scheduler=st.sampled_from(["synchronous", "threads"]),
)
@settings(max_examples=25)
def test_arranged_paths_and_weights_have_the_same_bytes_for_every_cut(
    method: str, dtype: str, tiles: int, scheduler: str
) -> None:
    job = arranged_job(method, dtype).paths
    whole = job.block(tile_counters(0, 12_288), 12_288)
    cut_job = replace(job, spec=replace(job.spec, chunk_paths=1024 * tiles))
    paths = paths_of(cut_job)
    names = [name for name in ("log_growth", "likelihood_ratio") if name in paths]
    values = dask.compute(*(paths[name].data for name in names), scheduler=scheduler)
    assert values[0].tobytes() == whole[:, :, :3].tobytes()
    if len(values) > 1:
        np.testing.assert_array_equal(values[1], whole[0, :, 3].astype(float))
    assert (len(values) > 1) == (method == "importance")


# A run that is killed

OVERRIDES = ("simulation.paths=163840", "simulation.steps=20", "risk.horizons=[1,20]", "report.html=false")


def stored(run: RunDirectory) -> int:
    """How many chunks of losses are there."""
    folder = run.store / "loss" / "c"
    return sum(1 for file in folder.rglob("*") if file.is_file() and not file.name.startswith("."))


def test_a_killed_run_resumes_to_the_bytes_of_an_undisturbed_one(tmp_path: Path) -> None:
    configuration = write_configuration(tmp_path)
    run = RunDirectory(tmp_path / "killed")
    words = [word for override in OVERRIDES for word in ("--set", override)]
    command = [sys.executable, "-m", "riskops", "run", str(configuration), "--out", str(run.path), *words, "--quiet"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([*command, "--cluster", "synchronous"], stdout=log, stderr=log)
        try:
            while stored(run) < 10 and process.poll() is None:
                time.sleep(0.002)
        finally:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
    assert process.returncode == -signal.SIGKILL, (tmp_path / "log").read_text("utf-8")
    assert not run.complete
    assert 10 <= stored(run) < 160

    with open_cluster("threads", workers=2) as cluster:
        resume(run, cluster=cluster)
    whole = make_run(configuration, tmp_path / "whole", *OVERRIDES, "simulation.chunk_paths=16384")
    assert (run.path / "results.json").read_bytes() == (whole / "results.json").read_bytes()
    killed, undisturbed = run.manifest(), RunDirectory(whole).manifest()
    assert killed["arrays"] == undisturbed["arrays"]
    assert "loss" in killed["arrays"]
    assert killed["resumed_chunks"]["loss"] >= 9  # the last one may have been cut off in the middle
    assert undisturbed["resumed_chunks"]["loss"] == 0
