"""Normal, Student t and skewed t: published values, other libraries' maxima, nominal coverage, invariances."""

from __future__ import annotations

import math

import numpy as np
import pytest
from arch.univariate import SkewStudent
from scipy import stats

from riskops.errors import InputError
from riskops.history.forecasts.base import Forecaster, Prediction
from riskops.history.forecasts.laws import SkewedTLaw, StudentTLaw
from riskops.history.forecasts.parametric import Normal, SkewedT, StudentT
from riskops.history.forecasts.registry import forecaster
from riskops.history.forecasts.t_likelihood import fit_t
from riskops.history.forecasts.window_moments import window_moments

LEVELS = (0.95, 0.975, 0.99, 0.997)
METHODS: tuple[Forecaster, ...] = (Normal(), Normal(mean="zero"), StudentT(), SkewedT())


def told_at_the_end(method: Forecaster, returns: np.ndarray, *, days: int = 1) -> Prediction:
    fit = method.fit(returns, levels=LEVELS, days=days)
    return fit.predict(returns, np.array([len(returns)]), window=None)


def of_deviation(deviation: float, n: int = 400) -> np.ndarray:
    """Returns of mean zero and exactly this deviation, with divisor n."""
    returns = np.random.default_rng(1).standard_normal(n)
    returns -= returns.mean()
    return returns * (deviation / returns.std())


def within_binomial(breaches: int, n: int, probability: float) -> bool:
    """Whether so many breaches lie between the 0.5 % and the 99.5 % quantile."""
    return bool(stats.binom.ppf(0.005, n, probability) <= breaches <= stats.binom.ppf(0.995, n, probability))


def test_published_ten_day_value_at_risk() -> None:
    # Hull, Options, Futures and Other Derivatives (8th ed.), 21.3: 10 million at 2 % a day, 5 million at 1 %,
    # correlation 0.3, 99 %, mean zero; Hull rounds to hundreds.
    book = 10e6 * of_deviation(0.02)
    portfolio = of_deviation(220_227.0)
    for returns, one_day, ten_days in ((book, 465_300, 1_471_300), (of_deviation(5e4), 116_300, 367_800)):
        method = Normal(mean="zero")
        assert told_at_the_end(method, returns).value_at_risk[2, 0] == pytest.approx(one_day, rel=4e-4)
        assert told_at_the_end(method, returns, days=10).value_at_risk[2, 0] == pytest.approx(ten_days, rel=4e-4)
    assert told_at_the_end(Normal("zero"), portfolio, days=10).value_at_risk[2, 0] == pytest.approx(1_620_100, rel=4e-4)


def test_normal_forecasts_are_those_of_each_window() -> None:
    returns = 0.01 * np.random.default_rng(2).standard_normal(300) + 0.001
    ends = np.arange(60, 300)
    for window in (60, None):
        for days in (1, 10):
            told = Normal().fit(returns, levels=LEVELS, days=days).predict(returns, ends, window=window)
            for i in (0, 100, 239):
                seen = returns[0 if window is None else ends[i] - window : ends[i]]
                oracle = stats.norm(-days * seen.mean(), math.sqrt(days) * seen.std(ddof=1))
                assert told.value_at_risk[:, i] == pytest.approx(oracle.ppf(LEVELS), rel=1e-12)
                shortfall = [oracle.expect(lambda x: x, lb=oracle.ppf(a)) / (1 - a) for a in LEVELS]
                assert told.expected_shortfall[:, i] == pytest.approx(shortfall, rel=1e-6)


def test_a_mean_of_zero_leaves_the_root_of_the_mean_square() -> None:
    returns = 0.01 * np.random.default_rng(2).standard_normal(300) + 0.02
    told = told_at_the_end(Normal(mean="zero"), returns)
    assert told.value_at_risk[:, 0] == pytest.approx(stats.norm.ppf(LEVELS) * math.sqrt(np.mean(returns**2)), rel=1e-12)


@pytest.mark.parametrize("method", [StudentT(paths=4096), SkewedT(paths=4096)], ids=lambda method: method.name)
def test_the_location_counts_every_day_of_the_horizon(method: Forecaster) -> None:
    returns = 0.01 * stats.t.rvs(4, size=300, random_state=12)
    base, shifted = (told_at_the_end(method, x, days=10) for x in (returns, returns + 0.5))
    assert shifted.value_at_risk == pytest.approx(base.value_at_risk - 5.0, abs=1e-5)
    assert shifted.expected_shortfall == pytest.approx(base.expected_shortfall - 5.0, abs=1e-5)
    assert shifted.value_at_risk_error == pytest.approx(base.value_at_risk_error, rel=1e-3)
    assert shifted.expected_shortfall_error == pytest.approx(base.expected_shortfall_error, rel=1e-3)


def test_moments_of_windows_do_not_drift_after_a_crash() -> None:
    returns = 1e-4 * np.random.default_rng(3).standard_normal(2000)
    returns[500] = -1e6  # sums carried past it would be wrong by 1e-4, as large as the returns
    ends = np.arange(800, 2000)
    moments = window_moments(returns, ends, window=250, least=2)
    for i in (0, 700, 1199):
        seen = returns[ends[i] - 250 : ends[i]]
        assert moments.mean[i] == pytest.approx(math.fsum(seen) / 250, rel=1e-12)
        central = [math.fsum((seen - math.fsum(seen) / 250) ** power) / 250 for power in (2, 3, 4)]
        assert [moments.second[i], moments.third[i], moments.fourth[i]] == pytest.approx(central, rel=1e-9)
    with pytest.raises(InputError, match="returns: 1 of them are too few; at least 2 are needed"):
        window_moments(returns, np.array([1]), window=250, least=2)


@pytest.mark.parametrize("degrees", [1.3, 2.0, 4.0, 12.0])
def test_the_t_fit_reaches_scipys_maximum(degrees: float) -> None:
    returns = 0.01 * stats.t.rvs(degrees, size=800, random_state=4) + 0.0005
    parameters = StudentT().fit(returns, levels=LEVELS, days=1).parameters
    found = parameters["degrees_of_freedom"], parameters["location"], parameters["scale"]
    oracle = stats.t.fit(returns)
    assert stats.t.logpdf(returns, *found).sum() >= stats.t.logpdf(returns, *oracle).sum() - 1e-6
    # a polished maximum: no direction gains
    best = stats.t.logpdf(returns, *found).sum()
    for step in ((1e-3, 0, 0), (0, 1e-6, 0), (0, 0, 1e-6)):
        for sign in (1, -1):
            assert stats.t.logpdf(returns, *(np.array(found) + sign * np.array(step))).sum() <= best + 1e-8
    assert fit_t(-returns, skewed=False, method="t").log_likelihood == pytest.approx(best, rel=1e-12)


def test_the_skewed_t_fit_is_a_maximum_of_archs_likelihood() -> None:
    draws = -SkewedTLaw(5.0, 0.25).quantile(np.random.default_rng(5).random(1500))
    returns = 0.01 * draws + 0.0005
    parameters = SkewedT().fit(returns, levels=LEVELS, days=1).parameters
    degrees, skewness = parameters["degrees_of_freedom"], parameters["skewness"]
    assert degrees == pytest.approx(5.0, abs=1.5)
    assert skewness == pytest.approx(-0.25, abs=0.1)

    # the same law by its mean and deviation: of the standardised law, mode and scale are known
    mode, scale = SkewedTLaw(degrees, skewness).mode_and_scale()
    deviation = parameters["scale"] / scale
    mean = parameters["location"] - mode * deviation

    def likelihood(mean: float, deviation: float, degrees: float, skewness: float) -> float:
        each = SkewStudent().loglikelihood([degrees, skewness], returns - mean, np.full(1500, deviation**2), True)
        return float(np.sum(each))

    best = likelihood(mean, deviation, degrees, skewness)
    assert fit_t(-returns, skewed=True, method="t").log_likelihood == pytest.approx(best, rel=1e-12)
    for step in ((1e-5, 0, 0, 0), (0, 1e-5, 0, 0), (0, 0, 0.02, 0), (0, 0, 0, 0.005)):
        for sign in (1, -1):
            point = np.array([mean, deviation, degrees, skewness]) + sign * np.array(step)
            assert likelihood(*point) < best


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
@pytest.mark.parametrize("days", [1, 10])
def test_expected_shortfall_is_above_and_both_rise_with_the_level(method: Forecaster, days: int) -> None:
    told = told_at_the_end(method, 0.01 * stats.t.rvs(3, size=400, random_state=6), days=days)
    assert np.all(told.expected_shortfall > told.value_at_risk)
    assert np.all(np.diff(told.value_at_risk[:, 0]) > 0.0)
    assert np.all(np.diff(told.expected_shortfall[:, 0]) > 0.0)
    assert told.probability is not None
    for row, level in zip(told.value_at_risk, LEVELS, strict=True):
        assert told.probability(row)[0] == pytest.approx(level, abs=2e-5 if days > 1 else 1e-12)
    assert (told.value_at_risk_error is None) == (days == 1 or isinstance(method, Normal))


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_forecasts_scale_and_shift_with_the_returns(method: Forecaster) -> None:
    returns = 0.01 * stats.t.rvs(4, size=500, random_state=7)
    base = told_at_the_end(method, returns)
    percent = told_at_the_end(method, 100.0 * returns)
    assert percent.value_at_risk == pytest.approx(100.0 * base.value_at_risk, rel=1e-6)
    assert percent.expected_shortfall == pytest.approx(100.0 * base.expected_shortfall, rel=1e-5)
    if method.name != "normal_zero_mean":
        shifted = told_at_the_end(method, returns + 0.01)
        assert shifted.value_at_risk == pytest.approx(base.value_at_risk - 0.01, rel=1e-5)


@pytest.mark.parametrize(
    ("method", "draw"),
    [
        (Normal(), lambda u: stats.norm.ppf(u)),
        (StudentT(), lambda u: StudentTLaw(4.0).quantile(u)),
        (SkewedT(), lambda u: -SkewedTLaw(5.0, 0.2).quantile(u)),
    ],
    ids=["normal", "student_t", "skewed_t"],
)
def test_nominal_coverage_on_data_of_their_own_law(method: Forecaster, draw) -> None:  # type: ignore[no-untyped-def]
    returns = 0.01 * draw(np.random.default_rng(8).random(60_000))
    past, future = returns[:40_000], returns[40_000:]
    told = told_at_the_end(method, past)
    for value, shortfall, level in zip(told.value_at_risk, told.expected_shortfall, LEVELS, strict=True):
        beyond = -future[-future > value[0]]
        assert within_binomial(len(beyond), len(future), 1.0 - level)
        assert abs(beyond.mean() - shortfall[0]) < 3.0 * beyond.std(ddof=1) / math.sqrt(len(beyond))


def test_nothing_after_a_day_changes_its_forecast() -> None:
    returns = 0.01 * np.random.default_rng(9).standard_normal(200)
    other = returns.copy()
    other[150:] *= -7.0
    ends = np.arange(100, 151)
    for window in (50, None):
        first, second = (
            Normal().fit(x[:100], levels=LEVELS, days=1).predict(x, ends, window=window) for x in (returns, other)
        )
        assert np.array_equal(first.value_at_risk, second.value_at_risk)


def test_estimates_at_the_ends_of_their_range_are_reported() -> None:
    even = stats.uniform.ppf((np.arange(300) + 0.5) / 300) - 0.5  # no tails at all
    fit = StudentT().fit(even, levels=LEVELS, days=1)
    assert fit.notes == ("degrees of freedom are at their upper bound 1000; the tails are those of a normal",)
    assert fit.parameters["degrees_of_freedom"] == pytest.approx(1000.0)
    wild = stats.t.ppf((np.arange(300) + 0.5) / 300, 0.5)
    assert "degrees of freedom are at their lower bound 1.05" in StudentT().fit(wild, levels=LEVELS, days=1).notes[0]
    one_sided = -stats.expon.ppf((np.arange(500) + 0.5) / 500)
    assert SkewedT().fit(one_sided, levels=LEVELS, days=1).notes[-1] == "skewness is at its bound, -0.95"


def test_infinite_variance_has_a_forecast() -> None:
    returns = 0.01 * stats.t.ppf((np.arange(2000) + 0.5) / 2000, 1.8)
    fit = StudentT().fit(returns, levels=(0.99,), days=1)
    assert fit.parameters["degrees_of_freedom"] == pytest.approx(1.8, abs=0.05)
    told = fit.predict(returns, np.array([2000]), window=None)
    assert told.value_at_risk[0, 0] == pytest.approx(0.01 * stats.t.ppf(0.99, 1.8), rel=0.03)
    assert told.expected_shortfall[0, 0] == pytest.approx(0.01 * StudentTLaw(1.8, False).shortfall(0.99), rel=0.06)


@pytest.mark.parametrize("method", [StudentT(), SkewedT()], ids=lambda method: method.name)
def test_returns_that_are_mostly_equal_have_no_fit(method: Forecaster) -> None:
    returns = np.zeros(200)
    returns[:40] = 0.01 * np.random.default_rng(10).standard_normal(40)
    with pytest.raises(InputError, match=rf"{method.name}: the likelihood of 200 returns has no maximum .*160 of them"):
        method.fit(returns, levels=LEVELS, days=1)


def test_equal_returns_in_one_window_are_forecast_as_they_are() -> None:
    returns = np.concatenate([0.01 * np.random.default_rng(11).standard_normal(50), np.full(60, 0.25)])
    told = Normal().fit(returns, levels=LEVELS, days=1).predict(returns, np.array([110]), window=50)
    assert told.value_at_risk[:, 0].tolist() == told.expected_shortfall[:, 0].tolist() == [-0.25] * 4
    assert told.probability is not None
    assert told.probability(np.array([0.0])).tolist() == [1.0]


def test_names_settings_and_horizons() -> None:
    for method in METHODS:
        again = forecaster(method.record())
        assert again == method
        assert method.horizon_rule(1) == "one day ahead"
        with pytest.raises(InputError, match="days: 0 is not an integer >= 1"):
            method.horizon_rule(0)
        with pytest.raises(InputError, match=f"{method.name.removesuffix('_zero_mean')}.*too few"):
            method.fit(np.array([0.01]), levels=LEVELS, days=1)
    assert [method.name for method in METHODS] == ["normal", "normal_zero_mean", "student_t", "skewed_t"]
    assert StudentT(paths=1000, seed=2).name == "student_t_1000_paths_seed_2"
    assert Normal().horizon_rule(10) == "sum of independent normals"
    assert StudentT().horizon_rule(10) == SkewedT().horizon_rule(10) == "simulated sum of independent days"
    with pytest.raises(InputError, match="mean: 'median' is not one of sample, zero"):
        Normal(mean="median")
    with pytest.raises(InputError, match="paths: 0 is not an integer >= 1"):
        SkewedT(paths=0)
