"""Standardised distributions of one asset: quantiles, densities and fits against arch and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from arch import arch_model
from arch.univariate import SkewStudent
from scipy import integrate, stats

from riskops.errors import InputError
from riskops.market import load_prices, log_returns
from riskops.models.margins import check_margins, fit_margin, log_density, margin_names, margin_quantile

PROBABILITY = np.array([1e-9, 1e-4, 0.01, 0.3, 0.45, 0.5, 0.55, 0.9, 0.999])


def stock(asset: str, window: int = 1500) -> np.ndarray:
    return log_returns(load_prices("sp500", assets=[asset]))["log_return"].values[-window:, 0]


def fitted(name: str, values: np.ndarray):
    return fit_margin("A", name, values, mean=float(values.mean()), deviation=float(values.std(ddof=1)))


@pytest.mark.parametrize("nu", [2.3, 5.0, 40.0])
@pytest.mark.parametrize("skewness", [-0.6, -0.05, 0.0, 0.3])
def test_quantile_and_density_are_those_of_arch(nu, skewness):
    oracle = SkewStudent()
    expected = oracle.ppf(PROBABILITY, [nu, skewness])
    np.testing.assert_allclose(margin_quantile(PROBABILITY, 1 - PROBABILITY, nu, skewness), expected, rtol=1e-7)
    z = np.linspace(-8.0, 8.0, 101)
    density = oracle.loglikelihood([nu, skewness], z, np.ones(101), individual=True)
    np.testing.assert_allclose(log_density(z, nu, skewness), density, rtol=1e-9)


def test_both_tails_are_exact():
    """The upper tail mirrors the lower one of the opposite skewness, as far as a double reaches."""
    tiny = np.array([1e-20, 1e-12, 1e-3])
    lower = margin_quantile(tiny, 1 - tiny, 4.0, -0.2)
    np.testing.assert_allclose(margin_quantile(1 - tiny, tiny, 4.0, 0.2), -lower, rtol=1e-13)
    np.testing.assert_allclose(margin_quantile(tiny, 1 - tiny, None, 0.0), stats.norm.ppf(tiny), rtol=1e-13)
    np.testing.assert_allclose(margin_quantile(1 - tiny, tiny, None, 0.0), -stats.norm.ppf(tiny), rtol=1e-13)
    expected = stats.t.ppf(tiny, 3.0) * np.sqrt(1.0 / 3.0)
    np.testing.assert_allclose(margin_quantile(tiny, 1 - tiny, 3.0, 0.0), expected, rtol=1e-12)


@pytest.mark.parametrize(("nu", "skewness"), [(5.0, 0.0), (6.0, -0.4), (30.0, 0.2)])
def test_margins_have_mean_zero_and_variance_one(nu, skewness):
    def moment(k):
        return integrate.quad(lambda z: z**k * np.exp(log_density(np.array(z), nu, skewness)), -np.inf, np.inf)[0]

    assert moment(0) == pytest.approx(1.0, abs=1e-7)
    assert moment(1) == pytest.approx(0.0, abs=1e-7)
    assert moment(2) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("asset", ["AAPL", "XOM", "JNJ"])
def test_fits_of_stocks_are_those_of_arch_and_scipy(asset):
    values = stock(asset)
    for name, distribution in (("student_t", "t"), ("skewed_t", "skewt")):
        margin = fitted(name, values)
        model = arch_model(100 * values, mean="Constant", vol="Constant", dist=distribution)
        oracle = model.fit(disp="off", tol=1e-12)
        likelihood = oracle.loglikelihood + len(values) * np.log(100)
        assert margin.log_likelihood == pytest.approx(likelihood, abs=1e-4)
        shape = oracle.params.values[2:]
        assert margin.degrees_of_freedom == pytest.approx(shape[0], rel=2e-3)
        assert margin.scale == pytest.approx(np.sqrt(oracle.params["sigma2"]) / 100, rel=1e-3)
        assert margin.location == pytest.approx(oracle.params["mu"] / 100, abs=2e-6)
        if name == "skewed_t":
            assert margin.skewness == pytest.approx(shape[1], abs=1e-4)
        # arch's errors are robust ones by default
        classic = model.fit(disp="off", tol=1e-12, cov_type="classic").std_err
        errors = list(margin.standard_errors.values())
        np.testing.assert_allclose(errors[2:], classic.values[2:], rtol=0.05)
        assert errors[0] == pytest.approx(classic["mu"] / 100, rel=0.05)
        assert errors[1] == pytest.approx(classic["sigma2"] / (2 * 100**2 * margin.scale), rel=0.05)
    nu, location, scale = stats.t.fit(values)
    symmetric = fitted("student_t", values)
    assert symmetric.log_likelihood >= stats.t.logpdf(values, nu, location, scale).sum() - 1e-6
    assert symmetric.degrees_of_freedom == pytest.approx(nu, rel=1e-3)


def test_a_normal_has_the_samples_moments():
    values = stock("AAPL")
    margin = fitted("normal", values)
    assert (margin.location, margin.scale) == (values.mean(), values.std(ddof=1))
    assert margin.log_likelihood == pytest.approx(stats.norm.logpdf(values, values.mean(), margin.scale).sum())
    assert margin.degrees_of_freedom is None


def test_a_fit_recovers_the_margin_that_made_the_sample():
    uniform = np.random.default_rng(5).uniform(size=8000)
    values = 0.001 + 0.02 * margin_quantile(uniform, 1 - uniform, 5.0, -0.15)
    margin = fitted("skewed_t", values)
    errors = margin.standard_errors
    for name, true in (("location", 0.001), ("scale", 0.02), ("degrees_of_freedom", 5.0), ("skewness", -0.15)):
        assert abs(getattr(margin, name) - true) < 4 * errors[name], name
    assert errors["degrees_of_freedom"] < 0.5
    assert errors["skewness"] < 0.03


def test_what_has_no_fit_is_refused():
    values = np.random.default_rng(6).uniform(-1.0, 1.0, 500)
    with pytest.raises(InputError, match="margins: the returns of 'A' have no fatter tails than the normal's"):
        fitted("student_t", values)
    with pytest.raises(InputError, match="margins: the returns of 'A' have no finite variance as student_t"):
        fitted("student_t", np.random.default_rng(7).standard_cauchy(800))


def test_names_and_parameters_are_checked():
    assert margin_names("normal", ("A", "B")) == {"A": "normal", "B": "normal"}
    assert margin_names({"B": "normal", "A": "skewed_t"}, ("A", "B")) == {"A": "skewed_t", "B": "normal"}
    for margins, text in (
        ("cauchy", "margins: 'cauchy' is not one of normal, skewed_t, student_t"),
        ({"A": "normal"}, "margins: 'B' is missing; given margins name every asset"),
        ({"A": "normal", "B": "normal", "C": "normal"}, "margins: 'C' is unknown; known are A, B"),
        ({"A": "normal", "B": "gumbel"}, "margin of 'B': 'gumbel' is not one of"),
    ):
        with pytest.raises(InputError, match=text):
            margin_names(margins, ("A", "B"))
    assert check_margins([4, None], np.array([0.1, 0.0]), ("A", "B")) == [(4.0, 0.1), (None, 0.0)]
