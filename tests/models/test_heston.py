"""Heston's model: published option prices, exact moments, the scheme's own identities, its fit and its scenarios."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import xarray as xr
from scipy import integrate, special, stats

from riskops.errors import InputError
from riskops.market import load_prices, log_returns
from riskops.models import Heston
from riskops.models.heston_fit import filter_variance
from riskops.models.heston_moments import mean_root_variance, variance_of_log_growth
from riskops.models.heston_scheme import exponential_at, move, step
from riskops.schema import variable
from riskops.simulation import SimulationSpec, simulate

TWO = {
    "assets": ("A", "B"),
    "drift": [0.05, -0.02],
    "initial_variance": [0.04, 0.09],
    "mean_reversion": [4.0, 1.5],
    "long_run_variance": [0.06, 0.05],
    "volatility_of_variance": [0.5, 0.6],
    "leverage": [-0.7, -0.2],
    "correlation": [[1.0, 0.6], [0.6, 1.0]],
}


@pytest.fixture
def model() -> Heston:
    return Heston(**TWO)


def single(*, drift=0.0, v0, kappa, theta, sigma, rho) -> Heston:
    return Heston(("A",), [drift], [v0], [kappa], [theta], [sigma], [rho], [[1.0]])


def last(model: Heston, *, years: float, steps: int, paths: int, seed: int = 1, dtype: str = "float64") -> xr.Dataset:
    """Log growth after ``years`` in ``steps`` steps, ``(asset, path)``."""
    spec = SimulationSpec(model, paths=paths, steps=steps, step_days=years / steps * 252, seed=seed, dtype=dtype)
    return np.asarray(simulate(spec, times=[spec.times[-1]])["log_growth"].values[-1], dtype=np.float64)


def log_characteristic(model: Heston, u: complex, years: float) -> complex:
    """log E[exp(i u log(S_t / S_0))] in the form without a branch cut ("little Heston trap", Albrecher et al. 2007)."""
    drift, v0, kappa, theta, sigma, rho = (
        float(getattr(model, name)[0])
        for name in (
            "drift", "initial_variance", "mean_reversion", "long_run_variance", "volatility_of_variance", "leverage",
        )
    )  # fmt: skip
    b = kappa - rho * sigma * 1j * u
    d = np.sqrt(b * b + sigma * sigma * (1j * u + u * u))
    g, e = (b - d) / (b + d), np.exp(-d * years)
    c = kappa * theta / sigma**2 * ((b - d) * years - 2.0 * np.log((1.0 - g * e) / (1.0 - g)))
    return 1j * u * drift * years + c + v0 / sigma**2 * (b - d) * (1.0 - e) / (1.0 - g * e)


def call_price(model: Heston, strike: float, years: float, *, rate: float) -> float:
    """The price of a call on a price that starts at 100, by Lewis' (2001) single integral."""
    forward = 100.0 * math.exp(float(model.drift[0]) * years)
    k = math.log(forward / strike)
    centred = float(model.drift[0]) * years

    def integrand(u: float) -> float:
        z = u - 0.5j
        value = np.exp(1j * u * k + log_characteristic(model, z, years) - 1j * z * centred)
        return float(value.real) / (u * u + 0.25)

    integral = integrate.quad(integrand, 0.0, 400.0, limit=2000, epsabs=1e-12, epsrel=1e-12)[0]
    return math.exp(-rate * years) * (forward - math.sqrt(forward * strike) / math.pi * integral)


LEWIS = single(drift=0.01 - 0.02, v0=0.04, kappa=4.0, theta=0.25, sigma=1.0, rho=-0.5)
BROADIE_KAYA = single(drift=0.0319, v0=0.010201, kappa=6.21, theta=0.019, sigma=0.61, rho=-0.70)
#: Cases I to III of Andersen (2008), J. Comp. Finance 11(3): the model, years, rate, and calls by strike.
ANDERSEN = {
    "I": (
        single(v0=0.04, kappa=0.5, theta=0.04, sigma=1.0, rho=-0.9),
        10.0,
        0.0,
        {60: 44.330, 100: 13.085, 140: 0.296},
    ),
    "II": (
        single(v0=0.04, kappa=0.3, theta=0.04, sigma=0.9, rho=-0.5),
        15.0,
        0.0,
        {60: 45.287, 100: 16.649, 140: 5.138},
    ),
    "III": (
        single(drift=0.05, v0=0.09, kappa=1.0, theta=0.09, sigma=1.0, rho=-0.3),
        5.0,
        0.05,
        {60: 56.575, 100: 33.597, 140: 18.157},
    ),
}

# Alan Lewis' reference prices (wilmott.com, thread 90957), as in QuantLib's test-suite/hestonmodel.cpp,
# testAlanLewisReferencePrices
LEWIS_CALLS = {
    80: 26.774758743998856,
    90: 20.93334900059671,
    100: 16.070154917028834,
    110: 12.132211516709845,
    120: 9.024913483457835,
}
LEWIS_PUTS = {
    80: 7.958878113256768,
    90: 12.017966707346305,
    100: 17.05527096127011,
    110: 23.0178258984428,
    120: 29.811026202682473,
}


# --- option prices -----------------------------------------------------------------------------------------------


def test_the_semi_analytic_price_is_the_published_one():
    for strike, price in LEWIS_CALLS.items():
        assert call_price(LEWIS, strike, 1.0, rate=0.01) == pytest.approx(price, abs=1e-8)
    # Broadie and Kaya (2006), Exact simulation of stochastic volatility, Operations Research 54, table 1
    assert call_price(BROADIE_KAYA, 100.0, 1.0, rate=0.0319) == pytest.approx(6.8061, abs=5e-5)
    for case, years, rate, calls in ANDERSEN.values():
        for strike, price in calls.items():
            assert call_price(case, strike, years, rate=rate) == pytest.approx(price, abs=5.1e-4)


def test_calls_and_puts_of_lewis():
    growth = last(LEWIS, years=1.0, steps=64, paths=1 << 17)[0]
    price, discount = 100.0 * np.exp(growth), math.exp(-0.01)
    for strike, expected in LEWIS_CALLS.items():
        for payoff, reference in ((price - strike, expected), (strike - price, LEWIS_PUTS[strike])):
            paid = discount * np.maximum(payoff, 0.0)
            assert abs(paid.mean() - reference) < 4 * paid.std() / math.sqrt(len(paid))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_prices_where_the_variance_reaches_zero(dtype):
    """Steps from 1/8 to 1/32 year, far from Feller's condition (2 kappa theta / sigma^2 from 0.03 to 0.63)."""
    cases = [(BROADIE_KAYA, 1.0, 0.0319, {100: 6.8061}, 32)]
    cases += [(*ANDERSEN[name], steps) for name, steps in (("I", 80), ("II", 120), ("III", 80))]
    for case, years, rate, calls, steps in cases:
        assert not case.feller()[0]
        price = 100.0 * np.exp(last(case, years=years, steps=steps, paths=1 << 16, dtype=dtype)[0])
        for strike, reference in calls.items():
            paid = math.exp(-rate * years) * np.maximum(price - strike, 0.0)
            assert abs(paid.mean() - reference) < 4 * paid.std() / math.sqrt(len(paid)) + 5e-4


# --- the step ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 5e-10), (np.float32, 1e-6)])
def test_the_exponential_is_read_at_the_normal(dtype, tolerance):
    z = np.linspace(-1.0, 9.25, 3001).astype(dtype)
    found = np.array([exponential_at(x) for x in z])
    np.testing.assert_allclose(found, -special.log_ndtr(-z.astype(np.float64)), rtol=tolerance)
    assert np.all(np.diff(found) >= 0.0)
    assert exponential_at(dtype(-7.0)) == exponential_at(dtype(-1.0)) < math.log(1.25)


@pytest.mark.parametrize("years", [1 / 252, 0.125, 1.0])
@pytest.mark.parametrize("rho", [-0.9, 0.0, 0.4])
@pytest.mark.parametrize("v", [0.0, 1e-4, 0.02, 0.5])
def test_one_step_has_the_exact_moments_and_the_exact_mean_price(v, rho, years):
    """By quadrature over the variance's normal, in both branches: nothing is left to chance."""
    kappa, theta, sigma, mu = 2.0, 0.04, 0.6, 0.07
    case = single(drift=mu, v0=0.04, kappa=kappa, theta=theta, sigma=sigma, rho=rho)
    coefficients = case.tables(years)["coefficients"]
    share, rest = coefficients[0, 9], math.sqrt(1.0 - rho * rho)
    z = np.linspace(-9.0, 9.0, 180_001)
    weight = np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi) * (z[1] - z[0])
    growth, variance = np.zeros((1, len(z))), np.full((1, len(z)), v)
    # the other normal is zero: what it adds is normal with variance share (v + v') given v'
    move(growth, variance, (rho * z)[None], (rest * z)[None], coefficients)
    decay = math.exp(-kappa * years)
    mean = theta + (v - theta) * decay
    spread = sigma**2 * (v * decay * (1 - decay) / kappa + theta * (1 - decay) ** 2 / (2 * kappa))
    assert np.all(variance >= 0.0)
    assert np.sum(weight * variance[0]) == pytest.approx(mean, rel=1e-7)
    assert np.sum(weight * (variance[0] - mean) ** 2) == pytest.approx(spread, rel=1e-6)
    price = np.exp(growth[0] + 0.5 * share * (v + variance[0]))
    assert np.sum(weight * price) == pytest.approx(math.exp(mu * years), rel=1e-8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_kernel_runs_as_plain_python_with_the_same_bits(dtype):
    rng = np.random.default_rng(4)
    example = Heston(**(TWO | {"volatility_of_variance": [0.3, 3.0]}))
    coefficients = example.tables(1 / 12)["coefficients"].astype(dtype)
    first, second = rng.standard_normal((2, 2, 40)).astype(dtype)
    start = [rng.standard_normal((2, 40)).astype(dtype), rng.exponential(0.04, (2, 40)).astype(dtype)]
    compiled, plain = [a.copy() for a in start], [a.copy() for a in start]
    move(*compiled, first, second, coefficients)
    move.py_func(*plain, first, second, coefficients)
    for one, other in zip(compiled, plain, strict=True):
        assert one.tobytes() == other.tobytes()
        assert one.dtype == dtype
    assert (compiled[1][1] == 0.0).any()
    assert step(0.0, 0.04, 0.0, 0.0, *example.tables(1 / 252)["coefficients"][0])[1] > 0.0


def test_too_long_a_step_is_refused():
    case = single(v0=0.04, kappa=5.0, theta=0.04, sigma=3.0, rho=0.9)
    assert case.tables(1 / 252)["coefficients"].shape == (1, 10)
    with pytest.raises(InputError, match=r"simulation.step_days: a step of 1 years is too long for 'A'"):
        case.tables(1.0)
    with pytest.raises(InputError, match="step_years: 0 is not above zero"):
        case.tables(0)


# --- exact moments -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", [LEWIS, BROADIE_KAYA, ANDERSEN["I"][0], ANDERSEN["III"][0]])
def test_moments_of_log_growth_are_the_derivatives_of_the_characteristic_function(case):
    for years in (0.1, 1.0, 5.0):
        h = 1e-2
        # four-point differences of log E[exp(i u X)] at zero; its real part is even and its imaginary part odd
        one, two = (log_characteristic(case, k * h + 0j, years) for k in (1, 2))
        mean = (8.0 * one.imag - two.imag) / (6.0 * h)
        variance = -(16.0 * one.real - two.real) / (6.0 * h * h)
        assert case.mean_log_growth(years)[0] == pytest.approx(mean, rel=1e-5)
        assert case.covariance_log_growth(years)[0, 0] == pytest.approx(variance, rel=1e-5)


def test_mean_root_of_the_variance_is_that_of_the_noncentral_chi_squared(model):
    for years in (0.01, 0.5, 4.0):
        found = mean_root_variance(model, [years])[:, 0]
        for a in range(2):
            kappa, theta, sigma, v0 = (
                float(getattr(model, n)[a])
                for n in ("mean_reversion", "long_run_variance", "volatility_of_variance", "initial_variance")
            )
            unit = sigma**2 * -math.expm1(-kappa * years) / (4 * kappa)
            law = stats.ncx2(4 * kappa * theta / sigma**2, v0 * math.exp(-kappa * years) / unit)
            z = np.linspace(-8.0, 8.0, 4001)
            reference = np.sum(np.sqrt(unit * law.ppf(stats.norm.cdf(z))) * stats.norm.pdf(z)) * (z[1] - z[0])
            assert found[a] == pytest.approx(reference, rel=1e-6)


def test_simulated_moments_are_the_exact_ones(model):
    paths, years = 1 << 16, 0.5
    growth = last(model, years=years, steps=63, paths=paths, seed=7)
    error = 4 / math.sqrt(paths)
    variance = variance_of_log_growth(model, years)
    simple = np.expm1(growth)
    assert np.all(np.abs(growth.mean(axis=1) - model.mean_log_growth(years)) < error * growth.std(axis=1))
    assert np.all(np.abs(simple.mean(axis=1) - model.mean_simple_return(years)) < error * simple.std(axis=1))
    squares = (growth - model.mean_log_growth(years)[:, None]) ** 2
    assert np.all(np.abs(squares.mean(axis=1) - variance) < error * squares.std(axis=1))
    with pytest.raises(InputError, match=r"'A' and 'B' is not known in closed form, .* correlated \(0\.504\)"):
        model.covariance_log_growth(years)


def test_covariance_between_assets_with_independent_variances():
    rho = np.array(TWO["leverage"])
    rest = np.sqrt(1 - rho**2)
    # what leverage passes on of the returns' correlation, the residual shocks take back
    back = -0.6 * rho[0] * rho[1] / (rest[0] * rest[1])
    case = Heston(**TWO, variance_correlation=[[1.0, back], [back, 1.0]])
    assert abs(case.variance_shock_correlation()[0, 1]) < 1e-15
    paths, years = 1 << 16, 1.0
    covariance = case.covariance_log_growth(years)
    np.testing.assert_array_equal(np.diagonal(covariance), variance_of_log_growth(case, years))
    growth = last(case, years=years, steps=100, paths=paths, seed=3)
    centred = growth - case.mean_log_growth(years)[:, None]
    product = centred[0] * centred[1]
    assert abs(product.mean() - covariance[0, 1]) < 4 * product.std() / math.sqrt(paths)
    # that it can fail: without leverage's share the covariance would be off by more than the error allows
    assert covariance[0, 1] > 0.6 * np.sum(mean_root_variance(case, (np.arange(100) + 0.5) / 100).prod(0)) / 100


def test_shocks_have_the_correlations_that_are_promised(model):
    """One small step: log returns correlate as ``correlation``, leverage and variance shocks as documented."""
    paths = 1 << 16
    rng = np.random.default_rng(2)
    tables = model.tables(1e-4)
    state = {"log_growth": np.zeros((2, paths)), "variance": np.tile(model.start()["variance"][:, None], paths)}
    shocks = {
        "returns": tables["mixing"] @ rng.standard_normal((2, paths)),
        "residual": tables["variance_mixing"] @ rng.standard_normal((2, paths)),
    }
    model.advance(state, shocks, tables)
    found = np.corrcoef(np.concatenate([state["log_growth"], state["variance"]]))
    variances, rho = model.variance_shock_correlation()[0, 1], model.leverage
    expected = {(0, 1): 0.6, (0, 2): rho[0], (1, 3): rho[1], (2, 3): variances, (0, 3): rho[1] * 0.6}
    for (i, j), value in expected.items():
        assert abs(found[i, j] - value) < 4 * (1 - value**2) / math.sqrt(paths) + 2e-3


def test_any_leverage_goes_with_any_correlation():
    case = Heston(**(TWO | {"leverage": [-0.95, 0.95], "correlation": [[1.0, 0.99], [0.99, 1.0]]}))
    assert np.linalg.eigvalsh(case.variance_shock_correlation())[0] > 0.0


# --- the value and its scenarios ---------------------------------------------------------------------------------


def test_variance_correlation_is_that_of_returns_unless_given(model):
    np.testing.assert_array_equal(model.variance_correlation, model.correlation)
    assert model.feller().tolist() == [True, False]
    assert model.start()["variance"].tolist() == [0.04, 0.09]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"drift": [0.1]}, r"drift: shape \(1,\) is not \(2,\)"),
        ({"initial_variance": [0.0, 0.1]}, "initial_variance of 'A': 0.0 is not above zero"),
        ({"mean_reversion": [1.0, -1.0]}, "mean_reversion of 'B': -1.0 is not above zero"),
        ({"long_run_variance": [np.nan, 1.0]}, r"long_run_variance: .*nan.* is not finite"),
        ({"volatility_of_variance": [0.1, 0.0]}, "volatility_of_variance of 'B': 0.0 is not above zero"),
        ({"leverage": [0.0, -1.0]}, "leverage of 'B': -1.0 is not a correlation between -1 and 1"),
        ({"correlation": np.eye(3)}, r"correlation: shape \(3, 3\) is not \(2, 2\)"),
        ({"variance_correlation": [[1, 2], [2, 1]]}, "variance_correlation: is not positive definite"),
    ],
)
def test_bad_parameters_are_refused(change, text):
    with pytest.raises(InputError, match=text):
        Heston(**(TWO | change))


def test_shocked_volatility_scales_every_path(model):
    assert model.shocked() is model
    louder = model.shocked(volatility=2.0)
    np.testing.assert_allclose(mean_root_variance(louder, [0.7]), 2 * mean_root_variance(model, [0.7]), rtol=1e-12)
    np.testing.assert_array_equal(louder.mean_simple_return(1.0), model.mean_simple_return(1.0))
    np.testing.assert_array_equal(louder.feller(), model.feller())
    moved = model.shocked(correlation=0.5, drift=-0.2)
    assert moved.correlation[0, 1] == moved.variance_correlation[0, 1] == pytest.approx(0.8)
    np.testing.assert_array_equal(moved.drift, model.drift - 0.2)
    np.testing.assert_array_equal(moved.initial_variance, model.initial_variance)
    for shock, text in (
        ({"volatility": 0.0}, "volatility shock: 0.0 is not above zero"),
        ({"correlation": 1.0}, r"share: 1.0 is not in \[0, 1\)"),
        ({"drift": math.inf}, "drift shock: inf is not a finite number"),
    ):
        with pytest.raises(InputError, match=text):
            model.shocked(**shock)


# --- the fit -----------------------------------------------------------------------------------------------------


def dataset(values, assets) -> xr.Dataset:
    return variable("log_return", ("observation", "asset"), values, coords={"asset": list(assets)}).to_dataset()


@pytest.fixture(scope="module")
def simulated() -> xr.Dataset:
    spec = SimulationSpec(Heston(**TWO), paths=1, steps=6000, seed=12, dtype="float64")
    return dataset(np.diff(simulate(spec)["log_growth"].values[:, :, 0], axis=0), "AB")


def test_the_filter_agrees_with_a_particle_filter(simulated):
    """Log-likelihood and filtered variance of a bootstrap filter, which assumes no density of the variance."""
    returns = simulated["log_return"].values[:500, 0]
    returns = returns - returns.mean()
    kappa, theta, sigma, rho, years = 4.0, 0.06, 0.5, -0.7, 1 / 252
    found = filter_variance(returns, kappa=kappa, theta=theta, sigma=sigma, rho=rho)
    rng, count = np.random.default_rng(1), 20_000
    v, likelihood, means = rng.gamma(2 * kappa * theta / sigma**2, sigma**2 / (2 * kappa), count), [], []
    for value in returns:
        means.append(v.mean())
        surprise = value + 0.5 * years * (v - theta)
        weight = np.exp(-0.5 * surprise**2 / (v * years)) / np.sqrt(2 * np.pi * v * years)
        likelihood.append(np.log(weight.mean()))
        place = (np.arange(count) + rng.random()) / count
        chosen = np.searchsorted(np.cumsum(weight) / weight.sum(), place).clip(max=count - 1)
        v, surprise = v[chosen], surprise[chosen]
        noise = np.sqrt((1 - rho**2) * v * years) * rng.standard_normal(count)
        v = np.maximum(v + kappa * (theta - v) * years + sigma * (rho * surprise + noise), 1e-6)
    assert abs(sum(likelihood) - found[:-1, 0].sum()) < 1.0
    assert np.corrcoef(np.sqrt(means), np.sqrt(found[:-1, 1]))[0, 1] > 0.995
    assert np.mean(found[:-1, 1]) == pytest.approx(np.mean(means), rel=0.02)


def test_fit_recovers_the_parameters_within_its_errors(simulated):
    calibration = Heston.calibrate(simulated, variance_correlation="independent")
    for a, asset in enumerate("AB"):
        report = calibration.report["assets"][asset]
        assert report["at_bounds"] == []
        assert report["log_likelihood"] > report["constant_variance_log_likelihood"] + 100
        for name, error in report["standard_errors"].items():
            found = float(getattr(calibration.model, name)[a])
            assert 0.0 < error < 0.5 * max(found, 0.2)
            # the filter's own bias is documented: 5 % of sigma and 7 % of rho
            bias = {"volatility_of_variance": 0.05, "leverage": 0.07}.get(name, 0.0) * abs(TWO[name][a])
            assert abs(found - TWO[name][a]) < 3 * error + bias
    # that of returns over filtered deviations is documented as up to 9 % too small
    error = 4 * (1 - 0.6**2) / math.sqrt(6000)
    assert 0.6 * 0.91 - error < calibration.model.correlation[0, 1] < 0.6 + error
    np.testing.assert_array_equal(calibration.model.variance_correlation, np.eye(2))
    assert json.loads(json.dumps(calibration.report)) == calibration.report


def test_given_parameters_are_taken_as_they_are(simulated):
    given = {"mean_reversion": 4.0, "leverage": {"A": -0.7}, "long_run_variance": {"B": 0.05}, "drift": "zero"}
    calibration = Heston.calibrate(simulated, window=1500, **given)
    model, report = calibration.model, calibration.report
    assert model.mean_reversion.tolist() == [4.0, 4.0]
    assert model.leverage[0] == -0.7 != model.leverage[1]
    assert model.long_run_variance[1] == 0.05
    assert model.drift.tolist() == [0.0, 0.0]
    assert report["assets"]["A"]["given"] == ["leverage", "mean_reversion"]
    assert report["assets"]["A"]["standard_errors"]["mean_reversion"] is None
    assert report["assets"]["B"]["standard_errors"]["leverage"] > 0
    assert report["observations"] == 1500
    values = simulated["log_return"].values[-1500:, 0]
    assert model.long_run_variance[0] == pytest.approx(values.var(ddof=1) * 252, rel=1e-12)
    everything = dict.fromkeys(("initial_variance", "mean_reversion", "long_run_variance", "leverage"), 0.5)
    fixed = Heston.fit(simulated, window=300, volatility_of_variance=0.5, **everything)
    assert fixed.leverage.tolist() == fixed.initial_variance.tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"window": 249}, "log_return: 249 observations are too few; heston needs at least 250"),
        ({"window": 6001}, "window: 6001 observations were asked for and there are 6000"),
        ({"drift": "momentum"}, "drift: 'momentum' is not 'historical', 'zero' or a mapping"),
        ({"leverage": -1.0}, "leverage of 'A': -1.0 is not a correlation between -1 and 1"),
        ({"mean_reversion": {"B": 0.0}}, "mean_reversion of 'B': 0.0 is not above zero"),
        ({"initial_variance": {"C": 0.1}}, "initial_variance: 'C' is unknown; known are A, B"),
        ({"variance_correlation": "none"}, "variance_correlation: 'none' is"),
        ({"nearest_correlation": 1}, "nearest_correlation: 1 is not true or false"),
        ({"days_per_year": 0}, "days_per_year: 0 is not above zero"),
    ],
)
def test_bad_fit_options_are_refused(simulated, options, text):
    with pytest.raises(InputError, match=text):
        Heston.fit(simulated, **({"window": 250, "mean_reversion": 4.0, "volatility_of_variance": 0.5} | options))


def test_a_constant_series_is_named(simulated):
    values = simulated["log_return"].values[:300].copy()
    values[:, 1] = 0.001
    with pytest.raises(InputError, match="the returns of 'B' do not vary over the window"):
        Heston.fit(dataset(values, "AB"))


def test_the_filtered_variance_of_stocks_is_that_of_garch():
    """The same days are turbulent for arch's GARCH(1,1), and today's variance is alike."""
    from arch import arch_model

    returns = log_returns(load_prices("sp500", start="2015-01-02", assets=["JPM", "XOM"]))
    calibration = Heston.calibrate(returns)
    for a, asset in enumerate(calibration.model.assets):
        values = returns["log_return"].values[:, a]
        garch = arch_model(100 * values, vol="GARCH", p=1, q=1).fit(disp="off")
        estimates = calibration.report["assets"][asset]["estimates"]
        filtered = filter_variance(
            values - values.mean(),
            kappa=estimates["mean_reversion"],
            theta=estimates["long_run_variance"],
            sigma=estimates["volatility_of_variance"],
            rho=estimates["leverage"],
        )
        daily = np.sqrt(filtered[:-1, 1] / 252) * 100
        assert np.corrcoef(np.log(daily), np.log(garch.conditional_volatility))[0, 1] > 0.85
        ahead = float(garch.forecast(horizon=1).variance.values[-1, 0])
        assert estimates["initial_variance"] == pytest.approx(ahead * 252 / 1e4, rel=0.35)
        assert -0.7 < estimates["leverage"] < -0.1
