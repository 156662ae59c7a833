"""Cornish-Fisher: known quantiles, quadrature, the published domain, and what is done and said outside of it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import xarray as xr
from scipy import stats
from scipy.integrate import quad

from riskops.errors import InputError
from riskops.history import forecast, forecast_notes, rolling_forecasts
from riskops.history.fitting import FALLBACK
from riskops.history.forecasts.cornish_fisher import (
    CornishFisher,
    cornish_fisher_quantile,
    cornish_fisher_shortfall,
    largest_valid_share,
)
from riskops.history.forecasts.laws import SkewedTLaw
from riskops.history.forecasts.registry import forecaster
from riskops.history.forecasts.simulated import sample_tail, simulated_sum

LEVELS = (0.95, 0.975, 0.99, 0.997)


LAW = SkewedTLaw(10.0, 0.15)


def skewed_returns(n: int = 1000) -> np.ndarray:
    """Returns whose moments lie well inside the domain."""
    return -0.01 * LAW.quantile((np.arange(n) + 0.5) / n)


def fat_returns(n: int = 500) -> np.ndarray:
    """Returns with an excess kurtosis far beyond eight."""
    return 0.01 * stats.t.ppf((np.arange(n) + 0.5) / n, 2.5) + 1e-4


def test_quantiles_of_known_laws() -> None:
    # chi-square(50) and gamma(40): skewness sqrt(8 / n), excess kurtosis 12 / n; the expansion's own textbook case
    for law in (stats.chi2(50), stats.gamma(40)):
        mean, variance, skewness, kurtosis = (float(x) for x in law.stats("mvsk"))
        z = stats.norm.ppf(np.array([0.005, 0.05, 0.5, 0.95, 0.99, 0.997]))
        found = mean + math.sqrt(variance) * cornish_fisher_quantile(z, np.array(skewness), np.array(kurtosis))
        assert found == pytest.approx(law.ppf(stats.norm.cdf(z)), rel=7e-4)


@pytest.mark.parametrize("level", [0.3, 0.95, 0.99, 0.997])
@pytest.mark.parametrize(("skewness", "kurtosis"), [(0.0, 0.0), (0.5, 1.0), (-0.8, 3.0), (1.5, 6.0)])
def test_the_shortfall_is_the_integral_of_the_quantile_function(level: float, skewness: float, kurtosis: float) -> None:
    def integrand(z: float) -> float:
        at = cornish_fisher_quantile(np.array(z), np.array(skewness), np.array(kurtosis))
        return float(at) * math.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)

    start = float(stats.norm.ppf(level))
    integral = quad(integrand, start, start + 40.0, epsabs=1e-14, points=[start + 1.0, start + 4.0])[0] / (1.0 - level)
    found = float(cornish_fisher_shortfall(level, np.array(skewness), np.array(kurtosis)))
    assert found == pytest.approx(integral, rel=1e-9)


def test_the_domain_is_maillards() -> None:
    # Maillard (2012), A user's guide to the Cornish Fisher expansion: |S| <= 6 (sqrt(2) - 1), and for S = 0 an excess
    # kurtosis from 0 to 8. At the largest skewness one kurtosis alone is left.
    def inside(skewness: float, kurtosis: float) -> bool:
        return bool(largest_valid_share(np.array([skewness]), np.array([kurtosis]))[0] == 1.0)

    most = 6.0 * (math.sqrt(2.0) - 1.0)
    middle = 4.0 + 11.0 * most**2 / 9.0
    assert inside(0.0, 0.0)
    assert inside(0.0, 8.0)
    assert not inside(0.0, 8.001)
    assert not inside(0.0, -0.001)
    assert inside(most - 1e-6, middle)
    assert inside(-most + 1e-6, middle)
    assert not any(inside(most + 1e-3, kurtosis) for kurtosis in np.linspace(0.0, 20.0, 201))
    # and it is where the expansion increases, on a grid of both
    z = np.linspace(-30.0, 30.0, 6001)
    for skewness in np.linspace(-3.0, 3.0, 7):
        for kurtosis in np.linspace(-1.0, 14.0, 16):
            curve = cornish_fisher_quantile(z, np.array(skewness), np.array(kurtosis))
            assert inside(skewness, kurtosis) == bool(np.all(np.diff(curve) >= -1e-9))


def test_the_largest_share_is_on_the_edge() -> None:
    skewness, kurtosis = np.array([0.0, 1.0, -2.0, 3.0, 0.5]), np.array([16.0, 30.0, 12.0, 4.0, -0.5])
    share = largest_valid_share(skewness, kurtosis)
    assert share[0] == pytest.approx(0.5)
    assert share[4] == 0.0
    assert np.all(largest_valid_share(share * skewness, share * kurtosis) == 1.0)
    assert np.all(largest_valid_share((share + 1e-6) * skewness, (share + 1e-6) * kurtosis) < 1.0)


@pytest.mark.parametrize("days", [1, 10])
def test_forecasts_take_the_moments_of_each_window(days: int) -> None:
    returns = np.random.default_rng(1).permutation(skewed_returns())
    ends = np.arange(600, 1000, 50)
    told = CornishFisher("normal").fit(returns, levels=LEVELS, days=days).predict(returns, ends, window=600)
    assert told.fallback is not None
    assert not told.fallback.any()
    for i, end in enumerate(ends):
        losses = -returns[end - 600 : end]
        skewness, kurtosis = stats.skew(losses) / math.sqrt(days), stats.kurtosis(losses) / days
        z = stats.norm.ppf(LEVELS)
        expanded = (
            z + (z**2 - 1) * skewness / 6 + (z**3 - 3 * z) * kurtosis / 24 - (2 * z**3 - 5 * z) * skewness**2 / 36
        )
        value = days * losses.mean() + math.sqrt(days) * losses.std() * expanded
        assert told.value_at_risk[:, i] == pytest.approx(value, rel=1e-10)
    assert np.all(told.expected_shortfall > told.value_at_risk)


def test_over_days_it_is_the_law_of_the_sum() -> None:
    returns = skewed_returns(20_000)
    fit = CornishFisher("error").fit(returns, levels=LEVELS, days=10)
    found = fit.predict(returns, np.array([20_000]), window=None)
    tail = sample_tail(0.01 * simulated_sum(LAW, days=10, paths=65_536, seed=1), levels=LEVELS)
    assert np.all(np.abs(found.value_at_risk[:, 0] - tail.value_at_risk) < 3.0 * tail.value_at_risk_error)
    assert np.all(
        np.abs(found.expected_shortfall[:, 0] - tail.expected_shortfall) < 3.0 * tail.expected_shortfall_error
    )
    # the skewness matters: without it the sum is far off
    plain = math.sqrt(10.0) * returns.std() * stats.norm.ppf(LEVELS)
    assert np.all(np.abs(plain - tail.value_at_risk)[2:] > 5.0 * tail.value_at_risk_error[2:])
    assert CornishFisher().horizon_rule(10) == "cumulants of the sum of independent days"


def test_nominal_coverage_on_data_of_its_own_law() -> None:
    # losses drawn through the expansion itself; its moments are not the parameters, so those are found from the sample
    z = np.random.default_rng(2).standard_normal(100_000)
    returns = -0.01 * cornish_fisher_quantile(z, np.array(0.3), np.array(0.5))
    past, future = returns[:60_000], returns[60_000:]
    told = CornishFisher().fit(past, levels=LEVELS, days=1).predict(past, np.array([60_000]), window=None)
    assert told.fallback is not None
    assert not told.fallback.any()
    for value, level in zip(told.value_at_risk, LEVELS, strict=True):
        breaches = int((-future > value[0]).sum())
        assert stats.binom.ppf(0.005, 40_000, 1 - level) <= breaches <= stats.binom.ppf(0.995, 40_000, 1 - level)


def test_outside_the_domain_the_fallback_is_taken_marked_and_said() -> None:
    returns = np.concatenate([np.random.default_rng(3).permutation(skewed_returns(500)), fat_returns()])
    ends = np.array([500, 1000])
    kurtosis = stats.kurtosis(returns[500:])
    assert kurtosis > 8.0
    shrunk, normal = (
        CornishFisher(outside).fit(returns[500:], levels=LEVELS, days=1) for outside in ("shrink", "normal")
    )
    for fit, done in ((shrunk, "both are taken times 0."), (normal, "the normal quantile is taken")):
        told = fit.predict(returns, ends, window=500)
        assert told.fallback is not None
        assert told.fallback.tolist() == [False, True]
        assert len(fit.notes) == 1
        assert f"excess kurtosis {kurtosis:.3g} are outside the domain of Cornish-Fisher; {done}" in fit.notes[0]
        assert np.all(np.diff(told.value_at_risk, axis=0) > 0.0)
        assert np.all(told.expected_shortfall > told.value_at_risk)
    losses = -returns[500:]
    as_normal = losses.mean() + losses.std() * stats.norm.ppf(LEVELS)
    assert normal.predict(returns, ends, window=500).value_at_risk[:, 1] == pytest.approx(as_normal, rel=1e-10)
    # the edge of the domain at no skewness is an excess kurtosis of eight
    z = stats.norm.ppf(LEVELS)
    on_edge = losses.mean() + losses.std() * (z + (z**3 - 3 * z) * 8.0 / 24.0)
    assert shrunk.predict(returns, ends, window=500).value_at_risk[:, 1] == pytest.approx(on_edge, rel=1e-6)


def test_fallbacks_are_counted_in_the_notes_of_the_results() -> None:
    values = np.concatenate([np.random.default_rng(3).permutation(skewed_returns(400)), fat_returns()])
    coords = {"observation": np.arange(900).astype("datetime64[D]"), "asset": ["A"]}
    returns = xr.Dataset({"simple_return": (("observation", "asset"), values[:, None])}, coords=coords)
    rolled = rolling_forecasts(returns, methods="cornish_fisher", window=400).compute(scheduler="synchronous")
    told = CornishFisher().fit(values, levels=LEVELS, days=1).predict(values, np.arange(400, 900), window=400)
    assert told.fallback is not None
    count = int(told.fallback.sum())
    assert 0 < count < 500
    assert ("cornish_fisher", "A", FALLBACK, count) in forecast_notes(rolled)
    latest = forecast(returns, method="cornish_fisher", window=500).compute(scheduler="synchronous")
    assert ("cornish_fisher", "A", FALLBACK, 1) in forecast_notes(latest)


def test_outside_the_domain_may_be_an_error() -> None:
    returns = fat_returns()
    fit = CornishFisher(outside="error").fit(returns, levels=LEVELS, days=1)
    with pytest.raises(InputError, match=r"cornish_fisher: skewness .* after return 500, over 1 days, are outside the"):
        fit.predict(returns, np.array([500]), window=None)
    inside = CornishFisher(outside="error").fit(skewed_returns(), levels=LEVELS, days=1)
    assert inside.predict(skewed_returns(), np.array([1000]), window=None).value_at_risk.shape == (4, 1)


@pytest.mark.parametrize("returns", [skewed_returns(), fat_returns()], ids=["inside", "outside"])
def test_the_probability_is_the_inverse_of_the_quantile(returns: np.ndarray) -> None:
    told = CornishFisher().fit(returns, levels=LEVELS, days=1).predict(returns, np.full(2, len(returns)), window=None)
    assert told.probability is not None
    for row, level in zip(told.value_at_risk, LEVELS, strict=True):
        assert told.probability(row) == pytest.approx([level, level], abs=1e-9)
    assert told.probability(np.array([-1e3, 1e3])).tolist() == [0.0, 1.0]


def test_forecasts_scale_with_the_returns_and_know_no_future() -> None:
    returns = 0.01 * np.random.default_rng(4).standard_t(6, 300)
    ends = np.arange(100, 201, 20)
    other = returns.copy()
    other[200:] *= -9.0
    fit = CornishFisher().fit(returns, levels=LEVELS, days=1)
    base, percent, changed = (fit.predict(x, ends, window=100) for x in (returns, 100.0 * returns, other))
    assert percent.value_at_risk == pytest.approx(100.0 * base.value_at_risk, rel=1e-9)
    assert percent.expected_shortfall == pytest.approx(100.0 * base.expected_shortfall, rel=1e-9)
    assert np.array_equal(base.value_at_risk, changed.value_at_risk)


def test_equal_returns_have_no_tail() -> None:
    returns = np.append(0.01 * np.random.default_rng(5).standard_normal(50), np.full(50, 0.25))
    told = CornishFisher().fit(returns, levels=LEVELS, days=1).predict(returns, np.array([100]), window=50)
    assert told.value_at_risk[:, 0].tolist() == [-0.25] * 4


def test_names_settings_and_refusals() -> None:
    assert (CornishFisher().name, CornishFisher("error").name) == ("cornish_fisher", "cornish_fisher_error")
    assert forecaster(CornishFisher("normal").record()) == CornishFisher("normal")
    with pytest.raises(InputError, match="outside: 'clip' is not one of error, normal, shrink"):
        CornishFisher(outside="clip")
    with pytest.raises(InputError, match="cornish_fisher: 9 returns are too few; at least 10 are needed"):
        CornishFisher().fit(np.linspace(-1.0, 1.0, 9), levels=LEVELS, days=1)
