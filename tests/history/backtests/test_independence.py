"""Christoffersen's tests against published values and the likelihoods written out."""

from __future__ import annotations

import numpy as np
import pytest

from riskops.history.backtests.coverage import kupiec
from riskops.history.backtests.independence import conditional_coverage, independence, transitions


def sample_of_matlab() -> np.ndarray:
    """1043 days with 57 breaches whose transitions are 932, 53, 53 and 4."""
    breaches = np.zeros(1043, bool)
    breaches[[10, 11, 20, 21, 30, 31, 40, 41, *(50 + 12 * k for k in range(49))]] = True
    return breaches


def test_the_documented_output_of_matlab() -> None:
    """MathWorks Risk Management Toolbox, varbacktest.cci and cc: coverage on n days, independence on n - 1."""
    breaches = sample_of_matlab()
    assert transitions(breaches) == (932, 53, 53, 4)
    assert independence(breaches) == pytest.approx((0.25866, 0.61104), abs=1e-5)
    assert conditional_coverage(breaches, level=0.95) == pytest.approx((0.72013, 0.69763), abs=1e-5)


def likelihood(breaches: np.ndarray) -> float:
    """The ratio written out, with 0 log 0 = 0."""
    n = np.zeros((2, 2))
    for before, after in zip(breaches[:-1].astype(int), breaches[1:].astype(int), strict=True):
        n[before, after] += 1
    rates = n / np.maximum(n.sum(axis=1, keepdims=True), 1)
    pooled = n.sum(axis=0) / n.sum()
    free = sum(n[i, j] * np.log(rates[i, j]) for i in (0, 1) for j in (0, 1) if n[i, j])
    return float(2 * (free - sum(n[:, j].sum() * np.log(pooled[j]) for j in (0, 1) if n[:, j].sum())))


@pytest.mark.parametrize("rate", [0.0, 0.02, 0.3, 0.97, 1.0])
@pytest.mark.parametrize("n", [2, 3, 40, 250])
def test_the_ratio_is_that_of_the_likelihoods_for_empty_cells_too(n: int, rate: float) -> None:
    for seed in range(20):
        breaches = np.random.default_rng(seed).random(n) < rate
        result = independence(breaches)
        assert result.statistic == pytest.approx(likelihood(breaches), abs=1e-9)
        both = conditional_coverage(breaches, level=0.9)
        assert both.statistic == pytest.approx(result.statistic + kupiec(breaches, level=0.9).statistic)


def test_nothing_to_compare_is_no_evidence() -> None:
    for breaches in (np.zeros(250, bool), np.ones(250, bool), np.array([True]), np.array([False])):
        assert independence(breaches) == (0.0, 1.0)
