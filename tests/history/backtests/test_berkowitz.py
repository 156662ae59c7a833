"""Berkowitz' tests against statsmodels' exact AR(1) likelihood and SciPy's maximum of the censored one."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from scipy import optimize, stats

from riskops.history.backtests.base import Outcomes
from riskops.history.backtests.berkowitz import berkowitz, berkowitz_tail
from riskops.history.backtests.registry import backtests


def autoregression(n: int, rho: float, *, mean: float = 0.1, deviation: float = 1.1) -> np.ndarray:
    shocks = mean + deviation * np.random.default_rng(n).standard_normal(n)
    for t in range(1, n):
        shocks[t] += rho * shocks[t - 1]
    return shocks


@pytest.mark.parametrize(("n", "rho"), [(60, 0.0), (250, 0.3), (250, -0.6)])
def test_the_full_ratio_is_that_of_statsmodels(n: int, rho: float) -> None:
    from statsmodels.tsa.arima.model import ARIMA

    z = autoregression(n, rho)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        best = ARIMA(z, order=(1, 0, 0), trend="c").fit().llf
    ratio = 2 * (best - stats.norm.logpdf(z).sum())
    result = berkowitz(stats.norm.cdf(z))
    assert result.statistic == pytest.approx(ratio, abs=1e-5)
    assert result.p_value == pytest.approx(stats.chi2.sf(ratio, 3), rel=1e-4)


@pytest.mark.parametrize("level", [0.7, 0.95, 0.99])
@pytest.mark.parametrize("deviation", [0.6, 1.0, 1.6])
def test_the_tail_ratio_is_that_of_the_censored_likelihood(level: float, deviation: float) -> None:
    probability = stats.norm.cdf(autoregression(400, 0.0, mean=0.2, deviation=deviation))
    z = stats.norm.ppf(probability)  # what is left of the largest z in a probability near one
    cut = stats.norm.ppf(level)

    def minus_log_likelihood(at: np.ndarray) -> float:
        mean, scale = at[0], math.exp(at[1])
        known = stats.norm.logpdf(z[z > cut], mean, scale).sum()
        return float(-known - (z <= cut).sum() * stats.norm.logcdf((cut - mean) / scale))

    starts = ([0.0, 0.0], [-1.0, 0.5], [1.0, -0.5])
    settings = {"xatol": 1e-9, "fatol": 1e-12, "maxiter": 4000}
    found = [optimize.minimize(minus_log_likelihood, s, method="Nelder-Mead", options=settings).fun for s in starts]
    ratio = 2 * (minus_log_likelihood(np.zeros(2)) - min(found))
    result = berkowitz_tail(probability, level=level)
    assert result.statistic == pytest.approx(ratio, abs=1e-6)
    assert result.p_value == pytest.approx(stats.chi2.sf(ratio, 2), abs=1e-6)


def test_a_tail_without_losses_is_judged_by_its_emptiness() -> None:
    result = berkowitz_tail(np.full(250, 0.5), level=0.99)
    assert result.statistic == pytest.approx(-500 * math.log(0.99))


def test_what_came_though_it_was_forecast_not_to_is_infinite_evidence() -> None:
    probability = np.r_[np.linspace(0.01, 0.98, 100), 1.0]
    assert berkowitz(probability) == (math.inf, 0.0)
    assert berkowitz_tail(probability, level=0.99) == (math.inf, 0.0)
    never = np.r_[np.linspace(0.01, 0.98, 100), 0.0]
    assert berkowitz(never) == (math.inf, 0.0)
    assert math.isfinite(berkowitz_tail(never, level=0.99).statistic)


@pytest.mark.parametrize("probability", [np.full(50, np.nan), np.r_[np.linspace(0.1, 0.9, 9), np.nan]])
def test_no_distribution_no_verdict(probability: np.ndarray) -> None:
    assert np.isnan(berkowitz(probability)).all()
    assert np.isnan(berkowitz_tail(probability, level=0.95)).all()


def test_samples_that_cannot_carry_a_fit_are_nan() -> None:
    assert np.isnan(berkowitz(np.array([0.2, 0.7]))).all()
    assert np.isnan(berkowitz(np.full(100, 0.4))).all()
    assert np.isnan(berkowitz_tail(np.full(100, 0.999), level=0.99)).all()


def test_days_without_a_distribution_are_left_out_of_a_battery() -> None:
    numbers = np.random.default_rng(4)
    known, gap = numbers.random(60), np.r_[7, 30]
    probability, n = np.insert(known, gap, np.nan), 62
    ones = np.ones(n)
    for test in backtests(("berkowitz", "berkowitz_tail")):
        found = test.run(Outcomes(0.5 * ones, ones, 1.2 * ones, probability, 0.95))
        assert found == test.run(Outcomes(0.5 * ones[:60], ones[:60], 1.2 * ones[:60], known, 0.95))
        assert np.isfinite(found).all()
