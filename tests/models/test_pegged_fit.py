"""The calibration of a stabilised token: known parameters, an autoregression, its refusals, its schedule."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import statsmodels.api as sm
import xarray as xr
from scipy import stats

from riskops.errors import InputError
from riskops.market import load_prices, log_returns
from riskops.models import PeggedAsset, calibrate, from_record
from riskops.models.pegged_fit import _History, recalibration_schedule
from riskops.rng import tile_counters
from riskops.schema import variable
from riskops.simulation import SimulationSpec, path_job

SYNTHETIC = Path(__file__).parents[2] / "configs" / "models" / "pegged_synthetic_prices.csv"


def history(model: PeggedAsset, days: int, *, seed: int, step_days: float = 1.0) -> np.ndarray:
    """Prices ``(observation, asset)`` of one path of the model."""
    spec = SimulationSpec(
        model, paths=1, steps=days, step_days=step_days, seed=seed, dtype="float64", days_per_year=model.days_per_year
    )
    return model.price * np.exp(path_job(spec).block(tile_counters(0, 1), 1)[0, :, :, 0])


def returns_of(prices: np.ndarray, assets=("U",), *, priced: bool = True) -> xr.Dataset:
    days = np.datetime64("2024-01-01", "ns") + np.arange(1, len(prices)) * np.timedelta64(1, "D")
    coords = {"observation": days, "asset": list(assets)}
    table = variable("log_return", ("observation", "asset"), np.diff(np.log(prices), axis=0), coords=coords)
    given = table.to_dataset()
    return given.assign(price=variable("price", ("observation", "asset"), prices[1:])) if priced else given


@pytest.fixture(scope="module")
def returns() -> xr.Dataset:
    return returns_of(history(PeggedAsset(("U",), price=1.01, jump_intensity=0.02), 150, seed=3))


def test_known_parameters_are_recovered_within_their_errors():
    """Six tokens of one truth: estimates within four errors, errors of the right size, and the truth not refused."""
    assets = tuple("ABCDEF")
    truth = {"alpha": 0.5, "beta": 0.45, "gamma": 0.8, "sigma_base": 0.02}
    fixed = {"liquidity": 1e5, "fiat_activity": 0.4}
    prices = history(PeggedAsset(assets, **truth, **fixed), 500, seed=1)
    scores: dict[str, list[float]] = {name: [] for name in truth}
    for a, name in enumerate(assets):
        report = PeggedAsset.calibrate(returns_of(prices[:, [a]], (name,)), fixed=fixed, regularisation=0.05).report
        found = report["estimates"][name]
        for parameter, one in found["parameters"].items():
            if one["at_bound"] is None:
                scores[parameter].append((one["estimate"] - truth[parameter]) / one["standard_error"])
        known = _History(name, prices[:, a] - 1.0, 1.0, 0.0, fixed, 365.0).log_likelihood(
            np.array(list(truth.values()))
        )
        # the likelihood in beta is skewed: a price that reaches the band within its step says "at least so much"
        assert -0.5 < 2.0 * (found["log_likelihood"] - known) < stats.chi2.ppf(1 - 1e-4, 4)
    for name in ("alpha", "gamma", "sigma_base"):
        assert np.all(np.abs(scores[name]) < 4.0), name
    for name in ("alpha", "sigma_base"):
        assert len(scores[name]) == 6
        assert 0.3 < np.sqrt(np.mean(np.square(scores[name]))) < 1.9  # chi-square of 6: beyond with probability 1e-3


@pytest.mark.parametrize(("jumps", "noise"), [(0.0, 0.006), (0.05, 0.03)])
def test_correlation_of_the_diffusions_is_found_through_jumps(jumps, noise):
    """Against the sample correlation of the very diffusions, which a path without jumps and pressure shows."""
    truth = {"alpha": [0.3, 0.6], "correlation": [[1.0, 0.6], [0.6, 1.0]]}
    for seed in (7, 9):
        prices = history(PeggedAsset(("A", "B"), jump_intensity=jumps, **truth), 1000, seed=seed)
        fitted = PeggedAsset.fit(returns_of(prices, ("A", "B")), fixed={"jump_intensity": jumps})
        free = PeggedAsset(("A", "B"), jump_intensity=0.0, beta=0.0, gamma=0.0, **truth)
        x = history(free, 1000, seed=seed) - 1.0
        drawn = np.corrcoef((x[1:] - x[:-1] * np.exp(-free.alpha)).T)[0, 1]
        assert fitted.correlation[0, 1] == pytest.approx(drawn, abs=noise)


def test_without_jumps_and_inside_the_band_it_is_an_autoregression():
    """statsmodels' least squares of the deviation on the one before: ``exp(-alpha)``, its error, and the variance."""
    prices = history(PeggedAsset(("U",), sigma_base=0.006, jump_intensity=0.0), 800, seed=7)
    assert np.abs(prices - 1.0).max() < 0.02
    report = PeggedAsset.calibrate(returns_of(prices), fixed={"jump_intensity": 0.0}, regularisation=0.0).report
    found = report["estimates"]["U"]["parameters"]
    deviation = prices[:, 0] - 1.0
    line = sm.OLS(deviation[1:], deviation[:-1]).fit()
    alpha = -np.log(line.params[0])
    sigma = np.sqrt(np.mean(line.resid**2) * 2 * alpha / -np.expm1(-2 * alpha))
    assert found["alpha"]["estimate"] == pytest.approx(alpha, rel=1e-3)
    assert found["sigma_base"]["estimate"] == pytest.approx(sigma, rel=1e-3)


def test_standard_errors_are_those_of_the_autoregression():
    prices = history(PeggedAsset(("U",), sigma_base=0.006, jump_intensity=0.0), 800, seed=7)
    # a weak pull makes the Hessian regular in the two parameters of which the prices say nothing
    report = PeggedAsset.calibrate(returns_of(prices), fixed={"jump_intensity": 0.0}).report["estimates"]["U"]
    deviation = prices[:, 0] - 1.0
    line = sm.OLS(deviation[1:], deviation[:-1]).fit()
    found = report["parameters"]
    assert found["alpha"]["standard_error"] == pytest.approx(line.bse[0] / line.params[0], rel=0.03)
    # nothing is known of what acts outside the band: the default, as uncertain as the pull makes it
    assert (report["observations_above_band"], report["observations_below_band"]) == (0, 0)
    for name, default, width in (("beta", 0.3, 0.7), ("gamma", 0.8, 1.3)):
        assert found[name]["estimate"] == pytest.approx(default, abs=1e-4)
        assert found[name]["standard_error"] == pytest.approx(width, rel=1e-3)


def test_the_likelihood_moves_as_the_simulation_does():
    """The mean of a transition is a step of the engine without noise; jumps and diffusion have the model's moments."""
    deviations = np.array([-0.5, -0.03, -0.01, 0.0, 0.015, 0.05, 0.6])
    fixed = {"liquidity": 2e5, "fiat_activity": 0.05, "velocity": 7.0, "jump_intensity": 0.4, "jump_mean": -0.1}
    for held in ({}, fixed):
        for parameters in ([0.5, 0.3, 0.8, 0.02], [0.2, 0.7, 1.3, 0.01]):
            known = dict(zip(("alpha", "beta", "gamma", "sigma_base"), parameters, strict=True))
            trial = _History("U", deviations, 1.5, 0.0, held, 365.0)
            _, residuals, variances = trial.mixture(np.array(parameters))
            for x, after, residual in zip(deviations, deviations[1:], residuals[:, 0], strict=False):
                still = held | known | {"sigma_base": 0.0, "jump_intensity": 0.0, "holding_age": 24.0, "price": 1 + x}
                moved = history(PeggedAsset(("U",), **still), 1, seed=0, step_days=1.5)[-1, 0] - 1.0
                assert after - residual == pytest.approx(moved, abs=1e-14)
            model = PeggedAsset(("U",), **held, **known, days_per_year=365.0)
            tables = model.tables(1.5 / 365)
            np.testing.assert_allclose(residuals[0, 0] - residuals[0, 2], 2 * tables["own"][0, 8], rtol=1e-12)
            expected = tables["mixing"][0, 0] ** 2 + np.arange(len(variances)) * tables["own"][0, 9] ** 2
            np.testing.assert_allclose(variances, expected, rtol=1e-12)
            calm = PeggedAsset(("U",), **(held | known | {"jump_intensity": 0.0}))
            assert variances[0] == pytest.approx(calm.free_moments(1.5)[1][0] ** 2, rel=1e-12)


def test_an_hourly_history_gives_daily_rates():
    prices = history(PeggedAsset(("U",), alpha=0.9, jump_intensity=0.0), 4000, seed=2, step_days=1 / 24)
    fitted = PeggedAsset.calibrate(returns_of(prices), observation_days=1 / 24, fixed={"jump_intensity": 0.0})
    found = fitted.report["estimates"]["U"]["parameters"]
    assert abs(found["sigma_base"]["estimate"] - 0.02) < 4 * found["sigma_base"]["standard_error"]
    assert found["sigma_base"]["standard_error"] < 0.0005


def test_the_level_of_prices_comes_from_the_prices_or_is_given(returns):
    last = float(returns["price"][-1, 0])
    by_prices = calibrate(returns, kind="pegged", days_per_year=365.0)
    assert by_prices.report["last_price_source"] == "prices of the returns"
    assert by_prices.model.price[0] == last
    bare = returns.drop_vars("price")
    given = PeggedAsset.calibrate(bare, last_price={"U": last}, days_per_year=365.0)
    assert given.report["last_price_source"] == "last_price"
    assert given.model.alpha[0] == pytest.approx(by_prices.model.alpha[0], rel=1e-6)
    assumed = PeggedAsset.calibrate(bare)
    assert assumed.report["last_price_source"] == "assumed at the peg"
    assert assumed.model.price[0] == 1.0
    cents = PeggedAsset.calibrate(bare, last_price=100.0 * last, peg=100.0, days_per_year=365.0)
    assert cents.model.alpha[0] == pytest.approx(given.model.alpha[0], rel=1e-9)
    assert json.loads(json.dumps(given.report, allow_nan=False)) == given.report
    assert from_record(json.loads(json.dumps(given.model.record()))) == given.model
    assert (given.report["observations"], given.report["window_end"]) == (150, "2024-05-30")


def test_a_fit_is_the_same_again_and_takes_its_window(returns):
    first, second = (PeggedAsset.fit(returns, window=100) for _ in range(2))
    assert first == second
    assert first == PeggedAsset.fit(returns.isel(observation=slice(50, None)))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"fixed": {"alpha": 0.5}}, "fixed: 'alpha' is estimated, within "),
        ({"fixed": {"velocity": {"V": 1.0}}}, "fixed velocity: 'V' is unknown; known are U"),
        ({"fixed": {"velocity": "fast"}}, "fixed velocity: 'fast' is not a finite number"),
        ({"fixed": {"floor": 0.995}}, "lower_band, upper_band: 0.98 and 1.02 are not on both sides"),
        ({"fixed": {"floor": 0.97}}, "price of 'U': touches the floor, 0.97 of the peg, over the window"),
        ({"last_price": {}}, "last_price: 'U' is missing"),
        ({"last_price": 0.0}, r"last_price of 'U': 0\.0 is not above zero"),
        ({"peg": 0.0}, r"peg: 0\.0 is not above zero"),
        ({"observation_days": -1.0}, r"observation_days: -1\.0 is not above zero"),
        ({"regularisation": -1.0}, r"regularisation: -1\.0 is below zero"),
        ({"window": 20}, "log_return: 20 observations are too few; at least 30 are needed"),
        ({"window": 151}, "window: 151 observations were asked for and there are 150"),
    ],
)
def test_bad_options_are_refused(returns, options, text):
    with pytest.raises(InputError, match=text):
        PeggedAsset.fit(returns, **options)


def test_a_constant_series_is_named():
    with pytest.raises(InputError, match="log_return: the returns of 'U' do not vary over the window"):
        PeggedAsset.fit(returns_of(np.ones((60, 1))))


def test_the_schedule_is_a_fit_of_each_window(returns):
    schedule = recalibration_schedule(returns, every=40, window=70, options={"fixed": {"jump_intensity": 0.02}})
    assert schedule["observation"].values.astype("datetime64[D]").astype(str).tolist() == [
        "2024-03-11",
        "2024-04-20",
        "2024-05-30",
    ]
    for k, stop in enumerate((70, 110, 150)):
        part = returns.isel(observation=slice(stop - 70, stop))
        alone = PeggedAsset.calibrate(part, fixed={"jump_intensity": 0.02}, days_per_year=365.0)
        found = schedule.isel(observation=k, asset=0)
        for name, one in alone.report["estimates"]["U"]["parameters"].items():
            at = found.sel(parameter=name)
            assert float(at["estimate"]) == pytest.approx(one["estimate"], abs=1e-5)
            assert bool(at["at_bound"]) == np.isnan(at["standard_error"].item()) == (one["at_bound"] is not None)
    with pytest.raises(InputError, match="window: 200 observations were asked for and there are 150"):
        recalibration_schedule(returns, every=40, window=200)
    with pytest.raises(InputError, match="options: 'window' is unknown"):
        recalibration_schedule(returns, every=40, window=70, options={"window": 3})


def test_the_synthetic_prices_are_a_path_of_the_model():
    model = PeggedAsset(
        ("TOKEN_A", "TOKEN_B"), alpha=[0.3, 0.4], gamma=[0.8, 1.0], sigma_base=[0.012, 0.008], jump_intensity=0.02,
        correlation=[[1.0, 0.4], [0.4, 1.0]],
    )  # fmt: skip
    prices = load_prices(str(SYNTHETIC))
    np.testing.assert_allclose(prices["price"].values, history(model, 1096, seed=20240101), atol=5.1e-7, rtol=0)
    found = PeggedAsset.calibrate(log_returns(prices), days_per_year=365.0, fixed={"jump_intensity": 0.02})
    assert found.model.price.tolist() == prices["price"].values[-1].tolist()
    assert abs(found.model.correlation[0, 1] - 0.4) < 4 * (1 - 0.16) / np.sqrt(1096)
    for a, asset in enumerate(model.assets):
        for name, one in found.report["estimates"][asset]["parameters"].items():
            if one["at_bound"] is None:
                assert abs(one["estimate"] - getattr(model, name)[a]) < 4 * one["standard_error"]
