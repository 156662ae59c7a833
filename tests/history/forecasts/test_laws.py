"""Laws of losses: published values, other libraries, quadrature, and what they refuse."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from arch.univariate import SkewStudent
from scipy import stats
from scipy.integrate import quad

from riskops.errors import InputError
from riskops.history.forecasts.base import Law, located
from riskops.history.forecasts.laws import EmpiricalLaw, NormalLaw, SkewedTLaw, StudentTLaw
from riskops.reductions import order_index, quantile_and_shortfall

PROBABILITIES = np.array([1e-6, 1e-3, 0.05, 0.3, 0.45, 0.5, 0.55, 0.8, 0.95, 0.975, 0.99, 0.997, 0.9999])
LAWS = (
    NormalLaw(),
    StudentTLaw(4.0),
    StudentTLaw(1.2, unit_variance=False),
    SkewedTLaw(5.0, 0.3),
    SkewedTLaw(8.0, -0.6),
    SkewedTLaw(1.5, 0.4, unit_variance=False),
)


def test_published_values_of_the_normal_and_the_t() -> None:
    # McNeil, Frey and Embrechts (2005), Example 2.19: 10,000 at 20 % a year over 250 days, t(4) of the same variance.
    # The row ES_t4 is the closed form of their section 2.2.4.
    scale = 10_000 * 0.2 / math.sqrt(250)
    levels = (0.9, 0.95, 0.975, 0.99, 0.995)
    published: tuple[tuple[Law, list[float], list[float]], ...] = (
        (NormalLaw(), [162.1, 208.1, 247.9, 294.3, 325.8], [222.0, 260.9, 295.7, 337.1, 365.8]),
        (StudentTLaw(4.0), [137.1, 190.7, 248.3, 335.1, 411.8], [223.5, 286.5, 357.2, 466.9, 565.7]),
    )
    for law, value_at_risk, shortfall in published:
        told = located(law, np.zeros(1), np.full(1, scale), levels=levels)
        assert told.value_at_risk[:, 0] == pytest.approx(value_at_risk, abs=0.06)
        assert told.expected_shortfall[:, 0] == pytest.approx(shortfall, abs=0.06)


@pytest.mark.parametrize("degrees", [1.05, 2.5, 4.0, 30.0, 1e4, 1e7])
def test_the_t_is_that_of_scipy(degrees: float) -> None:
    law, oracle = StudentTLaw(degrees, unit_variance=False), stats.t(degrees)
    assert law.quantile(PROBABILITIES) == pytest.approx(oracle.ppf(PROBABILITIES), rel=1e-12, abs=1e-12)
    assert law.probability(law.quantile(PROBABILITIES)) == pytest.approx(PROBABILITIES, rel=1e-10)
    for level in (0.3, 0.975, 0.997):
        at = oracle.ppf(level)
        closed = oracle.pdf(at) / (1.0 - level) * (degrees + at * at) / (degrees - 1.0)
        assert law.shortfall(level) == pytest.approx(closed, rel=1e-11)


@pytest.mark.parametrize("degrees", [2.1, 5.0, 80.0])
@pytest.mark.parametrize("skewness", [-0.6, 0.0, 0.15])
def test_the_skewed_t_is_that_of_arch_turned_to_losses(degrees: float, skewness: float) -> None:
    law, oracle = SkewedTLaw(degrees, skewness), SkewStudent()
    returns_skewness = -skewness
    of_returns = oracle.ppf(1.0 - PROBABILITIES, [degrees, returns_skewness])
    assert law.quantile(PROBABILITIES) == pytest.approx(-of_returns, rel=1e-8, abs=1e-10)
    losses = np.linspace(-4.0, 6.0, 23)
    assert law.probability(losses) == pytest.approx(1.0 - oracle.cdf(-losses, [degrees, returns_skewness]), abs=1e-13)
    # above zero, the large losses are the long tail
    long, short = float(law.quantile(np.array(0.99))), -float(law.quantile(np.array(0.01)))
    assert np.sign(round(long - short, 9)) == np.sign(skewness)


def above(law: Law, loss: float) -> float:
    """The probability of a larger loss, to full precision: that of the law turned round."""
    turned = replace(law, skewness=-law.skewness) if isinstance(law, SkewedTLaw) else law
    return float(turned.probability(np.array(-loss)))


@pytest.mark.parametrize("law", LAWS, ids=repr)
def test_the_shortfall_is_the_average_of_the_quantile_function(law: Law) -> None:
    for level in (0.02, 0.4, 0.95, 0.99, 0.997):
        value = float(law.quantile(np.array(level)))
        far = max(value, 0.0) + 10.0
        near = quad(lambda x: above(law, x), value, far, epsabs=1e-13, epsrel=1e-11, limit=300)[0]
        tail = quad(lambda t, far=far: above(law, far * math.exp(t)) * far * math.exp(t), 0.0, 130.0, epsabs=1e-13)[0]
        assert law.shortfall(level) == pytest.approx(value + (near + tail) / (1.0 - level), rel=1e-9)


@pytest.mark.parametrize(
    "law", [*LAWS, EmpiricalLaw(np.random.default_rng(1).standard_t(4, 500))], ids=lambda x: type(x).__name__
)
def test_a_quantile_rises_with_the_level_and_a_shortfall_is_above_it(law: Law) -> None:
    levels = np.linspace(0.001, 0.999, 97).round(3)
    quantile = law.quantile(levels)
    shortfall = np.array([law.shortfall(float(level)) for level in levels])
    assert np.all(np.diff(quantile) >= 0.0)
    assert np.all(np.diff(shortfall) >= 0.0)
    assert np.all(shortfall >= quantile)


def test_a_law_of_unit_variance_has_mean_zero_and_variance_one() -> None:
    for law in (StudentTLaw(5.0), SkewedTLaw(5.0, -0.4), SkewedTLaw(20.0, 0.8)):
        u = (np.arange(400_000) + 0.5) / 400_000
        draws = law.quantile(u)
        assert draws.mean() == pytest.approx(0.0, abs=1e-4)
        assert draws.var() == pytest.approx(1.0, abs=5e-3)


def test_both_tails_keep_their_precision() -> None:
    z = np.array([-12.0, -3.0, 0.0, 3.0, 12.0])
    t, skewed = StudentTLaw(3.0), SkewedTLaw(3.0, 0.2)
    assert np.all(t.quantile_of_normal(z) == -t.quantile_of_normal(-z))
    assert skewed.quantile_of_normal(z) == pytest.approx(-SkewedTLaw(3.0, -0.2).quantile_of_normal(-z), rel=1e-13)
    assert t.quantile_of_normal(z[1:4]) == pytest.approx(t.quantile(stats.norm.cdf(z[1:4])), rel=1e-11, abs=1e-15)


def test_a_sample_is_its_order_statistics() -> None:
    losses = np.random.default_rng(5).standard_normal(100)
    law = EmpiricalLaw(losses)
    descending = np.sort(losses)[::-1]
    for level in (0.07, 0.29, 0.5, 0.95, 0.975, 0.99):  # 0.07 * 100 and 0.29 * 100 are not whole in floating point
        quantile, shortfall = quantile_and_shortfall(descending, level, 100)
        assert law.quantile(np.array([level]))[0] == quantile == np.sort(losses)[order_index(level, 100) - 1]
        assert law.shortfall(level) == shortfall
    assert law.quantile(np.array([0.0, 1.0])).tolist() == [losses.min(), losses.max()]


def test_a_loss_takes_its_mid_rank_in_the_sample_that_it_joins() -> None:
    law = EmpiricalLaw(np.array([1.0, 2.0, 2.0, 4.0]))
    assert law.probability(np.array([0.0, 1.0, 2.0, 3.0, 9.0])).tolist() == pytest.approx([0.1, 0.2, 0.5, 0.7, 0.9])
    # exchangeable losses: the mean over all of them is one half
    losses = np.random.default_rng(6).standard_normal(31)
    joined = [EmpiricalLaw(np.delete(losses, i)).probability(losses[i : i + 1])[0] for i in range(31)]
    assert np.mean(joined) == pytest.approx(0.5)


def test_a_scale_of_zero_is_the_limit() -> None:
    told = located(NormalLaw(), np.array([0.01, 0.0]), np.array([0.0, 1.0]), levels=(0.99,))
    assert told.value_at_risk[0, 0] == told.expected_shortfall[0, 0] == 0.01
    assert told.probability is not None
    assert told.probability(np.array([0.02, 0.0])).tolist() == [1.0, 0.5]
    assert told.probability(np.array([0.01, 0.0]))[0] == 0.5
    assert told.probability(np.array([0.0, 0.0]))[0] == 0.0


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: StudentTLaw(2.0), "degrees: 2.0 is not above 2; Student's t has no variance there"),
        (
            lambda: StudentTLaw(1.0, unit_variance=False),
            "degrees: 1.0 is not above 1; Student's t has no expected shortfall there",
        ),
        (lambda: SkewedTLaw(5.0, 1.0), "skewness: 1.0 is not between -1 and 1"),
        (lambda: EmpiricalLaw(np.array([])), "losses: an empty sample has no law"),
        (lambda: EmpiricalLaw(np.array([1.0, math.nan])), r"losses: .*nan.* at index \(1,\) is not finite"),
        (lambda: NormalLaw().shortfall(99.0), "level: 99.0 is not a confidence level"),
    ],
)
def test_refusals(make: object, text: str) -> None:
    with pytest.raises(InputError, match=text):
        make()  # type: ignore[operator]
