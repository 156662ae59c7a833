"""Tails of windows against sorting every window, for any series, bounds and levels."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskops.errors import InputError
from riskops.history.forecasts.weighted_windows import weighted_window_tails, window_probabilities
from riskops.history.forecasts.windows import (
    rescaled_losses,
    rescaled_window_probabilities,
    rescaled_window_tails,
    window_tails,
)
from riskops.reductions import order_index, quantile_and_shortfall

LEVELS = (0.07, 0.5, 0.95, 0.975, 0.99, 0.997)

#: Losses with many ties, losses without, and losses of very different sizes.
ties = st.integers(-3, 3).map(float)
sizes = st.floats(-1e9, 1e9, allow_subnormal=False)
series = st.one_of(st.lists(ties, min_size=1, max_size=80), st.lists(sizes, min_size=1, max_size=80)).map(np.array)


@st.composite
def windows(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A series, and windows of it: of one length and consecutive, expanding, or with any ascending bounds."""
    losses = draw(series)
    n, kind = len(losses), draw(st.sampled_from(["rolling", "expanding", "any"]))
    if kind == "any":
        pairs = draw(st.lists(st.tuples(st.integers(0, n - 1), st.integers(1, n)), min_size=1, max_size=12))
        starts, ends = np.sort([a for a, _ in pairs]), np.sort([b for _, b in pairs])
        kept = starts < ends
        starts, ends = starts[kept], ends[kept]
        if not len(ends):
            starts, ends = np.array([0]), np.array([n])
        return losses, starts, ends
    length = draw(st.integers(1, n))
    ends = np.arange(length, n + 1)
    return losses, (ends - length if kind == "rolling" else np.zeros_like(ends)), ends


@given(windows(), st.lists(st.sampled_from(LEVELS), min_size=1, max_size=3, unique=True))
def test_windows_are_those_that_sorting_gives(
    case: tuple[np.ndarray, np.ndarray, np.ndarray], levels: list[float]
) -> None:
    losses, starts, ends = case
    value_at_risk, shortfall = window_tails(losses, starts=starts, ends=ends, levels=levels)
    for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
        descending = np.sort(losses[start:end])[::-1]
        for j, level in enumerate(levels):
            quantile, average = quantile_and_shortfall(descending, level, end - start)
            assert value_at_risk[j, i] == quantile
            assert shortfall[j, i] == pytest.approx(average, rel=1e-15, abs=1e-15 * np.abs(descending).max())
            assert shortfall[j, i] >= quantile


@pytest.mark.parametrize("order", ["falling", "rising", "waves", "constant", "heavy"])
@pytest.mark.parametrize("window", [300, None])
def test_long_series_of_every_order(order: str, window: int | None) -> None:
    """Falling losses use up what is held, rising ones move all of it, waves cut it down and fill it again."""
    days = np.arange(1500.0)
    losses = {
        "falling": -days,
        "rising": days,
        "waves": np.sin(days / 40.0) * (1.0 + days),
        "constant": np.ones(1500),
        "heavy": np.random.default_rng(1).standard_t(2.5, 1500).round(2),
    }[order]
    ends = np.arange(300, 1501)
    starts = ends - 300 if window else np.zeros_like(ends)
    value_at_risk, _ = window_tails(losses, starts=starts, ends=ends, levels=(0.75, 0.99))
    for j, level in enumerate((0.75, 0.99)):
        for i in range(0, len(ends), 7):
            part = losses[starts[i] : ends[i]]
            assert value_at_risk[j, i] == np.sort(part)[order_index(level, len(part)) - 1]


def test_it_is_the_order_statistic_of_a_rolling_quantile() -> None:
    losses = np.random.default_rng(2).standard_t(3, 2000)
    ends = np.arange(252, 2001)
    value_at_risk, _ = window_tails(losses, starts=ends - 252, ends=ends, levels=(0.99,))
    # (252 - 1) * 0.99 = 248.49, so that the place above it is 249, the 250th loss: ceil(252 * 0.99)
    theirs = pd.Series(losses).rolling(252).quantile(0.99, interpolation="higher").to_numpy()[251:]
    assert np.array_equal(value_at_risk[0], theirs)


def test_a_window_does_not_depend_on_the_windows_before_it() -> None:
    losses = np.random.default_rng(3).standard_normal((3, 900)).round(1)
    ends = np.arange(100, 901)
    whole = window_tails(losses, starts=ends - 100, ends=ends, levels=LEVELS)
    weighted = weighted_window_tails(losses, starts=ends - 100, ends=ends, levels=LEVELS, decay=0.97)
    for part in (slice(0, 1), slice(37, 400), slice(400, None), slice(None, None, 9)):
        some = ends[part]
        for found, all_ in (
            (window_tails(losses, starts=some - 100, ends=some, levels=LEVELS), whole),
            (weighted_window_tails(losses, starts=some - 100, ends=some, levels=LEVELS, decay=0.97), weighted),
        ):
            assert all(np.array_equal(one, each[..., part]) for one, each in zip(found, all_, strict=True))
    one = window_tails(losses[1], starts=ends - 100, ends=ends, levels=LEVELS)
    assert all(np.array_equal(row, each[1]) for row, each in zip(one, whole, strict=True))


def weighted_tail(losses: np.ndarray, level: float, decay: float) -> tuple[float, float, bool]:
    """VaR and ES of weighted losses in rational arithmetic, and whether weights add up to just the level."""
    d, mass = Fraction(repr(decay)), 1 - Fraction(repr(level))
    weights = [d**age for age in range(len(losses) - 1, -1, -1)]
    total = sum(weights)
    tail, quantile = Fraction(0), Fraction(0)
    order = sorted(zip(map(Fraction, losses.tolist()), weights, strict=True), reverse=True)
    for value, weight in order:
        quantile = value
        if tail + weight > mass * total:
            break
        tail += weight
    excess = sum(weight * (value - quantile) for value, weight in order if value > quantile)
    close = min(abs(sum((w for _, w in order[:k]), Fraction(0)) / total - mass) for k in range(1, len(order) + 1))
    return float(quantile), float(quantile + excess / (mass * total)), close < 1e-12


@given(windows(), st.sampled_from(LEVELS), st.sampled_from([0.5, 0.9, 0.98, 0.999]))
def test_weighted_windows_are_those_of_rational_arithmetic(
    case: tuple[np.ndarray, np.ndarray, np.ndarray], level: float, decay: float
) -> None:
    losses, starts, ends = case
    value_at_risk, shortfall = weighted_window_tails(losses, starts=starts, ends=ends, levels=(level,), decay=decay)
    for i in range(0, len(ends), max(1, len(ends) // 4)):
        part = losses[starts[i] : ends[i]]
        quantile, average, touching = weighted_tail(part, level, decay)
        if not touching:
            assert value_at_risk[0, i] == quantile
        assert shortfall[0, i] == pytest.approx(average, rel=1e-12, abs=1e-12 * np.abs(part).max())
        assert shortfall[0, i] >= value_at_risk[0, i]


@given(windows(), st.sampled_from([1.0, 0.9]))
def test_probabilities_are_ranks_of_the_loss_in_its_window(
    case: tuple[np.ndarray, np.ndarray, np.ndarray], decay: float
) -> None:
    losses, starts, ends = case
    came = np.linspace(-3.0, 3.0, len(ends)).round()
    found = window_probabilities(losses, came, starts=starts, ends=ends, decay=decay)
    for i, loss in enumerate(came):
        together = np.append(losses[starts[i] : ends[i]], loss)
        weights = decay ** np.arange(len(together) - 1.0, -1.0, -1.0)
        share = (weights[together < loss].sum() + weights[together == loss].sum() / 2) / weights.sum()
        assert found[i] == pytest.approx(share, rel=1e-12)
        assert 0.0 < found[i] < 1.0


@pytest.mark.parametrize("window", [60, None])
def test_rescaled_windows_are_those_of_each_window_alone(window: int | None) -> None:
    """Against the volatilities written out as weighted means, and against the same windows taken one by one."""
    returns = np.random.default_rng(4).standard_normal(400) * np.repeat([0.01, 0.03], 200)
    ends, skip, decay = np.arange(60, 401), 12, 0.9
    starts = ends - 60 if window else np.zeros_like(ends)
    value_at_risk, shortfall = rescaled_window_tails(
        returns, starts=starts, ends=ends, levels=(0.9, 0.99), decay=decay, skip=skip
    )
    for i in range(0, len(ends), 5):
        part = returns[starts[i] : ends[i]]
        weights = decay ** np.arange(len(part) - 1.0, -1.0, -1.0)
        deviation = [np.sqrt(np.average(part[:d] ** 2, weights=weights[-d:])) for d in range(1, len(part) + 1)]
        losses, today = rescaled_losses(part, decay=decay, skip=skip)
        np.testing.assert_allclose(losses, -part[skip:] / deviation[skip - 1 : -1], rtol=1e-12)
        assert today == pytest.approx(deviation[-1], rel=1e-12)
        for j, level in enumerate((0.9, 0.99)):
            quantile, average = quantile_and_shortfall(np.sort(losses)[::-1], level, len(losses))
            assert value_at_risk[j, i] == today * quantile
            assert shortfall[j, i] == pytest.approx(today * average, rel=1e-15)


@pytest.mark.parametrize("window", [30, None])
def test_days_without_volatility_are_left_out(window: int | None) -> None:
    """A price that stood still: the losses of its windows are fewer, and counted as so many."""
    returns = 0.01 * np.random.default_rng(6).standard_normal(150)
    returns[:25], returns[60:85] = 0.0, 0.0
    ends = np.arange(30, 151)
    starts = ends - 30 if window else np.zeros_like(ends)
    given = {"starts": starts, "ends": ends, "decay": 0.9, "skip": 5}
    value_at_risk, shortfall = rescaled_window_tails(returns, levels=(0.8,), **given)
    came = np.linspace(-0.02, 0.02, len(ends))
    ranks = rescaled_window_probabilities(returns, came, **given)
    counts = set()
    for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
        losses, today = rescaled_losses(returns[start:end], decay=0.9, skip=5)
        assert np.isfinite(losses).all()
        counts.add(len(losses))
        quantile, average = quantile_and_shortfall(np.sort(losses)[::-1], 0.8, len(losses))
        assert value_at_risk[0, i] == today * quantile
        assert shortfall[0, i] == pytest.approx(today * average, rel=1e-14)
        loss = came[i] / today
        assert ranks[i] == (np.sum(losses < loss) + np.sum(losses <= loss) + 1) / (2 * len(losses) + 2)
    assert min(counts) < 5


def test_no_volatility_at_all_is_an_error() -> None:
    returns = np.append(np.zeros(6), 0.01)
    message = "returns: of returns 0 to 6 none comes after the first 5 and after one that is not zero"
    with pytest.raises(InputError, match=message):
        rescaled_losses(returns, decay=0.9, skip=5)
    with pytest.raises(InputError, match=message):
        rescaled_window_tails(returns, starts=[0], ends=[7], levels=(0.9,), decay=0.9, skip=5)
    with pytest.raises(InputError, match="returns: of returns 2 to 6 none comes after the first 5"):
        rescaled_window_tails(returns, starts=[2], ends=[7], levels=(0.9,), decay=0.9, skip=5)


@pytest.mark.parametrize(
    ("starts", "ends", "message"),
    [
        ([0, 3], [2, 3], "ends: the window from 3 to 3 holds no loss"),
        ([0], [6], "ends: windows from 0 to 6 are not inside 5 losses"),
        ([1, 0], [2, 3], "starts: the bounds of windows are not ascending"),
        ([], [], "ends: 0 ends do not belong to 0 starts; at least one window is needed"),
    ],
)
def test_bounds_that_are_no_windows(starts: list[int], ends: list[int], message: str) -> None:
    with pytest.raises(InputError) as problem:
        window_tails(np.arange(5.0), starts=starts, ends=ends, levels=(0.9,))
    assert str(problem.value) == message
