"""The scenario as a value: its checks, what it does to a model and to prices, its record."""

from __future__ import annotations

import dataclasses
import datetime
import json
import pickle

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from riskops.errors import InputError
from riskops.models import GeometricBrownianMotion
from riskops.scenarios import BASE, Scenario
from tests.models.toy_models import example_models
from tests.scenarios.small_prices import PRICES, make_prices


@pytest.fixture
def prices() -> xr.Dataset:
    return make_prices()


def test_base_changes_nothing(prices):
    model = GeometricBrownianMotion(("A", "B"), [0.1, 0.0], [0.2, 0.3], np.eye(2))
    assert BASE.is_base
    assert BASE.summary() == "nothing"
    assert BASE.apply(model) is model
    assert BASE.price_shock(prices).tolist() == [0.0, 0.0]


def test_model_shocks_reach_the_model():
    model = GeometricBrownianMotion(("A", "B"), [0.1, 0.0], [0.2, 0.3], np.eye(2))
    scenario = Scenario("turmoil", volatility=2, correlation=0.5, drift=-0.2)
    assert scenario.apply(model) == model.shocked(volatility=2.0, correlation=0.5, drift=-0.2)
    assert scenario.summary() == "volatility times 2, correlation 0.5 of the way to one, drift -20 % a year"
    assert not scenario.moves_prices


def test_model_that_knows_no_such_shock_refuses_it_by_name():
    model = example_models()["toy_row_bootstrap"]
    assert Scenario("crash", all_prices=-0.2).apply(model) is model
    text = "scenario louder: model toy_row_bootstrap: volatility, correlation and drift shocks do not apply"
    with pytest.raises(InputError, match=text):
        Scenario("louder", volatility=2.0).apply(model)


def test_single_moves_are_exactly_those_given(prices):
    assert Scenario("crash", all_prices=-0.2).price_shock(prices).tolist() == [-0.2, -0.2]
    assert Scenario("b_only", price_shocks={"B": -0.3}).price_shock(prices).tolist() == [0.0, -0.3]


def test_moves_compound(prices):
    scenario = Scenario(
        "all_at_once", all_prices=-0.2, price_shocks={"B": 0.5}, replay=("2020-01-03", datetime.date(2020, 1, 7))
    )
    a = (88.0 / 110.0) * 0.8 - 1.0
    b = (44.0 / 45.0) * 0.8 * 1.5 - 1.0
    np.testing.assert_allclose(scenario.price_shock(prices), [a, b], rtol=1e-14)
    assert scenario.summary() == "replay of 2020-01-03 to 2020-01-07, all prices -20 %, B +50 %"


@pytest.mark.parametrize(
    ("window", "rows"),
    [
        (("2020-01-02", "2020-01-08"), (0, 4)),
        (("2020-01-05", "2020-01-07"), (1, 3)),  # a Sunday starts from Friday's price
        (("2020-01-03", "2020-01-05"), None),  # nothing was traded after Friday
        (("2020-01-02", "2020-01-05"), (0, 1)),  # and ends on it
    ],
)
def test_replay_runs_between_the_last_prices_known_on_both_days(prices, window, rows):
    scenario = Scenario("window", replay=window)
    if rows is None:
        with pytest.raises(InputError, match=r"scenario window: replay: .* holds no price after that of 2020-01-03"):
            scenario.price_shock(prices)
        return
    expected = np.array(PRICES[rows[1]]) / np.array(PRICES[rows[0]]) - 1.0
    np.testing.assert_array_equal(scenario.price_shock(prices), expected)


def test_replay_day_is_the_whole_day_of_intraday_prices():
    times = ["2020-01-02T09:00", "2020-01-02T17:00", "2020-01-03T09:00", "2020-01-03T17:00"]
    prices = make_prices([[1.0], [2.0], [3.0], [5.0]], times, ("A",))
    assert Scenario("day", replay=("2020-01-02", "2020-01-03")).price_shock(prices).tolist() == [1.5]


@pytest.mark.parametrize(
    ("scenario", "text"),
    [
        (
            Scenario("early", replay=("2019-12-31", "2020-01-03")),
            "scenario early: replay: 2019-12-31 to 2020-01-03 is not within the prices, which run from 2020-01-02 to",
        ),
        (
            Scenario("late", replay=("2020-01-03", "2020-01-09")),
            "scenario late: replay: .* is not within the prices, .* to 2020-01-08",
        ),
        (Scenario("who", price_shocks={"C": 0.1}), "scenario who: price_shocks: 'C' is unknown; known are A, B"),
        (
            Scenario("ruin", all_prices=-1 + 1e-16, price_shocks={"B": -1 + 1e-16}),
            "scenario ruin: the moves of 'B' together leave nothing of its price",
        ),
    ],
)
def test_scenario_that_does_not_fit_the_prices_is_named(prices, scenario, text):
    with pytest.raises(InputError, match=text):
        scenario.price_shock(prices)


def test_asset_whose_prices_do_not_cover_the_window_is_named():
    values = np.array(PRICES)
    values[2, 1] = np.nan
    prices = make_prices(values)
    assert Scenario("before", replay=("2020-01-02", "2020-01-03")).price_shock(prices).shape == (2,)
    text = "scenario across: replay: the prices of 'B' do not cover 2020-01-02 to 2020-01-08: nan on 2020-01-06"
    with pytest.raises(InputError, match=text):
        Scenario("across", replay=("2020-01-02", "2020-01-08")).price_shock(prices)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"name": "Crash 1"}, "scenario: name 'Crash 1' is not 1 to 64 small letters"),
        ({"name": ""}, "scenario: name '' is not"),
        ({"name": 3}, "scenario: name 3 is not"),
        ({"name": "base", "drift": 0.1}, "scenario base: the name is kept for the scenario that changes nothing"),
        ({"description": 3}, "scenario x: description: 3 is not text"),
        ({"volatility": 0}, "scenario x: volatility: 0 is not above zero"),
        ({"volatility": True}, "scenario x: volatility: True is not a finite number"),
        ({"correlation": 1.0}, r"scenario x: correlation: 1.0 is not a share in \[0, 1\)"),
        ({"correlation": -0.1}, r"scenario x: correlation: -0.1 is not a share in \[0, 1\)"),
        ({"drift": float("nan")}, "scenario x: drift: nan is not a finite number"),
        ({"all_prices": -1}, "scenario x: all_prices: -1 is not a simple return above -1"),
        ({"all_prices": "-20 %"}, "scenario x: all_prices: '-20 %' is not a finite number"),
        ({"price_shocks": {"A": -1.5}}, r"scenario x: price_shocks\.A: -1.5 is not a simple return above -1"),
        ({"price_shocks": {1: 0.1}}, "scenario x: price_shocks: 1 is not the name of an asset"),
        ({"price_shocks": [0.1]}, r"scenario x: price_shocks: \[0.1\] is not a mapping"),
        ({"replay": ("2020-01-02",)}, "scenario x: replay: .* is not a pair of dates"),
        ({"replay": "2020-01-02"}, "scenario x: replay: '2020-01-02' is not a pair of dates"),
        ({"replay": ("2.1.2020", "2020-01-03")}, r"scenario x: replay\.start: '2.1.2020' is not a date"),
        ({"replay": ("2020-01-02", "2020-02-30")}, r"scenario x: replay\.end: '2020-02-30' is not a date"),
        ({"replay": ("2020-01-02", datetime.datetime(2020, 1, 3))}, r"scenario x: replay\.end: .* is not a date"),
        ({"replay": ("2020-01-02", "2020-01-02")}, "scenario x: replay: .* does not end after it starts"),
    ],
)
def test_bad_values_are_refused(values, text):
    with pytest.raises(InputError, match=text):
        Scenario(**({"name": "x"} | values))


def test_scenario_is_frozen():
    scenario = Scenario("x", price_shocks={"A": -0.1})
    with pytest.raises(dataclasses.FrozenInstanceError):
        scenario.drift = 1.0
    with pytest.raises(TypeError):
        scenario.price_shocks["A"] = 0.0


@given(
    volatility=st.floats(1e-6, 1e6),
    correlation=st.floats(0, 0.999999),
    drift=st.floats(-10, 10),
    price_shocks=st.dictionaries(st.text(max_size=4), st.floats(-0.99, 10), max_size=3),
    all_prices=st.none() | st.floats(-0.99, 10),
    replay=st.none() | st.just(("2008-01-02", "2009-03-09")),
)
def test_record_survives_json_and_pickle(**values):
    scenario = Scenario("x", "what it is", **values)
    for again in (
        Scenario.from_record(json.loads(json.dumps(scenario.record()))),
        pickle.loads(pickle.dumps(scenario)),
    ):
        assert again == scenario
        assert again.record() == scenario.record()
        assert hash(again) == hash(scenario)


def test_bad_record_is_refused():
    with pytest.raises(InputError, match=r"scenario record: keys .*'colour'.* are not"):
        Scenario.from_record(BASE.record() | {"colour": "red"})
