"""Bootstrap intervals: the resampling, the ranks, and how often they hold the truth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from riskops.errors import InputError
from riskops.history.forecasts.recursion import Recursion, filter_variance
from riskops.history.forecasts.registry import METHODS, forecaster
from riskops.history.forecasts.volatility import Volatility, clear_fits, fit_volatility
from riskops.history.intervals import BY_BLOCKS, BY_RESIDUALS, bootstrap_interval, interval_rank
from riskops.history.notes import forecast_notes
from riskops.history.resampling import block_length, block_rows, recursion_returns, resampled_recursion

GARCH = Recursion(False, 0.0003, 2e-6, 0.08, 0.0, 0.90)


def _dataset(values: Any, names: Any = None) -> xr.Dataset:
    moves = np.asarray(values, np.float64).reshape(len(values), -1)
    coords = {"observation": np.arange(len(moves)), "asset": names or [f"A{i}" for i in range(moves.shape[1])]}
    return xr.Dataset({"simple_return": (("observation", "asset"), moves)}, coords=coords)


def _garch(n: int, *, seed: int) -> Any:
    draws = np.random.default_rng(seed).standard_normal(n + 200)
    return recursion_returns(draws, GARCH, variance=1e-4)[200:]


@pytest.fixture(scope="module")
def normal() -> xr.Dataset:
    return _dataset(np.random.default_rng(2).normal(0.0, 0.01, (500, 2)))


def test_blocks_have_the_length_asked_for_and_wrap_around() -> None:
    number = 5000
    rows = np.concatenate([block_rows(number, block=20, seed=1, replication=r) for r in range(20)])
    assert rows.min() >= 0
    assert rows.max() < number
    begun = (np.diff(rows) != 1) & (np.diff(rows) != 1 - number)
    # a block is geometric: the number of beginnings is binomial
    low, high = stats.binom.interval(0.999, len(begun), 1.0 / 20)
    assert low <= begun.sum() <= high
    assert np.any(np.diff(rows) == 1 - number)
    counts = np.bincount(rows // 500, minlength=10)  # days of any part of the sample come as often
    assert np.all(np.abs(counts / counts.mean() - 1.0) < 0.2)


def test_days_one_by_one_are_uniform_and_their_own_draws() -> None:
    one, two = (block_rows(4096, block=1, seed=1, replication=r) for r in (0, 1))
    assert not np.array_equal(one, two)
    assert np.array_equal(one, block_rows(4096, block=1, seed=1, replication=0))
    assert not np.array_equal(one, block_rows(4096, block=1, seed=2, replication=0))
    assert stats.kstest(one / 4096, "uniform").pvalue > 0.01
    assert abs(np.corrcoef(one[1:], one[:-1])[0, 1]) < 0.05


def test_the_block_is_that_of_arch_for_returns_and_their_sizes() -> None:
    from arch.bootstrap import optimal_block_length

    sample = _garch(2000, seed=1)
    lengths = [float(optimal_block_length(x)["stationary"].iloc[0]) for x in (sample, np.abs(sample))]
    assert lengths[1] > 5.0 * lengths[0]
    assert block_length(sample) == round(lengths[1])
    assert block_length(np.random.default_rng(1).normal(size=2000)) <= 3


def test_a_recursion_gives_back_the_returns_that_it_was_filtered_from() -> None:
    for recursion in (GARCH, GARCH._replace(gamma=0.1, alpha=0.02), Recursion(True, 0.0, -0.2, 0.15, -0.08, 0.98)):
        sample = _garch(300, seed=3)
        h = filter_variance(sample, recursion, presample=1e-4)
        again = recursion_returns((sample - recursion.mean) / np.sqrt(h[:-1]), recursion, variance=float(h[0]))
        assert again == pytest.approx(sample, rel=1e-9, abs=1e-14)


def test_a_resampled_recursion_has_its_parameters() -> None:
    sample = _garch(3000, seed=5)
    fit = fit_volatility(Volatility(), sample, method="test")
    drawn = resampled_recursion(fit, sample, seed=1, replication=0)
    again = fit_volatility(Volatility(), drawn, method="test")
    assert not np.array_equal(drawn, sample)
    assert again.recursion.beta == pytest.approx(fit.recursion.beta, abs=0.06)
    assert again.recursion.alpha == pytest.approx(fit.recursion.alpha, abs=0.04)


@pytest.mark.parametrize(
    ("replications", "confidence", "rank"), [(999, 0.95, 25), (199, 0.95, 5), (39, 0.95, 1), (38, 0.95, 0)]
)
def test_ranks_are_exact(replications: int, confidence: float, rank: int) -> None:
    assert interval_rank(replications, confidence) == rank


def test_an_interval_is_the_order_statistics_of_the_replications(normal: xr.Dataset) -> None:
    options: dict[str, Any] = {"method": "historical", "level": (0.95, 0.99), "replications": 99, "block": 5, "seed": 4}
    found = bootstrap_interval(normal, confidence=0.9, **options).compute()
    sample = normal["simple_return"].values[:, 1]
    figures = []
    for r in range(99):
        losses = np.sort(-sample[block_rows(500, block=5, seed=4, replication=r)])
        figures.append(losses[475 - 1])
    figures.sort()
    at = {"asset": "A1", "level": 0.95}
    assert found["forecast_value_at_risk_low"].sel(at).item() == figures[4]
    assert found["forecast_value_at_risk_high"].sel(at).item() == figures[94]
    assert found["forecast_value_at_risk"].sel(at).item() == np.sort(-sample)[474]
    assert np.all(found["forecast_expected_shortfall_low"] < found["forecast_expected_shortfall_high"])
    basic = bootstrap_interval(normal, confidence=0.9, interval="basic", **options).compute()
    centre = found["forecast_value_at_risk"].sel(at).item()
    assert basic["forecast_value_at_risk_low"].sel(at).item() == 2.0 * centre - figures[94]
    assert basic["forecast_value_at_risk_high"].sel(at).item() == 2.0 * centre - figures[4]
    assert np.all(found["bootstrap_block"] == 5)
    assert np.all(found["bootstrap_replications"] == 99)


def test_normal_figures_have_the_error_of_theory(normal: xr.Dataset) -> None:
    """Of n normal losses: sd of ``mean + z sd`` is ``sd sqrt((1 + z^2 / 2) / n)``."""
    found = bootstrap_interval(normal, method="normal", level=0.99, block=1).compute()
    z = stats.norm.ppf(0.99)
    expected = 0.01 * np.sqrt((1.0 + z * z / 2.0) / 500.0)
    width = (found["forecast_value_at_risk_high"] - found["forecast_value_at_risk_low"]).values / (2 * 1.96)
    assert width == pytest.approx(expected, rel=0.12)


def _coverage(
    kind: str, *, series: int, days: int, replications: int, block: Any = "auto", clustered: bool = False
) -> Any:
    """How many of so many series' intervals hold the truth, at 95 %: value at risk, expected shortfall."""
    if clustered:
        values = np.stack([_garch(days, seed=100 + s) for s in range(series)], axis=1)
        long = np.sort(-_garch(2_000_000, seed=1))
        quantile = long[int(0.95 * len(long))]
        truth = (quantile, long[long >= quantile].mean())
    else:
        values = np.random.default_rng(7).normal(0.0, 0.01, (days, series))
        z = stats.norm.ppf(0.95)
        truth = (0.01 * z, 0.01 * stats.norm.pdf(z) / 0.05)
    found = bootstrap_interval(_dataset(values), method=kind, level=0.95, replications=replications, block=block)
    found = found.compute(scheduler="synchronous")
    return [
        int(((found[f"{name}_low"] <= true) & (true <= found[f"{name}_high"])).sum())
        for name, true in zip(("forecast_value_at_risk", "forecast_expected_shortfall"), truth, strict=True)
    ]


@pytest.mark.parametrize("kind", ["historical", "normal"])
def test_intervals_hold_the_truth_as_often_as_they_say(kind: str) -> None:
    inside = _coverage(kind, series=40, days=500, replications=99, block=1)
    for count in inside:
        assert stats.binom.ppf(0.001, 40, 0.93) <= count


@pytest.mark.long
def test_intervals_hold_the_truth_of_clustered_returns_by_blocks_alone() -> None:
    by_blocks = _coverage("historical", series=100, days=2000, replications=99, clustered=True)
    one_by_one = _coverage("historical", series=100, days=2000, replications=99, block=1, clustered=True)
    for blocks, days in zip(by_blocks, one_by_one, strict=True):
        assert blocks >= 75  # not 95: a volatility of persistence 0.98 outlasts the blocks
        assert days < blocks - 20


def _residual_intervals(count: int) -> tuple[Any, Any, Any]:
    """Intervals of the value at risk at 99 %, and what the true recursion says from the returns that came."""
    values = np.stack([_garch(1000, seed=300 + s) for s in range(count)], axis=1)
    z = stats.norm.ppf(0.99)
    h = [filter_variance(column, GARCH, presample=float(column.var()))[-1] for column in values.T]
    found = bootstrap_interval(_dataset(values), method="garch_normal", level=0.99, replications=39)
    found = found.compute(scheduler="synchronous").isel(method=0, level=0)
    assert np.all(found["bootstrap_block"] == 1)
    clear_fits()
    low, high = (found[f"forecast_value_at_risk_{side}"].values for side in ("low", "high"))
    return low, high, -GARCH.mean + z * np.sqrt(h)


def test_a_residual_interval_is_about_the_forecast_from_the_returns_that_came() -> None:
    low, high, truth = _residual_intervals(1)
    assert low < truth < high
    assert 0.03 < (high - low) / truth < 0.6


@pytest.mark.long
def test_residual_intervals_hold_the_forecast_of_the_true_parameters() -> None:
    low, high, truth = _residual_intervals(40)
    assert np.sum((low <= truth) & (truth <= high)) >= stats.binom.ppf(0.001, 40, 0.9)
    assert np.all((high - low) / truth < 0.8)


def test_every_method_is_served_or_refused(normal: xr.Dataset) -> None:
    assert set(BY_BLOCKS) | set(BY_RESIDUALS) <= set(METHODS)
    assert not set(BY_BLOCKS) & set(BY_RESIDUALS)
    for kind in METHODS:
        if kind in (*BY_BLOCKS, *BY_RESIDUALS):
            assert bootstrap_interval(normal, method=kind)["forecast_value_at_risk_low"].sizes["level"] == 2
            continue
        with pytest.raises(InputError, match=rf"no bootstrap interval of {forecaster(kind).name}"):
            bootstrap_interval(normal, method=kind)


def test_it_is_lazy_and_a_series_is_by_itself(normal: xr.Dataset) -> None:
    lazy = bootstrap_interval(normal, replications=39)
    assert lazy["forecast_value_at_risk_low"].chunks is not None
    both = lazy.compute(scheduler="synchronous")
    alone = bootstrap_interval(normal.isel(asset=[1]), replications=39, series_per_task=2).compute()
    xr.testing.assert_identical(alone, both.isel(asset=[1]))
    assert forecast_notes(both) == []


def test_missing_days_are_left_out_when_asked(normal: xr.Dataset) -> None:
    gaps = normal.copy(deep=True)
    gaps["simple_return"][3:13, 0] = np.nan
    with pytest.raises(InputError, match=r"'A0' on 3 is nan, not finite"):
        bootstrap_interval(gaps)
    found = bootstrap_interval(gaps, missing="skip", replications=39, block=3).compute().isel(asset=[0])
    kept = _dataset(np.delete(normal["simple_return"].values[:, 0], np.s_[3:13]))
    expected = bootstrap_interval(kept, replications=39, block=3).compute()
    assert np.array_equal(found["forecast_value_at_risk_low"], expected["forecast_value_at_risk_low"])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"replications": 38}, r"replications: 38 are too few for a confidence of 0.95; at least 39 are needed"),
        ({"block": 0}, r"block: 0 is not an integer >= 1"),
        (
            {"method": "garch_normal", "block": 5},
            r"block: 5 has no meaning for garch_normal, whose residuals are drawn",
        ),
        ({"window": 600}, r"window: 600 returns are more than the 500"),
        ({"interval": "studentized"}, r"interval: 'studentized' is not one of basic, percentile"),
        ({"confidence": 95}, r"confidence: 95 .*did you mean 0.95"),
    ],
)
def test_what_it_refuses(normal: xr.Dataset, options: Any, text: str) -> None:
    with pytest.raises(InputError, match=text):
        bootstrap_interval(normal, **options)


def test_a_block_longer_than_the_sample_is_refused(normal: xr.Dataset) -> None:
    with pytest.raises(InputError, match=r"historical: series 'A[01]': block: 501 days are more than the 500"):
        bootstrap_interval(normal, block=501).compute(scheduler="synchronous")
