"""The generalised Pareto tail: the Danish fire losses, scipy's fits, moments, coverage, and the laws built of it."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad
from scipy.optimize import brentq

from riskops.errors import InputError
from riskops.history.forecasts.base import Floats
from riskops.history.forecasts.pareto import ParetoFit, fit_pareto
from riskops.history.forecasts.pareto_intervals import tail_intervals
from riskops.history.forecasts.pareto_tail import ParetoTail, fit_pareto_tail

# The 109 of 2,167 Danish fire losses (Copenhagen Re, 1980-1990; millions of kroner of 1985) above 10 million: the data
# of McNeil (1997), Estimating the tails of loss severity distributions using extreme value theory, ASTIN Bulletin 27.
DANISH = """
10.011123 10.072303 10.137172 10.178024 10.184818 10.204082 10.222805 10.27001 10.5 10.584251 10.7 10.820452
10.8252 10.99835 11.123471 11.131725 11.374817 11.431591 11.595547 11.623037 11.685013 11.713031 11.801242
11.890606 12.054002 12.059369 12.225 12.376238 12.465593 12.523191 12.536162 12.631813 12.701101 12.801863
12.895151 13.20132 13.348165 13.5 13.620791 13.623037 14.013548 14.122076 14.239 14.293194 14.3 14.394581
14.394581 14.678899 14.851485 15.284653 15.811518 15.882875 15.926278 16.088061 16.3 16.415262 16.441659
16.883117 17.068467 17.569546 17.739274 17.743491 18.322083 18.424135 18.552876 18.628281 18.646484 18.848168
19.070278 19.162304 19.265677 19.4 19.472914 20.049941 20.452529 20.826733 20.863675 20.969856 21.961933
22.137567 22.258226 23.283859 24.555461 24.578527 24.970273 25.288376 25.95386 26.214641 27.262595 27.338066
27.829314 28.630363 29.026037 29.037106 31.055901 32.387807 32.467532 34.141547 38.154392 42.091448 46.5
47.019521 50.065531 56.225426 57.410636 65.707491 144.657591 152.413209 263.250366
"""


def danish() -> Floats:
    """Losses with the Danish tail; below it only their number matters."""
    tail = np.array(DANISH.split(), np.float64)
    return np.concatenate([np.linspace(1.0, 10.0, 2167 - len(tail)), tail])


def pareto(shape: float, n: int, seed: int) -> Floats:
    return np.asarray(stats.genpareto.rvs(shape, size=n, random_state=np.random.default_rng(seed)))


def test_danish_fire_losses() -> None:
    # evir's published fit above 10: shape 0.497 (0.136), scale 6.98 (1.11); VaR 27.28 and, fully converged, ES 58.24.
    fit = fit_pareto(danish(), threshold=10.0)
    assert (fit.observations, fit.exceedances) == (2167, 109)
    assert fit.shape == pytest.approx(0.497, abs=5e-4)
    assert fit.shape_error == pytest.approx(0.136, abs=5e-4)
    assert fit.scale == pytest.approx(6.98, abs=5e-3)
    assert fit.scale_error == pytest.approx(1.11, abs=5e-3)
    assert fit.value_at_risk(0.99) == pytest.approx(27.28, abs=0.015)
    assert fit.expected_shortfall(0.99) == pytest.approx(58.24, abs=5e-3)


def test_moments_are_hosking_and_wallis_with_the_plotting_positions_of_evir() -> None:
    fit = fit_pareto(danish(), threshold=10.0, estimator="moments")
    y = np.sort(fit.excesses)
    a0 = y.mean()
    a1 = (y * (1.0 - (np.arange(1, 110) - 0.35) / 109)).mean()
    assert fit.shape == pytest.approx(2.0 - a0 / (a0 - 2.0 * a1), rel=1e-12)
    assert fit.scale == pytest.approx(2.0 * a0 * a1 / (a0 - 2.0 * a1), rel=1e-12)
    assert math.isnan(fit.shape_error)  # not below one half
    # Hosking and Wallis (1987), equation 9 at shape 0: n var = 4/3 of the shape, 7/3 of the scale
    light = fit_pareto(pareto(0.0, 20_000, 1), threshold=0.0, estimator="moments")
    assert light.shape_error == pytest.approx(math.sqrt(4.0 / 3.0 / 20_000), rel=0.05)
    assert light.scale_error == pytest.approx(math.sqrt(7.0 / 3.0 / 20_000), rel=0.05)
    assert abs(light.shape) < 3.0 * light.shape_error


@pytest.mark.parametrize("shape", [-0.3, -1e-7, 0.0, 0.2, 1.5])
@pytest.mark.parametrize("n", [25, 400])
def test_no_other_fit_is_likelier_than_the_fit(shape: float, n: int) -> None:
    sample = pareto(shape, n, seed=int(10 * abs(shape)) + n)
    fit = fit_pareto(1e-3 * sample, threshold=0.0)
    theirs = stats.genpareto.fit(1e-3 * sample, floc=0.0)
    ours = stats.genpareto.logpdf(1e-3 * sample, fit.shape, 0.0, fit.scale).sum()
    assert fit.log_likelihood == pytest.approx(ours, abs=1e-9 * n)
    assert fit.log_likelihood >= stats.genpareto.logpdf(1e-3 * sample, *theirs).sum() - 1e-9
    # scipy's simplex stops at 1e-4 of the parameters
    assert (fit.shape, fit.scale) == pytest.approx((theirs[0], theirs[2]), rel=2e-2, abs=2e-4)
    # a maximum to the last digits: the gradient vanishes against the errors, which are those of the second differences
    if fit.shape > -0.45:
        assert_gradient_and_errors(fit)


def assert_gradient_and_errors(fit: ParetoFit) -> None:
    def height(shape: float, scale: float) -> float:
        return float(stats.genpareto.logpdf(fit.excesses / fit.scale, shape, 0.0, scale).sum())

    h = 1e-4
    up, down = height(fit.shape + h, 1.0), height(fit.shape - h, 1.0)
    high, low, top = height(fit.shape, 1.0 + h), height(fit.shape, 1.0 - h), height(fit.shape, 1.0)
    mixed = height(fit.shape + h, 1 + h) - height(fit.shape + h, 1 - h) - height(fit.shape - h, 1 + h)
    mixed = (mixed + height(fit.shape - h, 1 - h)) / (4 * h * h)
    hessian = np.array([[up + down - 2 * top, 0.0], [0.0, high + low - 2 * top]]) / (h * h) + mixed * (1 - np.eye(2))
    errors = np.sqrt(np.diagonal(np.linalg.inv(-hessian)))
    assert (fit.shape_error, fit.scale_error / fit.scale) == pytest.approx(tuple(errors), rel=1e-3)
    assert abs(up - down) / (2 * h) * fit.shape_error < 1e-4
    assert abs(high - low) / (2 * h) * errors[1] < 1e-4


def test_the_exponential_distribution_is_an_ordinary_point() -> None:
    # the slope of the profile at shape zero is half the second moment of the excesses less the square of the first
    base = np.arange(1.0, 60.0) ** 3

    def slope(shift: float) -> float:
        return float(((base + shift) ** 2).mean() / 2.0 - (base + shift).mean() ** 2)

    y = base + brentq(slope, 0.0, 60.0**3, xtol=1e-12)
    fit = fit_pareto(y, threshold=0.0)
    assert fit.shape == pytest.approx(0.0, abs=1e-9)
    assert fit.scale == pytest.approx(y.mean(), rel=1e-9)
    n = len(y)  # the observed information of the exponential: n, and the sum of 2/3 z^3 - z^2
    z = y / y.mean()
    information = np.array([[(2.0 * z**3 / 3.0 - z**2).sum(), (z**2 - z).sum()], [(z**2 - z).sum(), n]])
    assert fit.shape_error == pytest.approx(math.sqrt(np.linalg.inv(information)[0, 0]), rel=1e-6)


def test_a_threshold_is_exceeded_strictly() -> None:
    losses = np.concatenate([np.zeros(50), np.full(7, 1.0), pareto(0.1, 30, 3) + 1.0])
    assert fit_pareto(losses, threshold=1.0).exceedances == 30
    assert fit_pareto(losses, exceedances=30).threshold == 1.0
    assert fit_pareto(losses, exceedances=33).exceedances == 30  # the three that equal it are not above


@pytest.mark.parametrize("shape", [-0.3, 0.0, 1e-9, 0.3, 0.8])
def test_shortfall_is_the_average_of_the_quantiles(shape: float) -> None:
    fit = made(shape)
    for level in (0.95, 0.99, 0.999):

        def log_mass(s: float, level: float = level) -> float:
            mass = (1.0 - level) * math.exp(-s)
            return fit.value_at_risk_of(mass) * math.exp(-s)

        average = quad(log_mass, 0.0, 200.0, limit=500)[0]
        assert fit.expected_shortfall(level) == pytest.approx(average, rel=1e-6)


class Made(ParetoFit):
    """A tail with given parameters."""

    def value_at_risk_of(self, mass: float) -> float:
        share = mass * self.observations / self.exceedances
        return float(self.threshold + self.scale * stats.genpareto.isf(share, self.shape))


def made(shape: float) -> Made:
    nan = math.nan
    return Made(2.0, 1000, 100, shape, 0.5, nan, nan, nan, "likelihood", np.zeros(100))


def test_levels_below_the_threshold_and_infinite_shortfalls_are_refused() -> None:
    fit = fit_pareto(danish(), threshold=10.0)
    with pytest.raises(InputError, match=r"level: 0.9 lies below the threshold, above which are 109 of 2167 losses"):
        fit.value_at_risk(0.9)
    assert made(0.2).value_at_risk(0.9) == 2.0  # exactly a tenth is above
    assert made(1.2).value_at_risk(0.99) > 2.0
    with pytest.raises(
        InputError, match=r"shape: 1.2 of the fitted tail is not below 1, so its expected shortfall is inf"
    ):
        made(1.2).expected_shortfall(0.99)


def test_refusals() -> None:
    y = pareto(0.2, 100, 4)
    with pytest.raises(InputError, match=r"threshold: 3 of 100 losses are above .*, and a tail needs 10"):
        fit_pareto(y, threshold=float(np.sort(y)[-4]))
    with pytest.raises(InputError, match=r"threshold: all 20 losses above 0 are equal"):
        fit_pareto(np.ones(20), threshold=-0.0)
    with pytest.raises(InputError, match=r"threshold: the likelihood of the 50 excesses has no maximum"):
        fit_pareto(1.0 - (np.arange(50.0) / 60.0) ** 3, threshold=0.0)
    with pytest.raises(InputError, match="give either the threshold or the number"):
        fit_pareto(y)
    with pytest.raises(InputError, match=r"losses: .*nan.* at index \(3,\) is not finite"):
        fit_pareto(np.where(np.arange(100) == 3, np.nan, y), threshold=0.0)
    with pytest.raises(InputError, match="estimator: 'bayes' is not one of likelihood, moments"):
        fit_pareto(y, threshold=0.0, estimator="bayes")


def test_intervals_of_the_danish_losses() -> None:
    # evir's gpd.q draws the same profile: about 23.3 to 33.2 at 0.99; held here to the definition on a grid
    fit = fit_pareto(danish(), threshold=10.0)
    found = tail_intervals(fit, level=0.99)
    drop = stats.chi2.ppf(0.95, 1) / 2.0
    shapes = np.linspace(-0.2, 1.5, 200)  # none is zero
    share = 2167 * 0.01 / 109
    for end in found.value_at_risk:
        scales = (end - 10.0) * shapes / (share**-shapes - 1.0)
        best = max(
            stats.genpareto.logpdf(fit.excesses, shape, 0.0, scale).sum()
            for shape, scale in zip(shapes, scales, strict=True)
        )
        assert best == pytest.approx(fit.log_likelihood - drop, abs=1e-3)
    assert found.value_at_risk == pytest.approx((23.28, 33.21), abs=0.01)
    low, high = found.expected_shortfall
    assert low < fit.expected_shortfall(0.99) < high


def test_intervals_cover() -> None:
    level, shape = 0.99, 0.2
    truth = float(stats.genpareto.ppf(level, shape))
    mean = (truth + 1.0) / (1.0 - shape)
    hits = np.zeros(2)
    for seed in range(40):
        fit = fit_pareto(pareto(shape, 100, seed), threshold=-1e-12)
        ends = tail_intervals(fit, level=level, confidence=0.9)
        hits += [ends[0][0] <= truth <= ends[0][1], ends[1][0] <= mean <= ends[1][1]]
    # within the 99.8 % range of a binomial with 40 trials of 0.9
    assert (stats.binom.ppf(0.001, 40, 0.9) <= hits).all()
    assert (hits <= stats.binom.ppf(0.999, 40, 0.9)).all()


def test_an_upper_end_may_be_infinite() -> None:
    fit = fit_pareto(pareto(0.7, 30, 7), threshold=0.0)
    assert fit.shape < 1.0
    ends = tail_intervals(fit, level=0.99)
    assert math.isinf(ends.expected_shortfall[1])
    assert math.isfinite(ends.value_at_risk[1])


def test_intervals_refuse_other_fits() -> None:
    with pytest.raises(InputError, match="not by moments"):
        tail_intervals(fit_pareto(danish(), threshold=10.0, estimator="moments"))
    with pytest.raises(InputError, match=r"0.9 is that of the threshold itself"):
        tail_intervals(made(0.2), level=0.9)


@pytest.fixture(scope="module")
def law() -> ParetoTail:
    losses = np.random.default_rng(8).standard_t(4.0, 1000)
    return fit_pareto_tail(losses, both=True)


def test_a_law_is_the_sample_between_its_tails(law: ParetoTail) -> None:
    inside = np.array([0.1, 0.101, 0.5, 0.7, 0.8999, 0.9])
    ranks = [100, 101, 500, 700, 900, 900]
    assert law.lower is not None
    assert law.quantile(inside)[1:] == pytest.approx(law.losses[np.array(ranks) - 1][1:], abs=0.0)
    assert law.quantile(inside)[0] == pytest.approx(-law.lower.threshold, rel=1e-12)
    beyond = np.array([0.95, 0.99, 0.999])
    assert law.quantile(beyond) == pytest.approx([law.upper.value_at_risk(level) for level in beyond], rel=1e-12)
    gains = [-law.lower.value_at_risk(level) for level in beyond]
    assert law.quantile(np.array([0.05, 0.01, 0.001])) == pytest.approx(gains, rel=1e-9)
    assert law.quantile(np.array(0.5)).shape == ()


@pytest.mark.parametrize("level", [0.003, 0.1, 0.33, 0.8995, 0.95])
def test_its_shortfall_is_the_average_of_its_quantiles(law: ParetoTail, level: float) -> None:
    # the middle of 400,000 equal parts of the mass beyond the level
    masses = (1.0 - level) * (np.arange(400_000) + 0.5) / 400_000
    assert law.shortfall(level) == pytest.approx(law.quantile(1.0 - masses).mean(), rel=1e-3)


def test_its_probability_inverts_its_tails(law: ParetoTail) -> None:
    p = np.array([1e-4, 0.02, 0.099, 0.901, 0.98, 1.0 - 1e-6])
    assert law.probability(law.quantile(p)) == pytest.approx(p, rel=1e-9)
    grid = np.linspace(-30.0, 30.0, 6001)
    ranks = law.probability(grid)
    assert (np.diff(ranks) >= 0.0).all()
    fresh = np.random.default_rng(9).standard_t(4.0, 4000)
    assert stats.kstest(law.probability(fresh), "uniform").pvalue > 1e-3


def test_without_a_lower_tail_the_sample_ends_the_law() -> None:
    losses = np.random.default_rng(8).standard_t(4.0, 300)
    law = fit_pareto_tail(losses)
    assert law.lower is None
    assert law.quantile(np.array([1e-9]))[0] == losses.min()


def test_a_fit_is_quick() -> None:
    losses = np.random.default_rng(2).standard_t(4.0, 1000)
    fit_pareto_tail(losses)
    start = time.process_time()
    for _ in range(50):
        fit_pareto_tail(losses)
    assert (time.process_time() - start) / 50 < 4e-3  # half a millisecond on an idle core
