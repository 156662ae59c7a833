"""Losses from price moves alone: by hand on small numbers, and against pandas on real prices."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from riskops.errors import InputError
from riskops.market import load_prices
from riskops.scenarios import BASE, Scenario, load_library, replay_path, stress_losses
from riskops.schema import variable
from tests.scenarios.small_prices import PRICES, make_prices

WINDOW = Scenario("window", replay=("2020-01-02", "2020-01-08"))


def make_book(exposure, value, assets=("A", "B")) -> xr.Dataset:
    portfolios = [f"p{i}" for i in range(len(value))]
    coords = {"portfolio": portfolios, "asset": list(assets)}
    return xr.Dataset(
        {
            "exposure": variable("exposure", ("portfolio", "asset"), np.array(exposure, float), coords=coords),
            "portfolio_value": variable(
                "portfolio_value", ("portfolio",), np.array(value, float), coords={"portfolio": portfolios}
            ),
        }
    )


def test_path_of_a_replay():
    path = replay_path(make_prices(), scenario=WINDOW)["replayed_return"]
    np.testing.assert_array_equal(path.values, np.array(PRICES) / np.array(PRICES[0]) - 1.0)
    assert path.dims == ("observation", "asset")
    assert path.attrs["units"] == "1"
    assert str(path["observation"].values[-1].astype("datetime64[D]")) == "2020-01-08"
    with pytest.raises(InputError, match="scenario base: has no replay"):
        replay_path(make_prices(), scenario=BASE)


def test_losses_by_hand():
    # long A, short B, and cash beside: 200 + 100 * rA - 50 * rB along the window
    book = make_book([[100.0, -50.0], [0.0, 0.0]], [200.0, 10.0])
    scenarios = [BASE, Scenario("crash", all_prices=-0.2), WINDOW]
    losses = stress_losses(book, scenarios=scenarios, prices=make_prices())
    assert losses["stress_loss"].dims == losses["stress_drawdown"].dims == ("scenario", "portfolio")
    assert losses["scenario"].values.tolist() == ["base", "crash", "window"]
    # A ends at -10 %, B at +20 %
    np.testing.assert_allclose(losses["stress_loss"].values, [[0.0, 0.0], [10.0, 0.0], [20.0, 0.0]], atol=1e-13)
    # values: 200, 215, 209, 194, 180; the peak is 215
    np.testing.assert_allclose(losses["stress_drawdown"].values[2], [35.0, 0.0], atol=1e-13)
    assert np.isnan(losses["stress_drawdown"].values[:2]).all()
    assert losses["stress_loss"].attrs["sign"] == "loss positive"
    assert not np.signbit(losses["stress_loss"].values[losses["stress_loss"].values == 0]).any()


def test_todays_value_is_the_first_peak():
    prices = make_prices([[10.0], [9.0], [8.0]], ["2020-01-02", "2020-01-03", "2020-01-06"], ("A",))
    fall = Scenario("fall", replay=("2020-01-02", "2020-01-06"))
    losses = stress_losses(make_book([[50.0]], [50.0], ("A",)), scenarios=[fall], prices=prices)
    assert losses["stress_loss"].item() == pytest.approx(10.0)
    assert losses["stress_drawdown"].item() == pytest.approx(10.0)


CENTS = st.integers(-100_000_000, 100_000_000).map(lambda cents: cents / 100)


@given(st.lists(CENTS, min_size=2, max_size=2), st.integers(-900, 3000).map(lambda permille: permille / 1000))
def test_loss_is_linear_in_exposure_and_drawdown_is_at_least_the_replayed_loss(exposure, move):
    prices = make_prices()
    instant = Scenario("instant", all_prices=move)
    both = stress_losses(make_book([exposure], [sum(exposure)]), scenarios=[instant, WINDOW], prices=prices)
    twice = stress_losses(make_book([[2 * e for e in exposure]], [0.0]), scenarios=[instant, WINDOW], prices=prices)
    np.testing.assert_array_equal(twice["stress_loss"].values, 2 * both["stress_loss"].values)
    assert both["stress_loss"].values[0, 0] == pytest.approx(-move * sum(exposure), rel=1e-12, abs=1e-6)
    assert both["stress_drawdown"].values[1, 0] >= both["stress_loss"].values[1, 0] - 1e-9
    assert both["stress_drawdown"].values[1, 0] >= 0.0


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"book": make_book([[1.0, 1.0]], [2.0], ("B", "A"))}, "book: assets B, A are not those of the prices, A, B"),
        ({"book": make_book([[1.0, np.nan]], [2.0])}, r"exposure: .*nan.* at index \(0, 1\) is not finite"),
        ({"scenarios": [WINDOW, WINDOW]}, "scenarios: 'window' is given twice"),
        ({"scenarios": [Scenario("c", price_shocks={"C": 0.1})]}, "scenario c: price_shocks: 'C' is unknown"),
        ({"prices": xr.Dataset()}, "variable 'price' is missing"),
    ],
)
def test_what_does_not_fit_is_refused(change, text):
    given_values = {"book": make_book([[1.0, 1.0]], [2.0]), "scenarios": [BASE], "prices": make_prices()} | change
    with pytest.raises(InputError, match=text):
        stress_losses(given_values["book"], scenarios=given_values["scenarios"], prices=given_values["prices"])


def test_replayed_crises_agree_with_pandas():
    prices = load_prices("sp500")
    frame = prices["price"].to_pandas()
    rng = np.random.default_rng(11)
    exposure = rng.normal(1e4, 2e4, (3, 20))
    value = exposure.sum(axis=1) + np.array([0.0, 5e4, 1e5])
    scenarios = [s for s in load_library("market") if s.replay is not None]
    assert len(scenarios) == 7
    losses = stress_losses(make_book(exposure, value, tuple(frame.columns)), scenarios=scenarios, prices=prices)
    for scenario in scenarios:
        start, end = (pd.Timestamp(day) for day in scenario.replay)
        window = frame.loc[start:end]
        assert window.index[0] == start
        assert window.index[-1] == end
        values = (window / window.iloc[0] - 1.0) @ exposure.T + value
        at = losses.sel(scenario=scenario.name)
        np.testing.assert_allclose(at["stress_loss"], value - values.iloc[-1], rtol=1e-10, atol=1e-6)
        np.testing.assert_allclose(at["stress_drawdown"], (values.cummax() - values).max(), rtol=1e-10, atol=1e-6)
