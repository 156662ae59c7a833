"""Recommendations: the numbers against statsmodels and scipy, and the rules on series of each kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from riskops.errors import InputError
from riskops.history.forecasts.recursion import Recursion
from riskops.history.forecasts.registry import METHODS
from riskops.history.recommendation import recommend
from riskops.history.resampling import recursion_returns
from riskops.history.sample_statistics import describe_sample
from riskops.market import load_prices, simple_returns

GARCH = Recursion(False, 0.0, 2e-6, 0.10, 0.0, 0.88)
GJR = Recursion(False, 0.0, 3e-6, 0.0, 0.20, 0.88)


def _simulated(recursion: Recursion, n: int, *, seed: int, degrees: float | None = None) -> Any:
    rng = np.random.default_rng(seed)
    draws = rng.standard_normal(n) if degrees is None else rng.standard_t(degrees, n) * np.sqrt(1.0 - 2.0 / degrees)
    return recursion_returns(draws, recursion, variance=1e-4)


def _dataset(values: Any) -> xr.Dataset:
    days = np.datetime64("2010-01-01", "ns") + np.arange(len(values)) * np.timedelta64(1, "D")
    moves = np.asarray(values).reshape(len(values), -1)
    coords = {"observation": days, "asset": [f"A{i}" for i in range(moves.shape[1])]}
    return xr.Dataset({"simple_return": (("observation", "asset"), moves)}, coords=coords)


def _advice(values: Any, **options: Any) -> tuple[list[str], str]:
    """The recommended methods in order, and the text."""
    found = recommend(_dataset(values), **options).compute()
    ranks = found["recommendation_rank"].isel(asset=0)
    order = ranks.dropna("method").sortby(ranks.dropna("method"))
    assert order.values.tolist() == list(range(1, len(order) + 1))
    return [str(name) for name in order["method"].values], str(found["recommendation"].item())


def test_the_numbers_are_those_of_statsmodels_and_scipy() -> None:
    import statsmodels.api as sm
    from statsmodels.stats.diagnostic import acorr_ljungbox

    sample = _simulated(GJR, 1500, seed=3, degrees=5.0) + 0.0004
    found = describe_sample(sample)
    assert found.skewness == pytest.approx(stats.skew(sample), rel=1e-9)
    assert found.excess_kurtosis == pytest.approx(stats.kurtosis(sample), rel=1e-9)
    assert found.jarque_bera == pytest.approx(stats.jarque_bera(sample).pvalue, rel=1e-6, abs=1e-300)
    deviations = sample - sample.mean()
    for name, values in (("ljung_box_squared", deviations**2), ("ljung_box_sizes", np.abs(deviations))):
        assert getattr(found, name) == pytest.approx(acorr_ljungbox(values, lags=[10])["lb_pvalue"].iloc[0], rel=1e-6)
    squares = (deviations / deviations.std()) ** 2
    past = np.column_stack([squares[5 - k : len(squares) - k] for k in range(1, 6)])
    multiplier = len(past) * sm.OLS(squares[5:], sm.add_constant(past)).fit().rsquared
    assert found.arch_effects == pytest.approx(stats.chi2.sf(multiplier, 5), rel=1e-6)


def test_the_leverage_is_a_robust_regression() -> None:
    import statsmodels.api as sm

    sample = _simulated(GJR, 1500, seed=3)
    found = describe_sample(sample)
    fit = sm.OLS(np.abs(sample[1:]), sm.add_constant(sample[:-1])).fit(cov_type="HC0")
    assert found.leverage == pytest.approx(fit.params[1], rel=1e-9)
    assert found.leverage_test == pytest.approx(fit.pvalues[1], rel=1e-6)
    assert found.leverage < 0.0


def test_the_hill_index_is_that_of_a_pareto_tail() -> None:
    losses = np.random.default_rng(1).pareto(3.0, 100_000) + 1.0
    assert describe_sample(-losses).hill_index == pytest.approx(3.0, rel=0.05)


def test_tests_reject_as_often_as_they_should_under_their_null() -> None:
    """Independent returns for clustering, asymmetry and breaks; a GARCH without drift for autocorrelation."""
    rng = np.random.default_rng(5)
    plain = [describe_sample(0.01 * rng.standard_t(8.0, 1000)) for _ in range(300)]
    clustered = [describe_sample(_simulated(GARCH, 1000, seed=s)) for s in range(300)]
    high = stats.binom.ppf(0.999, 300, 0.01 * 1.5)
    for name, found in (
        ("ljung_box_sizes", plain),
        ("leverage_test", plain),
        ("break_test", plain),
        ("autocorrelation", plain),
        ("autocorrelation", clustered),
    ):
        assert sum(getattr(one, name) < 0.01 for one in found) <= high, name
        assert sum(getattr(one, name) < 0.5 for one in found) > 60, name
    assert sum(one.ljung_box_squared < 0.01 for one in clustered) > 290


def test_a_break_is_found_where_it_is() -> None:
    draws = 0.01 * np.random.default_rng(2).standard_normal(1000)
    draws[600:] *= 2.0
    found = describe_sample(draws)
    assert found.break_test < 1e-3
    assert abs(found.break_at - 600) < 40
    assert "The variance seems to break after 2011-" in _advice(draws)[1]


def test_missing_and_stale_days_are_counted_and_said() -> None:
    values = 0.01 * np.random.default_rng(2).standard_normal(800)
    values[:100] = np.nan
    values[200:203] = np.nan
    values[300:307] = 0.0
    found = describe_sample(values)
    assert (found.observations, found.missing, found.longest_stale) == (697.0, 3.0, 7.0)
    text = _advice(values)[1]
    assert text.startswith("697 returns from 2010-04-11 to 2012-03-10. 3 days after the first are missing.")
    assert "1.0% of the returns are zero, 7 in a row at most" in text
    with pytest.raises(InputError, match=r"'A0' on 2010-01-01 is nan"):
        recommend(_dataset(values), missing="error")


def test_each_kind_of_series_has_its_methods() -> None:
    rng = np.random.default_rng(4)
    clustered = _simulated(GARCH, 2500, seed=1, degrees=5.0)
    methods, text = _advice(clustered)
    assert methods == ["conditional_evt", "filtered_historical", "garch_student_t", "caviar_symmetric"]
    for part in ("2,500 returns", "volatility clusters", "tails are heavier", "p < 0.001", "About 25.0 losses"):
        assert part in text
    assert _advice(clustered, level=0.95)[0][0] == "filtered_historical"
    assert _advice(_simulated(GJR, 4000, seed=1, degrees=6.0))[0][2:] == ["gjr_student_t", "caviar_asymmetric"]
    assert _advice(clustered[-700:])[0] == ["garch_student_t", "filtered_historical"]
    assert _advice(_simulated(GARCH, 300, seed=12))[0] == ["ewma", "volatility_weighted"]
    heavy = 0.01 * rng.standard_t(4.0, 2000)
    assert _advice(heavy)[0] == ["peaks_over_threshold", "student_t", "historical"]
    assert _advice(heavy, level=0.95)[0] == ["student_t", "historical"]
    assert _advice(0.01 * rng.standard_normal(400))[0] == ["normal"]
    assert _advice(0.01 * rng.standard_normal(1000), level=0.95)[0] == ["normal", "historical"]
    assert _advice(0.01 * (1.0 - rng.exponential(size=1000)))[0][:2] == ["peaks_over_threshold", "skewed_t"]


def test_what_cannot_be_is_passed_over() -> None:
    clustered = _simulated(GARCH, 2000, seed=1, degrees=5.0)
    methods, text = _advice(clustered, level=0.9, horizon=10)
    assert "caviar_symmetric" not in methods
    assert "Passed over, for want of returns or of a way to the horizon: caviar_symmetric." in text
    assert _advice(clustered[:30])[0] == []
    assert "too few" in _advice(clustered[:30])[1]
    assert _advice(np.zeros(500))[0] == []


def test_it_is_lazy_and_a_series_is_by_itself() -> None:
    returns = simple_returns(load_prices("sp500", assets=["AMD", "JPM", "KO"], start="2016-01-01"))
    lazy = recommend(returns)
    assert lazy["recommendation"].chunks == ((1, 1, 1),)
    found = lazy.compute()
    assert found["recommendation_rank"].sizes == {"method": len(METHODS), "asset": 3}
    alone = recommend(returns.isel(asset=[2]), series_per_task=4).compute()
    xr.testing.assert_identical(alone, found.isel(asset=[2]))
    # jumps at earnings hide the clustering of AMD's squares, not that of its sizes
    amd = found["series_statistic"].sel(asset="AMD")
    assert amd.sel(statistic_name="ljung_box_sizes") < 0.01 < amd.sel(statistic_name="ljung_box_squared")
    assert found["recommendation"].sel(asset="JPM").item().startswith("1,759 returns from 2016-01-05 to 2022-12-28.")
