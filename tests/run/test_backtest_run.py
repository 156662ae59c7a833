"""Backtest runs: what their directory holds, equal bytes however they are cut, and going on where they were cut off."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr

from riskops.cluster import open_cluster
from riskops.config.backtest import backtest_from_mapping
from riskops.errors import InputError, PlanError, StoreError
from riskops.history import backtest, ensemble, forecast_notes, rolling_forecasts
from riskops.history.backtests import list_backtests
from riskops.history.forecasts.ewma import Ewma, EwmaFit
from riskops.history.forecasts.historical_simulation import Historical
from riskops.run import (
    BacktestJob,
    RunDirectory,
    compare,
    execute,
    list_runs,
    open_run,
    plan_record,
    prepare,
    replay,
    resume,
    var_backtest,
    verify,
)
from riskops.run.backtest import execute as module
from riskops.run.backtest.execute import compute_backtest
from riskops.run.backtest.figures import COLUMNS, backtest_figures
from riskops.run.backtest.memory import RunMemory
from riskops.run.backtest.plan import plan_backtest
from riskops.run.directory import canonical
from riskops.run.losses import stored_losses
from riskops.run.publish import publish
from tests.small_job import edit_json

ASKED: dict[str, Any] = {
    "market": {"prices": "sp500", "start": "2020-06-01", "assets": ["KO", "XOM"]},
    "series": {"portfolios": [{"name": "both", "capital": 1.0, "weights": "equal"}]},
    "backtest": {"methods": ["historical", "ewma"], "levels": [0.95, 0.99], "window": 250, "refit_every": 100},
    "ensemble": {"window": 60},
    "tests": {"names": ["kupiec", "independence", "berkowitz", "z2"], "simulations": 99},
}


def asked(**sections: Any) -> BacktestJob:
    """The small job, with keys of some sections changed."""
    changed = {name: {**ASKED.get(name, {}), **keys} for name, keys in sections.items()}
    return prepare(backtest_from_mapping({**ASKED, **changed}))


def run_job(job: BacktestJob, out: Path, kind: str = "synchronous", **cluster: Any) -> Path:
    with open_cluster(kind, **cluster) as where:
        return execute(job, configuration={"made": "by a test"}, out=out, cluster=where, html=False)


def read(run: Path, name: str = "results.json") -> Any:
    return json.loads((run / name).read_text("utf-8"))


@pytest.fixture(scope="module")
def job() -> BacktestJob:
    return asked()


@pytest.fixture(scope="module")
def finished(job: BacktestJob, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; tests read it and copy it, none writes to it."""
    return run_job(job, tmp_path_factory.mktemp("runs") / "finished")


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "copy"))


# -- what a run holds


def test_a_run_holds_what_the_contract_lists(finished: Path, job: BacktestJob) -> None:
    assert {path.name for path in finished.iterdir()} == {
        *("manifest.json", "results.json", "figures.csv", "configuration.json", "results.zarr"),
    }, "no lock, no checkpoints, no drafts"
    assert not list(finished.parent.glob("*.partial"))
    manifest = read(finished, "manifest.json")
    assert (manifest["status"], manifest["job"], manifest["what"]) == ("complete", "var_backtest", job.record())
    assert manifest["fit_seconds"].keys() == {"historical", "ewma"}
    assert manifest["configuration"] == {"made": "by a test"}
    assert set(manifest["arrays"]) == {str(name) for name in open_run(finished).variables}
    assert verify(RunDirectory(finished)) == []


def test_the_store_has_every_day_and_the_ensemble_last(finished: Path, job: BacktestJob) -> None:
    stored = open_run(finished).load()
    assert stored["method"].values.tolist() == ["historical", "ewma", "ensemble"]
    assert stored["asset"].values.tolist() == ["KO", "XOM", "both"]
    days = job.series["observation"].values[250:]
    np.testing.assert_array_equal(stored["observation"].values, days)
    assert stored["forecast_value_at_risk"].dims == ("method", "asset", "level", "observation")
    assert np.isfinite(stored["forecast_value_at_risk"]).all()
    assert "fit_seconds" not in stored, "a time is no result"
    assert "forecast_value_at_risk_standard_error" not in stored, "nothing was simulated"
    assert {"yearly_breaches", "in_confidence_set", "ensemble_weight", "score"} <= set(stored)
    assert stored.attrs["spec_hash"] == job.fingerprint()


def test_figures_are_those_of_the_library_put_together_by_hand(finished: Path, job: BacktestJob) -> None:
    members = rolling_forecasts(
        job.series, methods=["historical", "ewma"], level=[0.95, 0.99], window=250, refit_every=100
    ).compute()
    joint = ensemble(members, window=60).compute()
    stored = open_run(finished).load()
    for name in ("forecast_value_at_risk", "forecast_expected_shortfall", "breach"):
        both = np.concatenate([members[name].values, joint[name].values])
        np.testing.assert_array_equal(stored[name].values, both)
    np.testing.assert_array_equal(stored["ensemble_weight"].values, joint["ensemble_weight"].values)
    np.testing.assert_array_equal(stored["realised_loss"].values, members["realised_loss"].values)
    alone = backtest(members, tests=list(job.tests), simulations=99).compute()
    for name in ("statistic", "p_value", "simulated_p_value", "rejected"):
        np.testing.assert_array_equal(stored[name].values[:, :2], alone[name].values, err_msg=name)


def test_results_json_is_the_what_only(finished: Path) -> None:
    text = (finished / "results.json").read_text("utf-8")
    for word in ("NaN", "Infinity", "seconds", "created", "partial", str(finished), finished.name):
        assert word not in text
    records = read(finished)["figures"]
    assert {tuple(record) for record in records} == {tuple(sorted(COLUMNS))}
    keys = [tuple(record[name] for name in COLUMNS[:-1]) for record in records]
    assert len(set(keys)) == len(keys), "no figure is there twice"
    assert {record["measure"] for record in records} >= {
        *("statistic", "p_value", "simulated_p_value", "rejected", "forecasts", "breaches", "yearly_breaches"),
        *("tick_score", "fissler_ziegel_score", "in_confidence_set"),
    }
    with (finished / "figures.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert [row["measure"] for row in rows] == [record["measure"] for record in records]


def test_what_has_no_value_has_no_record_and_infinity_is_a_word() -> None:
    coords = {"test": ["kupiec", "z2"], "method": ["normal"], "asset": ["A"], "level": [0.99]}
    dims = tuple(coords)
    found = xr.Dataset(
        {
            "statistic": (dims, np.array([np.inf, np.nan]).reshape(2, 1, 1, 1)),
            "p_value": (dims, np.array([0.0, np.nan]).reshape(2, 1, 1, 1)),
            "rejected": (dims, np.array([True, False]).reshape(2, 1, 1, 1)),
        },
        coords,
    )
    records = backtest_figures(found)
    assert [(r["measure"], r["test"], r["value"]) for r in records] == [
        *(("statistic", "kupiec", "inf"), ("p_value", "kupiec", 0.0), ("rejected", "kupiec", True)),
    ]
    json.dumps(records, allow_nan=False)


def test_infinite_statistics_make_a_run_that_replays_and_compares(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Berkowitz: a loss that a method gave no chance has an infinite statistic."""
    predict = EwmaFit.predict

    def certain(self: EwmaFit, *words: Any, **options: Any) -> Any:
        return replace(predict(self, *words, **options), probability=np.ones_like)

    monkeypatch.setattr(EwmaFit, "predict", certain)
    endless = run_job(asked(tests={"names": ["berkowitz"], "simulations": 0}), tmp_path / "endless")
    values = [record["value"] for record in read(endless)["figures"] if record["measure"] == "statistic"]
    assert "inf" in values
    assert all(value == "inf" or math.isfinite(value) for value in values)
    assert verify(RunDirectory(endless)) == []
    with open_cluster("synchronous") as cluster:
        assert replay(RunDirectory(endless), cluster=cluster).identical
    lacking = compare(RunDirectory(endless), RunDirectory(finished))
    assert all(
        record["first"] is None or record["second"] is None or record["first"] != record["second"] for record in lacking
    )


# -- equal bytes


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_results_do_not_depend_on_the_scheduler(finished: Path, job: BacktestJob, tmp_path: Path, kind: str) -> None:
    other = run_job(job, tmp_path / kind, kind, workers=2)
    assert (other / "results.json").read_bytes() == (finished / "results.json").read_bytes()
    assert (other / "figures.csv").read_bytes() == (finished / "figures.csv").read_bytes()
    assert read(other, "manifest.json")["arrays"] == read(finished, "manifest.json")["arrays"]


def test_one_call_of_compute_gives_every_array_what_it_has_alone(job: BacktestJob) -> None:
    """Dask can lose tasks that two datasets share when both are asked for at once; arrays it does not."""
    lazy = var_backtest(job)
    with open_cluster("threads", workers=2) as cluster:
        together, seconds = compute_backtest(job, lazy, cluster=cluster, progress=None)
    assert seconds.keys() == {"historical", "ewma"}
    with dask.config.set(scheduler="synchronous"):
        for part in (lazy.forecasts, lazy.judged):
            for name, array in part.items():
                if name in together:
                    xr.testing.assert_equal(together[name].variable, array.variable.compute())
    assert set(lazy.judged) <= set(together)


# -- cut off


class Cut:
    """Counts the fits of historical simulation and EWMA, by series, and interrupts one of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, at: int | None = None) -> None:
        self.fits: Counter[str] = Counter()
        self.at = at
        for kind in (Historical, Ewma):
            monkeypatch.setattr(kind, "fit", self._counted(kind.fit))

    def _counted(self, fit: Any) -> Any:
        def counted(method: Any, *words: Any, **options: Any) -> Any:
            if self.at is not None and sum(self.fits.values()) == self.at:
                raise KeyboardInterrupt
            self.fits[method.name] += 1
            return fit(method, *words, **options)

        return counted


def test_an_interrupted_run_goes_on_and_fits_nothing_again(
    job: BacktestJob, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "cut"
    with monkeypatch.context() as patch:
        first = Cut(patch, at=4)
        with pytest.raises(KeyboardInterrupt):
            run_job(job, place)
    run = RunDirectory(place)
    assert run.resumable
    assert not run.complete
    assert len(list((run.partial / "checkpoints").iterdir())) == 4
    with pytest.raises(StoreError, match="is not complete"):
        open_run(place)
    with monkeypatch.context() as patch, open_cluster("threads", workers=2) as cluster:
        second = Cut(patch)
        assert resume(run, cluster=cluster) == place
    whole = {"historical": 3, "ewma": 3}
    assert first.fits + second.fits == whole, "each series once, neither method is estimated"
    assert sum(second.fits.values()) == 2
    assert (place / "results.json").read_bytes() == (finished / "results.json").read_bytes()
    assert read(place, "manifest.json")["resumed_chunks"] == {"forecasts": 4}
    assert verify(run) == []
    assert not (place / "checkpoints").exists()
    with (
        pytest.raises(StoreError, match="the run is complete, there is nothing to resume"),
        open_cluster("threads") as c,
    ):
        resume(run, cluster=c)


def cut_off(job: BacktestJob, place: Path, *, at: int) -> RunDirectory:
    with pytest.MonkeyPatch.context() as patch:
        Cut(patch, at=at)
        with pytest.raises(KeyboardInterrupt):
            run_job(job, place)
    return RunDirectory(place)


def test_a_damaged_or_foreign_checkpoint_is_fitted_again(
    job: BacktestJob, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = cut_off(job, tmp_path / "cut", at=4)
    other = cut_off(replace(job, seed=2), tmp_path / "other", at=4)
    kept = sorted((run.partial / "checkpoints").iterdir())
    content = bytearray(kept[0].read_bytes())
    content[-9] ^= 1
    kept[0].write_bytes(content)
    kept[1].write_bytes(kept[1].read_bytes()[:40])
    theirs = other.partial / "checkpoints" / kept[2].name
    assert theirs.is_file(), "the same task of another spec has the same name"
    assert theirs.read_bytes() != kept[2].read_bytes(), "and another seal"
    kept[2].write_bytes(theirs.read_bytes())
    counted = Cut(monkeypatch)
    with open_cluster("synchronous") as cluster:
        resume(run, cluster=cluster)
    assert sum(counted.fits.values()) == 2 + 3
    assert (run.path / "results.json").read_bytes() == (finished / "results.json").read_bytes()


def test_a_record_that_is_sealed_but_holds_something_else_counts_as_missing(job: BacktestJob, tmp_path: Path) -> None:
    run = cut_off(job, tmp_path / "cut", at=1)
    memory = RunMemory.of(run)
    memory.records.write("forecasts-" + "0" * 24, 0, b"no archive")
    (path,) = [p for p in (run.partial / "checkpoints").iterdir() if "000000000000000000000000" not in p.name]
    name = path.name.removesuffix("-000000.record")
    assert memory.records.read(name, 0) is not None
    memory.records.write(name, 0, b"PK no archive")
    with open_cluster("synchronous") as cluster:
        resume(run, cluster=cluster)
    assert verify(run) == []


def test_other_versions_do_not_go_on_with_a_run(job: BacktestJob, tmp_path: Path) -> None:
    run = cut_off(job, tmp_path / "cut", at=1)
    edit_json(run.partial / "manifest.json", ["versions", "arch"], "0.0")
    with (
        open_cluster("synchronous") as cluster,
        pytest.raises(StoreError, match=r"begun with arch 0\.0 and this is .*resume it with the former"),
    ):
        resume(run, cluster=cluster)


def test_a_changed_spec_does_not_go_on(job: BacktestJob, tmp_path: Path) -> None:
    run = cut_off(job, tmp_path / "cut", at=1)
    edit_json(run.partial / "manifest.json", ["what", "window"], 251)
    with open_cluster("synchronous") as cluster, pytest.raises(StoreError, match="does not have the hash"):
        resume(run, cluster=cluster)


def test_a_run_that_is_cut_off_has_the_identity_of_its_spec(job: BacktestJob, tmp_path: Path) -> None:
    one = cut_off(job, tmp_path / "one", at=0).identity()
    assert one == hashlib.sha256(canonical(job.record()).encode()).hexdigest()
    other = replace(job, refit_every=101).record()
    assert one != hashlib.sha256(canonical(other).encode()).hexdigest()


# -- failures


def failing(self: Any, returns: Any, **_: Any) -> Any:
    raise InputError("prices stood still")


def test_an_impossible_fit_names_method_series_and_date_and_the_run_can_go_on(
    job: BacktestJob, finished: Path, tmp_path: Path
) -> None:
    place = tmp_path / "failed"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ewma, "fit", failing)
        with pytest.raises(
            InputError, match=r"^ewma: series '(KO|XOM|both)', forecasts from 2021-\d\d-\d\d on: prices stood still"
        ):
            run_job(job, place)
    assert RunDirectory(place).resumable
    with open_cluster("synchronous") as cluster:
        resume(RunDirectory(place), cluster=cluster)
    assert (place / "results.json").read_bytes() == (finished / "results.json").read_bytes()


def test_failures_nan_is_told_in_the_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ewma, "fit", failing)
    run = run_job(asked(backtest={"failures": "nan", "methods": ["historical", "ewma", "normal"]}), tmp_path / "run")
    stored = open_run(run).load()
    ewma = stored.sel({"method": "ewma"})
    assert ewma["forecast_failed"].all()
    assert ewma["forecast_value_at_risk"].isnull().all()
    assert not stored["forecast_failed"].sel({"method": ["historical", "normal", "ensemble"]}).any()
    told = [row for row in forecast_notes(stored) if row[0] == "ewma"]
    assert [row[2] for row in told] == ["no forecast: prices stood still"] * 3
    assert np.isfinite(stored["forecast_value_at_risk"].sel({"method": "ensemble"})).all()
    records = [record for record in read(run)["figures"] if record["method"] == "ewma"]
    assert {record["measure"] for record in records} <= {
        *("forecasts", "breaches", "yearly_forecasts", "yearly_breaches", "undefined_scores"),
    }, "of what was not forecast nothing is judged"
    assert {r["value"] for r in records if r["measure"] in ("forecasts", "breaches")} == {0}
    assert verify(RunDirectory(run)) == []


# -- replay, compare, list


def test_a_replay_is_identical_and_says_so_when_a_figure_was_altered(copied: Path) -> None:
    with open_cluster("synchronous") as cluster:
        outcome = replay(RunDirectory(copied), cluster=cluster)
        assert outcome.identical
        assert outcome.figures == len(read(copied)["figures"])
        edit_json(copied / "results.json", ["figures", 0, "value"], 123.0)
        edit_json(copied / "results.json", ["window"], 251)
        altered = replay(RunDirectory(copied), cluster=cluster)
    assert len(altered.differences) == 1
    assert altered.differences[0]["first"] == 123.0
    assert altered.facts == ("window",)
    assert "1 of" in altered.verdict
    assert verify(RunDirectory(copied)) == ["results.json: sha256 does not match"]


def test_changed_forecasts_in_the_store_are_found(copied: Path) -> None:
    chunk = next(
        path
        for path in (copied / "results.zarr" / "forecast_value_at_risk").rglob("*")
        if path.is_file() and path.parent.name != "forecast_value_at_risk"
    )
    content = bytearray(chunk.read_bytes())
    content[3] ^= 1
    chunk.write_bytes(content)
    assert any("forecast_value_at_risk" in line for line in verify(RunDirectory(copied)))


def test_runs_are_compared_figure_by_figure(finished: Path, job: BacktestJob, tmp_path: Path) -> None:
    assert compare(RunDirectory(finished), RunDirectory(finished)) == []
    other = run_job(replace(job, levels=(0.95,), size=0.1), tmp_path / "other")
    found = compare(RunDirectory(finished), RunDirectory(other))
    assert {record["level"] for record in found if record["second"] is None} == {0.99}
    assert {record["measure"] for record in found if record["level"] == 0.95} <= {"rejected", "in_confidence_set"}


def test_runs_of_both_kinds_are_listed(finished: Path, finished_run: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "backtest")
    shutil.copytree(finished_run, tmp_path / "risk")
    one, two = (run.summary() for run in list_runs(tmp_path))
    assert (one["job"], one["methods"], one["series"], one["status"]) == ("var_backtest", 2, 3, "complete")
    assert (two["job"], two["status"]) == ("market_risk", "complete")


def test_a_backtest_is_published_like_any_run(finished: Path, tmp_path: Path) -> None:
    pytest.importorskip("icechunk")
    assert publish(RunDirectory(finished), to=str(tmp_path / "repository"))
    with pytest.raises(StoreError, match="holds a run 'finished' already"):
        publish(RunDirectory(finished), to=str(tmp_path / "repository"))


def test_what_needs_simulated_losses_refuses_a_backtest(finished: Path) -> None:
    with pytest.raises(StoreError, match="is a run of var_backtest, which has no simulated losses"):
        stored_losses(finished)


# -- the plan


def test_the_plan_counts_what_is_then_computed(finished: Path, job: BacktestJob, tmp_path: Path) -> None:
    stored = open_run(finished)
    with open_cluster("synchronous") as cluster:
        planned = plan_backtest(job, cluster=cluster, place=tmp_path)
        assert (planned.methods, planned.series, planned.days) == (3, 3, stored.sizes["observation"])
        assert planned.forecasts == stored["forecast_value_at_risk"].size
        assert planned.tasks == 6
        for horizon, every in ((1, 100), (7, 25), (10, 5)):
            one = asked(backtest={"methods": ["normal"], "horizon": horizon, "refit_every": every, "levels": [0.9]})
            refitted = var_backtest(one).forecasts["refitted"].compute(scheduler="synchronous")
            assert plan_backtest(one, cluster=cluster, place=tmp_path).fits in (int(refitted.sum()), 0)
            counted = int(refitted.isel(method=0, asset=0).sum())
            assert plan_backtest(one, cluster=cluster, place=tmp_path).refits >= counted
        record = plan_record(job, cluster=cluster, place=tmp_path)
    assert read(finished, "manifest.json")["plan"] == planned.record()
    assert record | planned.record() == record
    assert all(value >= 0.0 for name, value in record.items() if name.startswith("seconds"))


def test_what_does_not_fit_is_refused_before_anything_is_made(
    job: BacktestJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_cluster("synchronous") as cluster:
        small = replace(cluster, memory_per_worker=1 << 20)
        with pytest.raises(
            PlanError, match=r"^backtest\.methods: the forecasts take .* GiB of memory and there are 0\.0"
        ):
            execute(job, configuration={}, out=tmp_path / "run", cluster=small, html=False)
        usage = shutil.disk_usage(tmp_path)._replace(free=1000)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
        with pytest.raises(PlanError, match=r"^store\.root: the run needs .* GiB on disk and 0\.00 are free"):
            execute(job, configuration={}, out=tmp_path / "run", cluster=cluster, html=False)
    assert list(tmp_path.iterdir()) == []


def test_workers_that_do_not_see_the_folder_are_refused(
    job: BacktestJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Blind:
        def run(self, function: Any, folder: str) -> dict[str, bool]:
            return {"tcp://elsewhere": False}

    with open_cluster("synchronous") as cluster:
        blind = replace(cluster, client=Blind())  # type: ignore[arg-type]
        with pytest.raises(
            StoreError, match=r"^store\.root: worker tcp://elsewhere does not see .*; use a shared folder"
        ):
            module.execute_backtest(job, configuration={}, out=tmp_path / "run", cluster=blind, html=False)
    assert list(tmp_path.iterdir()) == []


def test_every_test_is_in_a_run_that_asks_for_all(job: BacktestJob) -> None:
    lazy = var_backtest(replace(job, tests=tuple(list_backtests())))
    assert lazy.judged["test"].values.tolist() == list(list_backtests())
