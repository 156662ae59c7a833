"""Tail figures by groups and weights: those of plain draws where there are none, brute force where there are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import skew

from riskops.errors import InputError
from riskops.measures.exceedances import beyond, group_sums, terms, total
from riskops.measures.grouped_tail import (
    GroupedTail,
    change_errors,
    grouped_estimate,
    needed_mass,
    order_statistic,
    quantile_mass,
)
from riskops.measures.tail_passes import tail_size
from riskops.measures.tail_risk import tail_figures
from riskops.reductions import (
    Z95,
    Groups,
    WeightedTail,
    WorstLosses,
    needed_tail,
    quantile_and_shortfall,
    shortfall_error,
    shortfall_interval,
    skewed_interval,
)
from tests.measures.samples import coverage, tail_of

LEVELS = (0.9, 0.95, 0.99)


def estimate(
    losses: np.ndarray, *, level: float, groups: str = "path", weights: np.ndarray | None = None
) -> GroupedTail:
    """From all losses, sorted as the reductions do."""
    return estimates([losses], level=level, groups=groups, weights=weights)[0]


def estimates(
    rows: Sequence[np.ndarray], *, level: float, groups: str, weights: np.ndarray | None = None
) -> list[GroupedTail]:
    """The same of several rows of the same paths, matched with the first."""
    n, of = len(rows[0]), Groups.from_text(groups)
    found: list[GroupedTail] = []
    base, first = None, None
    for losses in rows:
        order = np.argsort(-losses, kind="stable")
        worst = WorstLosses(losses[order], order, None if weights is None else weights[order], counted=weights is None)
        quantile = worst.values[worst.beyond(quantile_mass(level, n, counted=worst.counted))]
        own = beyond(losses, np.arange(n), weights, float(quantile))
        raw = total(terms(own, base, groups=of, plain=False))
        sums = group_sums(raw, first, groups=of)
        found.append(grouped_estimate(worst, sums, level=level, n=n, groups=of))
        base, first = (own, raw) if base is None else (base, first)
    return found


def influence_error(terms: np.ndarray, groups: str) -> float:
    """The standard error of the mean of terms by the means of groups."""
    of = Groups.from_text(groups).of(np.arange(len(terms)))
    sums = np.bincount(of, terms)
    return float(sums.std(ddof=1) * np.sqrt(len(sums)) / len(terms))


# Single paths


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1001, 6000), level=st.sampled_from([0.07, 0.5, 0.9, 0.95]))
@settings(max_examples=30)
def test_groups_of_single_paths_give_the_plain_figures(seed: int, n: int, level: float) -> None:
    losses = np.random.default_rng(seed).integers(-500, 500, n).astype(float)
    found = estimate(losses, level=level)
    worst = -np.sort(-losses)
    quantile, shortfall = quantile_and_shortfall(worst, level, n)
    assert found.value_at_risk == quantile
    assert found.expected_shortfall == shortfall
    plain = shortfall_error(worst, level, n, quantile, shortfall)
    assert found.expected_shortfall_error == pytest.approx(plain * np.sqrt(n / (n - 1)), rel=1e-9)
    ends = (found.expected_shortfall_low, found.expected_shortfall_high)
    assert ends == pytest.approx(shortfall_interval(worst, level, n, quantile, shortfall), rel=1e-3)
    assert found.effective_sample_size == pytest.approx(n - 1, rel=1e-6)
    assert found.value_at_risk_low <= quantile <= found.value_at_risk_high
    assert found.reach == Z95


def test_the_interval_is_nearly_that_of_the_order_statistics() -> None:
    rng = np.random.default_rng(2)
    for level in LEVELS:
        ratios = []
        for _ in range(20):
            losses = rng.normal(size=8192)
            plain = tail_figures(tail_of(losses, [level]), levels=[level], stressed=False, key=None)
            found = estimate(losses, level=level)
            ratios.append(found.value_at_risk_error / plain["value_at_risk_standard_error"].item())
        assert np.mean(ratios) == pytest.approx(1.0, abs=0.03)


# Paths that depend on each other


@pytest.mark.parametrize("level", LEVELS)
def test_paths_that_come_twice_count_once(level: float) -> None:
    """In pairs, quadruples and tiles of equal losses the error is that of as many fewer paths."""
    rng, n = np.random.default_rng(7), 64 * 1024
    for groups, lanes, times in (("pair", [0, 1, 0, 1], 2), ("quadruple", [0, 0, 0, 0], 4)):
        once = rng.permutation(n // times) / n * times
        repeated = once.reshape(64, 4 // times, 256)[:, lanes].reshape(-1)
        found = estimate(repeated, level=level, groups=groups)
        as_if = estimate(repeated, level=level)  # the errors that independence would promise
        alone = estimate(once, level=level)
        assert found.value_at_risk == as_if.value_at_risk
        assert found.expected_shortfall_error / as_if.expected_shortfall_error == pytest.approx(times**0.5, rel=1e-3)
        assert found.value_at_risk_error / as_if.value_at_risk_error == pytest.approx(times**0.5, rel=0.05)
        assert found.expected_shortfall_error == pytest.approx(alone.expected_shortfall_error, rel=2e-3)
        assert found.value_at_risk_error == pytest.approx(alone.value_at_risk_error, rel=0.05)
        assert found.effective_sample_size == pytest.approx(n / times, rel=2e-3)
        # the loss that is VaR, and its twin, do not lie beyond it
        assert found.value_at_risk_effective_sample_size == pytest.approx(n / times, rel=1e-2)


@given(
    seed=st.integers(0, 2**32 - 1),
    groups=st.sampled_from(["path", "pair", "quadruple", "tile", "replicate 4"]),
    level=st.sampled_from([0.9, 0.95]),
    weighted=st.booleans(),
)
@settings(max_examples=25)
def test_figures_are_the_definition_by_brute_force(seed: int, groups: str, level: float, weighted: bool) -> None:
    rng, n = np.random.default_rng(seed), 16 * 1024
    losses = rng.standard_t(5, n)
    weights = rng.gamma(2.0, 0.5, n) if weighted else np.ones(n)
    found = estimate(losses, level=level, groups=groups, weights=weights if weighted else None)
    # The weighted quantile: the largest loss at which the weights of it and of all worse ones exceed n (1 - level).
    candidates = np.sort(losses)[::-1]
    mass = n * (1 - level)
    for loss in candidates[int(mass / 2) : int(3 * mass)]:
        if weights[losses >= loss].sum() > mass * (1 + 1e-12):
            break
    assert found.value_at_risk == loss
    excess = weights * np.maximum(losses - loss, 0.0) / (1 - level)
    assert found.expected_shortfall == pytest.approx(loss + excess.mean(), rel=1e-12)
    assert found.expected_shortfall_error == pytest.approx(influence_error(excess, groups), rel=1e-6)
    # The interval holds the losses at the tail probabilities that the error of the indicator reaches.
    reach = Groups.from_text(groups).reach(n) * influence_error(weights * (losses > loss), groups)
    for end, share in ((found.value_at_risk_low, 1 - level + reach), (found.value_at_risk_high, 1 - level - reach)):
        assert weights[losses > end].sum() <= n * share * (1 + 1e-9)
        assert weights[losses >= end].sum() >= n * share * (1 - 1e-9)
    ends = (found.expected_shortfall_low, found.expected_shortfall_high)
    # That of ES is corrected for the skewness of the groups' sums, unless they are few.
    few = Groups.from_text(groups).number(n) < 100
    terms = np.bincount(Groups.from_text(groups).of(np.arange(n)), excess)
    g = 0.0 if few else float(skew(terms)) / np.sqrt(len(terms))
    error, far = found.expected_shortfall_error, Groups.from_text(groups).reach(n)
    assert ends == pytest.approx(skewed_interval(found.expected_shortfall, error, g, far), rel=1e-9)
    width = found.value_at_risk_high - found.value_at_risk_low
    assert found.value_at_risk_error == pytest.approx(width / 2 / Groups.from_text(groups).reach(n), rel=1e-12)


@pytest.mark.parametrize("groups", ["path", "pair", "quadruple", "tile", "replicate 4"])
@pytest.mark.parametrize("weighted", [False, True])
def test_errors_of_changes_are_those_of_group_differences(groups: str, weighted: bool) -> None:
    rng, n, level = np.random.default_rng(3), 16 * 1024, 0.9
    base, noise = rng.normal(size=(2, n))
    other = 0.8 * base + 0.6 * noise
    weights = rng.gamma(2.0, 0.5, n) if weighted else None
    one, two = estimates([base, other], level=level, groups=groups, weights=weights)
    w = np.ones(n) if weights is None else weights
    terms = [
        (w * (losses > tail.value_at_risk), w * np.maximum(losses - tail.value_at_risk, 0) / (1 - level))
        for losses, tail in ((base, one), (other, two))
    ]
    var_error, es_error = change_errors(one, two, level=level, n=n, groups=Groups.from_text(groups))
    assert es_error == pytest.approx(influence_error(terms[1][1] - terms[0][1], groups), rel=1e-9)
    # VaR: the errors of both, with the correlation of their indicators' group sums
    of = Groups.from_text(groups).of(np.arange(n))
    correlation = np.corrcoef([np.bincount(of, indicator) for indicator, _ in terms])[0, 1]
    a, b = one.value_at_risk_error, two.value_at_risk_error
    assert var_error == pytest.approx(np.sqrt(a * a + b * b - 2 * correlation * a * b), rel=1e-9)


def test_the_change_between_equal_tails_has_no_error() -> None:
    losses = np.random.default_rng(3).normal(size=4096)
    one, shifted = estimates([losses, losses + 5.0], level=0.9, groups="pair")
    var_error, es_error = change_errors(one, shifted, level=0.9, n=4096, groups=Groups("pair"))
    assert var_error == 0.0
    assert es_error < 1e-9


# Intervals are honest, for paths that help each other and for paths that do not


@pytest.mark.parametrize(("groups", "correlation"), [("pair", -0.9), ("pair", 0.9), ("quadruple", 0.5)])
def test_intervals_hold_the_exact_value_as_often_as_they_say(groups: str, correlation: float) -> None:
    from scipy.stats import norm

    rng, level, tiles = np.random.default_rng(11), 0.95, 4
    size = 2 if groups == "pair" else 4
    covariance = np.full((size, size), correlation) + (1 - correlation) * np.eye(size)
    lower = np.linalg.cholesky(covariance)
    found = []
    for _ in range(300):
        z = lower @ rng.normal(size=(size, tiles * 1024 // size))
        lanes = z.reshape(size, tiles, -1).swapaxes(0, 1)  # (tile, member, group)
        found.append(estimate(np.ascontiguousarray(lanes).reshape(-1), level=level, groups=groups))
    quantile = norm.ppf(level)
    shortfall = norm.pdf(quantile) / (1 - level)
    share = coverage([f.value_at_risk_low for f in found], [f.value_at_risk_high for f in found], quantile)
    assert 0.91 < share < 0.985
    lows, highs = ([getattr(f, f"expected_shortfall_{end}") for f in found] for end in ("low", "high"))
    assert 0.91 < coverage(lows, highs, shortfall) < 0.985
    spread = np.std([f.expected_shortfall for f in found], ddof=1)
    assert np.mean([f.expected_shortfall_error for f in found]) == pytest.approx(spread, rel=0.15)


# What must be kept


@given(
    n=st.integers(2, 200).map(lambda tiles: 1024 * tiles),
    level=st.sampled_from([0.5, 0.9, 0.99]),
    unit=st.sampled_from(["pair", "quadruple", "tile"]),
)
def test_the_tail_that_is_kept_suffices(n: int, level: float, unit: str) -> None:
    groups = Groups(unit)  # type: ignore[arg-type]
    mass = needed_mass([level], n, groups)
    assert n * (1 - level) < mass <= n
    assert needed_tail([level], n) <= tail_size([level], n, groups) <= n
    assert tail_size([level], n, Groups("path")) == needed_tail([level], n)
    assert tail_size([level], n, Groups("path"), controlled=True) >= needed_tail([level], n)


def test_a_weighted_tail_gives_the_figures_of_all_losses() -> None:
    rng, n = np.random.default_rng(4), 16 * 1024
    losses, weights = rng.normal(size=n), rng.gamma(2.0, 0.5, n)
    groups = Groups("quadruple")
    tail = WeightedTail(mass=needed_mass(LEVELS, n, groups))
    kept = tail.finalize(tail.chunk({"loss": losses[None], "loss_weight": weights[None]}, first_path=0))
    assert kept["loss"].size < n / 4
    figures = tail_figures(kept, levels=LEVELS, stressed=False, groups=groups.text, key=None)
    for column, level in enumerate(LEVELS):
        whole = estimate(losses, level=level, groups="quadruple", weights=weights)
        for name in ("value_at_risk", "expected_shortfall"):
            assert figures[name][0, column] == getattr(whole, name)
            assert figures[f"{name}_standard_error"][0, column] == getattr(whole, f"{name}_error")
            assert figures[f"{name}_low"][0, column] == getattr(whole, f"{name}_low")
            assert figures[f"{name}_high"][0, column] == getattr(whole, f"{name}_high")
        assert figures["effective_sample_size"][0, column] == whole.effective_sample_size


def test_refusals() -> None:
    losses = np.arange(2048.0)[::-1].copy()
    paths = np.arange(2048)
    sums = total(terms(beyond(losses, paths, None, 1843.0), None, groups=Groups("pair"), plain=False))
    beyond_kept = "level: the error at 0.9 reaches beyond the tail that was kept; take more paths or another sampling"
    for kept in (100, 206):  # VaR itself, and the end of its interval
        worst = WorstLosses(losses[:kept], paths[:kept])
        with pytest.raises(InputError) as caught:
            grouped_estimate(worst, sums, level=0.9, n=2048, groups=Groups("pair"))
        assert str(caught.value) == beyond_kept
    assert order_statistic(WorstLosses(losses[:100], paths[:100]), 99.0, 0.9) == losses[99]
    with pytest.raises(InputError) as caught:
        needed_mass([0.9, 0.9999], 2048, Groups("pair"))
    assert str(caught.value) == "level: 0.9999 needs at least 10000 paths, and there are 2048"
