"""CAViaR: the recursion, its fit against other optimisers and quantile regression, and its own simulated model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import optimize, stats

from riskops.errors import InputError
from riskops.history.forecasts.caviar import Caviar
from riskops.history.forecasts.caviar_search import _tick_loss, _tick_losses, quantile_paths
from riskops.history.forecasts.registry import forecaster

DEGREES = 6.0


def _unit_quantile(level: float) -> float:
    return float(stats.t.ppf(level, DEGREES))


def _simulated(coefficients: tuple[float, float, float, float], n: int, *, seed: int, level: float = 0.95) -> Any:
    """Returns whose value at risk at ``level`` follows the recursion exactly, scaled Student-t around it."""
    rng = np.random.default_rng(seed)
    b0, b1, up, down = coefficients
    draws = rng.standard_t(DEGREES, n) / _unit_quantile(level)
    returns = np.empty(n)
    v = (b0 + 0.0) / (1.0 - b1)
    for t in range(n):
        returns[t] = v * draws[t]
        v = b0 + b1 * v + up * max(returns[t], 0.0) + down * max(-returns[t], 0.0)
    return returns


ASYMMETRIC = (0.0008, 0.85, 0.05, 0.30)
SYMMETRIC = (0.001, 0.80, 0.20, 0.20)


@pytest.fixture(scope="module")
def returns() -> Any:
    return _simulated(ASYMMETRIC, 1000, seed=11)


def _plain_recursion(fit: Any, returns: Any, row: int, *, root: bool) -> float:
    """The forecast after the returns, written out."""
    b0, b1, up, down = fit.coefficients[row]
    state = fit.start[row]
    for y in returns / fit.scale:
        gain, fall = max(y, 0.0), max(-y, 0.0)
        state = b0 + b1 * state + (up * gain**2 + down * fall**2 if root else up * gain + down * fall)
    return float((np.sqrt(state) if root else state) * fit.scale)


@pytest.mark.parametrize("dynamics", ["symmetric", "asymmetric", "indirect_garch"])
@pytest.mark.parametrize("window", [None, 400])
def test_a_forecast_is_the_recursion_over_its_window(returns: Any, dynamics: str, window: int | None) -> None:
    fit = Caviar(dynamics).fit(returns[:600], levels=(0.95, 0.99), days=1)
    ends = np.array([500, 601, 750])
    found = fit.predict(returns, ends, window=window)
    for i, end in enumerate(ends):
        known = returns[0 if window is None else end - window : end]
        expected = sorted(_plain_recursion(fit, known, row, root=dynamics == "indirect_garch") for row in range(2))
        assert found.value_at_risk[:, i] == pytest.approx(expected, rel=1e-12)
        assert np.all(found.expected_shortfall[:, i] > found.value_at_risk[:, i])


def test_the_future_changes_nothing(returns: Any) -> None:
    fit = Caviar().fit(returns[:600], levels=(0.95,), days=1)
    ends = np.arange(600, 700)
    other = returns.copy()
    other[699:] = 5.0
    one, two = (fit.predict(series, ends, window=500) for series in (returns, other))
    assert np.array_equal(one.value_at_risk, two.value_at_risk)
    later = fit.predict(other, np.array([700]), window=500)
    assert later.value_at_risk[0, 0] > 2.0 * one.value_at_risk[0, -1]


def test_a_forecast_does_not_depend_on_the_other_days_asked_for(returns: Any) -> None:
    fit = Caviar("asymmetric").fit(returns, levels=(0.975,), days=1)
    together = fit.predict(returns, np.arange(500, 1000), window=300).value_at_risk
    alone = fit.predict(returns, np.array([777]), window=300).value_at_risk
    assert together[0, 277] == alone[0, 0]


@pytest.mark.parametrize("root", [False, True])
def test_the_tick_loss_is_that_of_the_plain_formula(returns: Any, root: bool) -> None:
    y = returns / returns.std()
    gains, falls = np.maximum(y, 0.0) ** (1 + root), np.maximum(-y, 0.0) ** (1 + root)
    x = np.array([2.0, 1.2, 0.4, 0.9])
    rest = np.exp(-2.0)
    plain = np.array([[rest * 1.2, 1.0 - rest, rest * 0.4, rest * 0.9]])
    v = quantile_paths(gains, falls, plain, np.array([1.5]), root)[0]
    expected = float(np.sum((-y - v) * (0.95 - (-y < v))))
    assert _tick_loss(x, gains, falls, -y, 1.5, 0.05, root) == pytest.approx(expected, rel=1e-12)
    assert _tick_loss.py_func(-x, gains, falls, -y, 1.5, 0.05, root) == pytest.approx(expected, rel=1e-12)
    many = np.empty(2)
    _tick_losses(np.stack([x, 2.0 * x]), gains, falls, -y, 1.5, 0.05, root, many)
    assert many[0] == pytest.approx(expected, rel=1e-12)
    assert many[1] != pytest.approx(expected, rel=1e-3)


def _summed_loss(fit: Any, returns: Any, row: int, level: float, coefficients: Any = None) -> float:
    y = returns / fit.scale
    plain = fit.coefficients[row : row + 1] if coefficients is None else np.asarray(coefficients)[None]
    v = quantile_paths(np.maximum(y, 0.0), np.maximum(-y, 0.0), plain, fit.start[row : row + 1], False)[0]
    return float(np.sum((-y - v) * (level - (-y < v))))


@pytest.mark.parametrize(("level", "seed"), [(0.95, 1), (0.99, 2), (0.99, 3)])
def test_another_global_optimiser_finds_nothing_better(level: float, seed: int) -> None:
    sample = _simulated(ASYMMETRIC, 1000, seed=seed)
    fit = Caviar("asymmetric").fit(sample, levels=(level,), days=1)
    y = sample / fit.scale
    gains, falls = np.maximum(y, 0.0), np.maximum(-y, 0.0)
    other = optimize.differential_evolution(
        lambda x: _tick_loss(x, gains, falls, -y, fit.start[0], 1.0 - level, False),
        [(0.01, 6.0), (0.0, 4.0), (0.0, 8.0), (0.0, 8.0)],
        seed=1,
        popsize=10,
        maxiter=150,
        tol=1e-10,
        polish=False,
    )
    assert _summed_loss(fit, sample, 0, level) <= other.fun * (1.0 + 1e-6)


def test_no_quantile_regression_on_yesterday_is_better() -> None:
    """Without memory the model is a linear quantile regression, which statsmodels solves."""
    from statsmodels.regression.quantile_regression import QuantReg

    sample = _simulated((0.01, 0.0, 0.1, 0.6), 4000, seed=5)
    fit = Caviar("asymmetric").fit(sample, levels=(0.95,), days=1)
    y = sample / fit.scale
    design = np.column_stack([np.ones(len(y) - 1), np.maximum(y[:-1], 0.0), np.maximum(-y[:-1], 0.0)])
    b0, up, down = QuantReg(-y[1:], design).fit(q=0.95, p_tol=1e-9, max_iter=5000).params
    regression = _summed_loss(fit, sample, 0, 0.95, (b0, 0.0, up, down))
    found = _summed_loss(fit, sample, 0, 0.95)
    assert regression * 0.998 < found <= regression * (1.0 + 1e-9)
    assert fit.coefficients[0] == pytest.approx([b0, 0.0, up, down], abs=0.15)


@pytest.mark.parametrize(("dynamics", "truth"), [("symmetric", SYMMETRIC), ("asymmetric", ASYMMETRIC)])
def test_its_own_model_is_recovered_and_covered(dynamics: str, truth: tuple[float, float, float, float]) -> None:
    sample = _simulated(truth, 30_000, seed=21)
    half = len(sample) // 2
    fit = Caviar(dynamics).fit(sample[:half], levels=(0.95, 0.99), days=1)
    assert fit.notes == ()
    b0, b1, up, down = fit.coefficients[0]
    assert b1 == pytest.approx(truth[1], abs=0.03)
    assert b0 * fit.scale == pytest.approx(truth[0], rel=0.25)
    assert (up, down) == pytest.approx(truth[2:], abs=0.05)
    ends = np.arange(half, len(sample))
    found = fit.predict(sample, ends, window=1000)
    losses = -sample[half:]
    for row, mass in enumerate((0.05, 0.01)):
        beyond = losses > found.value_at_risk[row]
        low, high = stats.binom.interval(0.999, half, mass)
        assert low <= beyond.sum() <= high
        # the loss of a day beyond is on average the expected shortfall: relative to it, one
        relative = losses[beyond] / found.expected_shortfall[row][beyond]
        assert abs(relative.mean() - 1.0) < 3.5 * relative.std() / np.sqrt(beyond.sum()) + 0.01


def test_the_multiple_makes_the_joint_score_least(returns: Any) -> None:
    fit = Caviar().fit(returns, levels=(0.95,), days=1)
    y = returns / fit.scale
    v = quantile_paths(np.maximum(y, 0.0), np.maximum(-y, 0.0), fit.coefficients, fit.start, False)[0]

    def score(multiple: float) -> float:
        return float(np.mean(np.maximum(-y - v, 0.0) / (0.05 * multiple * v) + 1.0 / multiple + np.log(multiple * v)))

    best = optimize.minimize_scalar(score, bounds=(1.0, 5.0), method="bounded", options={"xatol": 1e-9})
    assert fit.multiple[0] == pytest.approx(best.x, rel=1e-6)


def test_levels_are_fitted_apart_and_sorted(returns: Any) -> None:
    """Levels so near each other that their recursions cross, asked for in no order."""
    levels = (0.975, 0.95, 0.96, 0.955)
    method = Caviar("asymmetric")
    fit = method.fit(returns, levels=levels, days=1)
    assert any("cross in" in note for note in fit.notes)
    ends = np.arange(300, 1000)
    found = fit.predict(returns, ends, window=250)
    for surface in (found.value_at_risk, found.expected_shortfall):
        assert np.all(np.diff(surface[[1, 3, 2, 0]], axis=0) >= 0.0)
    alone = np.stack(
        [
            method.fit(returns, levels=(level,), days=1).predict(returns, ends, window=250).value_at_risk[0]
            for level in levels
        ]
    )
    assert np.array_equal(np.sort(alone, axis=0), np.sort(found.value_at_risk, axis=0))
    assert not np.array_equal(alone, found.value_at_risk)  # they did cross
    assert np.all(found.expected_shortfall >= found.value_at_risk)


def test_a_horizon_of_days_is_that_of_sums(returns: Any) -> None:
    series = _simulated(SYMMETRIC, 1503, seed=4)
    method = Caviar()
    fit = method.fit(series, levels=(0.95,), days=5)
    sums = series[3:].reshape(300, 5).sum(axis=1)
    direct = method.fit(sums, levels=(0.95,), days=1)
    assert np.array_equal(fit.coefficients, direct.coefficients)
    found = fit.predict(series, np.array([1303, 1503]), window=1000)
    expected = direct.predict(sums, np.array([260, 300]), window=200).value_at_risk
    assert found.value_at_risk == pytest.approx(expected, rel=1e-12)
    assert method.horizon_rule(1) == "one day ahead"
    assert "do not overlap" in method.horizon_rule(5)


def test_the_unit_of_the_returns_does_not_matter(returns: Any) -> None:
    one, two = (Caviar("indirect_garch").fit(r, levels=(0.95,), days=1) for r in (returns, 128.0 * returns))
    ends = np.array([len(returns)])
    first = one.predict(returns, ends, window=None).value_at_risk
    assert 128.0 * first == pytest.approx(two.predict(128.0 * returns, ends, window=None).value_at_risk, rel=1e-12)
    assert two.parameters["intercept_0.95"] == pytest.approx(128.0**2 * one.parameters["intercept_0.95"], rel=1e-9)
    assert set(one.parameters) == {"intercept_0.95", "persistence_0.95", "reaction_0.95", "shortfall_multiple_0.95"}


def test_every_search_ends_at_the_same_loss(returns: Any) -> None:
    losses = [
        _summed_loss(Caviar("asymmetric", seed).fit(returns, levels=(0.99,), days=1), returns, 0, 0.99)
        for seed in range(1, 6)
    ]
    assert max(losses) <= min(losses) * (1.0 + 1e-5)


def test_few_losses_beyond_the_level_are_said(returns: Any) -> None:
    notes = Caviar().fit(returns, levels=(0.997,), days=1).notes
    assert notes[0].startswith("level 0.997: about 3.0 of 1000 losses lie beyond it")


def test_returns_without_any_clustering_need_no_reaction_or_say_so() -> None:
    """Uniform returns carry nothing: the quantile stays about where it is."""
    sample = np.random.default_rng(9).uniform(-1.0, 1.0, 3000)
    found = Caviar().fit(sample, levels=(0.95,), days=1).predict(sample, np.arange(1000, 3000), window=None)
    assert found.value_at_risk.mean() == pytest.approx(0.9, abs=0.02)


def test_what_it_refuses(returns: Any) -> None:
    with pytest.raises(InputError, match=r"dynamics: 'adaptive' is not one of asymmetric, indirect_garch, symmetric"):
        Caviar("adaptive")
    with pytest.raises(InputError, match=r"caviar_symmetric: 100 returns are too few; at least 250 are needed"):
        Caviar().fit(returns[:100], levels=(0.95,), days=1)
    with pytest.raises(InputError, match=r"1000 returns hold 100 sums of 10 days .*at least 250 .* 2500 returns"):
        Caviar().fit(returns, levels=(0.95,), days=10)
    with pytest.raises(InputError, match=r"1000 losses are too few for level 0.9999; 10000 are needed"):
        Caviar().fit(returns, levels=(0.9999,), days=1)
    with pytest.raises(InputError, match=r"the sample quantile at level 0.3 is no loss"):
        Caviar().fit(returns, levels=(0.3,), days=1)


@pytest.mark.parametrize("method", [Caviar(), Caviar("asymmetric", seed=7), Caviar("indirect_garch")])
def test_a_record_gives_the_forecaster_back(method: Caviar) -> None:
    assert forecaster(method.record()) == method
    assert method.name == f"caviar_{method.dynamics}" + ("_seed_7" if method.seed == 7 else "")
