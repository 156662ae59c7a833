"""Merton's jump diffusion: published prices, frequencies of jumps, exact cumulants, its fit and its scenarios."""

from __future__ import annotations

import dataclasses
import json
import pickle

import numpy as np
import pytest
from scipy import optimize, special, stats

from riskops.errors import InputError
from riskops.market import load_prices
from riskops.market import log_returns as market_log_returns
from riskops.models import MertonJumpDiffusion, calibrate
from riskops.models.merton import jump_sum
from riskops.models.merton_fit import MertonLikelihood
from tests.models.jump_samples import check_moments, daily_returns, log_returns, terminal

BASE = {
    "assets": ("A", "B"),
    "drift": [0.05, -0.02],
    "volatility": [0.2, 0.35],
    "correlation": [[1.0, 0.6], [0.6, 1.0]],
    "intensity": [20.0, 8.0],
    "jump_mean": [-0.02, 0.01],
    "jump_deviation": [0.03, 0.05],
}
COMMON = {
    "common_intensity": 6.0,
    "common_jump_mean": [-0.04, 0.02],
    "common_jump_deviation": [0.03, 0.05],
    "common_jump_correlation": 0.4,
}


@pytest.fixture
def model() -> MertonJumpDiffusion:
    return MertonJumpDiffusion(**BASE, **COMMON)


@pytest.fixture(scope="module")
def market():
    return market_log_returns(load_prices("sp500", assets=["AAPL", "XOM", "CVX", "JPM"]))


# --- the value ---------------------------------------------------------------------------------------------------


def test_parameters_are_frozen_and_survive_pickle_and_common_jumps_are_optional(model):
    alone = MertonJumpDiffusion(**BASE)
    assert alone.common_intensity == 0.0
    assert alone.common_jump_mean.tolist() == alone.common_jump_deviation.tolist() == [0.0, 0.0]
    for made in (alone, model, pickle.loads(pickle.dumps(model))):
        with pytest.raises(ValueError, match="read-only"):
            made.jump_mean[0] = 1.0
        with pytest.raises(dataclasses.FrozenInstanceError):
            made.intensity = made.drift


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"assets": ("A", "A")}, "assets: 'A' is given twice"),
        ({"drift": [0.1]}, r"drift: shape \(1,\) is not \(2,\), one number an asset"),
        ({"volatility": [0.1, 0.0]}, "volatility of 'B': 0.0 is not above zero"),
        ({"correlation": [[1, 2], [2, 1]]}, "correlation: is not positive definite"),
        ({"intensity": [-1.0, 0.0]}, "intensity of 'A': -1.0 is below zero"),
        ({"intensity": [np.inf, 0.0]}, r"intensity: .*inf.* at index \(0,\) is not finite"),
        ({"jump_mean": 0.1}, r"jump_mean: shape \(\) is not \(2,\)"),
        ({"jump_deviation": [0.1, -0.1]}, "jump_deviation of 'B': -0.1 is below zero"),
        ({"common_intensity": -2.0}, "common_intensity: -2.0 is below zero"),
        ({"common_intensity": "2"}, "common_intensity: '2' is not a finite number"),
        ({"common_jump_mean": None}, "common_jump_mean: is missing; common_intensity is above zero"),
        ({"common_jump_deviation": [0.1, -0.1]}, "common_jump_deviation of 'B': -0.1 is below zero"),
        ({"common_jump_correlation": 1.5}, "common_jump_correlation: 1.5 is not between 0 and 1"),
    ],
)
def test_bad_parameters_are_refused(change, text):
    with pytest.raises(InputError, match=text):
        MertonJumpDiffusion(**(BASE | COMMON | change))


def test_tables_refuse_a_step_with_too_many_jumps(model):
    with pytest.raises(InputError, match="intensity: 80 jumps are expected in a step of 4 years and at most 64 may be"):
        model.tables(4.0)
    with pytest.raises(InputError, match="step_years: 0 is not above zero"):
        model.tables(0)


# --- prices ------------------------------------------------------------------------------------------------------

SPOT, RATE, TOTAL = 100.0, 0.08, 0.25
STRIKES = np.array([80.0, 90.0, 100.0, 110.0, 120.0])
#: E. G. Haug, *The Complete Guide to Option Pricing Formulas* (1998), table of Merton's model, as QuantLib's
#: test-suite/jumpdiffusion.cpp (testMerton1976) has it: calls by (gamma, intensity, years), at the strikes above. Gamma
#: is the share of the total variance 0.25^2 that comes from jumps, and their mean simple return is zero.
HAUG = {
    (0.25, 1.0, 0.1): [20.67, 11.0, 3.42, 0.55, 0.1],
    (0.25, 1.0, 0.25): [21.74, 12.74, 5.88, 2.11, 0.64],
    (0.25, 1.0, 0.5): [23.63, 15.4, 8.95, 4.67, 2.23],
    (0.25, 5.0, 0.1): [20.65, 10.98, 3.51, 0.56, 0.06],
    (0.25, 5.0, 0.25): [21.7, 12.75, 5.96, 2.16, 0.63],
    (0.25, 5.0, 0.5): [23.61, 15.42, 9.02, 4.73, 2.25],
    (0.25, 10.0, 0.1): [20.64, 10.98, 3.53, 0.56, 0.05],
    (0.25, 10.0, 0.25): [21.7, 12.75, 5.97, 2.17, 0.62],
    (0.25, 10.0, 0.5): [23.61, 15.42, 9.03, 4.74, 2.25],
    (0.5, 1.0, 0.1): [20.72, 11.04, 3.14, 0.53, 0.19],
    (0.5, 1.0, 0.25): [21.83, 12.72, 5.58, 1.93, 0.71],
    (0.5, 1.0, 0.5): [23.71, 15.34, 8.71, 4.42, 2.15],
    (0.5, 5.0, 0.1): [20.66, 11.02, 3.39, 0.58, 0.1],
    (0.5, 5.0, 0.25): [21.73, 12.76, 5.87, 2.11, 0.66],
    (0.5, 5.0, 0.5): [23.63, 15.41, 8.96, 4.67, 2.23],
    (0.5, 10.0, 0.1): [20.65, 11.0, 3.46, 0.57, 0.07],
    (0.5, 10.0, 0.25): [21.71, 12.75, 5.93, 2.14, 0.64],
    (0.5, 10.0, 0.5): [23.61, 15.41, 9.0, 4.71, 2.24],
    (0.75, 1.0, 0.1): [20.79, 11.11, 2.7, 0.54, 0.29],
    (0.75, 1.0, 0.25): [21.96, 12.75, 5.08, 1.69, 0.84],
    (0.75, 1.0, 0.5): [23.86, 15.3, 8.24, 3.99, 2.09],
    (0.75, 5.0, 0.1): [20.68, 11.09, 3.16, 0.62, 0.15],
    (0.75, 5.0, 0.25): [21.78, 12.78, 5.71, 2.05, 0.71],
    (0.75, 5.0, 0.5): [23.67, 15.39, 8.85, 4.57, 2.21],
    (0.75, 10.0, 0.1): [20.66, 11.04, 3.33, 0.6, 0.11],
    (0.75, 10.0, 0.25): [21.74, 12.76, 5.85, 2.11, 0.67],
    (0.75, 10.0, 0.5): [23.64, 15.4, 8.95, 4.66, 2.23],
}


def series_price(gamma: float, intensity: float, years: float) -> np.ndarray:
    """Merton's series of Black-Scholes prices for jumps whose mean simple return is zero."""
    variance = TOTAL**2 * gamma / intensity
    price = np.zeros(len(STRIKES))
    for n in range(80):
        deviation = np.sqrt(TOTAL**2 * (1.0 - gamma) * years + n * variance)
        d1 = (np.log(SPOT / STRIKES) + RATE * years + 0.5 * deviation**2) / deviation
        black = SPOT * special.ndtr(d1) - STRIKES * np.exp(-RATE * years) * special.ndtr(d1 - deviation)
        price += stats.poisson.pmf(n, intensity * years) * black
    return price


@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize("years", [0.1, 0.25, 0.5])
def test_call_prices_are_those_of_haugs_table(years, steps):
    """The nine cases of an expiry are nine assets of one model; the table is rounded to cents."""
    cases = [(gamma, intensity) for gamma, intensity, t in HAUG if t == years]
    gamma, intensity = np.array(cases).T
    deviation = TOTAL * np.sqrt(gamma / intensity)
    names = tuple(f"{g} {i}" for g, i in cases)
    drift, volatility = np.full(9, RATE), TOTAL * np.sqrt(1.0 - gamma)
    model = MertonJumpDiffusion(names, drift, volatility, np.eye(9), intensity, -0.5 * deviation**2, deviation)
    paths = 200_000
    prices = SPOT * np.exp(terminal(model, paths=paths, years=years, steps=steps, seed=1976))
    for (g, i), price in zip(cases, prices, strict=True):
        pays = np.exp(-RATE * years) * np.maximum(price - STRIKES[:, None], 0.0)
        error = pays.std(axis=1) / np.sqrt(paths)
        published, series = np.array(HAUG[g, i, years]), series_price(g, i, years)
        np.testing.assert_allclose(published, series, atol=0.007)  # cents, and a little more in some rows
        assert np.all(np.abs(pays.mean(axis=1) - series) < 4.0 * error), (g, i)
        assert np.all(np.abs(pays.mean(axis=1) - published) < 4.0 * error + 0.007), (g, i)


# --- counts and moments ------------------------------------------------------------------------------------------


def test_counts_have_poisson_frequencies_own_and_common():
    """Jumps of a size that is known count themselves; a common one is ten times as high, and the same for all."""
    means = np.array([0.4, 3.0])
    counting = MertonJumpDiffusion(
        ("A", "B"), [0.0, 0.0], [1e-9, 1e-9], np.eye(2), means, [1e-3, 1e-3], [0.0, 0.0], 0.7, [0.1, 0.1], [0.0, 0.0]
    )
    paths = 200_000
    growth = terminal(counting, paths=paths, years=1.0) - counting.tables(1.0)["drift"][:, None]
    jumps = np.round(growth * 1e3).astype(int)
    np.testing.assert_allclose(growth * 1e3, jumps, atol=1e-4)
    common, own = jumps // 100, jumps % 100
    np.testing.assert_array_equal(common[0], common[1])
    for counts, mean in ((own[0], means[0]), (own[1], means[1]), (common[0], 0.7)):
        for k in range(int(mean) + 6):
            probability = stats.poisson.pmf(k, mean)
            error = np.sqrt(probability * (1.0 - probability) / paths)
            assert abs(np.mean(counts == k) - probability) < 4.0 * error, (mean, k)
    assert abs(np.corrcoef(own)[0, 1]) < 4.0 / np.sqrt(paths)


@pytest.mark.parametrize("steps", [1, 3])
def test_sampled_moments_are_the_exact_ones(model, steps):
    check_moments(model, years=0.25, steps=steps)


def test_cumulants_are_those_of_merton(model):
    """Cumulants of a compound Poisson sum: intensity times the raw moments of a jump, here SciPy's."""
    cumulants = model.cumulants_log_growth(2.0)
    for a in range(2):
        own = stats.norm(model.jump_mean[a], model.jump_deviation[a])
        common = stats.norm(model.common_jump_mean[a], model.common_jump_deviation[a])
        raw = [2.0 * (model.intensity[a] * own.moment(n) + 6.0 * common.moment(n)) for n in (2, 3, 4)]
        np.testing.assert_allclose(cumulants[1:, a], np.array([raw[0] + 2.0 * model.volatility[a] ** 2, *raw[1:]]))
    without = MertonJumpDiffusion(**(BASE | {"intensity": [0.0, 0.0]}))
    np.testing.assert_allclose(without.mean_log_growth(1.0), [0.05 - 0.02, -0.02 - 0.35**2 / 2])
    np.testing.assert_array_equal(without.cumulants_log_growth(1.0)[2:], 0.0)


def test_a_sum_of_jumps_is_that_of_its_normals():
    assert jump_sum(np.int32(0), 0.3, 0.7) == 0.0
    assert jump_sum(np.int32(4), 0.25, 0.5) == 4 * 0.25 + 2 * 0.5


# --- the fit -----------------------------------------------------------------------------------------------------


#: Own jumps as the likelihood has them, and no common ones.
OWN_ALONE = {"largest_intensity": 252.0, "common_intensity": 0.0}


def mixture(values, b, sigma, intensity, m, s):
    """The log density of a day, written apart from the model: 40 terms of the mixture."""
    n = np.arange(40)[:, None]
    normal = stats.norm.pdf(values, b + n * m, np.sqrt(sigma**2 + n * s**2))
    return np.log((stats.poisson.pmf(n, intensity) * normal).sum(axis=0))


def test_likelihood_and_its_slopes():
    x = np.array([-6.0, -1.0, 0.0, 0.3, 2.0, 9.0])
    model = MertonLikelihood(x, 1.0)
    theta = np.array([0.05, np.log(0.7), np.log(0.2), -0.3, np.log(1.8)])
    density, gradient, slope = model.log_density(theta)
    np.testing.assert_allclose(density, mixture(x, 0.05, 0.7, 0.2, -0.3, 1.8), rtol=1e-12)
    check = optimize.approx_fprime(theta, lambda t: model.log_density(t)[0].mean(), 1e-7)
    np.testing.assert_allclose(gradient, check, rtol=1e-5, atol=1e-6)
    step = 1e-6
    moved = [mixture(x + d, 0.05, 0.7, 0.2, -0.3, 1.8) for d in (step, -step)]
    np.testing.assert_allclose(slope, (moved[0] - moved[1]) / (2 * step), rtol=1e-6)


def test_fit_finds_known_parameters_within_its_errors():
    true = MertonJumpDiffusion(
        ("A", "B"), [0.05, 0.02], [0.2, 0.3], [[1, 0.6], [0.6, 1]], [20.0, 40.0], [-0.02, 0.0], [0.03, 0.05]
    )
    returns = daily_returns(true, days=8192, seed=2)
    calibration = MertonJumpDiffusion.calibrate(returns, **OWN_ALONE)
    for name, errors in calibration.report["standard_errors"].items():
        for a, asset in enumerate(true.assets):
            assert abs(getattr(calibration.model, name)[a] - getattr(true, name)[a]) < 4.0 * errors[asset]
            assert 0.0 < errors[asset] < 0.4 * max(abs(getattr(true, name)[a]), 0.02)
    assert calibration.report["at_bounds"] == {}
    assert (
        min(
            calibration.report["log_likelihood"][a] - calibration.report["log_likelihood_without_jumps"][a]
            for a in "AB"
        )
        > 100
    )
    share = np.sqrt(np.prod(list(calibration.report["filtered_variance"].values())))
    assert abs(calibration.model.correlation[0, 1] / share - 0.6) < 0.04
    total = MertonJumpDiffusion.fit(returns, correlation="total", **OWN_ALONE)
    assert abs(total.correlation[0, 1] - 0.6) < 0.05
    sample = np.cov(returns["log_return"].values.T)
    assert total.covariance_log_growth(1 / 252)[0, 1] == pytest.approx(sample[0, 1], rel=1e-10)
    np.testing.assert_allclose(total.mean_log_growth(1.0), returns["log_return"].values.mean(axis=0) * 252, rtol=1e-9)


def test_common_jumps_are_found_on_their_days():
    assets = tuple("ABCDE")
    true = MertonJumpDiffusion(
        assets, np.zeros(5), np.full(5, 0.15), 0.3 + 0.7 * np.eye(5), np.full(5, 5.0), np.full(5, 0.0),
        np.full(5, 0.03), 5.0, np.full(5, -0.08), np.full(5, 0.02), 0.5,
    )  # fmt: skip
    returns = daily_returns(true, days=4096, seed=5)
    calibration = calibrate(returns, kind="merton", options={"common_intensity": 5.0, "largest_intensity": 252.0})
    model, days = calibration.model, len(calibration.report["common_days"])
    assert days == round(5.0 * 4096 / 252)
    assert model.common_intensity == pytest.approx(days / 4096 * 252)
    np.testing.assert_allclose(model.common_jump_mean, -0.08, atol=4 * 0.022 / np.sqrt(days))
    np.testing.assert_allclose(model.common_jump_deviation, 0.02, atol=0.006)
    assert abs(model.common_jump_correlation - 0.5) < 0.2
    averages = calibration.report["average_correlation"]
    assert averages["model"] == pytest.approx(averages["sample"], abs=0.04)
    shocked = model.shocked(correlation=0.5)
    assert shocked.common_jump_correlation == pytest.approx(0.5 + 0.5 * model.common_jump_correlation)


def test_fit_of_market_returns_is_a_maximum(market):
    """No other optimiser gets higher on a likelihood written apart; jumps make the returns far more likely."""
    calibration = MertonJumpDiffusion.calibrate(market, window=1500, **OWN_ALONE)
    model = calibration.model
    for a, asset in enumerate(("AAPL", "XOM")):
        values = market["log_return"].sel(asset=asset).values[-1500:]

        def minus(p, x=values):
            sigma, intensity, m, s = np.exp(p[1]) / 100, np.exp(p[2]), p[3] / 100, np.exp(p[4]) / 100
            return -mixture(x, p[0] / 100, sigma, intensity, m, s).sum()

        b = model.assets.index(asset)
        ours = [
            0.05,
            np.log(100 * model.volatility[b] / np.sqrt(252)),
            np.log(model.intensity[b] / 252),
            100 * model.jump_mean[b],
            np.log(100 * model.jump_deviation[b]),
        ]
        found = optimize.minimize(
            minus, ours, method="Nelder-Mead", options={"maxiter": 2000, "xatol": 1e-5, "fatol": 1e-6}
        )
        reported = calibration.report["log_likelihood"][asset]
        assert -found.fun == pytest.approx(reported, abs=1e-4)
        np.testing.assert_allclose(found.x[1:], ours[1:], rtol=0.01, atol=0.005)
        assert reported > calibration.report["log_likelihood_without_jumps"][asset] + 50, a
    assert json.loads(json.dumps(calibration.report, allow_nan=False)) == calibration.report


def test_a_low_bound_keeps_jumps_rare_and_is_reported(market):
    calibration = MertonJumpDiffusion.calibrate(market, window=1500, largest_intensity=6.0, common_intensity=0.0)
    np.testing.assert_allclose(calibration.model.intensity, 6.0, rtol=1e-9)
    assert calibration.report["at_bounds"] == {asset: ["intensity"] for asset in ("AAPL", "XOM", "CVX", "JPM")}
    assert set(calibration.report["standard_errors"]["intensity"].values()) == {None}
    assert all(e > 0 for e in calibration.report["standard_errors"]["volatility"].values())
    deviation = market["log_return"].values[-1500:].std(axis=0)
    np.testing.assert_allclose(
        np.sqrt(np.diagonal(calibration.model.covariance_log_growth(1 / 252))), deviation, rtol=0.1
    )


@pytest.mark.parametrize("window", [None, 2520])
def test_by_default_a_portfolio_is_as_risky_as_in_the_sample(window):
    """Frequent own jumps would be diversified away; common jumps keep what the stocks share."""
    stocks = market_log_returns(load_prices("sp500"))
    calibration = calibrate(stocks, kind="merton", options={} if window is None else {"window": window})
    model, report = calibration.model, calibration.report
    ratio = report["equal_weight_deviation"]["model_over_sample"]
    portfolio = stocks["log_return"].values[-(window or stocks.sizes["observation"]) :].mean(axis=1)
    assert report["equal_weight_deviation"]["sample"] == pytest.approx(portfolio.std(ddof=1), rel=1e-12)
    weights = np.full(20, 1 / 20)
    exact = np.sqrt(weights @ model.covariance_log_growth(1 / 252) @ weights)
    assert report["equal_weight_deviation"]["model"] == pytest.approx(exact, rel=1e-12)
    assert ratio == pytest.approx(exact / portfolio.std(ddof=1), rel=1e-12)
    assert 0.95 < ratio < 1.05
    assert (report["largest_intensity"], report["common_intensity"]) == (6.0, 8.0)
    assert np.all(model.intensity <= 6.0 * (1 + 1e-12))


def test_an_asset_alone_has_no_common_jumps_and_no_low_bound(market):
    calibration = MertonJumpDiffusion.calibrate(market.sel(asset=["XOM"]), window=1500)
    model, report = calibration.model, calibration.report
    assert (model.common_intensity, report["common_days"]) == (0.0, [])
    assert (report["largest_intensity"], report["common_intensity"]) == (252.0, 0.0)
    assert model.intensity[0] > 12.0
    assert report["equal_weight_deviation"]["model_over_sample"] == pytest.approx(1.0, abs=0.05)
    given = {"largest_intensity": 252.0, "common_intensity": 0.0}
    assert MertonJumpDiffusion.fit(market.sel(asset=["XOM"]), window=1500, **given) == model


def test_report_has_what_every_report_has(market):
    calibration = calibrate(market, kind="merton", options={"window": 600, "drift": "zero", "common_intensity": 5})
    report = calibration.report
    assert report["observations"] == 600
    assert report["window_end"] == "2022-12-28"
    assert len(report["common_days"]) == 12
    assert "2020-08-13" < min(report["common_days"]) < max(report["common_days"]) < "2022-12-29"
    assert report["options"] == {
        "drift": "zero",
        "window": 600,
        "largest_intensity": None,
        "common_intensity": 5.0,
        "correlation": "diffusion",
        "nearest_correlation": False,
        "factors": None,
    }
    assert calibration.model.drift.tolist() == [0.0] * 4


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"drift": "momentum"}, "drift: 'momentum' is not 'historical'"),
        ({"window": 99}, "log_return: 99 observations are too few for jumps; 100 are needed"),
        ({"window": 120}, r"common_intensity: 8.0 a year \(the default\) makes 4 days of the window's 120; at least 5"),
        ({"window": 10_000}, "window: 10000 observations were asked for"),
        ({"window": 500, "correlation": "rank"}, "correlation: 'rank' is not one of diffusion, total"),
        ({"window": 500, "common_intensity": -1.0}, "common_intensity: -1.0 is below zero"),
        (
            {"window": 500, "common_intensity": 1.0},
            "common_intensity: 1.0 a year makes 2 days of the window's 500; at l",
        ),
        (
            {"window": 500, "largest_intensity": 300.0},
            r"largest_intensity: 300.0 is not between 0.504, one jump in the w",
        ),
        ({"window": 500, "largest_intensity": 0.1}, "largest_intensity: 0.1 is not between 0.504"),
        ({"window": 500, "largest_intensity": 0}, "largest_intensity: 0 is not above zero"),
        ({"window": 500, "nearest_correlation": 1}, "nearest_correlation: 1 is not true or false"),
        ({"window": 500, "days_per_year": 0}, "days_per_year: 0 is not above zero"),
        (
            {"window": 1500, "correlation": "total"} | OWN_ALONE,
            "correlation: is not positive definite .*nearest_correlation",
        ),
    ],
)
def test_bad_fit_options_are_refused(market, options, text):
    with pytest.raises(InputError, match=text):
        MertonJumpDiffusion.fit(market, **options)


def test_unusable_returns_are_refused():
    rng = np.random.default_rng(1)
    values = 0.01 * rng.standard_normal((200, 2))
    with pytest.raises(InputError, match=r"common_intensity: 10.0 needs two assets or more; there is one"):
        MertonJumpDiffusion.fit(log_returns(values[:, :1], ("A",)), common_intensity=10.0)
    values[:, 1] = 0.001
    with pytest.raises(InputError, match="log_return: the returns of 'B' do not vary over the window"):
        MertonJumpDiffusion.fit(log_returns(values, ("A", "B")))


def test_normal_returns_have_no_jumps_to_speak_of():
    rng = np.random.default_rng(3)
    model = MertonJumpDiffusion.fit(log_returns(0.01 * rng.standard_normal((2000, 1)), ("A",)))
    variance = model.covariance_log_growth(1.0)[0, 0]
    assert variance == pytest.approx(0.01**2 * 252, rel=0.1)
    excess = model.cumulants_log_growth(1 / 252)[3, 0] / (variance / 252) ** 2
    assert excess < 0.3


# --- scenarios ---------------------------------------------------------------------------------------------------


def test_shocked_changes_what_was_asked_for_only(model):
    assert model.shocked() is model
    louder = model.shocked(volatility=2.0)
    np.testing.assert_allclose(louder.covariance_log_growth(1.0), 4.0 * model.covariance_log_growth(1.0), rtol=1e-14)
    np.testing.assert_array_equal(louder.mean_simple_return(1.0), model.mean_simple_return(1.0))
    np.testing.assert_array_equal(louder.intensity, model.intensity)
    pushed = model.shocked(correlation=0.5)
    assert pushed.correlation[0, 1] == pytest.approx(0.8)
    assert pushed.common_jump_correlation == pytest.approx(0.7)
    np.testing.assert_allclose(
        np.diagonal(pushed.covariance_log_growth(1.0)), np.diagonal(model.covariance_log_growth(1.0))
    )
    drifting = model.shocked(drift=-0.2)
    np.testing.assert_array_equal(drifting.drift, model.drift - 0.2)
    assert drifting.covariance_log_growth(1.0).tobytes() == model.covariance_log_growth(1.0).tobytes()


@pytest.mark.parametrize(
    ("shock", "text"),
    [
        ({"volatility": 0.0}, "volatility shock: 0.0 is not above zero"),
        ({"correlation": 1.0}, r"share: 1.0 is not in \[0, 1\)"),
        ({"drift": float("inf")}, "drift shock: inf is not a finite number"),
    ],
)
def test_bad_shocks_are_refused(model, shock, text):
    with pytest.raises(InputError, match=text):
        model.shocked(**shock)
