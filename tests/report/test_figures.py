"""The records of figures.csv and results.json: complete, ordered, finite and exact."""

from __future__ import annotations

import csv
import io
import json
import math
import time
from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from riskops import schema
from riskops.errors import InputError
from riskops.report import figures, figures_csv
from riskops.report.figures import COLUMNS


def test_every_record_has_the_same_keys_and_finite_numbers(results: xr.Dataset) -> None:
    records = figures(results)
    assert all(tuple(record) == COLUMNS for record in records)
    numbers = [record[key] for record in records for key in ("value", "standard_error", "low", "high")]
    assert all(number is None or (type(number) is float and math.isfinite(number)) for number in numbers)
    assert all(record["value"] is not None for record in records)
    json.dumps(records, allow_nan=False)


def test_every_measure_is_listed_in_the_order_of_the_schema(results: xr.Dataset) -> None:
    seen = list(dict.fromkeys(record["measure"] for record in figures(results)))
    assert seen == list(schema.MEASURES)


def test_values_are_the_datasets_own(results: xr.Dataset) -> None:
    where = {"scenario": "covid_2020_q1", "portfolio": "energy_tilt", "horizon": 10.0, "level": 0.99}
    (record,) = [r for r in figures(results) if r["measure"] == "value_at_risk" and where.items() <= r.items()]
    for key, name in [("value", "value_at_risk"), ("low", "value_at_risk_low"), ("high", "value_at_risk_high")]:
        assert record[key] == results[name].sel(where).item()
    assert record["standard_error"] == results["value_at_risk_standard_error"].sel(where).item()
    assert (record["asset"], record["other_asset"], record["variance_reduction"]) == (None, None, None)
    assert (record["unit"], record["effective_paths"]) == ("USD", 20_000)


def test_the_base_row_of_a_change_is_left_out(results: xr.Dataset) -> None:
    changes = [record for record in figures(results) if record["measure"].endswith("_change")]
    assert len(changes) == 2 * 6 * 3 * 2 * 2
    assert all(record["scenario"] != "base" for record in changes)


@pytest.mark.parametrize(("measure", "count"), [("correlation", 190), ("covariance", 210)])
def test_pairs_are_listed_once(results: xr.Dataset, measure: str, count: int) -> None:
    order = results["asset"].values.tolist()
    pairs = [r for r in figures(results) if r["measure"] == measure and r["horizon"] == 1.0]
    assert len(pairs) == count
    steps = {order.index(r["other_asset"]) - order.index(r["asset"]) for r in pairs}
    assert min(steps) == (1 if measure == "correlation" else 0)
    assert {(r["scenario"], r["portfolio"], r["level"]) for r in pairs} == {("base", None, None)}


def test_what_does_not_apply_has_no_record(results: xr.Dataset) -> None:
    drawdowns = [r for r in figures(results) if r["measure"] == "stress_drawdown"]
    assert {r["scenario"] for r in drawdowns} == {
        "black_monday_replay",
        "global_financial_crisis_2007_2009",
        "covid_2020_q1",
    }


def test_historical_figures_count_observations_and_stress_losses_nothing(results: xr.Dataset) -> None:
    records = figures(results)
    historical = {r["horizon"]: r["effective_paths"] for r in records if r["measure"] == "historical_value_at_risk"}
    assert historical == {1.0: 8312.0, 10.0: 831.2}
    assert {r["effective_paths"] for r in records if r["measure"] == "stress_loss"} == {None}
    assert {r["scenario"] for r in records if r["measure"] == "historical_value_at_risk"} == {"base"}


def test_an_error_that_is_not_finite_becomes_none() -> None:
    results = xr.Dataset(
        {
            "mean_loss": ("portfolio", [1.0, np.nan]),
            "mean_loss_standard_error": ("portfolio", [np.nan, 1.0]),
            "mean_loss_low": ("portfolio", [-np.inf, 1.0]),
        },
        {"portfolio": ["a", "b"]},
    )
    (record,) = figures(results)
    assert (record["portfolio"], record["standard_error"], record["low"]) == ("a", None, None)


def test_an_infinite_value_is_an_error_that_says_where() -> None:
    results = xr.Dataset({"mean_loss": ("portfolio", [1.0, np.inf])}, {"portfolio": ["a", "b"]})
    with pytest.raises(InputError, match=r"^mean_loss: inf for portfolio 'b' is not finite$"):
        figures(results)


def test_observations_that_are_not_one_a_horizon_are_refused(build_results: Callable[..., xr.Dataset]) -> None:
    results = build_results(horizons=(1.0,), paths=2_000)
    results["historical_value_at_risk"].attrs["effective_observations"] = [1.0, 2.0]
    with pytest.raises(InputError, match="2 effective_observations are not one for each horizon"):
        figures(results)


def test_the_list_does_not_depend_on_when_it_is_made(results: xr.Dataset) -> None:
    assert figures(results) == figures(results.copy(deep=True))


def test_twenty_thousand_records_are_quick() -> None:
    assets = [f"A{i}" for i in range(200)]
    values = np.arange(200.0 * 200.0).reshape(1, 200, 200)
    dims = ("horizon", "asset", "other_asset")
    results = xr.Dataset({"covariance": (dims, values), "covariance_low": (dims, values)})
    results = results.assign_coords(horizon=[1.0], asset=assets, other_asset=assets)
    best = math.inf
    for _ in range(3):
        start = time.perf_counter()
        assert len(figures(results)) == 20_100
        best = min(best, time.perf_counter() - start)
    assert best < 1.0  # 0.1 s on a quiet core


def test_csv_reads_back_to_the_same_numbers(results: xr.Dataset) -> None:
    records = figures(results)
    rows = list(csv.DictReader(io.StringIO(figures_csv(records))))
    assert tuple(rows[0]) == COLUMNS
    assert [float(row["value"]) for row in rows] == [record["value"] for record in records]
    assert [row["low"] for row in rows] == ["" if r["low"] is None else repr(r["low"]) for r in records]


@given(st.text())
def test_csv_never_begins_a_name_as_a_formula(name: str) -> None:
    record = {"portfolio": name, "measure": "mean_loss", "value": -1.5}
    row = next(csv.DictReader(io.StringIO(figures_csv([record]), newline="")))
    assert not row["portfolio"].startswith(("=", "+", "-", "@", "\t", "\r"))
    assert row["portfolio"].removeprefix("'") == name.removeprefix("'")
    assert row["value"] == "-1.5"
