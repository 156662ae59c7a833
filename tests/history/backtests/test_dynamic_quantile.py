"""The dynamic quantile test against the regression written out with NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from riskops.history.backtests.dynamic_quantile import dynamic_quantile


def written_out(breaches: np.ndarray, value_at_risk: np.ndarray, level: float, lags: int) -> tuple[float, float]:
    """h'X (X'X)^- X'h / (p (1 - p)) with lagged hits as Engle and Manganelli have them, and its p-value."""
    p = 1 - level
    hit = breaches - p
    n = len(hit)
    x = np.column_stack([np.ones(n - lags), value_at_risk[lags:], *(hit[lags - k : n - k] for k in range(1, lags + 1))])
    fitted = x @ np.linalg.lstsq(x, hit[lags:], rcond=None)[0]
    statistic = float(fitted @ fitted / (p * (1 - p)))
    return statistic, float(stats.chi2.sf(statistic, np.linalg.matrix_rank(x)))


@pytest.mark.parametrize("lags", [1, 4, 7])
@pytest.mark.parametrize(("n", "level"), [(30, 0.9), (250, 0.99), (1000, 0.95)])
@pytest.mark.parametrize("varies", [True, False])
def test_the_statistic_is_that_of_the_regression(n: int, level: float, lags: int, varies: bool) -> None:
    for seed in range(5):
        numbers = np.random.default_rng(seed)
        risk = 0.02 + 0.005 * numbers.random(n) * varies
        breaches = (numbers.random(n) < 2 * (1 - level)) | (np.arange(n) >= n - 2)
        ours = dynamic_quantile(breaches, risk, level=level, lags=lags)
        assert ours == pytest.approx(written_out(breaches, risk, level, lags), rel=1e-8, abs=1e-14)


@pytest.mark.parametrize("which", [[], [0], [100], [249], [3, 4], list(range(250))])
def test_regressors_that_say_nothing_are_left_out(which: list[int]) -> None:
    breaches = np.isin(np.arange(250), which)
    risk = np.linspace(1.0, 2.0, 250)
    assert dynamic_quantile(breaches, risk, level=0.99) == pytest.approx(written_out(breaches, risk, 0.99, 4), rel=1e-7)


def test_the_scale_of_var_does_not_matter() -> None:
    numbers = np.random.default_rng(1)
    breaches, risk = numbers.random(500) < 0.02, 1.0 + numbers.random(500)
    expected = dynamic_quantile(breaches, risk, level=0.99)
    assert dynamic_quantile(breaches, 1e-6 * risk, level=0.99) == pytest.approx(expected)
    assert dynamic_quantile(breaches, 1e5 + 1e3 * risk, level=0.99) == pytest.approx(expected)


def test_too_few_days_say_nothing() -> None:
    assert np.isnan(dynamic_quantile(np.ones(4, bool), np.ones(4), level=0.99)).all()
    assert np.isfinite(dynamic_quantile(np.ones(5, bool), np.ones(5), level=0.99)).all()
