"""VaR and ES of a sample by contract C4, and the ranks that bound VaR."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from riskops.market import load_prices, simple_returns
from riskops.reductions import (
    Z95,
    interval_ranks,
    needed_paths,
    needed_tail,
    order_index,
    quantile_and_shortfall,
    shortfall_error,
    shortfall_interval,
    skewed_interval,
    skewness_over_root,
)


def figures(losses: list[float], level: float) -> tuple[float, float]:
    return quantile_and_shortfall(np.sort(np.array(losses, dtype=float))[::-1], level, len(losses))


def test_levels_are_the_decimals_that_they_print_as() -> None:
    assert math.ceil(0.07 * 100) == 8  # what floating point says
    assert order_index(0.07, 100) == 7
    assert order_index(0.99, 100) == 99
    assert order_index(0.999, 1_000_000_000) == 999_000_000
    assert order_index(0.5, 1) == 1


def test_by_hand() -> None:
    # n (1 - level) = 2.5: the two worst whole, the third by half
    assert figures([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 0.75) == (8.0, pytest.approx((10 + 9 + 0.5 * 8) / 2.5, rel=1e-15))
    # n (1 - level) = 1 exactly: VaR is the second largest, ES the largest
    assert figures([0, 0, 0, 0, 0, 0, 0, 0, 5, 100], 0.9) == (5.0, 100.0)
    # an atom at the quantile
    assert figures([0, 0, 1, 1], 0.6) == (1.0, 1.0)
    # less than one path beyond the level: both are the worst loss
    assert figures([3, 1, 2], 0.99) == (3.0, 3.0)
    assert figures([-4.0], 0.5) == (-4.0, -4.0)


def test_lower_quantiles_of_returns_by_hand() -> None:
    """The returns of empyrical's quantile case b; it interpolates, we take the order statistic, so by hand."""
    returns = [1.0, 81.0, 82.0, 83.0, 84.0, 85.0]
    losses = [-r for r in returns]
    assert figures(losses, 0.9) == (-1.0, -1.0)
    var, es = figures(losses, 0.7)  # n (1 - level) = 1.8
    assert var == -81.0
    assert es == pytest.approx(-(1.0 + 0.8 * 81.0) / 1.8, rel=1e-14)


def test_agrees_with_the_reference_measures_of_real_returns() -> None:
    """AAPL 1990 to 2022: VaR and CVaR at 95 % as skfolio's own tests publish them."""
    returns = simple_returns(load_prices("sp500", assets=["AAPL"]))["simple_return"].values[:, 0]
    assert len(returns) == 8312
    var, es = figures((-returns).tolist(), 0.95)
    assert var == pytest.approx(0.039568345, abs=2e-7)
    assert es == pytest.approx(0.059240073, abs=2e-7)


@given(
    losses=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60),
    level=st.sampled_from([0.01, 0.07, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999]),
)
def test_es_is_the_average_of_the_quantile_function_and_never_below_var(losses: list[float], level: float) -> None:
    var, es = figures(losses, level)
    ascending, n, a = sorted(losses), len(losses), Fraction(repr(level))
    assert var == ascending[order_index(level, n) - 1]
    assert es >= var
    # the integral of the quantile function over (a, 1), piece by piece, in exact arithmetic
    pieces = [(max(Fraction(j, n), a), Fraction(j + 1, n), Fraction(x)) for j, x in enumerate(ascending)]
    exact = sum((stop - start) * x for start, stop, x in pieces if stop > start) / (1 - a)
    assert es == pytest.approx(float(exact), rel=1e-12, abs=1e-9)


def test_a_tail_that_is_too_short_is_refused() -> None:
    with pytest.raises(ValueError, match=r"tail: 4 losses are not the 6 that level 0\.95 of 100 paths needs"):
        quantile_and_shortfall(np.array([4.0, 3.0, 2.0, 1.0]), 0.95, 100)


@pytest.mark.parametrize("level", [0.05, 0.5, 0.9, 0.95, 0.99, 0.999])
def test_interval_covers_at_least_95_percent(level: float) -> None:
    for n in (needed_paths(level), 5000, 1_000_000):
        low, high = interval_ranks(level, n)
        assert 1 <= low <= order_index(level, n) <= high <= n
        # x(low) <= quantile < x(high) holds when low <= number below < high
        covered = stats.binom.cdf(high - 1, n, level) - stats.binom.cdf(low - 1, n, level)
        assert covered >= 0.95 - 1e-12
        assert covered < 0.98 or n < 5000


@pytest.mark.parametrize(("level", "paths"), [(0.95, 72), (0.99, 368), (0.999, 3688), (0.5, 6), (0.01, 368)])
def test_needed_paths_is_the_least(level: float, paths: int) -> None:
    assert needed_paths(level) == paths
    interval_ranks(level, paths)
    assert paths * (1 - level) >= 1
    with pytest.raises(ValueError, match=f"level: {level!r} needs at least {paths} paths for its 95 % interval"):
        interval_ranks(level, paths - 1)


def test_needed_tail_covers_var_es_and_the_interval() -> None:
    n = 1_000_000
    keep = needed_tail((0.95, 0.99), n)
    assert keep == n - interval_ranks(0.95, n)[0] + 1
    assert keep == needed_tail(0.95, n)
    losses = np.arange(keep, 0, -1.0)
    quantile_and_shortfall(losses, 0.95, n)


def test_levels_are_checked() -> None:
    with pytest.raises(ValueError, match=r"level: 99 is not a confidence level between 0 and 1; did you mean 0\.99\?"):
        order_index(99, 100)
    with pytest.raises(ValueError, match="n: 0 is not an integer >= 1"):
        interval_ranks(0.9, 0)


@pytest.mark.parametrize("level", [0.01, 0.5, 0.95, 0.975, 0.99, 0.9999])
def test_ranks_are_binomial_quantiles(level: float) -> None:
    for n in (*range(1, 60), 1000, 12_345, 65_536, 2**20, 2**34):
        if n >= needed_paths(level):
            low, high = stats.binom.ppf([0.025, 0.975], n, level)
            assert interval_ranks(level, n) == (low, high + 1)


# Intervals of skewed means


@given(g=st.floats(-1.0, 1.0), reach=st.floats(0.2, 4.0), error=st.floats(1e-6, 1e6))
def test_ends_of_skewed_intervals_are_those_that_the_cubic_maps_to_the_reach(
    g: float, reach: float, error: float
) -> None:
    low, high = skewed_interval(0.0, error, g, reach)
    for end, at in ((low, reach), (high, -reach)):
        t = -end / error
        assert t + g * t * t / 3 + g * g * t**3 / 27 + g / 6 == pytest.approx(at, rel=1e-9, abs=1e-9)
    assert low < 0.0 < high
    assert skewed_interval(0.0, error, -g, reach) == (-high, -low)
    assert skewed_interval(0.0, 0.0, g, reach) == (0.0, 0.0)


def test_without_skewness_intervals_are_symmetric_to_the_last_bit() -> None:
    assert skewed_interval(3.0, 0.7, 0.0, Z95) == (3.0 - 0.7 * Z95, 3.0 + 0.7 * Z95)
    near = skewed_interval(3.0, 0.7, 1e-12, Z95)
    assert near == pytest.approx((3.0 - 0.7 * Z95, 3.0 + 0.7 * Z95), rel=1e-11)


@given(values=st.lists(st.floats(0.1, 100.0), min_size=1, max_size=30), zeros=st.integers(1, 200))
def test_skewness_counts_the_zeros_that_are_not_given(values: list[float], zeros: int) -> None:
    terms = np.array(values + [0.0] * zeros)
    root = float(terms.std()) * math.sqrt(len(terms))
    sums = [math.fsum(value**power for value in values) for power in (1, 2, 3)]
    found = skewness_over_root(sums, root=root, number=len(terms))
    assert found == pytest.approx(stats.skew(terms) / math.sqrt(len(terms)), rel=1e-9, abs=1e-12)
    assert -1.0 <= found <= 1.0


def test_the_interval_of_shortfall_is_by_the_skewness_of_its_influence_function() -> None:
    n, level = 2000, 0.95
    worst = -np.sort(-np.random.default_rng(3).standard_t(5, n))
    quantile, shortfall = quantile_and_shortfall(worst, level, n)
    influence = np.maximum(worst - quantile, 0.0) / (1 - level) - (shortfall - quantile)
    error = shortfall_error(worst, level, n, quantile, shortfall)
    by_hand = skewed_interval(shortfall, error, float(stats.skew(influence)) / math.sqrt(n), Z95)
    assert shortfall_interval(worst, level, n, quantile, shortfall) == pytest.approx(by_hand, rel=1e-9)
    constant = np.ones(100)
    assert shortfall_interval(constant, level, 1000, 1.0, 1.0) == (1.0, 1.0)
