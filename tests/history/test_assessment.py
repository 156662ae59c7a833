"""One look at a series: its figures are those of the forecasts, the rolling engine, the ensemble and the tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from riskops.errors import InputError
from riskops.history import assess, backtest, ensemble, forecast, forecast_notes, portfolio_returns, rolling_forecasts
from riskops.history.forecasts.ewma import Ewma
from riskops.market import load_prices, simple_returns

METHODS = ["historical", "ewma", "normal"]
ASKED: dict[str, Any] = {"level": [0.95, 0.99], "window": 300, "judged": 100}


@pytest.fixture(scope="module")
def returns() -> xr.Dataset:
    return simple_returns(load_prices("sp500", start="2019-01-02", assets=["KO", "XOM"]))


def past_of(returns: xr.Dataset, horizon: int) -> xr.Dataset:
    """The judged days, cut so that the last loss ends on the last day."""
    start = returns["observation"].values[len(returns["observation"]) - 100 + 100 % horizon]
    how: dict[str, Any] = {"level": [0.95, 0.99], "window": 300, "horizon": horizon, "refit_every": 100}
    return rolling_forecasts(returns, methods=METHODS, start=start, **how).compute()


@pytest.mark.parametrize("horizon", [1, 10, 7])
def test_figures_are_those_of_the_parts_put_together_by_hand(returns: xr.Dataset, horizon: int) -> None:
    found = assess(returns, methods=METHODS, horizon=horizon, **ASKED).compute()
    ahead = forecast(returns, method=METHODS, level=[0.95, 0.99], window=300, horizon=horizon).compute()
    past = past_of(returns, horizon)
    assert past.sizes["observation"] == 100 // horizon
    assert past["observation"].values[-1] == returns["observation"].values[-1]
    names = ["forecast_value_at_risk", "forecast_expected_shortfall"]
    latest = ahead[names].isel(horizon=0, drop=True)
    for name in names:
        np.testing.assert_array_equal(found[name].values[:3], latest[name].values)

    # the ensemble of today: one more day behind the judged ones, of an unknown loss
    value = {name: np.concatenate([past[name].values, latest[name].values[..., None]], axis=-1) for name in names}
    losses = np.concatenate([past["realised_loss"].values, np.full((2, 1), np.nan)], axis=1)
    dims = ("method", "asset", "level", "observation")
    held = xr.Dataset(
        {name: (dims, values) for name, values in value.items()}
        | {"realised_loss": (("asset", "observation"), losses)},
        {"method": METHODS, "asset": ["KO", "XOM"], "level": [0.95, 0.99]},
    )
    joint = ensemble(held).compute()
    for name in names:
        np.testing.assert_array_equal(found[name].values[3], joint[name].values[0, ..., -1])
        members = value[name][..., -1]
        weighed = (joint["ensemble_weight"].values[..., -1] * members).sum(axis=0)
        np.testing.assert_allclose(found[name].values[3], weighed, rtol=1e-12)
    np.testing.assert_array_equal(found["ensemble_weight"].values, joint["ensemble_weight"].values[..., -1])

    # what judges: the tests of the judged days, of the ensemble too
    judged = past.drop_vars("horizon_rule")[["forecast_value_at_risk", "realised_loss"]]
    one = backtest(judged, tests=["kupiec", "independence"], simulations=999).compute()
    for name in ("statistic", "p_value", "simulated_p_value", "rejected"):
        np.testing.assert_array_equal(found[name].values[:, :3], one[name].values, err_msg=name)
    np.testing.assert_array_equal(found["breaches"].values[:3], past["breach"].sum("observation").values)
    beyond = losses[None, :, None, :-1] > joint["forecast_value_at_risk"].values[..., :-1]
    np.testing.assert_array_equal(found["breaches"].values[3], beyond[0].sum(axis=-1))
    assert (found["forecasts"] == 100 // horizon).all()
    assert found["method"].values.tolist() == [*METHODS, "ensemble"]
    assert found["horizon_rule"].values.tolist() == [*past["horizon_rule"].values.tolist(), "as its members"]


def test_weights_that_nothing_is_known_of_are_equal_and_a_note_says_so(returns: xr.Dataset) -> None:
    found = assess(returns, methods=METHODS, horizon=10, **ASKED).compute()
    np.testing.assert_allclose(found["ensemble_weight"].values, 1 / 3)
    notes = [row[2] for row in forecast_notes(found) if row[0] == "ensemble"]
    assert notes == ["equal weights; 10 forecasts of the judged days are fewer than 50"] * 2
    learnt = assess(returns, methods=METHODS, **ASKED).compute()
    assert (np.abs(learnt["ensemble_weight"].values - 1 / 3) > 1e-4).any()
    assert not [row for row in forecast_notes(learnt) if row[0] == "ensemble"]


def test_the_judged_days_are_forecast_from_the_days_before_them(returns: xr.Dataset) -> None:
    """Other returns on the judged days change no forecast that historical simulation makes of their first."""
    changed = returns.copy(deep=True)
    changed["simple_return"][-100:] = 3.0 * returns["simple_return"].values[-100:]
    one, two = (
        rolling_forecasts(r, methods="historical", start=r["observation"].values[-100], window=300).compute()
        for r in (returns, changed)
    )
    first = {"observation": 0}
    xr.testing.assert_equal(one["forecast_value_at_risk"].isel(first), two["forecast_value_at_risk"].isel(first))
    found = assess(changed, methods="historical", level=0.95, window=300, judged=100).compute()
    breaches = (two["realised_loss"] > two["forecast_value_at_risk"].sel({"level": 0.95})).sum("observation")
    assert (breaches > 10).all()
    np.testing.assert_array_equal(found["breaches"].values[..., 0], breaches.transpose("method", "asset").values)


def test_one_method_has_no_ensemble(returns: xr.Dataset) -> None:
    found = assess(returns, methods="ewma", **ASKED).compute()
    assert found["method"].values.tolist() == ["ewma"]
    assert "ensemble_weight" not in found
    assert found["horizon_rule"].values.tolist()
    assert forecast_notes(found) == []


def test_portfolios_are_series_too(returns: xr.Dataset) -> None:
    held = portfolio_returns(returns, weights={"equal": "equal"})
    found = assess(held, methods=["historical", "ewma"], **ASKED).compute()
    assert found["forecast_value_at_risk"].dims == ("method", "portfolio", "level")
    assert found["portfolio"].values.tolist() == ["equal"]
    assert np.isfinite(found["forecast_value_at_risk"]).all()
    assert found.attrs["judged"] == 100


def test_a_method_that_fails_has_no_figures_and_a_note(returns: xr.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(self: Any, sample: Any, **_: Any) -> Any:
        raise InputError("prices stood still")

    monkeypatch.setattr(Ewma, "fit", failing)
    found = assess(returns, methods=METHODS, **ASKED).compute()
    ewma = found.sel({"method": "ewma"})
    for name in ("forecast_value_at_risk", "forecast_expected_shortfall", "p_value", "simulated_p_value"):
        assert ewma[name].isnull().all(), name
    assert (ewma["forecasts"] == 0).all()
    assert not ewma["rejected"].any()
    said = {row[2] for row in forecast_notes(found) if row[0] == "ewma"}
    assert any("prices stood still" in text for text in said)
    others = found.sel({"method": ["historical", "normal", "ensemble"]})
    assert np.isfinite(others["forecast_value_at_risk"]).all()
    assert (found["ensemble_weight"].sel({"member": "ewma"}).fillna(0.0) == 0.0).all()
    np.testing.assert_allclose(found["ensemble_weight"].sum("member").values, 1.0)


def test_a_method_that_fails_on_the_judged_days_alone_says_so(
    returns: xr.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It forecasts what comes, but nothing shows how good it is."""
    fit, today = Ewma.fit, returns["simple_return"].values[-1, 0]

    def sometimes(self: Ewma, sample: Any, **options: Any) -> Any:
        if sample[-1] != today:
            raise InputError("too calm")
        return fit(self, sample, **options)

    monkeypatch.setattr(Ewma, "fit", sometimes)
    found = assess(returns.isel(asset=[0]), methods=METHODS, **ASKED).compute()
    ewma = found.sel({"method": "ewma"})
    assert np.isfinite(ewma["forecast_value_at_risk"]).all()
    assert (ewma["forecasts"] == 0).all()
    assert [row[2] for row in forecast_notes(found) if row[0] == "ewma"] == ["judged days: no forecast: too calm"]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (
            {"window": 1000},
            r"^window: 1000 returns, and 100 days to judge by, are more than the \d+ that there are; take",
        ),
        ({"judged": 19}, "^judged: 19 is not an integer >= 20"),
        ({"horizon": 0}, "^horizon: 0 is not an integer >= 1"),
        ({"horizon": 101}, r"^judged: 100 days hold no loss over 101 days; take 101 or more"),
        ({"level": 99}, r"^level: 99 is not a confidence level between 0 and 1; did you mean 0\.99\?"),
        ({"methods": "emwa"}, "^method: 'emwa' is not one of "),
        ({"methods": ["ewma", "ewma"]}, "^methods: 'ewma' is given twice"),
        (
            {"methods": "peaks_over_threshold", "window": 60},
            "^window: 60 returns are fewer than the 100 that peaks_over",
        ),
    ],
)
def test_what_can_not_be_judged_is_refused(returns: xr.Dataset, asked: dict[str, Any], expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        assess(returns, **{"methods": METHODS, **ASKED, **asked})
