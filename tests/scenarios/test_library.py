"""Scenario libraries: the one that comes with riskops, own files, and what is refused in them."""

from __future__ import annotations

import numpy as np
import pytest

from riskops.errors import InputError
from riskops.market import load_prices, log_returns
from riskops.models import GeometricBrownianMotion
from riskops.scenarios import Scenario, list_libraries, load_library

NAMES = [
    "gulf_war_1990",
    "ltcm_1998",
    "dotcom_2000_2002",
    "financial_crisis_2007_2009",
    "august_2011",
    "covid_2020_q1",
    "inflation_2022",
    "volatility_doubled",
    "correlations_up",
    "drift_down",
    "crash_20",
    "energy_shock",
    "crash_and_turmoil",
]


@pytest.fixture
def write(tmp_path):
    def _write(text: str) -> str:
        path = tmp_path / "own.yaml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return _write


def test_packaged_library_and_its_copy_are_one(project):
    packaged = project / "riskops" / "scenarios" / "data" / "market.yaml"
    assert packaged.read_bytes() == (project / "configs" / "scenarios" / "market.yaml").read_bytes()
    assert load_library("market") == load_library(project / "configs" / "scenarios" / "market.yaml")
    assert list(list_libraries()) == ["market"]


def test_packaged_library_holds_what_it_says():
    library = load_library("market")
    assert [scenario.name for scenario in library] == NAMES
    assert all(scenario.description for scenario in library)
    at = {scenario.name: scenario for scenario in library}
    assert at["volatility_doubled"] == Scenario(
        "volatility_doubled", at["volatility_doubled"].description, volatility=2
    )
    assert at["correlations_up"].correlation == 0.5
    assert at["drift_down"].drift == -0.2
    assert dict(at["energy_shock"].price_shocks) == {"CVX": -0.3, "RRC": -0.5, "XOM": -0.25}
    assert at["crash_and_turmoil"].shocks_model
    assert at["crash_and_turmoil"].moves_prices


@pytest.mark.parametrize(
    ("name", "loss"),
    [
        ("gulf_war_1990", 0.20),
        ("ltcm_1998", 0.19),
        ("dotcom_2000_2002", 0.49),
        ("financial_crisis_2007_2009", 0.57),
        ("august_2011", 0.17),
        ("covid_2020_q1", 0.34),
        ("inflation_2022", 0.25),
    ],
)
def test_replays_run_from_the_peak_of_the_index_to_its_low(name, loss):
    prices = load_prices("sp500_index")
    (scenario,) = load_library("market", names=[name])
    assert -scenario.price_shock(prices)[0] == pytest.approx(loss, abs=0.005)
    series = prices["price"].sel(observation=slice(*map(np.datetime64, scenario.replay))).values[:, 0]
    assert series[0] == series.max()
    assert series[-1] <= 1.005 * series.min()


def test_whole_library_applies_to_the_bundled_stocks():
    prices = load_prices("sp500")
    model = GeometricBrownianMotion.fit(log_returns(prices), window=504)
    for scenario in load_library("market"):
        assert scenario.apply(model).assets == model.assets
        assert np.all(scenario.price_shock(prices) > -1.0)


def test_names_select_in_their_order():
    assert [s.name for s in load_library("market", names=["crash_20", "ltcm_1998"])] == ["crash_20", "ltcm_1998"]
    assert load_library("market", names=[]) == ()
    with pytest.raises(InputError, match=r"stress\.scenarios: 'crash_30' is unknown; known are august_2011, "):
        load_library("market", names=["crash_30"])
    with pytest.raises(InputError, match=r"stress\.scenarios: 'crash_20' is given twice"):
        load_library("market", names=["crash_20", "crash_20"])


def test_own_library_with_every_key(write):
    path = write(
        """
scenarios:
  - name: everything
    description: all at once
    volatility: 1.5
    correlation: 0.25
    drift: -1e-1
    all_prices: -0.1
    price_shocks: {ON: -0.5, 000001: 0.5}
    replay: {start: 2008-09-12, end: "2008-11-20"}
"""
    )
    (scenario,) = load_library(path)
    assert scenario == Scenario(
        "everything",
        "all at once",
        volatility=1.5,
        correlation=0.25,
        drift=-0.1,
        all_prices=-0.1,
        price_shocks={"ON": -0.5, "000001": 0.5},
        replay=("2008-09-12", "2008-11-20"),
    )


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("- name: x\n", "own.yaml: its only key is not 'scenarios'"),
        ("scenarios: []\nextra: 1\n", "own.yaml: its only key is not 'scenarios'"),
        ("scenarios: []\n", "own.yaml: scenarios: is not a list of at least one scenario"),
        ("scenarios: {x: 1}\n", "own.yaml: scenarios: is not a list"),
        ("scenarios: [3]\n", r"own.yaml: scenarios\[0\]: is not a mapping with a name"),
        ("scenarios: [{drift: 1}]\n", r"own.yaml: scenarios\[0\]: is not a mapping with a name"),
        (
            "scenarios: [{name: x, vol: 2}]\n",
            r"own.yaml: scenarios\[0\]\.vol: is unknown; known are name, description, volatility, correlation, drift",
        ),
        ("scenarios: [{name: X Y, drift: 1}]\n", r"own.yaml: scenarios\[0\]: scenario: name 'X Y' is not 1 to 64"),
        (
            "scenarios: [{name: x, drift: 1}, {name: y, volatility: -1}]\n",
            r"scenarios\[1\]\.volatility: -1 is not above",
        ),
        ("scenarios: [{name: x, volatility: .inf}]\n", r"scenarios\[0\]\.volatility: inf is not a finite number"),
        ("scenarios: [{name: x, volatility: 1e999}]\n", r"scenarios\[0\]\.volatility: inf is not a finite number"),
        ("scenarios: [{name: x, drift: fast}]\n", r"scenarios\[0\]\.drift: 'fast' is not a finite number"),
        ("scenarios: [{name: x, price_shocks: {A: -1}}]\n", r"scenarios\[0\]\.price_shocks\.A: -1 is not a simple"),
        ("scenarios: [{name: x, price_shocks: }]\n", r"scenarios\[0\]\.price_shocks: None is not a mapping"),
        (
            "scenarios: [{name: x, replay: 2008}]\n",
            r"scenarios\[0\]\.replay: 2008 is not a mapping with the keys start",
        ),
        ("scenarios: [{name: x, replay: {start: 2008-01-02}}]\n", r"scenarios\[0\]\.replay: .* is not a mapping"),
        (
            "scenarios: [{name: x, replay: {start: 2008-01-02, end: soon}}]\n",
            r"scenarios\[0\]\.replay\.end: 'soon' is not a date",
        ),
        ("scenarios: [{name: x, drift: 1}, {name: x, drift: 2}]\n", "own.yaml: scenarios: 'x' is given twice"),
        (
            "scenarios: [{name: base, description: b}]\n",
            r"scenarios\[0\]\.name: 'base' is kept for the scenario that changes nothing",
        ),
        ("scenarios: [{name: x, all_prices: 0.0}]\n", r"scenarios\[0\]: x changes nothing"),
        ("scenarios: [{name: base, drift: 1}]\n", r"scenarios\[0\]\.name: 'base' is kept for the scenario"),
        ("scenarios: [{name: &a x, description: *a}]\n", "own.yaml: .*alias"),
        ("scenarios: [\n", "own.yaml: .*not YAML"),
        ("", "own.yaml: its only key is not 'scenarios'"),
    ],
)
def test_bad_library_is_refused_with_the_key(write, text, error):
    with pytest.raises(InputError, match=error) as caught:
        load_library(write(text))
    assert "\n" not in str(caught.value)


def test_missing_library_is_refused():
    with pytest.raises(InputError, match=r"stress\.library: 'markets' is neither a library of riskops \(market\) nor"):
        load_library("markets")
    with pytest.raises(InputError, match=r"absent\.yaml: no such file"):
        load_library("absent.yaml")
