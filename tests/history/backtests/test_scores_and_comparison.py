"""Scores are least at the truth, comparisons stand on shared days, and the confidence set is that of the library."""

from __future__ import annotations

import dask
import numpy as np
import pytest
import statsmodels.api as sm
import xarray as xr
from arch.bootstrap import MCS
from scipy import stats

from riskops.errors import InputError
from riskops.history.backtests.comparison import (
    compare_forecasts,
    confidence_set,
    diebold_mariano,
    model_confidence_set,
)
from riskops.history.backtests.example import small_forecasts
from riskops.history.backtests.scores import SCORES, fissler_ziegel_loss, scores, tick_loss
from riskops.schema import validate


def test_scores_by_the_formulas_of_the_papers() -> None:
    # Patton, Ziegel and Chen (2019), in their signs: returns y, v and e below zero, tail mass a.
    y, v, e, a = np.array([-3.0, 1.0]), -2.0, -2.5, 0.05
    expected = (y <= v) * (v - y) / -(a * e) + v / e + np.log(-e) - 1
    np.testing.assert_allclose(fissler_ziegel_loss(-y, 2.0, 2.5, 0.95), expected)
    # Nolde and Ziegel (2017), G1 = 0 and G2 = sqrt: the 1/2-homogeneous score, over 1 - nu.
    x, r1, r2 = -y, 2.0, 2.5
    g2 = 0.5 / np.sqrt(r2)
    expected = ((x > r1) * -g2 * (r1 - x) + a * (-g2 * (r2 - r1) + np.sqrt(r2))) / a
    np.testing.assert_allclose(fissler_ziegel_loss(x, r1, r2, 0.95, degree=0.5), expected)
    np.testing.assert_allclose(tick_loss(x, r1, 0.95), ((x > r1) - a) * (x - r1))


@pytest.mark.parametrize("degree", [0.0, 0.5])
def test_the_expected_joint_score_is_least_at_the_truth(degree: float) -> None:
    z = stats.norm.ppf((np.arange(40_000) + 0.5) / 40_000)
    quantile, shortfall = stats.norm.ppf(0.95), stats.norm.pdf(stats.norm.ppf(0.95)) / 0.05

    def mean(v: float, e: float) -> float:
        return float(fissler_ziegel_loss(z, v, e, 0.95, degree=degree).mean())

    best = mean(quantile, shortfall)
    for step in (0.05, -0.05):
        assert mean(quantile + step, shortfall) > best
        assert mean(quantile, shortfall + step) > best
        assert mean(quantile + step, shortfall + step) > best


def test_a_shortfall_that_is_not_above_zero_is_an_error_or_counted() -> None:
    with pytest.raises(InputError, match=r"expected_shortfall: -1\.0 at index \(1,\) is not above zero"):
        fissler_ziegel_loss([1.0, 1.0], 0.5, [1.0, -1.0], 0.95)
    assert np.isnan(fissler_ziegel_loss([1.0, 1.0], 0.5, [1.0, -1.0], 0.95, undefined="nan")).tolist() == [False, True]
    given = small_forecasts()
    given["forecast_expected_shortfall"][1, 0, 0, 7] = 0.0
    found = scores(given, score="all")
    assert found["undefined_scores"].values[:, 0].tolist() == [[0, 0], [1, 0]]
    assert np.isnan(found["score"].values[:, 1, 0, 0]).tolist() == [False, True, True]
    assert np.isfinite(found["score"].values[:, 0]).all()
    assert not confidence_set(given)["in_confidence_set"].values[1, 0, 0]


def test_means_are_over_the_days_that_all_methods_share() -> None:
    given = small_forecasts()
    given["forecast_value_at_risk"][0, 0, :, :100] = np.nan
    given["realised_loss"][0, 400:] = np.nan
    three = given.reindex({"method": ["right", "thin", "silent"]})
    found = scores(three, score="all")
    validate(found, "score", "shared_days", "undefined_scores")
    assert (found["shared_days"] == 300).all()
    part = given.isel(observation=slice(100, 400))
    arrays = [part[name].values[1, 0, 0] for name in ("forecast_value_at_risk", "forecast_expected_shortfall")]
    expected = fissler_ziegel_loss(part["realised_loss"].values[0], *arrays, 0.95).mean()
    assert float(found["score"].values[1, 1, 0, 0]) == pytest.approx(expected)
    assert np.isnan(found["score"].values[:, 2]).all()
    assert np.isnan(confidence_set(three)["confidence_set_p_value"].values[2]).all()


@pytest.mark.parametrize("score", SCORES)
def test_the_right_method_is_better_and_alone_in_the_set(score: str) -> None:
    given = small_forecasts(days=1000, series=2)
    ranked = scores(given, score=score)["score"].values[0]
    assert (ranked[0] < ranked[1]).all()
    compared = compare_forecasts(given, score=score)
    validate(compared, "score_difference", "diebold_mariano", "diebold_mariano_p_value")
    statistic = compared["diebold_mariano"].values
    assert (statistic[0, 1] < -1.0).all()
    np.testing.assert_allclose(statistic[0, 1], -statistic[1, 0])
    assert confidence_set(given, score=score)["in_confidence_set"].values[0].all()
    assert confidence_set(given, score=score, pooled=True)["in_confidence_set"].dims == ("method", "level")


def test_diebold_mariano_is_the_regression_on_a_constant_with_newey_west_errors() -> None:
    numbers = np.random.default_rng(1)
    differences = 0.1 + np.convolve(numbers.standard_normal(402), [1.0, 0.6, 0.3], "valid")
    n, h = len(differences), 6
    other = sm.OLS(differences, np.ones(n)).fit(cov_type="HAC", cov_kwds={"maxlags": 5, "use_correction": False})
    found = diebold_mariano(differences, lags=5)
    expected = float(other.tvalues[0]) * np.sqrt((n + 1 - 2 * h + h * (h - 1) / n) / n)
    assert found == pytest.approx((expected, 2 * stats.t.sf(abs(expected), n - 1)))
    assert np.isnan(diebold_mariano(np.ones(50)).statistic)


def test_the_size_of_diebold_mariano() -> None:
    numbers = np.random.default_rng(2)
    p = [diebold_mariano(numbers.standard_normal(500)).p_value for _ in range(600)]
    assert stats.binom.ppf(0.001, 600, 0.05) <= np.sum(np.array(p) <= 0.05) <= stats.binom.ppf(0.999, 600, 0.05)


def test_the_confidence_set_is_the_librarys() -> None:
    numbers = np.random.default_rng(3)
    daily = numbers.standard_normal((4, 300)) + np.array([0.0, 0.05, 0.1, 0.6])[:, None]
    other = MCS(daily.T, size=0.1, reps=500, block_size=7, seed=9)
    other.compute()
    found = model_confidence_set(daily, size=0.1, block=7, simulations=500, seed=9)
    assert found.tolist() == other.pvalues["Pvalue"].sort_index().tolist()
    assert found[3] < 0.01 < found[0]


def test_equal_methods_share_and_constant_differences_are_certain() -> None:
    base = np.random.default_rng(4).standard_normal(200)
    daily = np.stack([base, base + 0.1, base, np.full(200, np.nan), base + 0.2])
    np.testing.assert_equal(model_confidence_set(daily), [1.0, 0.0, 1.0, np.nan, 0.0])
    noisy = np.stack([*daily, base + np.random.default_rng(5).standard_normal(200)])
    found = model_confidence_set(noisy)
    assert found[0] == found[2] > 0.05
    assert found[1] == found[4] == 0.0


def test_all_is_lazy_and_the_same_for_any_chunks(refuse_compute: None) -> None:
    given = small_forecasts(series=3)
    lazy = given.chunk(method=1, asset=1, observation=130)
    calls = (scores, compare_forecasts, confidence_set, lambda ds: confidence_set(ds, pooled=True))
    graphs = [call(lazy) for call in calls]
    assert all(array.chunks is not None for found in graphs for array in found.values())
    with dask.config.set(scheduler="threads"):
        for call, found in zip(calls, graphs, strict=True):
            xr.testing.assert_identical(found.compute(), call(given))


def test_bad_settings_are_named() -> None:
    given = small_forecasts()
    with pytest.raises(InputError, match="score: 'brier' is not one of"):
        scores(given, score="brier")
    with pytest.raises(InputError, match="reference: 'wrong' is not one of right, thin"):
        compare_forecasts(given, reference="wrong")
    with pytest.raises(InputError, match="variable 'realised_loss' is missing"):
        confidence_set(given.drop_vars("realised_loss"))
    with pytest.raises(InputError, match="'method' is missing; a comparison needs it"):
        scores(given.isel(method=0, drop=True))
