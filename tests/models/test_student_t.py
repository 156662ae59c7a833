"""Multivariate Student t: published and closed-form VaR and ES, exact moments, its fit against SciPy, its scenarios."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import xarray as xr
from scipy import integrate, special, stats

from riskops.errors import InputError
from riskops.market import load_prices
from riskops.market import log_returns as market_log_returns
from riskops.models import StudentT, calibrate
from riskops.models.student_t import step
from riskops.models.student_t_fit import mixing_table
from riskops.rng import tile_counters
from riskops.schema import variable
from riskops.simulation import SimulationSpec, path_job
from riskops.tables.monotone import cubics, interpolate

ASSETS = ("A", "B", "C")
DRIFT = np.array([0.08, -0.02, 0.0])
VOLATILITY = np.array([0.2, 0.35, 0.1])
CORRELATION = np.array([[1.0, 0.5, -0.2], [0.5, 1.0, 0.1], [-0.2, 0.1, 1.0]])


@pytest.fixture
def model() -> StudentT:
    return StudentT(ASSETS, DRIFT, VOLATILITY, CORRELATION, 5.0)


def log_returns(values, assets=ASSETS) -> xr.Dataset:
    days = np.datetime64("2020-01-01", "ns") + np.arange(len(values)) * np.timedelta64(1, "D")
    coords = {"observation": days, "asset": list(assets)}
    return variable("log_return", ("observation", "asset"), np.asarray(values), coords=coords).to_dataset()


def simulate(model: StudentT, *, paths: int, steps: int = 1, step_days: float = 1.0, days_per_year: float = 252.0):
    """Log growth ``(asset, path)`` after the last step, as the engine draws it."""
    spec = SimulationSpec(
        model, paths=paths, steps=steps, step_days=step_days, seed=29, dtype="float64", days_per_year=days_per_year
    )
    return path_job(spec, times=[steps * step_days]).block(tile_counters(0, paths), paths)[0, 0]


@pytest.fixture(scope="module")
def sample() -> xr.Dataset:
    """Observations of a known model: its own paths over one day."""
    known = StudentT(ASSETS, DRIFT, VOLATILITY, CORRELATION, 5.0)
    return log_returns(simulate(known, paths=3072).T)


# --- the value ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"log_drift": [0.1, 0.1]}, r"log_drift: shape \(2,\) is not \(3,\), one number an asset"),
        ({"volatility": [0.1, 0.0, 0.1]}, "volatility of 'B': 0.0 is not above zero"),
        ({"correlation": np.ones((3, 3))}, "correlation: is not positive definite"),
        ({"degrees_of_freedom": 2.0}, "degrees_of_freedom: 2.0 is not above 2, where the volatility is infinite"),
        (
            {"degrees_of_freedom": 1e9},
            "degrees_of_freedom: 1000000000.0 is above 1e.06, where a t distribution is a norm",
        ),
        ({"degrees_of_freedom": float("nan")}, "degrees_of_freedom: nan is not a finite number"),
        ({"mixing_values": mixing_table(6.0).values}, "mixing_values: are not those of the model's parameters"),
        ({"mixing_values": [1.0, 2.0]}, "mixing_values: are not those of the model's parameters"),
    ],
)
def test_bad_parameters_are_refused(change, text):
    parameters = {
        "assets": ASSETS,
        "log_drift": DRIFT,
        "volatility": VOLATILITY,
        "correlation": CORRELATION,
        "degrees_of_freedom": 5.0,
    }
    with pytest.raises(InputError, match=text):
        StudentT(**(parameters | change))


def test_other_degrees_of_freedom_need_another_table(model):
    with pytest.raises(InputError, match=r"mixing_values: .* leave them out"):
        dataclasses.replace(model, degrees_of_freedom=6.0)
    other = dataclasses.replace(model, degrees_of_freedom=6.0, mixing_values=None)
    np.testing.assert_array_equal(other.mixing_values, mixing_table(6.0).values)


@pytest.mark.parametrize("nu", [2.05, 4.0, 30.0, 1000.0])
def test_the_mixing_table_is_the_quantile_of_an_inverse_chi_square(nu):
    """``sqrt(nu / W)`` is beyond its value at ``z`` as often as a normal is beyond ``z``, in both tails."""
    table = mixing_table(nu)
    z = np.linspace(-6.4, 6.4, 4001)
    root = interpolate(cubics(table.values), z)
    assert table.error < 1e-7
    beyond = stats.chi2.cdf(nu / root**2, nu)  # P(sqrt(nu / W) > root)
    below = stats.chi2.sf(nu / root**2, nu)
    np.testing.assert_allclose(np.where(z > 0, beyond, below), special.ndtr(-np.abs(z)), rtol=1e-5)


# --- closed forms ------------------------------------------------------------------------------------------------

#: McNeil, Frey and Embrechts, *Quantitative Risk Management* (2005), example 2.19, table 2.2: a position of 10,000 in
#: one stock, 20 % a year over 250 days, one day ahead; losses are linear in log returns. VaR as printed.
QRM_LEVELS = (0.90, 0.95, 0.975, 0.99, 0.995)
QRM_VALUE_AT_RISK = (137.1, 190.7, 248.3, 335.1, 411.8)
#: ES by their closed form for t distributed losses, with the standard deviation held at the normal's as for VaR.
QRM_SHORTFALL = (223.5, 286.5, 357.2, 466.9, 565.7)


def test_value_at_risk_and_shortfall_of_mcneil_frey_and_embrechts():
    qrm = StudentT(("A",), [0.0], [0.2], [[1.0]], 4.0)
    paths = 1 << 20
    loss = np.sort(-10_000.0 * simulate(qrm, paths=paths, days_per_year=250.0)[0])
    for level, value, shortfall in zip(QRM_LEVELS, QRM_VALUE_AT_RISK, QRM_SHORTFALL, strict=True):
        at = int(np.ceil(level * paths)) - 1
        spread = 2.0 * np.sqrt(paths * level * (1.0 - level))
        error = (loss[int(at + spread)] - loss[int(at - spread)]) / 4.0
        assert abs(loss[at] - value) < 4 * error + 0.06
        tail = loss[at:]
        error = np.sqrt((tail.var() + level * (tail.mean() - loss[at]) ** 2) / len(tail))
        assert abs(tail.mean() - shortfall) < 4 * error + 0.06


def test_the_published_quantiles_without_noise():
    """Given ``W`` the loss is normal: an integral over the table's normal has the probability beyond each figure."""
    tables = StudentT(("A",), [0.0], [0.2], [[1.0]], 4.0).tables(1 / 250)
    nodes, weights = np.polynomial.hermite_e.hermegauss(200)
    scale = 10_000.0 * tables["mixing"][0, 0] * interpolate(tables["mixing_root"], nodes)
    for level, value in zip(QRM_LEVELS, QRM_VALUE_AT_RISK, strict=True):
        beyond = float(np.sum(weights * special.ndtr(-value / scale)) / np.sqrt(2.0 * np.pi))
        density = stats.t.pdf(stats.t.ppf(level, 4.0), 4.0) / (10_000.0 * tables["mixing"][0, 0])
        assert abs(beyond - (1.0 - level)) < 0.051 * density  # the printed figures are rounded to 0.1


def test_a_portfolio_is_t_distributed_over_one_step(model):
    """Linear combinations of a multivariate t are t: quantiles and tail means in closed form, with a drift."""
    weights, paths, nu = np.array([0.5, 0.3, -0.4]), 1 << 19, 5.0
    growth = simulate(model, paths=paths)
    loss = np.sort(-(weights @ growth))
    years = 1 / 252
    scale = np.sqrt(weights @ model.covariance_log_growth(years) @ weights * (nu - 2.0) / nu)
    for level in (0.05, 0.9, 0.99, 0.999):
        quantile = stats.t.ppf(level, nu)
        exact = -(weights @ DRIFT) * years + scale * quantile
        below = np.searchsorted(loss, exact) / paths
        assert abs(below - level) < 4 * np.sqrt(level * (1 - level) / paths)
        shortfall = -(weights @ DRIFT) * years
        shortfall += scale * stats.t.pdf(quantile, nu) / (1 - level) * (nu + quantile**2) / (nu - 1)
        at = int(np.ceil(level * paths)) - 1
        tail = loss[at:]
        error = np.sqrt((tail.var() + level * (tail.mean() - loss[at]) ** 2) / len(tail))
        assert abs(tail.mean() - shortfall) < 4 * error


def test_extremes_come_together_as_in_the_multivariate_t():
    paths, nu = 1 << 19, 3.0
    pair = StudentT(("A", "B"), [0.0, 0.0], [0.2, 0.1], [[1.0, 0.3], [0.3, 1.0]], nu)
    growth = simulate(pair, paths=paths) / (np.array([[0.2], [0.1]]) * np.sqrt((nu - 2) / nu / 252))
    rho = 0.3

    def both_below(x, quantile):  # given one, the other is t distributed with nu + 1 degrees of freedom
        scale = np.sqrt((1 - rho**2) * (nu + x * x) / (nu + 1))
        return stats.t.pdf(x, nu) * stats.t.cdf((quantile - rho * x) / scale, nu + 1)

    for level in (0.001, 0.01, 0.1):
        quantile = stats.t.ppf(level, nu)
        exact = integrate.quad(both_below, -np.inf, quantile, args=(quantile,))[0]
        assert exact > 3 * level**2
        found = np.mean((growth[0] <= quantile) & (growth[1] <= quantile))
        assert abs(found - exact) < 4 * np.sqrt(exact / paths)


def test_moments_of_one_step_and_of_several():
    """Mean and covariance are exact for any number of steps; the excess kurtosis is ``6 / (nu - 4) / n``."""
    paths, nu = 1 << 19, 12.0  # the error of a kurtosis takes eight moments
    wide = StudentT(ASSETS, DRIFT, VOLATILITY, CORRELATION, nu)
    for steps, days in ((1, 1.0), (3, 7.0)):
        growth, years = simulate(wide, paths=paths, steps=steps, step_days=days), steps * days / 252
        error = growth.std(axis=1) / np.sqrt(paths)
        assert np.all(np.abs(growth.mean(axis=1) - wide.mean_log_growth(years)) < 4 * error)
        centred = growth - wide.mean_log_growth(years)[:, None]
        covariance = wide.covariance_log_growth(years)
        for i in range(3):
            for j in range(3):
                product = centred[i] * centred[j]
                assert abs(product.mean() - covariance[i, j]) < 4 * product.std() / np.sqrt(paths)
        scores = centred / np.sqrt(np.diagonal(covariance))[:, None]
        expected = 3.0 + 6.0 / (nu - 4.0) / steps
        for fourth in scores**4:
            assert abs(fourth.mean() - expected) < 4 * fourth.std() / np.sqrt(paths)
        assert expected - 3.0 > 8 * (scores[0] ** 4).std() / np.sqrt(paths)  # a normal would fail


def test_tables_scale_with_the_step_and_keep_the_tails(model):
    day, fortnight = model.tables(1 / 252), model.tables(10 / 252)
    np.testing.assert_allclose(
        day["mixing"] @ day["mixing"].T * (5.0 / 3.0), model.covariance_log_growth(1 / 252), rtol=1e-13
    )
    np.testing.assert_allclose(fortnight["mixing"], day["mixing"] * np.sqrt(10), rtol=1e-13)
    np.testing.assert_allclose(fortnight["drift"], day["drift"] * 10, rtol=1e-13)
    np.testing.assert_array_equal(fortnight["mixing_root"], day["mixing_root"])
    with pytest.raises(InputError, match="step_years: 0 is not above zero"):
        model.tables(0)
    with pytest.raises(InputError, match="the mean of simple returns is infinite under t distributed log returns"):
        model.mean_simple_return(1.0)
    assert step(1.0, 0.5, 2.0, 0.25) == 2.0


# --- the fit -----------------------------------------------------------------------------------------------------


def test_fit_recovers_the_model_that_made_the_sample(sample):
    calibration = calibrate(sample, kind="student_t", options={"drift": "zero"})
    fitted, report = calibration.model, calibration.report
    assert abs(fitted.degrees_of_freedom - 5.0) < 4 * report["degrees_of_freedom_standard_error"]
    assert 0.1 < report["degrees_of_freedom_standard_error"] < 0.5
    # the information of a scale and of a correlation of a multivariate t (Lange, Little and Taylor 1989), and what the
    # error of nu does to the variance nu / (nu - 2)
    observations, nu = report["observations"], 5.0
    error = np.sqrt((nu + 5.0) / (nu + 3.0) / (2.0 * observations))
    error += report["degrees_of_freedom_standard_error"] / (nu * (nu - 2.0))
    assert np.all(np.abs(fitted.volatility / VOLATILITY - 1.0) < 4 * error)
    assert np.all(
        np.abs(fitted.correlation - CORRELATION) < 4 * np.sqrt((nu + 5.0) / (nu + 3.0) / observations) + 1e-12
    )
    assert fitted.log_drift.tolist() == [0.0, 0.0, 0.0]
    assert report["table_error"] < 1e-7


def test_the_likelihood_is_scipys_and_largest_at_the_fit(sample):
    calibration = calibrate(sample, kind="student_t")
    fitted, report = calibration.model, calibration.report
    values, nu = sample["log_return"].values, fitted.degrees_of_freedom
    shape = fitted.covariance_log_growth(1 / 252) * (nu - 2.0) / nu
    location = np.array(report["location_a_day"])

    def likelihood(at=location, scale=1.0, degrees=nu, tilt=0.0):
        moved = shape * scale + tilt * np.sqrt(np.outer(np.diagonal(shape), np.diagonal(shape))) * (1 - np.eye(3))
        return float(stats.multivariate_t(at, moved, degrees).logpdf(values).sum())

    best = likelihood()
    assert report["log_likelihood"] == pytest.approx(best, abs=1e-6)
    deviation = np.sqrt(np.diagonal(shape))
    for other in (
        likelihood(at=location + 0.003 * deviation),
        likelihood(at=location - 0.003 * deviation),
        likelihood(scale=1.003),
        likelihood(scale=0.997),
        likelihood(tilt=0.003),
        likelihood(tilt=-0.003),
        likelihood(degrees=nu * 1.005),
        likelihood(degrees=nu * 0.995),
    ):
        assert other < best


@pytest.mark.parametrize(("asset", "window"), [("AAPL", 1008), ("XOM", None), ("JNJ", 500)])
def test_fit_of_one_stock_is_that_of_scipy(asset, window):
    returns = market_log_returns(load_prices("sp500", assets=[asset]))
    calibration = calibrate(returns, kind="student_t", options={"window": window})
    values = returns["log_return"].values[-(window or 10**6) :, 0]
    nu, location, scale = stats.t.fit(values)
    report = calibration.report
    assert calibration.model.degrees_of_freedom == pytest.approx(nu, rel=2e-4)
    assert report["location_a_day"][0] == pytest.approx(location, rel=1e-2, abs=1e-7)
    expected = scale * np.sqrt(nu / (nu - 2)) * np.sqrt(252)
    assert calibration.model.volatility[0] == pytest.approx(expected, rel=2e-4)
    assert report["log_likelihood"] >= stats.t.logpdf(values, nu, location, scale).sum() - 1e-6
    assert calibration.model.mean_log_growth(1 / 252)[0] == pytest.approx(values.mean(), rel=1e-9)


def test_standard_error_is_that_of_the_whole_information_matrix():
    """The profile's second derivative is the Schur complement: the same as inverting the information of all three."""
    returns = market_log_returns(load_prices("sp500", assets=["XOM"]))
    report = calibrate(returns, kind="student_t", options={"window": 2000}).report
    values = returns["log_return"].values[-2000:, 0]
    nu, location = report["degrees_of_freedom"], report["location_a_day"][0]
    scale = stats.t.fit(values, fdf=nu, floc=location)[2]
    at, steps = np.array([nu, location, scale]), np.array([0.01 * nu, 0.01 * scale, 0.01 * scale])
    information = np.empty((3, 3))
    for i in range(3):
        for j in range(3):
            corners = []
            for a, b in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
                moved = at.copy()
                moved[i] += a * steps[i]
                moved[j] += b * steps[j]
                corners.append(a * b * -stats.t.logpdf(values, *moved).sum())
            information[i, j] = sum(corners) / (4 * steps[i] * steps[j])
    expected = np.sqrt(np.linalg.inv(information)[0, 0])
    assert report["degrees_of_freedom_standard_error"] == pytest.approx(expected, rel=0.01)


def test_given_degrees_of_freedom_and_the_samples_dispersion(sample):
    values = sample["log_return"].values
    given = calibrate(sample, kind="student_t", options={"degrees_of_freedom": 4, "window": 400})
    assert given.model.degrees_of_freedom == 4.0
    assert given.report["degrees_of_freedom_standard_error"] is None
    assert given.report["options"] == {
        "drift": "historical",
        "window": 400,
        "degrees_of_freedom": 4,
        "dispersion": "likelihood",
        "nearest_correlation": False,
        "factors": None,
    }
    plain = StudentT.fit(sample, dispersion="sample", drift={"A": 0.01, "B": 0.02, "C": 0.03})
    np.testing.assert_allclose(plain.covariance_log_growth(1 / 252), np.cov(values.T), rtol=1e-12)
    assert plain.log_drift.tolist() == [0.01, 0.02, 0.03]
    assert abs(plain.degrees_of_freedom - 5.0) < 1.5
    with pytest.raises(InputError, match=r"log_return: 4 observations are too few .* dispersion: sample needs fewer"):
        StudentT.fit(sample, window=4)
    with pytest.raises(InputError, match=r"correlation: is not positive definite .* nearest_correlation"):
        StudentT.fit(sample, window=3, dispersion="sample", degrees_of_freedom=5.0)
    repaired = calibrate(
        sample,
        kind="student_t",
        options={"window": 3, "dispersion": "sample", "degrees_of_freedom": 5.0, "nearest_correlation": True},
    )
    assert repaired.report["nearest_correlation"]["frobenius_distance"] > 0.0


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"drift": "momentum"}, "drift: 'momentum' is not 'historical', 'zero' or a mapping"),
        ({"window": 5000}, "window: 5000 observations were asked for and there are 3072"),
        ({"degrees_of_freedom": 2.0}, "degrees_of_freedom: 2.0 is not above 2"),
        ({"dispersion": "robust"}, "dispersion: 'robust' is not one of likelihood, sample"),
        ({"nearest_correlation": 1}, "nearest_correlation: 1 is not true or false"),
        ({"days_per_year": -1}, "days_per_year: -1 is not above zero"),
    ],
)
def test_bad_fit_options_are_refused(sample, options, text):
    with pytest.raises(InputError, match=text):
        StudentT.fit(sample, **options)


def test_a_likelihood_without_a_maximum_is_refused(sample):
    rng = np.random.default_rng(3)
    even = log_returns(0.01 * rng.uniform(-1.0, 1.0, (500, 3)))
    with pytest.raises(InputError, match="degrees_of_freedom: the likelihood still rises at 500"):
        StudentT.fit(even)
    wild = log_returns(0.01 * rng.standard_normal((500, 3)) / np.sqrt(rng.chisquare(1.4, (500, 1))))
    with pytest.raises(InputError, match=r"degrees_of_freedom: the likelihood is largest at 1.* variance is infinite"):
        StudentT.fit(wild)
    twin = sample["log_return"].values[:300].copy()
    twin[:, 2] = twin[:, 0]
    with pytest.raises(InputError, match="correlation: is not positive definite"):
        StudentT.fit(log_returns(twin))


# --- scenarios ---------------------------------------------------------------------------------------------------


def test_shocked_changes_what_was_asked_for_only(model):
    assert model.shocked() is model
    shocked = model.shocked(volatility=2.0, correlation=0.5, drift=-0.2)
    np.testing.assert_array_equal(shocked.volatility, 2.0 * VOLATILITY)
    np.testing.assert_array_equal(shocked.log_drift, DRIFT - 0.2)
    np.testing.assert_allclose(shocked.correlation, 0.5 * CORRELATION + 0.5, rtol=1e-15)
    assert shocked.degrees_of_freedom == 5.0
    np.testing.assert_array_equal(shocked.mixing_values, model.mixing_values)
    with pytest.raises(InputError, match=r"volatility shock: 0\.0 is not above zero"):
        model.shocked(volatility=0.0)
    with pytest.raises(InputError, match=r"share: 1.0 is not in \[0, 1\)"):
        model.shocked(correlation=1.0)
