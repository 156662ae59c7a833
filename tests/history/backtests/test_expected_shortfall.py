"""Backtests of expected shortfall: published values, other formulas for the same figures, and the extremes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, optimize, stats

from riskops.errors import InputError
from riskops.history.backtests import acerbi_szekely, calibration, costanzino_curran, exceedance_residuals, regression
from riskops.history.backtests.acerbi_szekely import critical_value, z1, z2, z3
from riskops.history.backtests.base import Backtest, Outcomes, tail_probability
from riskops.history.backtests.calibration import conditional_calibration, general_calibration, hommel
from riskops.history.backtests.costanzino_curran import cumulative_violations, du_escanciano
from riskops.history.backtests.exceedance_residuals import bootstrapped_exceedance_residuals
from riskops.history.backtests.null_tails import (
    DEGREES,
    implied_degrees,
    relative_moment,
    severities,
    shortfall_ratio,
    tail_shortfall,
)
from riskops.history.backtests.regression import intercept_regression, joint_regression, shortfall_regression
from riskops.history.backtests.tail_regression import quantile_line
from riskops.rng import fill_uniforms, tile_counters

FILES = (acerbi_szekely, exceedance_residuals, costanzino_curran, calibration, regression)
TESTS: tuple[Backtest, ...] = tuple(test for file in FILES for test in file.BACKTESTS)


def law(degrees: float) -> stats.rv_continuous:
    return stats.norm if math.isinf(degrees) else stats.t(degrees)


def sample(n: int, level: float, degrees: float = math.inf, share: float = 1.0, seed: int = 1) -> Outcomes:
    """Losses of a law whose scale moves, forecast by ``share`` of that scale."""
    numbers = np.random.default_rng(seed)
    scale = np.exp(0.5 * np.sin(np.arange(n) / 40.0))
    z = numbers.standard_normal(n) if math.isinf(degrees) else numbers.standard_t(degrees, n)
    own = law(degrees)
    risk = share * scale
    probability = own.cdf(z / share)
    return Outcomes(scale * z, risk * own.ppf(level), risk * tail_shortfall(level, degrees), probability, level)


# Acerbi and Szekely (2014), table of critical values of Z2 for T = 250 and ES at 97.5 %: the values at 5 % and at
# 0.01 % for a Student t of some degrees and the normal law.
@pytest.mark.parametrize(("degrees", "five"), [(3.0, -0.82), (5.0, -0.74), (10.0, -0.71), (math.inf, -0.70)])
def test_published_critical_values_of_z2(degrees: float, five: float) -> None:
    assert critical_value("z2", 250, level=0.975, degrees=degrees, simulations=30_000) == pytest.approx(five, abs=0.02)


@pytest.mark.long
@pytest.mark.parametrize(
    ("degrees", "five", "rare"),
    [(3.0, -0.82, -4.4), (10.0, -0.71, -1.8), (100.0, -0.70, -1.8), (math.inf, -0.70, -1.8)],
)
def test_published_critical_values_of_z2_far_out(degrees: float, five: float, rare: float) -> None:
    options = {"level": 0.975, "degrees": degrees, "simulations": 1_000_000}
    assert critical_value("z2", 250, **options) == pytest.approx(five, abs=0.006)
    assert critical_value("z2", 250, size=0.0001, **options) == pytest.approx(rare, rel=0.07)


def test_statistics_by_hand() -> None:
    losses = np.array([-0.01, 0.06, 0.02, 0.05, 0.01, 0.03, -0.02, 0.0])
    risk, shortfall = np.full(8, 0.025), np.full(8, 0.04)
    assert z1(losses, risk, shortfall, level=0.75).statistic == pytest.approx(1 - (1.5 + 1.25 + 0.75) / 3)
    assert z2(losses, risk, shortfall, level=0.75).statistic == pytest.approx(1 - (1.5 + 1.25 + 0.75) / 2)
    residual = np.array([0.02, 0.01, -0.01]) / 0.04
    expected = stats.ttest_1samp(residual, 0.0, alternative="greater")
    found = exceedance_residuals.exceedance_residuals(losses, risk, shortfall)
    assert found == pytest.approx((expected.statistic, expected.pvalue))
    by_volatility = exceedance_residuals.exceedance_residuals(losses, risk, shortfall, scale=np.arange(1.0, 9.0))
    expected = stats.ttest_1samp(residual / np.array([2.0, 4.0, 6.0]), 0.0, alternative="greater")
    assert by_volatility == pytest.approx((expected.statistic, expected.pvalue))


@pytest.mark.parametrize("degrees", DEGREES)
def test_tails_of_the_null_laws_against_integrals(degrees: float) -> None:
    own, level = law(degrees), 0.975

    def mean(power: int) -> float:
        return integrate.quad(lambda y: own.isf(0.025 * math.exp(-y)) ** power * math.exp(-y), 0, 150, limit=300)[0]

    shortfall = mean(1)
    assert tail_shortfall(level, degrees) == pytest.approx(shortfall, rel=1e-8)
    assert relative_moment(level, degrees) == pytest.approx(mean(2) / shortfall**2, rel=1e-6)
    ones = np.ones(5)
    assert implied_degrees(ones, ones * shortfall_ratio(level, degrees), level) == degrees


def test_implied_degrees_need_forecasts_of_such_a_law() -> None:
    ones = np.ones(3)
    for risk, shortfall, level in ((-ones, ones, 0.99), (ones, 0.9 * ones, 0.99), (ones, 2 * ones, 0.5)):
        assert math.isnan(implied_degrees(risk, shortfall, level))


def test_simulated_breaches_are_those_of_the_null() -> None:
    drawn = severities(250, 0.975, 4_000, 1)
    count = np.bincount(drawn.row, minlength=4_000)
    assert stats.kstest(drawn.severity, "uniform").pvalue > 0.01
    assert count.mean() == pytest.approx(6.25, abs=4 * math.sqrt(250 * 0.025 * 0.975 / 4_000))
    assert abs(np.corrcoef(drawn.day, drawn.severity)[0, 1]) < 0.02


def test_expected_realised_ranks_and_null_of_z3_by_brute_force() -> None:
    uniform = np.random.default_rng(2).random((20_000, 100))
    own = law(5.0)
    worst = own.isf(np.sort(1.0 - uniform, axis=1)[:, :5]).mean(axis=1)
    expected = acerbi_szekely._expected(100, 5, 5.0)
    assert expected == pytest.approx(worst.mean(), abs=4 * worst.std() / math.sqrt(20_000))
    brute = np.quantile(1 - worst / expected, 0.05)
    assert critical_value("z3", 100, level=0.95, degrees=5.0) == pytest.approx(brute, abs=0.02)
    assert z3(uniform[0], level=0.95, degrees=5.0).statistic == pytest.approx(1 - worst[0] / expected)


def test_cumulative_violations_against_their_definitions() -> None:
    outcomes = sample(400, 0.95, seed=4)
    depth = cumulative_violations(outcomes.probability, level=0.95)
    grid = (np.arange(20_000) + 0.5) / 20_000 * 0.05  # the average of the breaches of every level beyond
    deepest = np.array([np.mean(1 - u <= grid) for u in outcomes.probability])
    np.testing.assert_allclose(depth, deepest, atol=1e-4)
    centred, n = depth - 0.025, 400
    g = [float(np.sum(centred[j:] * centred[: n - j])) / (n - j) for j in range(6)]
    expected = n * sum((one / g[0]) ** 2 for one in g[1:])
    assert du_escanciano(outcomes.probability, level=0.95).statistic == pytest.approx(expected)


def test_calibration_against_the_matrices_of_the_paper() -> None:
    o = sample(500, 0.95, seed=5)
    hit = o.losses > o.value_at_risk
    figures = np.stack(
        [hit - 0.05, o.value_at_risk - o.expected_shortfall + hit * (o.losses - o.value_at_risk) / 0.05], axis=1
    )
    mean, omega = figures.mean(axis=0), figures.T @ figures / 500
    expected = 500 * mean @ np.linalg.solve(omega, mean)
    forecasts = (o.losses, o.value_at_risk, o.expected_shortfall)
    found = conditional_calibration(*forecasts, level=0.95)
    assert found == pytest.approx((expected, stats.chi2.sf(expected, 2)))
    t = math.sqrt(500) * mean / np.sqrt(np.diag(omega))
    one_sided = conditional_calibration(*forecasts, level=0.95, alternative="greater")
    p = np.sort(stats.norm.sf(t))
    assert one_sided == pytest.approx((t.max(), min(1.0, 1.5 * min(2 * p[0], p[1]))))
    scale = np.linspace(1.0, 2.0, 500)
    weights = np.stack([(o.expected_shortfall - o.value_at_risk) / 0.05, -np.ones(500)], axis=1) / scale[:, None]
    moved = (weights * figures).sum(axis=1)
    expected = 500 * moved.mean() ** 2 / np.mean(moved**2)
    assert general_calibration(*forecasts, level=0.95, scale=scale).statistic == pytest.approx(expected)
    four = np.stack([figures[:, 0], figures[:, 0] * o.value_at_risk, figures[:, 1], figures[:, 1] / scale])
    t = math.sqrt(500) * four.mean(axis=1) / np.sqrt(np.mean(four**2, axis=1))
    found = general_calibration(*forecasts, level=0.95, scale=scale, alternative="greater")
    assert found == pytest.approx((t.max(), hommel(stats.norm.sf(t))))


@pytest.mark.parametrize("kind", ["two_sided", "one_sided", "general"])
def test_the_simulated_null_of_calibration_is_that_of_the_test_itself(kind: str) -> None:
    """Samples built from the same draws and judged one by one give the same statistics."""
    o = sample(60, 0.9, seed=6)
    degrees = implied_degrees(o.value_at_risk, o.expected_shortfall, 0.9)
    offsets, day, excess = calibration.drawn_excesses(60, 0.9, degrees, 50, 1)
    width, found = o.expected_shortfall - o.value_at_risk, []
    for i in range(50):
        losses = o.value_at_risk - 1.0
        mine = slice(offsets[i], offsets[i + 1])
        losses[day[mine]] = o.value_at_risk[day[mine]] + width[day[mine]] * excess[mine]
        found.append(calibration._run(kind, Outcomes(losses, o.value_at_risk, o.expected_shortfall, losses, 0.9))[0])
    null = calibration._null(o, kind, 50, 1)
    np.testing.assert_allclose(null, np.sort([one for one in found if not math.isnan(one)]), rtol=1e-7, atol=1e-9)


def test_the_joint_regression_minimises_its_losses() -> None:
    o = sample(400, 0.9, 5.0, seed=7)
    shortfall = o.expected_shortfall
    quantile, coefficients, covariance = joint_regression(o.losses, shortfall, level=0.9)

    def weighted_tick(b: np.ndarray) -> float:
        excess = o.losses - b[0] - b[1] * shortfall
        return float(np.sum((np.maximum(excess, 0.0) - 0.1 * excess) / shortfall))

    found = optimize.minimize(weighted_tick, quantile, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12})
    assert weighted_tick(quantile) <= found.fun + 1e-9
    target = o.losses - quantile[0] - quantile[1] * shortfall
    target = quantile[0] + quantile[1] * shortfall + np.maximum(target, 0.0) / 0.1
    import statsmodels.api as sm

    other = sm.WLS(target, sm.add_constant(shortfall), weights=shortfall**-2.0).fit(cov_type="HC1")
    np.testing.assert_allclose(coefficients, other.params, rtol=1e-8)
    np.testing.assert_allclose(covariance, other.cov_params(), rtol=1e-6)
    wald = other.wald_test((np.eye(2), np.array([0.0, 1.0])), use_f=False, scalar=True)
    assert shortfall_regression(o.losses, shortfall, level=0.9) == pytest.approx((wald.statistic, wald.pvalue))


@pytest.mark.parametrize(("n", "level"), [(120, 0.95), (400, 0.9), (1_500, 0.99)])
def test_the_quantile_line_is_that_of_a_linear_programme(n: int, level: float) -> None:
    for seed in range(5):
        o = sample(n, level, 5.0, seed=seed)
        over, relative = 1.0 / o.expected_shortfall, o.losses / o.expected_shortfall
        work = np.empty((3, n)), np.empty(n, np.int64)
        found = quantile_line(over, relative, n, tail_probability(level), over.sum(), *work)
        design = np.stack([over, np.ones(n)])
        right = tail_probability(level) * design.sum(axis=1)
        dual = optimize.linprog(-relative, A_eq=design, b_eq=right, bounds=(0.0, 1.0), method="highs-ds")
        np.testing.assert_allclose(found, -dual.eqlin.marginals, rtol=1e-7, atol=1e-9)


def test_the_quantile_line_is_the_best_where_many_points_share_one() -> None:
    numbers = np.random.default_rng(0)
    for _ in range(60):
        n = int(numbers.integers(30, 200))
        a, r = numbers.choice([1.0, 1.5, 2.0, 3.0], n), np.round(numbers.standard_t(4, n))
        line = quantile_line(a, r, n, 0.1, a.sum(), np.empty((3, n)), np.empty(n, np.int64))
        design = np.stack([a, np.ones(n)])
        best = optimize.linprog(-r, A_eq=design, b_eq=0.1 * design.sum(axis=1), bounds=(0.0, 1.0), method="highs-ds")
        left = r - line[0] * a - line[1]
        assert np.sum(np.maximum(left, 0.0) - 0.1 * left) == pytest.approx(-best.fun - 0.1 * r.sum(), rel=1e-6)


def test_the_intercept_test_is_a_weighted_regression_on_a_constant() -> None:
    o = sample(400, 0.9, 5.0, seed=7)
    shortfall = o.expected_shortfall
    quantile, _, _ = joint_regression(o.losses, shortfall, level=0.9)
    line = quantile[0] + quantile[1] * shortfall
    import statsmodels.api as sm

    left = line + np.maximum(o.losses - line, 0.0) / 0.1 - shortfall
    other = sm.WLS(left, np.ones(400), weights=shortfall**-2.0).fit(cov_type="HC1")
    found = intercept_regression(o.losses, shortfall, level=0.9)
    assert found == pytest.approx((other.tvalues[0], other.pvalues[0]))


def test_days_far_below_the_quantile_do_not_matter_to_the_regressions() -> None:
    """So simulated samples are held above a cut only."""
    for n, level in ((250, 0.975), (1_000, 0.95), (2_500, 0.99)):
        o = sample(n, level, 5.0, seed=n)
        cut = law(5.0).isf(tail_probability(regression._held(n, level))) / tail_shortfall(level, 5.0)
        whole = regression._observed(o.losses, o.expected_shortfall, level)
        assert regression._observed(o.losses, o.expected_shortfall, level, cut=cut) == pytest.approx(whole, rel=1e-9)
        assert np.mean(o.losses / o.expected_shortfall > cut) < 0.5


def test_the_intercept_is_the_shortfall_of_what_is_left() -> None:
    losses = np.arange(200.0)
    found = intercept_regression(losses, np.full(200, 150.0), level=0.9)
    assert found.statistic > 0.0
    tail = np.maximum(losses - 179.0, 0.0) / 0.1 + 179.0
    error = math.sqrt((np.mean(tail**2) - np.mean(tail) ** 2) / 200)
    assert found.statistic == pytest.approx((189.5 - 150.0) / error, rel=0.01)
    greater = intercept_regression(losses, np.full(200, 150.0), level=0.9, alternative="greater")
    assert greater.p_value == pytest.approx(found.p_value / 2)


def test_the_bootstrap_is_deterministic_and_near_the_t_test_of_many_normals() -> None:
    residuals = np.random.default_rng(8).normal(0.1, 1.0, 150)
    first = bootstrapped_exceedance_residuals(residuals, simulations=4_999, seed=1)
    assert first == bootstrapped_exceedance_residuals(residuals, simulations=4_999, seed=1)
    expected = stats.ttest_1samp(residuals, 0.0, alternative="greater").pvalue
    assert first == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("level", [0.95, 0.99])
@pytest.mark.parametrize("n", [1, 2, 5, 30, 250])
@pytest.mark.parametrize("varies", [True, False])
def test_any_number_of_breaches(n: int, level: float, varies: bool) -> None:
    risk = 1.0 + 0.3 * np.sin(np.arange(n)) if varies else np.ones(n)
    for breaches in (0, 1, 2, n):
        hit = np.arange(n) < breaches
        losses = np.where(hit, 1.5 * risk, 0.2 * risk if varies else 0.2)
        probability = np.where(hit, 1 - (1 - level) / 3, 0.5)
        check_all(Outcomes(losses, risk, 1.2 * risk, probability, level))


@settings(max_examples=40)
@given(breaches=st.lists(st.booleans(), min_size=1, max_size=60), level=st.sampled_from([0.6, 0.9, 0.99]))
def test_any_breaches(breaches: list[bool], level: float) -> None:
    hit, n = np.array(breaches), len(breaches)
    numbers = np.random.default_rng(n)
    probability = np.where(hit, level + (1 - level) * numbers.random(n), level * numbers.random(n))
    losses = np.where(hit, 1.1 + numbers.random(n), 0.9 - numbers.random(n))
    check_all(Outcomes(losses, np.ones(n), np.full(n, 1.3), probability, level))


def check_all(outcomes: Outcomes) -> None:
    for test in TESTS:
        statistic, p = test.run(outcomes)
        assert not math.isinf(statistic), test.name
        assert math.isnan(p) or 0.0 <= p <= 1.0, test.name
        assert math.isnan(p) or not math.isnan(statistic), test.name
        if test.simulate is not None and not math.isnan(statistic):
            simulated = test.simulate(outcomes, statistic, 39, 1)
            assert math.isnan(simulated) or 0.0 < simulated <= 1.0, test.name


def test_where_there_is_nothing_to_say_it_is_said() -> None:
    ones, nothing = np.ones(40), np.empty(0)
    assert math.isnan(z1(0 * ones, ones, ones, level=0.95).statistic)
    assert z2(0 * ones, ones, 1.2 * ones, level=0.95).statistic == 1.0
    assert math.isnan(z2(nothing, nothing, nothing, level=0.95).statistic)
    assert math.isnan(z2(2 * ones, ones, 0 * ones, level=0.95).statistic)
    assert math.isnan(z3(ones[:5] / 2, level=0.9).statistic)
    assert z3(np.append(ones[:30] / 2, 1.0), level=0.9) == (-math.inf, 0.0)
    assert math.isnan(du_escanciano(0.5 * ones, level=0.95).statistic)
    assert math.isnan(shortfall_regression(2 * ones, ones, level=0.5).statistic)
    with pytest.raises(InputError, match=r"scale: 0\.0 on the day of a breach is not above zero"):
        exceedance_residuals.residuals(2 * ones, ones, 1.2 * ones, scale=0 * ones)
    with pytest.raises(InputError, match=r"degrees: 2\.0 is not above 2"):
        critical_value("z2", 250, level=0.99, degrees=2.0)
    with pytest.raises(InputError, match="test: 'z4' is not one of z1, z2, z3"):
        critical_value("z4", 250, level=0.99)


def test_no_breach_ties_with_no_breach_however_sums_are_rounded() -> None:
    """Without a breach T is n: of 250 days at 99 %, one sample in twelve. Their p-values are even, up to that share."""
    (test,) = [test for test in TESTS if test.name == "calibration"]
    assert test.simulate is not None
    found = []
    for seed in range(60):
        o = sample(250, 0.99, seed=seed)
        losses = np.minimum(o.losses, 0.9 * o.value_at_risk)
        calm = Outcomes(losses, o.value_at_risk, o.expected_shortfall, o.probability, 0.99)
        statistic = test.run(calm).statistic
        assert statistic == 250.0
        found.append(test.simulate(calm, statistic, 999, 1) / 0.99**250)
    assert stats.kstest(found, "uniform").pvalue > 0.01


def test_the_bootstrap_of_many_breaches_is_the_same_in_blocks() -> None:
    """As drawn and summed at once, by NumPy."""
    residuals = np.random.default_rng(9).exponential(1.0, 150) - 0.9
    uniforms = np.empty((150, 199))
    fill_uniforms(uniforms, tile_counters(0, 199), seed=1, step=0, stream=5_004)
    draws = (residuals - residuals.mean())[(np.where(uniforms > 0.0, uniforms, 1.0 + uniforms) * 150).astype(int)]
    t = draws.mean(axis=0) / (draws.std(axis=0, ddof=1) / math.sqrt(150))
    observed = residuals.mean() / (residuals.std(ddof=1) / math.sqrt(150))
    expected = (1 + np.sum(t >= observed)) / 200
    assert bootstrapped_exceedance_residuals(residuals, simulations=199, seed=1) == pytest.approx(expected)
