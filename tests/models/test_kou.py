"""Kou's jump diffusion: the published price, the law of its jumps, exact cumulants, its fit and its scenarios."""

from __future__ import annotations

import dataclasses
import json
import pickle

import numpy as np
import pytest
from scipy import integrate, optimize, special, stats

from riskops.errors import InputError
from riskops.market import load_prices
from riskops.market import log_returns as market_log_returns
from riskops.models import KouJumpDiffusion, calibrate
from riskops.models.kou_fit import KouLikelihood
from tests.models.jump_samples import check_moments, daily_returns, log_returns, terminal

BASE = {
    "assets": ("A", "B"),
    "drift": [0.05, -0.02],
    "volatility": [0.2, 0.35],
    "correlation": [[1.0, 0.6], [0.6, 1.0]],
    "intensity": [20.0, 8.0],
    "up_probability": [0.4, 0.5],
    "up_mean": [0.02, 0.04],
    "down_mean": [0.03, 0.05],
}
COMMON = {
    "common_intensity": 6.0,
    "common_up_probability": 0.3,
    "common_up_mean": [0.02, 0.05],
    "common_down_mean": [0.04, 0.03],
}


@pytest.fixture
def model() -> KouJumpDiffusion:
    return KouJumpDiffusion(**BASE, **COMMON)


@pytest.fixture(scope="module")
def market():
    return market_log_returns(load_prices("sp500", assets=["AAPL", "XOM", "CVX", "JPM"]))


# --- the value ---------------------------------------------------------------------------------------------------


def test_parameters_are_frozen_and_survive_pickle_and_common_jumps_are_optional(model):
    alone = KouJumpDiffusion(**BASE)
    assert alone.common_intensity == 0.0
    assert alone.common_up_mean.tolist() == alone.common_down_mean.tolist() == [0.0, 0.0]
    for made in (alone, model, pickle.loads(pickle.dumps(model))):
        with pytest.raises(ValueError, match="read-only"):
            made.up_mean[0] = 1.0
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
        ({"up_probability": [0.5, 1.5]}, "up_probability of 'B': 1.5 is not between 0 and 1"),
        ({"up_probability": [-0.5, 0.5]}, "up_probability of 'A': -0.5 is below zero"),
        ({"up_mean": [0.1, 1.0]}, "up_mean of 'B': 1.0 is not below one; the price would have no mean"),
        ({"down_mean": [0.1, -0.1]}, "down_mean of 'B': -0.1 is below zero"),
        ({"down_mean": [0.1, np.nan]}, r"down_mean: .*nan.* at index \(1,\) is not finite"),
        ({"common_intensity": -2.0}, "common_intensity: -2.0 is below zero"),
        ({"common_up_probability": 2.0}, "common_up_probability: 2.0 is not between 0 and 1"),
        ({"common_up_mean": None}, "common_up_mean: is missing; common_intensity is above zero"),
        ({"common_up_mean": [1.5, 0.0]}, "common_up_mean of 'A': 1.5 is not below one"),
        ({"common_down_mean": None}, "common_down_mean: is missing"),
    ],
)
def test_bad_parameters_are_refused(change, text):
    with pytest.raises(InputError, match=text):
        KouJumpDiffusion(**(BASE | COMMON | change))


def test_tables_hold_as_many_counts_as_there_can_be(model):
    tables = model.tables(1 / 252)
    widest = max(tables["up_thresholds"].shape[1], tables["down_thresholds"].shape[1])
    assert tables["gamma"].shape == (widest + 1, 258, 4)
    assert KouJumpDiffusion(**BASE).tables(1 / 252)["common_gamma"].shape == (1, 258, 4)
    assert model.tables(2.0)["gamma"].shape[0] > 40
    with pytest.raises(InputError, match="intensity: 72 jumps are expected in a step of 6 years and at most 64 may be"):
        model.tables(6.0)


# --- prices ------------------------------------------------------------------------------------------------------


def transform_price(spot, strike, rate, years, sigma, intensity, p, up, down) -> float:
    """A call by integration of the characteristic function (Heston 1993's form), written apart from the model."""
    compensator = intensity * (p / (1.0 - up) + (1.0 - p) / (1.0 + down) - 1.0)

    def characteristic(u):
        jumps = p / (1.0 - 1j * u * up) + (1.0 - p) / (1.0 + 1j * u * down) - 1.0
        log_drift = rate - 0.5 * sigma**2 - compensator
        return np.exp(years * (1j * u * log_drift - 0.5 * sigma**2 * u**2 + intensity * jumps))

    k = np.log(strike / spot)
    growth = characteristic(-1j)

    def share(u):
        return (np.exp(-1j * u * k) * characteristic(u - 1j) / (1j * u * growth)).real

    def cash(u):
        return (np.exp(-1j * u * k) * characteristic(u) / (1j * u)).real

    in_shares, in_cash = (0.5 + integrate.quad(f, 1e-12, 200.0, limit=500)[0] / np.pi for f in (share, cash))
    return spot * in_shares - strike * np.exp(-rate * years) * in_cash


def test_the_transform_gives_the_published_price():
    """Kou (2002), *A jump-diffusion model for option pricing*, Management Science 48(8), p. 1095: 9.14732."""
    assert transform_price(100.0, 98.0, 0.05, 0.5, 0.16, 1.0, 0.4, 1 / 10, 1 / 5) == pytest.approx(9.14732, abs=5e-6)


@pytest.mark.parametrize("steps", [1, 5])
def test_call_prices_are_kous_and_those_of_the_transform(steps):
    """Kou's own case and two with more jumps and skewness, as three assets."""
    cases = [(0.16, 1.0, 0.4, 1 / 10, 1 / 5), (0.1, 8.0, 0.7, 0.04, 0.06), (0.2, 3.0, 0.0, 0.3, 0.15)]
    sigma, intensity, p, up, down = np.array(cases).T
    model = KouJumpDiffusion(("K", "L", "M"), np.full(3, 0.05), sigma, np.eye(3), intensity, p, up, down)
    paths, years = 200_000, 0.5
    prices = 100.0 * np.exp(terminal(model, paths=paths, years=years, steps=steps, seed=2002))
    for case, price in zip(cases, prices, strict=True):
        for strike in (80.0, 98.0, 120.0):
            pays = np.exp(-0.05 * years) * np.maximum(price - strike, 0.0)
            exact = transform_price(100.0, strike, 0.05, years, *case)
            assert abs(pays.mean() - exact) < 4.0 * pays.std() / np.sqrt(paths), (case, strike)
    published = np.exp(-0.05 * years) * np.maximum(prices[0] - 98.0, 0.0)
    assert abs(published.mean() - 9.14732) < 4.0 * published.std() / np.sqrt(paths)


# --- the law of jumps, and moments -------------------------------------------------------------------------------


@pytest.mark.parametrize(("intensity", "steps"), [(0.5, 1), (6.0, 1), (6.0, 4)])
def test_sums_of_jumps_have_the_compound_poisson_law(intensity, steps):
    """Up jumps alone, without a diffusion to speak of: P(S <= x) = sum_k P(k) P(k, x / u), P(S = 0) included."""
    u, paths = 0.05, 200_000
    model = KouJumpDiffusion(("A",), [0.0], [1e-9], [[1.0]], [intensity], [1.0], [u], [0.0])
    sums = (terminal(model, paths=paths, years=1.0, steps=steps)[0] - model.tables(1.0)["drift"][0]) / u
    for x in (1e-6, 0.1, 0.5, 1.0, 2.0, 4.0, 8.0, 14.0):
        k = np.arange(1, 60)
        jumped = (stats.poisson.pmf(k, intensity) * special.gammainc(k, x)).sum()
        probability = np.exp(-intensity) + jumped
        error = np.sqrt(probability * (1.0 - probability) / paths)
        assert abs(np.mean(sums <= x) - probability) < 4.0 * error, x


def test_common_jumps_take_all_assets_one_way_with_sizes_of_their_own():
    paths, intensity = 200_000, 0.2
    model = KouJumpDiffusion(
        ("A", "B"), [0.0, 0.0], [1e-9, 1e-9], np.eye(2), [0.0, 0.0], [0.5, 0.5], [0.0, 0.0], [0.0, 0.0],
        intensity, 0.3, [0.05, 0.1], [0.1, 0.02],
    )  # fmt: skip
    growth = terminal(model, paths=paths, years=1.0) - model.tables(1.0)["drift"][:, None]
    jumped = np.abs(growth) > 1e-6
    assert np.mean(jumped[0] != jumped[1]) < 1e-4  # a size may be too small to be seen
    probability = -np.expm1(-intensity)
    assert abs(jumped[0].mean() - probability) < 4.0 * np.sqrt(probability * (1.0 - probability) / paths)
    up_only = np.exp(-0.7 * intensity) * -np.expm1(-0.3 * intensity)
    ups = (growth > 1e-6).all(axis=0)
    assert abs(ups.mean() - up_only) < 0.01
    assert abs(np.corrcoef(growth[:, ups])[0, 1]) < 0.1  # the count, now and then two, is all they share


@pytest.mark.parametrize("steps", [1, 3])
def test_sampled_moments_are_the_exact_ones(model, steps):
    check_moments(model, years=0.25, steps=steps)


def test_cumulants_are_those_of_double_exponential_jumps(model):
    cumulants = model.cumulants_log_growth(2.0)
    for a in range(2):
        raw = []
        for n in (2, 3, 4):
            total = 0.0
            for intensity, p, up, down in (
                (model.intensity[a], model.up_probability[a], model.up_mean[a], model.down_mean[a]),
                (6.0, 0.3, model.common_up_mean[a], model.common_down_mean[a]),
            ):
                moments = p * stats.expon(scale=up).moment(n) + (1 - p) * (-1) ** n * stats.expon(scale=down).moment(n)
                total += 2.0 * intensity * moments
            raw.append(total)
        np.testing.assert_allclose(cumulants[1:, a], [raw[0] + 2.0 * model.volatility[a] ** 2, *raw[1:]])


# --- the fit -----------------------------------------------------------------------------------------------------


#: Own jumps as the likelihood has them, and no common ones.
OWN_ALONE = {"largest_intensity": 252.0, "common_intensity": 0.0}


def density_by_quadrature(x, b, sigma, up_intensity, up, down_intensity, down):
    """The density of a day by adaptive integration of the characteristic function, written apart from the model."""

    def integrand(u):
        jumps = up_intensity * (1 / (1 - 1j * u * up) - 1) + down_intensity * (1 / (1 + 1j * u * down) - 1)
        return np.exp(1j * u * (b - x) - 0.5 * sigma**2 * u**2 + jumps).real / np.pi

    return integrate.quad(integrand, 0.0, 12.0 / sigma, epsabs=1e-13, limit=2000)[0]


def test_likelihood_and_its_slopes():
    x = np.array([-6.0, -1.0, 0.0, 0.3, 2.0, 7.3])
    model = KouLikelihood(x, 1.0)
    theta = np.array([0.05, np.log(0.7), np.log(0.2), np.log(1.1), np.log(0.1), np.log(1.6)])
    density, gradient, slope = model.log_density(theta)
    true = np.array([density_by_quadrature(v, 0.05, *np.exp(theta[1:])) for v in x])
    np.testing.assert_allclose(np.exp(density), true, rtol=1e-7, atol=1e-12)
    check = optimize.approx_fprime(theta, lambda t: model.log_density(t)[0].mean(), 1e-6)
    np.testing.assert_allclose(gradient, check, rtol=1e-4, atol=1e-6)
    moved = [np.log([density_by_quadrature(v + d, 0.05, *np.exp(theta[1:])) for v in x]) for d in (1e-4, -1e-4)]
    np.testing.assert_allclose(slope, (moved[0] - moved[1]) / 2e-4, rtol=1e-4, atol=1e-5)


def test_fit_finds_known_parameters_within_its_errors():
    true = KouJumpDiffusion(
        ("A", "B"), [0.05, 0.02], [0.2, 0.3], [[1, 0.6], [0.6, 1]], [30.0, 50.0], [0.4, 0.5], [0.02, 0.03], [0.03, 0.04]
    )
    returns = daily_returns(true, days=8192, seed=2)
    calibration = KouJumpDiffusion.calibrate(returns, **OWN_ALONE)
    for name, errors in calibration.report["standard_errors"].items():
        for a, asset in enumerate(true.assets):
            assert abs(getattr(calibration.model, name)[a] - getattr(true, name)[a]) < 4.0 * errors[asset], name
            assert 0.0 < errors[asset] < 0.4 * getattr(true, name)[a], name
    assert calibration.report["at_bounds"] == {}
    share = np.sqrt(np.prod(list(calibration.report["filtered_variance"].values())))
    assert abs(calibration.model.correlation[0, 1] / share - 0.6) < 0.04
    total = KouJumpDiffusion.fit(returns, correlation="total", **OWN_ALONE)
    assert abs(total.correlation[0, 1] - 0.6) < 0.05
    sample = np.cov(returns["log_return"].values.T)
    assert total.covariance_log_growth(1 / 252)[0, 1] == pytest.approx(sample[0, 1], rel=1e-10)
    np.testing.assert_allclose(total.mean_log_growth(1.0), returns["log_return"].values.mean(axis=0) * 252, rtol=1e-9)


def test_common_jumps_are_found_on_their_days():
    assets = tuple("ABCDE")
    true = KouJumpDiffusion(
        assets, np.zeros(5), np.full(5, 0.1), 0.3 + 0.7 * np.eye(5), np.full(5, 5.0), np.full(5, 0.5),
        np.full(5, 0.02), np.full(5, 0.02), 5.0, 0.25, np.full(5, 0.06), np.full(5, 0.08),
    )  # fmt: skip
    options = {"common_intensity": 5.0, "largest_intensity": 252.0}
    calibration = calibrate(daily_returns(true, days=4096, seed=5), kind="kou", options=options)
    model, days = calibration.model, len(calibration.report["common_days"])
    assert days == round(5.0 * 4096 / 252)
    assert abs(model.common_up_probability - 0.25) < 4.0 * np.sqrt(0.25 * 0.75 / days)
    np.testing.assert_allclose(model.common_down_mean, 0.08, atol=4 * 0.08 / np.sqrt(0.75 * days))
    np.testing.assert_allclose(model.common_up_mean, 0.06, atol=4 * 0.06 / np.sqrt(0.25 * days))


def test_fit_of_market_returns_is_a_maximum(market):
    """Another optimiser, which uses no slopes, gets no higher within the bounds; XOM's jumps up are at one of them."""
    calibration = KouJumpDiffusion.calibrate(market, window=1500, **OWN_ALONE)
    model = calibration.model
    assert calibration.report["at_bounds"]["XOM"] == ["up_intensity"]
    for asset in ("XOM", "JPM"):
        values, b = market["log_return"].sel(asset=asset).values[-1500:], model.assets.index(asset)
        deviation = values.std(ddof=1)
        likelihood = KouLikelihood((values - values.mean()) / deviation, 1.0)
        up = model.intensity[b] * model.up_probability[b] / 252
        ours = np.log(
            [
                model.volatility[b] / np.sqrt(252) / deviation,
                up,
                model.up_mean[b] / deviation,
                model.intensity[b] / 252 - up,
                model.down_mean[b] / deviation,
            ]
        )

        def minus(theta, model=likelihood):
            return -model.log_density(theta)[0].sum()

        start = np.concatenate([[0.0], ours])
        found = optimize.minimize(
            minus, start, method="Powell", bounds=likelihood.bounds(), options={"xtol": 1e-6, "ftol": 1e-10}
        )
        reported = calibration.report["log_likelihood"][asset]
        assert -found.fun - len(values) * np.log(deviation) == pytest.approx(reported, abs=1e-3)
        assert reported > calibration.report["log_likelihood_without_jumps"][asset] + 50
    assert json.loads(json.dumps(calibration.report, allow_nan=False)) == calibration.report


def test_a_low_bound_keeps_jumps_rare_and_is_reported(market):
    calibration = KouJumpDiffusion.calibrate(market, window=1500, largest_intensity=6.0, common_intensity=0.0)
    assert np.all(calibration.model.intensity <= 6.0 * (1 + 1e-12))
    for asset, labels in calibration.report["at_bounds"].items():
        assert set(labels) <= {"up_intensity", "down_intensity"}, asset
        assert calibration.report["standard_errors"]["intensity"][asset] is None
    assert all(e > 0 for e in calibration.report["standard_errors"]["volatility"].values())
    deviation = market["log_return"].values[-1500:].std(axis=0)
    np.testing.assert_allclose(
        np.sqrt(np.diagonal(calibration.model.covariance_log_growth(1 / 252))), deviation, rtol=0.1
    )


def test_by_default_a_portfolio_is_nearly_as_risky_as_in_the_sample():
    """A few per cent are left to the sizes of common jumps, which are independent given their direction."""
    stocks = market_log_returns(load_prices("sp500"))
    calibration = calibrate(stocks, kind="kou", options={"window": 1260})
    model, report = calibration.model, calibration.report
    portfolio = stocks["log_return"].values[-1260:].mean(axis=1)
    exact = np.sqrt(model.covariance_log_growth(1 / 252).mean())
    ratio = report["equal_weight_deviation"]["model_over_sample"]
    assert ratio == pytest.approx(exact / portfolio.std(ddof=1), rel=1e-12)
    assert 0.93 < ratio < 1.05
    assert (report["largest_intensity"], report["common_intensity"]) == (6.0, 8.0)
    own = {"window": 1260, "largest_intensity": 252.0, "common_intensity": 0.0}
    assert calibrate(stocks, kind="kou", options=own).report["equal_weight_deviation"]["model_over_sample"] < 0.7


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"drift": "momentum"}, "drift: 'momentum' is not 'historical'"),
        ({"window": 99}, "log_return: 99 observations are too few for jumps; 100 are needed"),
        ({"window": 500, "correlation": "rank"}, "correlation: 'rank' is not one of diffusion, total"),
        (
            {"window": 500, "common_intensity": 1.0},
            "common_intensity: 1.0 a year makes 2 days of the window's 500; at l",
        ),
        ({"window": 500, "largest_intensity": 0.1}, "largest_intensity: 0.1 is not between 0.504"),
    ],
)
def test_bad_fit_options_are_refused(market, options, text):
    with pytest.raises(InputError, match=text):
        KouJumpDiffusion.fit(market, **options)


def test_a_constant_series_is_named():
    with pytest.raises(InputError, match="log_return: the returns of 'A' do not vary over the window"):
        KouJumpDiffusion.fit(log_returns(np.full((200, 1), 0.001), ("A",)))


# --- scenarios ---------------------------------------------------------------------------------------------------


def test_shocked_changes_what_was_asked_for_only(model):
    assert model.shocked() is model
    louder = model.shocked(volatility=2.0)
    np.testing.assert_allclose(louder.covariance_log_growth(1.0), 4.0 * model.covariance_log_growth(1.0), rtol=1e-14)
    np.testing.assert_array_equal(louder.mean_simple_return(1.0), model.mean_simple_return(1.0))
    np.testing.assert_array_equal(louder.intensity, model.intensity)
    pushed = model.shocked(correlation=0.5)
    assert pushed.correlation[0, 1] == pytest.approx(0.8)
    np.testing.assert_allclose(pushed.cumulants_log_growth(1.0), model.cumulants_log_growth(1.0))
    drifting = model.shocked(drift=-0.2)
    np.testing.assert_array_equal(drifting.drift, model.drift - 0.2)
    assert drifting.covariance_log_growth(1.0).tobytes() == model.covariance_log_growth(1.0).tobytes()


@pytest.mark.parametrize(
    ("shock", "text"),
    [
        ({"volatility": 0.0}, "volatility shock: 0.0 is not above zero"),
        ({"volatility": 30.0}, "up_mean of 'B': 1.2 is not below one; the price would have no mean"),
        ({"correlation": 1.0}, r"share: 1.0 is not in \[0, 1\)"),
        ({"drift": float("inf")}, "drift shock: inf is not a finite number"),
    ],
)
def test_bad_shocks_are_refused(model, shock, text):
    with pytest.raises(InputError, match=text):
        model.shocked(**shock)
