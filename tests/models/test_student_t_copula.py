"""Student t copula: its dependence in closed form, its margins against arch, its fit against statsmodels."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import xarray as xr
from arch.univariate import SkewStudent
from numba import njit
from scipy import integrate, special, stats
from statsmodels.distributions.copula.api import StudentTCopula as OracleCopula

from riskops.errors import InputError
from riskops.market import load_prices
from riskops.market import log_returns as market_log_returns
from riskops.models import StudentTCopula, calibrate, from_record
from riskops.models.student_t_copula_tables import margin_tables
from riskops.rng import tile_counters
from riskops.schema import variable
from riskops.simulation import SimulationSpec, path_job
from riskops.tables.octaves import value_by_octave

ASSETS = ("A", "B", "C")
CORRELATION = np.array([[1.0, 0.6, -0.3], [0.6, 1.0, 0.1], [-0.3, 0.1, 1.0]])
PARAMETERS = {
    "assets": ASSETS,
    "location": [0.0004, -0.0002, 0.0],
    "scale": [0.012, 0.02, 0.007],
    "margin_degrees_of_freedom": (4.5, None, 7.0),
    "skewness": [-0.15, 0.0, 0.0],
    "degrees_of_freedom": 5.0,
    "correlation": CORRELATION,
}


@pytest.fixture(scope="module")
def model() -> StudentTCopula:
    return StudentTCopula(**PARAMETERS)


def simulate(model: StudentTCopula, *, paths: int, steps: int = 1) -> np.ndarray:
    """Log growth ``(asset, path)`` after the last step, as the engine draws it."""
    spec = SimulationSpec(model, paths=paths, steps=steps, seed=31)
    return path_job(spec, times=[steps]).block(tile_counters(0, paths), paths)[0, 0].astype(np.float64)


def log_returns(values, assets=ASSETS) -> xr.Dataset:
    days = np.datetime64("2020-01-01", "ns") + np.arange(len(values)) * np.timedelta64(1, "D")
    coords = {"observation": days, "asset": list(assets)}
    return variable("log_return", ("observation", "asset"), np.asarray(values), coords=coords).to_dataset()


@pytest.fixture(scope="module")
def day(model) -> np.ndarray:
    return simulate(model, paths=1 << 19)


@pytest.fixture(scope="module")
def sample(model) -> xr.Dataset:
    """Observations of a known model: its own paths over one day."""
    return log_returns(simulate(model, paths=4096).T)


# --- the value ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"location": [0.1]}, r"location: shape \(1,\) is not \(3,\), one number an asset"),
        ({"scale": [0.1, -0.1, 0.1]}, "scale of 'B': -0.1 is not above zero"),
        ({"margin_degrees_of_freedom": (4.0, 4.0)}, "margin_degrees_of_freedom: 2 are not 3, one an asset"),
        ({"margin_degrees_of_freedom": (2.0, 4.0, 4.0)}, r"margin_degrees_of_freedom of 'A': 2\.0 is not above 2"),
        ({"skewness": [-0.1, 0.2, 0.0]}, r"skewness of 'B': 0\.2 is not zero, and its margin is normal"),
        ({"skewness": [-1.0, 0.0, 0.0]}, r"skewness of 'A': -1\.0 is not between -1 and 1"),
        ({"degrees_of_freedom": 0.5}, r"degrees_of_freedom: 0\.5 is not at least 1"),
        ({"correlation": np.ones((3, 3))}, "correlation: is not positive definite"),
        ({"days_per_year": 0.0}, r"days_per_year: 0\.0 is not above zero"),
        ({"margin_values": [[0.0, 1.0]]}, "margin_values: are not those of the model's parameters"),
    ],
)
def test_bad_parameters_are_refused(change, text):
    with pytest.raises(InputError, match=text):
        StudentTCopula(**(PARAMETERS | change))


def test_record_keeps_the_tables(model):
    again = from_record(json.loads(json.dumps(model.record())))
    assert again == model
    assert again.margin_degrees_of_freedom == (4.5, None, 7.0)
    assert again.margin_values.tobytes() == model.margin_values.tobytes()
    assert model.margins == ("skewed_t", "normal", "student_t")
    # a table with more intervals than are needed is as good, one of other margins is not
    finer = margin_tables(5.0, [(4.5, -0.15), (None, 0.0), (7.0, 0.0)], intervals=64)[0]
    assert dataclasses.replace(model, margin_values=finer).margin_values.shape == finer.shape
    with pytest.raises(InputError, match="margin_values: are not those of the model's parameters"):
        dataclasses.replace(model, skewness=[-0.2, 0.0, 0.0])


def test_a_step_is_one_observation(model):
    with pytest.raises(InputError, match=r"simulation\.step_days: 5 is not 1, the step of model student_t_copula"):
        model.tables(5 / 252)
    with pytest.raises(InputError, match=r"simulation\.step_days: 0\.965517 is not 1"):
        model.tables(1 / 261)
    assert set(model.tables(1 / 252)) == {"location", "scale", "mixing", "mixing_root", "margin"}


# --- margins -----------------------------------------------------------------------------------------------------


@njit(error_model="numpy")
def look_up(table, x, out):
    for i in range(len(x)):
        out[i] = value_by_octave(table, x[i])


@pytest.mark.parametrize("copula", [2.5, 5.0, 20.0])
def test_tables_are_the_quantiles_of_arch(copula):
    """To 1e-6 in single precision over all that draws reach, with arch's skewed t as the quantile function."""
    values, error = margin_tables(copula, [(4.5, -0.15), (3.0, 0.3)])
    assert error < 3e-7
    model = StudentTCopula(("A", "B"), [0, 0], [1, 1], (4.5, 3.0), [-0.15, 0.3], copula, np.eye(2))
    np.testing.assert_array_equal(model.margin_values, values)
    probability = special.ndtr(np.linspace(-6.3, 6.3, 2001))
    probability = probability[probability < 1 - 1e-6]  # arch is given a probability, which has no upper tail
    x = special.stdtrit(copula, probability).astype(np.float32)
    for table, shape in zip(model.tables(1 / 252)["margin"], ([4.5, -0.15], [3.0, 0.3]), strict=True):
        out = np.empty(len(x), np.float32)
        look_up(table.astype(np.float32), x, out)
        expected = SkewStudent().ppf(special.stdtr(copula, x.astype(np.float64)), shape)
        assert np.max(np.abs(out - expected) / (1.0 + np.abs(expected))) < 1e-6


def test_simulated_margins_have_their_quantiles(model, day):
    levels = np.array([1e-5, 1e-4, 0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999])
    quantiles = (
        SkewStudent().ppf(levels, [4.5, -0.15]),
        stats.norm.ppf(levels),
        stats.t.ppf(levels, 7.0) * np.sqrt(5.0 / 7.0),
    )
    for growth, location, scale, quantile in zip(day, model.location, model.scale, quantiles, strict=True):
        below = np.searchsorted(np.sort(growth), location + scale * quantile) / day.shape[1]
        assert np.all(np.abs(below - levels) < 4 * np.sqrt(levels * (1 - levels) / day.shape[1]))


def test_moments_over_several_steps(model):
    growth = simulate(model, paths=1 << 18, steps=5)
    mean, error = model.mean_log_growth(5 / 252), growth.std(axis=1) / np.sqrt(growth.shape[1])
    np.testing.assert_allclose(mean, 5 * model.location, rtol=1e-13)
    assert np.all(np.abs(growth.mean(axis=1) - mean) < 4 * error)
    variance = 5 * model.scale**2
    for a in (1, 2):  # the error of a variance takes four moments, and the first margin has hardly more
        square = (growth[a] - mean[a]) ** 2
        assert abs(square.mean() - variance[a]) < 4 * square.std() / np.sqrt(growth.shape[1])


# --- dependence --------------------------------------------------------------------------------------------------


def test_kendalls_tau_in_closed_form(model, day):
    batches = day.reshape(3, 64, -1)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        found = np.array([stats.kendalltau(batches[i, b], batches[j, b]).statistic for b in range(64)])
        assert abs(found.mean() - model.kendall_tau()[i, j]) < 4 * found.std(ddof=1) / 8
        assert model.kendall_tau()[i, j] == pytest.approx(2 / np.pi * np.arcsin(CORRELATION[i, j]))


def joint_tail(nu: float, rho: float, level: float) -> float:
    """Probability that both numbers of a bivariate t are below their quantiles: given one, the other is t."""
    quantile = stats.t.ppf(level, nu)

    def both_below(x):
        scale = np.sqrt((1 - rho**2) * (nu + x * x) / (nu + 1))
        return stats.t.pdf(x, nu) * stats.t.cdf((quantile - rho * x) / scale, nu + 1)

    return float(integrate.quad(both_below, -np.inf, quantile)[0])


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_extremes_come_together_as_the_copula_says(model, day, side):
    ranks = stats.rankdata(side * day, axis=1) / day.shape[1]
    for i, j in ((0, 1), (1, 2)):
        for level in (0.001, 0.01, 0.1):
            exact = joint_tail(5.0, CORRELATION[i, j], level)
            found = np.mean((ranks[i] <= level) & (ranks[j] <= level))
            assert abs(found - exact) < 4 * np.sqrt(exact / day.shape[1])
            assert exact > 1.2 * level**2  # independence would fail


def test_tail_dependence_is_the_limit_and_the_published_one(model):
    """McNeil, Frey and Embrechts, *Quantitative Risk Management* (2005), table 5.1, as printed to two decimals."""
    published = {4.0: (0.01, 0.08, 0.25, 0.63), 10.0: (0.00, 0.01, 0.08, 0.46)}
    for nu, row in published.items():
        for rho, value in zip((-0.5, 0.0, 0.5, 0.9), row, strict=True):
            matrix = [[1.0, rho], [rho, 1.0]]
            pair = StudentTCopula(("A", "B"), [0, 0], [1, 1], (None, None), [0, 0], nu, matrix)
            assert pair.tail_dependence()[0, 1] == pytest.approx(value, abs=0.0051)
    limit = model.tail_dependence()[0, 1]
    above = [joint_tail(5.0, 0.6, level) / level - limit for level in (1e-2, 1e-4, 1e-6)]
    assert above[0] > above[1] > above[2] > 0.0
    assert above[2] < 0.01


# --- the fit -----------------------------------------------------------------------------------------------------


def test_fit_recovers_the_model_that_made_the_sample(model, sample):
    margins = {"A": "skewed_t", "B": "normal", "C": "student_t"}
    calibration = calibrate(sample, kind="student_t_copula", options={"margins": margins, "drift": "zero"})
    found, report = calibration.model, calibration.report
    assert abs(found.degrees_of_freedom - 5.0) < 4 * report["degrees_of_freedom_standard_error"]
    assert report["degrees_of_freedom_standard_error"] < 0.6
    # tau's standard error is below 2/3 / sqrt(n) (1 - tau^2), and rho = sin(pi tau / 2)
    assert np.all(np.abs(found.correlation - CORRELATION) < 4 * np.pi / 2 * (2 / 3) * 1.5 / np.sqrt(4096))
    assert found.margins == model.margins
    for a, asset in enumerate(ASSETS):
        errors = report["margins"][asset]["standard_errors"]
        assert abs(found.scale[a] - model.scale[a]) < 4 * errors["scale"]
        if "degrees_of_freedom" in errors:
            gap = found.margin_degrees_of_freedom[a] - model.margin_degrees_of_freedom[a]
            assert abs(gap) < 4 * errors["degrees_of_freedom"]
        if "skewness" in errors:
            assert abs(found.skewness[a] - model.skewness[a]) < 4 * errors["skewness"]
    assert found.location.tolist() == [0.0, 0.0, 0.0]
    assert report["margin_table_error"] < 3e-7
    assert report["mixing_table_error"] < 1e-7
    assert json.loads(json.dumps(report)) == report


def test_the_likelihood_is_that_of_statsmodels_and_scipy():
    returns = market_log_returns(load_prices("sp500", assets=["AAPL", "MSFT"]))
    calibration = calibrate(returns, kind="student_t_copula", options={"window": 750})
    found, report = calibration.model, calibration.report
    values = returns["log_return"].values[-750:]
    uniform = stats.rankdata(values, axis=0) / 751
    tau = stats.kendalltau(values[:, 0], values[:, 1]).statistic
    rho = np.sin(np.pi / 2 * tau)
    assert found.correlation[0, 1] == pytest.approx(rho, rel=1e-14)
    assert OracleCopula(corr=rho, df=5).tau() == pytest.approx(found.kendall_tau()[0, 1], rel=1e-12)

    def likelihood(nu):
        scores = stats.t.ppf(uniform, nu)
        joint = stats.multivariate_t(shape=found.correlation, df=nu).logpdf(scores).sum()
        return joint - stats.t.logpdf(scores, nu).sum()

    nu = found.degrees_of_freedom
    assert report["copula_log_likelihood"] == pytest.approx(likelihood(nu), abs=1e-7)
    assert likelihood(nu) > max(likelihood(nu * 1.01), likelihood(nu * 0.99))
    whole = OracleCopula(corr=found.correlation, df=nu).logpdf(uniform).sum()
    assert whole == pytest.approx(likelihood(nu), abs=1e-7)
    information = -(likelihood(nu * 1.02) - 2 * likelihood(nu) + likelihood(nu * 0.98)) / (0.02 * nu) ** 2
    assert report["degrees_of_freedom_standard_error"] == pytest.approx(information**-0.5, rel=0.02)
    np.testing.assert_allclose(found.mean_log_growth(1 / 252), values.mean(axis=0), rtol=1e-9)


def test_twenty_stocks_with_skewed_margins_have_fat_tails_together():
    returns = market_log_returns(load_prices("sp500"))
    model = StudentTCopula.fit(returns, margins="skewed_t", window=1008)
    assert set(model.margins) == {"skewed_t"}
    assert 2.0 < min(model.margin_degrees_of_freedom) < max(model.margin_degrees_of_freedom) < 10.0
    assert 4.0 < model.degrees_of_freedom < 12.0
    assert np.all(np.abs(model.skewness) < 0.2)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"drift": "momentum"}, "drift: 'momentum' is not 'historical', 'zero' or a mapping"),
        ({"margins": "gumbel"}, "margins: 'gumbel' is not one of normal, skewed_t, student_t"),
        ({"margins": {"A": "normal"}}, "margins: 'B' is missing"),
        ({"window": 20}, "log_return: 20 observations are too few for a copula; 50 are needed"),
        ({"degrees_of_freedom": 0.9}, r"degrees_of_freedom: 0\.9 is not at least 1"),
        ({"nearest_correlation": 1}, "nearest_correlation: 1 is not true or false"),
        ({"days_per_year": 0}, "days_per_year: 0 is not above zero"),
    ],
)
def test_bad_fit_options_are_refused(sample, options, text):
    with pytest.raises(InputError, match=text):
        StudentTCopula.fit(sample, **options)


def test_given_degrees_of_freedom_drifts_and_repair(sample):
    rates = {"A": 0.252, "B": 0.0, "C": -0.0252}
    options = {"degrees_of_freedom": 8, "drift": rates, "window": 500, "nearest_correlation": True, "margins": "normal"}
    calibration = calibrate(sample, kind="student_t_copula", options=options)
    assert calibration.model.degrees_of_freedom == 8.0
    np.testing.assert_allclose(calibration.model.location, [0.001, 0.0, -0.0001], rtol=1e-14)
    assert calibration.report["degrees_of_freedom_standard_error"] is None
    assert calibration.report["nearest_correlation"]["frobenius_distance"] == 0.0
    assert calibration.model.margins == ("normal", "normal", "normal")
    twin = sample["log_return"].values[:200].copy()
    twin[:, 2] = twin[:, 0]
    with pytest.raises(InputError, match=r"correlation: is not positive definite .* nearest_correlation"):
        StudentTCopula.fit(log_returns(twin), margins="normal")
    twin[:, 2] = 0.01
    with pytest.raises(InputError, match="log_return: the returns of 'C' do not vary over the window"):
        StudentTCopula.fit(log_returns(twin), margins="normal")


def test_normal_returns_have_no_degrees_of_freedom():
    values = 0.01 * np.random.default_rng(12).standard_normal((400, 2))
    values[:, 1] = 0.5 * values[:, 0] + np.sign(values[:, 1]) * np.sqrt(np.abs(values[:, 1])) * 0.1
    with pytest.raises(InputError, match="degrees_of_freedom: the likelihood still rises at 200"):
        StudentTCopula.fit(log_returns(values, ("A", "B")), margins="normal")


# --- scenarios ---------------------------------------------------------------------------------------------------


def test_shocked_changes_what_was_asked_for_only(model):
    assert model.shocked() is model
    shocked = model.shocked(volatility=2.0, correlation=0.5, drift=-0.252)
    np.testing.assert_array_equal(shocked.scale, 2.0 * model.scale)
    np.testing.assert_allclose(shocked.location, model.location - 0.001, rtol=1e-13)
    np.testing.assert_allclose(shocked.correlation, 0.5 * CORRELATION + 0.5, rtol=1e-15)
    assert shocked.margin_degrees_of_freedom == model.margin_degrees_of_freedom
    np.testing.assert_array_equal(shocked.margin_values, model.margin_values)
    with pytest.raises(InputError, match=r"volatility shock: 0\.0 is not above zero"):
        model.shocked(volatility=0.0)
    with pytest.raises(InputError, match=r"share: 1\.0 is not in \[0, 1\)"):
        model.shocked(correlation=1.0)
