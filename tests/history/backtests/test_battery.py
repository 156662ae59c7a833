"""The battery: every test over every method, series and level at once, lazily, and what it refuses."""

from __future__ import annotations

import dask
import numpy as np
import pytest
import xarray as xr
from scipy import stats

from riskops.errors import InputError
from riskops.history.backtests.base import Outcomes
from riskops.history.backtests.battery import backtest
from riskops.history.backtests.registry import backtests, list_backtests
from riskops.schema import validate

LEVELS = [0.95, 0.99]
DIMS = ("method", "asset", "level", "observation")


def forecasts(n: int = 300) -> xr.Dataset:
    """Right forecasts, forecasts that are too low, and a method that gives no distribution; days are missing."""
    numbers = np.random.default_rng(4)
    losses = numbers.normal(size=(2, n))
    losses[1, :7] = np.nan
    quantile = stats.norm.ppf(LEVELS)
    shortfall = stats.norm.pdf(quantile) / (1 - np.array(LEVELS))
    scale = np.array([1.0, 0.5, 1.0])[:, None, None, None] * np.ones((3, 2, 1, n))
    scale[2, 0, :, 100:103] = np.nan
    probability = stats.norm.cdf(losses[None] / scale[:, :, 0])
    probability[2] = np.nan
    days = np.datetime64("2020-01-01", "ns") + np.arange(n) * np.timedelta64(1, "D")
    return xr.Dataset(
        {
            "realised_loss": (("asset", "observation"), losses),
            "forecast_value_at_risk": (DIMS, scale * quantile[:, None]),
            "forecast_expected_shortfall": (DIMS, scale * shortfall[:, None]),
            "forecast_probability": (("method", "asset", "observation"), probability),
        },
        coords={"method": ["right", "low", "bare"], "asset": ["A", "B"], "level": LEVELS, "observation": days},
    ).assign_coords(horizon_rule=("method", ["one day"] * 3))


@pytest.fixture(scope="module")
def judged() -> xr.Dataset:
    return backtest(forecasts(), simulations=199)


def test_every_test_is_run_and_named_with_its_null(judged: xr.Dataset) -> None:
    validate(judged, "statistic", "p_value", "simulated_p_value", "rejected", "forecasts", "breaches")
    assert judged["test"].values.tolist() == list(list_backtests())
    assert judged["null_hypothesis"].values.tolist() == list(list_backtests().values())
    assert judged["statistic"].dims == ("test", "method", "asset", "level")
    assert judged.attrs == {"simulations": 199, "size": 0.05, "seed": 1}


def test_days_without_forecast_or_loss_do_not_count(judged: xr.Dataset) -> None:
    counted = judged["forecasts"].sel(level=0.95)
    assert counted.sel(asset="A").values.tolist() == [300, 300, 297]
    assert counted.sel(asset="B").values.tolist() == [293, 293, 293]
    given = forecasts()
    breach = given["realised_loss"] > given["forecast_value_at_risk"]
    assert (judged["breaches"] == breach.sum("observation")).all()


def test_each_figure_is_that_of_the_test_alone(judged: xr.Dataset) -> None:
    given = forecasts()
    for method, asset, level in (("right", "A", 0.95), ("low", "B", 0.99), ("bare", "A", 0.99)):
        where = {"method": method, "asset": asset, "level": level}
        arrays = [
            given.sel({dim: where[dim] for dim in given[name].dims if dim in where})[name].values for name in given
        ]
        keep = np.isfinite(arrays[0]) & np.isfinite(arrays[1])
        outcomes = Outcomes(*(array[keep] for array in arrays), level=level)
        for test in backtests("all"):
            found = judged.sel({"test": test.name, **where})
            statistic, p = test.run(outcomes)
            np.testing.assert_equal([found["statistic"].item(), found["p_value"].item()], [statistic, p])
            if test.simulate is not None and not np.isnan(statistic):
                assert found["simulated_p_value"].item() == test.simulate(outcomes, statistic, 199, 1)


def test_forecasts_that_are_too_low_are_rejected_and_right_ones_are_not(judged: xr.Dataset) -> None:
    coverage = judged["rejected"].sel(test=["kupiec", "binomial", "conditional_coverage", "mixed_kupiec"])
    assert coverage.sel({"method": "low"}).all()
    assert not coverage.sel({"method": "right"}).any()
    decisive = judged["simulated_p_value"].fillna(judged["p_value"])
    assert (judged["rejected"] == (decisive <= 0.05)).all()


def test_a_method_without_a_distribution_has_no_verdict_on_it(judged: xr.Dataset) -> None:
    whole = judged.sel({"test": ["berkowitz", "berkowitz_tail"], "method": "bare"})
    assert np.isnan(whole["statistic"]).all()
    assert not whole["rejected"].any()
    assert np.isfinite(judged["statistic"].sel({"test": "kupiec", "method": "bare"})).all()


def test_it_is_lazy_and_gives_the_same_for_any_chunks(judged: xr.Dataset, refuse_compute: None) -> None:
    lazy = backtest(forecasts().chunk(method=1, asset=1, observation=77), simulations=199)
    assert all(array.chunks is not None for array in lazy.values())
    with dask.config.set(scheduler="threads"):
        xr.testing.assert_identical(lazy.compute(), judged)


def test_one_method_one_level_and_a_portfolio_are_enough() -> None:
    one = forecasts().isel(method=0, level=1).rename(asset="portfolio")
    found = backtest(one, tests=["kupiec", "dynamic_quantile"], simulations=0)
    assert found["statistic"].dims == ("test", "portfolio")
    assert found["level"].item() == 0.99
    assert "simulated_p_value" not in found
    assert found["rejected"].dtype == bool


def test_all_is_what_the_forecasts_allow_and_a_name_is_a_promise() -> None:
    bare = forecasts().drop_vars(["forecast_probability", "forecast_expected_shortfall"])
    found = backtest(bare, simulations=0)
    assert "kupiec" in found["test"].values
    assert "berkowitz" not in found["test"].values
    with pytest.raises(InputError, match="berkowitz needs forecast_probability, which the forecasts do not have"):
        backtest(bare, tests="berkowitz")


def test_a_series_without_any_outcome_is_nan() -> None:
    given = forecasts()
    given["realised_loss"][0] = np.nan
    found = backtest(given, simulations=0)
    assert np.isnan(found["statistic"].sel(asset="A")).all()
    assert (found["forecasts"].sel(asset="A") == 0).all()
    assert np.isfinite(found["statistic"].sel(asset="B", test="kupiec")).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tests": "kupeic"}, "tests: 'kupeic' is not one of"),
        ({"tests": ["kupiec", "kupiec"]}, "tests: 'kupiec' is given twice"),
        ({"tests": []}, "tests: at least one is needed"),
        ({"simulations": -1}, "simulations: -1 is not an integer >= 0"),
        ({"size": 5}, "size: 5 is not between 0 and 1"),
        ({"seed": -1}, "seed: -1 is not an integer"),
    ],
)
def test_bad_settings_are_named(settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        backtest(forecasts(), **settings)
