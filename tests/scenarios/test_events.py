"""Events of scenarios: what they are, what they refuse, their records, and how libraries write them."""

from __future__ import annotations

import dataclasses
import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskops.errors import InputError
from riskops.scenarios import BASE, Condition, Event, Scenario, load_library
from tests.scenarios.small_prices import make_prices

FORM = r"<state> \[of <asset>\] below\|above\|equals <number>"


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("log_growth below -0.05", Condition("log_growth", "below", -0.05)),
        ("log_growth of BRK B above 1e-3", Condition("log_growth", "above", 0.001, "BRK B")),
        ("variance of A of B below 3 below 4", Condition("variance", "below", 4.0, "A of B below 3")),
        ("regime equals 1", Condition("regime", "equals", 1.0)),
        ("regime equals -2.0", Condition("regime", "equals", -2.0)),
    ],
)
def test_conditions_are_read_from_a_line_and_written_as_one(text, condition):
    assert Condition.parse(text) == condition
    assert Condition.parse(str(condition)) == condition


@pytest.mark.parametrize("text", ["", "log_growth", "log_growth < 0", "regime equals one", "Regime equals 1", 3, None])
def test_what_is_no_condition_is_refused(text):
    with pytest.raises(InputError, match=rf"when: .* is not '{FORM}'"):
        Condition.parse(text)


def test_a_condition_needs_a_number_it_can_have():
    with pytest.raises(InputError, match=r"when: 0\.5 is not a whole number"):
        Condition("regime", "equals", 0.5)
    with pytest.raises(InputError, match="when: nan is not a finite number"):
        Condition.parse("log_growth below nan")
    with pytest.raises(InputError, match=rf"when: .* is not '{FORM}'"):
        Condition("log_growth", "near", 0.5)


def test_moves_of_an_event_compound():
    event = Event(2, all_prices=-0.1, price_shocks={"B": 0.5, "A": 0.0})
    assert event.moves(("A", "B", "C")).tolist() == pytest.approx([-0.1, 0.9 * 1.5 - 1, -0.1], rel=1e-15)
    assert Event(2, price_shocks={"B": -0.3}).moves(("A", "B")).tolist() == [0.0, -0.3]
    assert event.summary() == "all prices -10 % and B +50 % on day 2"


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"day": 0, "all_prices": -0.1}, r"scenario x: events\[0\]\.day: 0 is not above zero"),
        ({"day": True, "all_prices": -0.1}, r"events\[0\]\.day: True is not a finite number"),
        ({"all_prices": -0.1}, r"events\[0\]\.day: is missing"),
        ({"day": 1, "dya": 2}, r"events\[0\]\.dya: is unknown; known are day, all_prices, price_shocks, when"),
        ({"day": 1}, r"scenario x: events\[0\]: moves no price; give all_prices or price_shocks"),
        ({"day": 1, "all_prices": 0.0, "price_shocks": {"A": 0}}, r"events\[0\]: moves no price"),
        ({"day": 1, "all_prices": -1}, r"events\[0\]\.all_prices: -1 is not a simple return above -1"),
        ({"day": 1, "price_shocks": {"A": -2}}, r"events\[0\]\.price_shocks\.A: -2 is not a simple return above -1"),
        ({"day": 1, "price_shocks": [1]}, r"events\[0\]\.price_shocks: \[1\] is not a mapping"),
        ({"day": 1, "all_prices": -0.1, "when": "later"}, rf"events\[0\]\.when: 'later' is not '{FORM}'"),
        (3, r"scenario x: events\[0\]: 3 is not a mapping with a day and price moves"),
    ],
)
def test_bad_events_are_refused(values, text):
    with pytest.raises(InputError, match=text):
        Scenario("x", events=[values])


@pytest.mark.parametrize("values", [3, "flash", {"day": 1, "all_prices": -0.1}, None])
def test_events_are_a_list(values):
    with pytest.raises(InputError, match=r"scenario x: events: .* is not a list of events"):
        Scenario("x", events=values)


def test_events_on_assets_that_are_not_there_are_refused_before_a_simulation():
    prices = make_prices()
    flash = Scenario("flash", events=[Event(1, all_prices=-0.2)])
    assert flash.price_shock(prices).tolist() == [0.0, 0.0]  # nothing moves today
    for event, text in (
        (Event(1, price_shocks={"C": -0.1}), "price_shocks: 'C' is unknown; known are A, B"),
        (Event(1, all_prices=-0.1, when="log_growth of C below 0"), "when: 'C' is unknown; known are A, B"),
        (
            Event(1, all_prices=-1 + 1e-16, price_shocks={"B": -1 + 1e-16}),
            "price_shocks: the moves of 'B' together leave nothing of its price",
        ),
    ):
        with pytest.raises(InputError, match=rf"scenario who: events\[0\]\.{text}"):
            Scenario("who", events=[event]).price_shock(prices)


def test_a_scenario_of_events_alone_changes_something():
    flash = Scenario("flash", events=[{"day": 3, "all_prices": -0.1, "when": "log_growth below -0.05"}, Event(5, 0.02)])
    assert not flash.is_base
    assert not flash.moves_prices
    assert not flash.shocks_model
    assert flash.events[0] == Event(3, -0.1, when=Condition("log_growth", "below", -0.05))
    assert flash.summary() == "all prices -10 % on day 3 when log_growth below -0.05, all prices +2 % on day 5"
    with pytest.raises(InputError, match="scenario base: the name is kept for the scenario that changes nothing"):
        Scenario("base", events=[Event(1, 0.1)])
    with pytest.raises(dataclasses.FrozenInstanceError):
        flash.events[0].day = 2
    with pytest.raises(TypeError):
        flash.events[0].price_shocks["A"] = 0.1


conditions = st.one_of(
    st.none(),
    st.builds(Condition, st.just("log_growth"), st.sampled_from(["below", "above"]), st.floats(-9, 9)),
    st.builds(Condition, st.just("variance"), st.just("above"), st.floats(0, 9), st.sampled_from(["A", "B of C", "é"])),
    st.builds(Condition, st.just("regime"), st.just("equals"), st.integers(-3, 3)),
)
events = st.builds(
    Event,
    st.floats(0.1, 500),
    all_prices=st.floats(-0.99, 9).filter(bool),
    price_shocks=st.dictionaries(st.text(max_size=3), st.floats(-0.99, 9), max_size=2),
    when=conditions,
)


@given(st.lists(events, max_size=3))
def test_records_survive_json_and_pickle(given_events):
    scenario = Scenario("x", drift=0.1, events=given_events)
    for again in (
        Scenario.from_record(json.loads(json.dumps(scenario.record(), allow_nan=False))),
        pickle.loads(pickle.dumps(scenario)),
    ):
        assert again == scenario
        assert again.record() == scenario.record()
        assert hash(again) == hash(scenario)
    assert BASE.record()["events"] == []


def test_libraries_write_events_as_lists(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(
        """
scenarios:
  - name: flash_crash
    description: The market falls by 10 % on the third day, and further where it had fallen already
    events:
      - {day: 3, all_prices: -0.10}
      - {day: 3, price_shocks: {B: -0.05}, when: log_growth of A below -0.15}
      - day: 4
        all_prices: 0.03
        when: regime equals 1
""",
        "utf-8",
    )
    (scenario,) = load_library(path)
    assert scenario.events == (
        Event(3, -0.1),
        Event(3, price_shocks={"B": -0.05}, when=Condition("log_growth", "below", -0.15, "A")),
        Event(4, 0.03, when=Condition("regime", "equals", 1)),
    )
    for change, text in (
        (("day: 4", "day: -4"), r"scenarios\[0\]\.events\[2\]\.day: -4 is not above zero"),
        (("regime equals 1", "regime is 1"), r"scenarios\[0\]\.events\[2\]\.when: 'regime is 1' is not"),
    ):
        path.write_text(path.read_text("utf-8").replace(*change), "utf-8")
        with pytest.raises(InputError, match=text):
            load_library(path)
        path.write_text(path.read_text("utf-8").replace(*change[::-1]), "utf-8")


def test_an_empty_list_of_events_changes_nothing(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("scenarios: [{name: x, events: []}]", "utf-8")
    with pytest.raises(InputError, match=r"scenarios\[0\]: x changes nothing"):
        load_library(path)
