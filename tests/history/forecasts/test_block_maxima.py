"""Block maxima: scipy's likelihoods, quadrature, known extremal indices, and nominal coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from riskops.errors import InputError
from riskops.history.forecasts.base import Floats
from riskops.history.forecasts.block_maxima import BlockMaxima, MaximaLaw, maxima_of_blocks
from riskops.history.forecasts.extremal_index import blocks_extremal_index, extremal_index
from riskops.history.forecasts.extreme_value import ExtremeValueFit, fit_extreme_value
from riskops.history.forecasts.registry import forecaster

LEVELS = (0.95, 0.99, 0.997)


def maxima(shape: float, n: int, seed: int) -> Floats:
    # scipy's shape has the other sign
    return np.asarray(stats.genextreme.rvs(-shape, size=n, random_state=np.random.default_rng(seed)))


def made(shape: float) -> ExtremeValueFit:
    return ExtremeValueFit(50, 0.02, 0.01, shape, math.nan, np.eye(3))


@pytest.mark.parametrize("shape", [-0.1, -1e-6, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("n", [30, 400])
def test_no_other_fit_is_likelier_than_the_fit(shape: float, n: int) -> None:
    sample = 0.03 + 0.01 * maxima(shape, n, seed=n + int(10 * shape))
    fit = fit_extreme_value(sample)

    def height(location: float, scale: float, shape: float) -> float:
        return float(stats.genextreme.logpdf(sample, -shape, location, scale).sum())

    found = (fit.location, fit.scale, fit.shape)
    theirs = stats.genextreme.fit(sample, -fit.shape, loc=fit.location, scale=fit.scale)
    assert fit.log_likelihood == pytest.approx(height(*found), abs=1e-9 * n)
    assert fit.log_likelihood >= height(theirs[1], theirs[2], -theirs[0]) - 1e-9
    # the derivatives vanish against the errors, and the errors are those of the second differences
    steps = np.diag([1e-4 * fit.scale, 1e-4 * fit.scale, 1e-4])
    slope = [(height(*(found + s)) - height(*(found - s))) / 2e-4 for s in steps]
    hessian = np.array(
        [
            [height(*(found + a + b)) - height(*(found + a - b)) - height(*(found - a + b)) + height(*(found - a - b))
             for b in steps]
            for a in steps
        ]
    ) / 4e-8  # fmt: skip
    errors = np.sqrt(np.diagonal(np.linalg.inv(-hessian)))
    units = np.array([fit.scale, fit.scale, 1.0])
    assert np.array(fit.standard_errors) / units == pytest.approx(errors, rel=1e-3)
    assert np.abs(np.array(slope) * errors).max() < 1e-4


def test_standard_errors_are_those_of_the_spread_of_the_fits() -> None:
    fits = [fit_extreme_value(maxima(0.2, 300, seed)) for seed in range(150)]
    estimates = np.array([[f.location, f.scale, f.shape] for f in fits])
    errors = np.array([f.standard_errors for f in fits]).mean(axis=0)
    assert estimates.std(axis=0) == pytest.approx(errors, rel=0.2)
    assert estimates.mean(axis=0) == pytest.approx([0.0, 1.0, 0.2], abs=4.0 * errors.max() / math.sqrt(150))


@pytest.mark.parametrize("shape", [-0.3, 0.0, 1e-5, 0.3])
def test_return_levels(shape: float) -> None:
    fit = made(shape)
    level, error = fit.return_level(20.0)
    assert level == pytest.approx(stats.genextreme.isf(1.0 / 20.0, -shape, 0.02, 0.01), rel=1e-10)
    assert fit.probability(np.array(level)) == pytest.approx(0.95, rel=1e-12)
    h = 1e-4

    def at(location: float, scale: float, shape: float) -> float:
        return float(stats.genextreme.isf(0.05, -shape, location, scale))

    gradient = [
        1.0,
        (at(0.02, 0.01 + h, shape) - at(0.02, 0.01 - h, shape)) / (2 * h),
        (at(0.02, 0.01, shape + h) - at(0.02, 0.01, shape - h)) / (2 * h),
    ]
    assert error == pytest.approx(math.hypot(*gradient), rel=1e-6)
    with pytest.raises(InputError, match=r"blocks: 1.0 is not above 1"):
        fit.return_level(1.0)


@pytest.mark.parametrize("shape", [-0.4, -0.0011, -0.0009, 0.0, 0.0009, 0.0011, 0.3, 0.8])
@pytest.mark.parametrize("level", [0.9, 0.99])
def test_shortfall_is_the_average_of_the_quantiles(shape: float, level: float) -> None:
    law = MaximaLaw(made(shape), 21 * 0.7)

    def quantile(rate: float) -> float:
        return float(law.maxima.quantile_of_rate(np.array(law.power * rate))) * math.exp(-rate)

    average = quad(quantile, 0.0, -math.log(level), epsabs=1e-14, epsrel=1e-12, limit=500)[0] / (1.0 - level)
    assert law.shortfall(level) == pytest.approx(average, rel=1e-9)
    assert law.probability(law.quantile(np.array(level))) == pytest.approx(level, rel=1e-12)


def test_the_quantile_of_one_loss_from_the_maxima_of_many() -> None:
    # the parent of exact Frechet maxima: F^(m theta) = H
    law = MaximaLaw(made(0.25), 21 * 0.5)
    x = float(law.quantile(np.array(0.99)))
    assert stats.genextreme.cdf(x, -0.25, 0.02, 0.01) == pytest.approx(0.99 ** (21 * 0.5), rel=1e-12)


def test_blocks_are_counted_from_the_last_day() -> None:
    assert maxima_of_blocks(np.arange(10.0), 4).tolist() == [5.0, 9.0]


def test_extremal_indices_that_are_known() -> None:
    rng = np.random.default_rng(1)
    noise = rng.standard_exponential(40_000)
    assert extremal_index(noise, fraction=0.02) == pytest.approx(1.0, abs=0.07)
    assert extremal_index(np.maximum(noise[1:], noise[:-1]), fraction=0.02) == pytest.approx(0.5, abs=0.04)
    # the maximum autoregression of Davis and Resnick with unit Frechet noise: 1 - 0.7
    series = np.empty(40_000)
    series[0], shocks = 1.0 / noise[0], 1.0 / noise
    for day in range(1, len(series)):
        series[day] = max(0.7 * series[day - 1], 0.3 * shocks[day])
    assert extremal_index(series, fraction=0.02) == pytest.approx(0.3, abs=0.04)
    assert blocks_extremal_index(series, block=100) == pytest.approx(0.3, abs=0.06)
    assert blocks_extremal_index(noise, block=21) == pytest.approx(1.0, abs=0.04)
    # by hand: of the maxima 1, 2, ..., 10 five exceed 5, with 8 of the 40 losses
    losses = np.zeros(40)
    losses[3::4] = np.arange(1.0, 11.0)
    losses[36:39] = 9.0
    assert blocks_extremal_index(losses, block=4) == pytest.approx(np.log(0.5) / (4.0 * np.log(1.0 - 8.0 / 40.0)))
    # no time above two: the first form of the estimator, all times 1 and 2
    losses = np.zeros(100)
    losses[40:50] = np.arange(1.0, 11.0)
    assert extremal_index(losses, fraction=0.1) == 1.0
    with pytest.raises(InputError, match=r"extremal_index: 9 of 90 losses are too few"):
        extremal_index(np.arange(90.0))


@pytest.mark.parametrize("days", [1, 10])
def test_coverage(days: int) -> None:
    rng = np.random.default_rng(2)
    method = BlockMaxima()
    sums = np.sort(-0.01 * rng.standard_t(4.0, (200_000, days)).sum(axis=1))
    breached, trials = np.zeros(3), 60
    for _ in range(trials):
        sample = 0.01 * rng.standard_t(4.0, 1000)
        fit = method.fit(sample, levels=LEVELS, days=days)
        found = fit.predict(sample, np.array([1000]), window=None)
        assert (found.expected_shortfall > found.value_at_risk).all()
        breached += 1.0 - np.searchsorted(sums, found.value_at_risk[:, 0]) / len(sums)
    expected = 1.0 - np.array(LEVELS)
    # one day: the block is long enough; ten days: blocks of two sums are short, and the forecast errs by up to a fifth
    slack = (0.1 if days == 1 else 0.2) * expected
    assert (np.abs(breached / trials - expected) < slack + 4.0 * np.sqrt(expected * days / 1000 / trials)).all()


def test_the_extremal_index_of_one_day_may_be_given_or_estimated() -> None:
    sample = 0.01 * np.random.default_rng(3).standard_t(4.0, 1000)
    half = BlockMaxima(extremal_index=0.5).fit(sample, levels=LEVELS, days=1)
    whole = BlockMaxima(extremal_index=1.0).fit(sample, levels=LEVELS, days=1)
    assert half.parameters["shape"] == whole.parameters["shape"]
    assert half.law.power == 10.5
    estimated = BlockMaxima(extremal_index="intervals").fit(sample, levels=LEVELS, days=1)
    assert estimated.parameters["extremal_index"] == extremal_index(-sample)
    default = BlockMaxima().fit(sample, levels=LEVELS, days=1)
    assert default.parameters["extremal_index"] == blocks_extremal_index(-sample, block=21)


def test_clustered_losses_need_their_extremal_index() -> None:
    # volatility that runs in months: without the index the value at risk is too low, with it near the sample's own
    rng = np.random.default_rng(5)
    volatility = np.repeat(np.exp(0.5 * rng.standard_normal(400)), 20)
    sample = 0.01 * volatility * rng.standard_normal(8000)
    truth = np.sort(-sample)[[7599, 7919]]
    one = BlockMaxima(extremal_index=1.0).fit(sample, levels=(0.95, 0.99), days=1).law.quantile(np.array([0.95, 0.99]))
    own = BlockMaxima().fit(sample, levels=(0.95, 0.99), days=1).law.quantile(np.array([0.95, 0.99]))
    assert (one < 0.95 * truth).all()
    assert own == pytest.approx(truth, rel=0.06)


def test_horizons() -> None:
    assert BlockMaxima().horizon_rule(1) == "fitted maxima"
    assert BlockMaxima().horizon_rule(10) == "maxima of overlapping windows, with their extremal index"
    with pytest.raises(
        InputError, match=r"block: 21 days hold fewer than two separate sums of 11 days; use at least 22"
    ):
        BlockMaxima().horizon_rule(11)
    with pytest.raises(InputError, match=r"extremal_index: 0.5 is that of one-day losses; over 5 days"):
        BlockMaxima(extremal_index=0.5).horizon_rule(5)


def test_refusals() -> None:
    with pytest.raises(InputError, match="maxima: 9 block maxima are too few; at least 10 are needed"):
        fit_extreme_value(np.arange(9.0))
    with pytest.raises(InputError, match="maxima: all 12 block maxima are equal"):
        fit_extreme_value(np.ones(12))
    with pytest.raises(InputError, match="has no maximum at a shape above -1"):
        fit_extreme_value(1.0 - (np.arange(30.0) / 30.0) ** 4)
    sample = -stats.genpareto.rvs(1.8, size=500, random_state=np.random.default_rng(4))
    with pytest.raises(InputError, match="of the maxima is not below 1, so the expected shortfall is infinite"):
        BlockMaxima().fit(sample, levels=LEVELS, days=1)
    with pytest.raises(InputError, match="block_maxima: 209 returns are too few; at least 210 are needed"):
        BlockMaxima().fit(sample[:209], levels=LEVELS, days=1)
    for settings in ({"block": 1}, {"extremal_index": 0.0}, {"extremal_index": 1.5}, {"extremal_index": "runs"}):
        with pytest.raises(InputError, match=next(iter(settings))):
            BlockMaxima(**settings)  # type: ignore[arg-type]


def test_names_and_records_make_the_same_forecaster() -> None:
    for method, name in (
        (BlockMaxima(), "block_maxima"),
        (BlockMaxima(block=63, extremal_index="intervals"), "block_maxima_63_intervals"),
        (BlockMaxima(extremal_index=0.8), "block_maxima_extremal_index_0.8"),
    ):
        assert method.name == name
        assert forecaster(method.record()) == method
