"""Historical simulation, by age and by volatility: against published tables, other code, and brute force."""

from __future__ import annotations

import numpy as np
import pytest

from riskops.errors import InputError
from riskops.history.forecasts import forecaster
from riskops.history.forecasts.base import Forecaster, losses_ahead
from riskops.history.forecasts.historical_simulation import AgeWeighted, Historical, VolatilityWeighted
from riskops.history.forecasts.resampled import resampled_sums
from riskops.history.forecasts.weighted_windows import weighted_window_tails
from riskops.history.forecasts.windows import rescaled_losses
from riskops.market import load_prices, returns_over
from riskops.reductions import quantile_and_shortfall

ALL = [Historical(), AgeWeighted(), VolatilityWeighted()]
NAMES = [one.name for one in ALL]


def sample(n: int = 700, seed: int = 5) -> np.ndarray:
    """Returns whose volatility comes in clusters."""
    draws = np.random.default_rng(seed).standard_t(5, n)
    return 0.01 * draws * np.exp(0.6 * np.sin(np.arange(n) / 30.0))


def placed(worst: dict[int, float], n: int) -> np.ndarray:
    """A sample of ``n`` losses with some of so many days ago, 1 being the last; all others are gains of 1."""
    losses = np.full(n, -1.0)
    for age, loss in worst.items():
        losses[n - age] = loss
    return losses


@pytest.mark.parametrize(
    ("ages", "weights", "cumulative", "at_95"),
    [
        (
            (3, 2, 65, 45, 5, 30),
            (0.0221, 0.0226, 0.0063, 0.0095, 0.0213, 0.0128),
            (0.0221, 0.0447, 0.0511, 0.0605, 0.0818, 0.0947),
            2.7,
        ),
        (
            (28, 27, 90, 70, 30, 55),
            (0.0134, 0.0136, 0.0038, 0.0057, 0.0128, 0.0077),
            (0.0134, 0.0270, 0.0308, 0.0365, 0.0494, 0.0571),
            2.3,
        ),
    ],
)
def test_age_weighted_is_the_table_of_its_authors(
    ages: tuple[int, ...], weights: tuple[float, ...], cumulative: tuple[float, ...], at_95: float
) -> None:
    """Boudoukh, Richardson and Whitelaw (1998), table 1 (also Allen, Boudoukh and Saunders 2004, table 2.3): the six
    worst of 100 returns at decay 0.98, and the same 25 days later. Where the weights reach a level the loss is VaR
    there; the authors interpolate, 2.73 % and 2.34 % at 95 %, between it and the one before.
    """
    worst = (3.30, 2.90, 2.70, 2.50, 2.40, 2.30)
    losses = placed(dict(zip(ages, worst, strict=True)), 100)

    def value_at_risk(level: float) -> float:
        return float(weighted_window_tails(losses, starts=[0], ends=[100], levels=(level,), decay=0.98)[0][0, 0])

    for loss, weight, upto in zip(worst, weights, cumulative, strict=True):
        # the loss is VaR from where the weights reach it to where they leave it, known to half a unit of the table
        assert value_at_risk(round(1.0 - upto + 1e-4, 6)) == loss
        assert value_at_risk(round(1.0 - upto + weight - 2e-4, 6)) == loss
    assert value_at_risk(0.95) == at_95


def test_age_weighted_is_hulls_table() -> None:
    """Hull, Risk Management and Financial Institutions, 13.3.1: the three worst of 500 scenarios at 0.995 have the
    cumulative weights 0.00528, 0.00771 and 0.01027; VaR at 99 % is 282,204 and ES is 400,914."""
    losses = placed({501 - 494: 477_841.0, 501 - 339: 345_435.0, 501 - 349: 282_204.0}, 500)
    fit = AgeWeighted(decay=0.995).fit(-losses, levels=(0.99,), days=1)
    told = fit.predict(-losses, np.array([500]), window=500)
    assert told.value_at_risk.item() == 282_204.0
    assert round(told.expected_shortfall.item()) == 400_914


@pytest.mark.parametrize(
    ("start", "value_at_risk", "shortfall"),
    [("2018-01-01", 0.03243958060642038, 0.04785105430097365), (None, 0.039568345, 0.059240073)],
)
def test_historical_is_what_other_libraries_find(start: str | None, value_at_risk: float, shortfall: float) -> None:
    """Apple at 95 %: riskfolio-lib 7.4.0 (RiskFunctions.VaR_Hist and CVaR_Hist) of 2018 to 2022, and the figures of
    skfolio's tests (tests/test_measures, commit c06db84) of 1990 to 2022."""
    prices = load_prices("sp500", assets=["AAPL"], end="2022-12-28")
    returns = returns_over(prices, days=1)["simple_return"]
    window = returns.sel(observation=slice(start, None)).to_numpy()[:, 0]
    told = Historical().fit(window, levels=(0.95,), days=1).predict(window, np.array([len(window)]), window=None)
    assert told.value_at_risk.item() == pytest.approx(value_at_risk, abs=5e-10)
    assert told.expected_shortfall.item() == pytest.approx(shortfall, abs=5e-10)


def brute(method: Forecaster, window: np.ndarray, level: float, days: int) -> tuple[float, float]:
    """VaR and ES of one window, written out with sorting."""
    if isinstance(method, VolatilityWeighted):
        losses, today = rescaled_losses(window, decay=method.decay, skip=method.warm_up)
        quantile, shortfall = quantile_and_shortfall(np.sort(losses)[::-1], level, len(losses))
        return today * quantile, today * shortfall
    losses = losses_ahead(window, days=days)
    decay = method.decay if isinstance(method, AgeWeighted) else 1.0
    weights = decay ** np.arange(len(losses) - 1.0, -1.0, -1.0)
    order = np.argsort(-losses, kind="stable")
    losses, weights = losses[order], weights[order] / weights.sum()
    mass = 1.0 - level
    last = int(np.argmax(np.cumsum(weights) > mass * (1.0 + 1e-12)))
    worst = losses[last]
    return worst, worst + float(weights[:last] @ (losses[:last] - worst)) / mass


@pytest.mark.parametrize(("days", "method"), [(1, one) for one in ALL] + [(5, one) for one in ALL[:2]])
@pytest.mark.parametrize("window", [252, None])
def test_forecasts_are_those_of_each_window_sorted(method: Forecaster, days: int, window: int | None) -> None:
    returns, ends = sample(), np.arange(252, 701)
    levels = (0.9, 0.95, 0.99)
    told = method.fit(returns[:252], levels=levels, days=days).predict(returns, ends, window=window)
    assert told.value_at_risk.shape == told.expected_shortfall.shape == (3, len(ends))
    assert told.value_at_risk_error is None
    for i in range(0, len(ends), 23):
        part = returns[ends[i] - 252 if window else 0 : ends[i]]
        for j, level in enumerate(levels):
            quantile, shortfall = brute(method, part, level, days)
            assert told.value_at_risk[j, i] == pytest.approx(quantile, rel=1e-12)
            assert told.expected_shortfall[j, i] == pytest.approx(shortfall, rel=1e-12)


@pytest.mark.parametrize("days", [1, 5])
@pytest.mark.parametrize("method", ALL, ids=NAMES)
def test_a_forecast_knows_its_window_and_nothing_else(method: Forecaster, days: int) -> None:
    returns, ends = sample(), np.array([300, 301, 340])
    fit = method.fit(returns[:300], levels=(0.95, 0.99), days=days)
    told = fit.predict(returns, ends, window=100)
    changed = returns.copy()
    changed[:200], changed[340:] = 5.0, -7.0
    other = fit.predict(changed, ends, window=100)
    came = np.array([0.0, 0.02, -0.01])
    for one, two in (
        (told.value_at_risk, other.value_at_risk),
        (told.expected_shortfall, other.expected_shortfall),
        (told.probability(came), other.probability(came)),
    ):
        assert np.array_equal(one, two)
    changed[320] = -7.0
    later = fit.predict(changed, ends, window=100).expected_shortfall
    assert np.array_equal(later[:, :2], told.expected_shortfall[:, :2])
    assert (later[:, 2] > told.expected_shortfall[:, 2]).all()


@pytest.mark.parametrize("method", ALL, ids=NAMES)
def test_probability_is_the_rank_of_the_loss(method: Forecaster) -> None:
    returns = sample(300)
    told = method.fit(returns, levels=(0.95,), days=1).predict(returns, np.array([300] * 3), window=250)
    quantile = told.value_at_risk[0, 0]
    low, middle, high = told.probability(np.array([-1e9, quantile, 1e9]))
    assert 0.0 < low < 0.02 < 0.98 < high < 1.0
    assert middle == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize("method", ALL, ids=NAMES)
def test_independent_losses_are_covered(method: Forecaster) -> None:
    """One step ahead on independent Student t losses: breaches and the mean of the ranks, within four errors."""
    returns = 0.01 * np.random.default_rng(11).standard_t(6, 6250)
    ends = np.arange(250, 6250)
    told = method.fit(returns[:250], levels=(0.9,), days=1).predict(returns, ends, window=250)
    came = -returns[ends]
    rate = (came > told.value_at_risk[0]).mean()
    # of 250 losses and one more any is as likely the 26th worst; rescaling by a noisy volatility makes the tail a
    # little longer for a window's losses and the day's alike
    expected = 26 / 251 if isinstance(method, Historical) else 0.1
    slack = 0.0 if isinstance(method, Historical) else 0.012
    assert abs(rate - expected) < 4.0 * np.sqrt(0.1 * 0.9 / len(ends)) + slack
    assert abs(told.probability(came).mean() - 0.5) < 4.0 / np.sqrt(12 * len(ends))


def test_rescaling_follows_the_volatility() -> None:
    """Hull and White's point: in months three times as wild as those before the plain forecast is exceeded far too
    often, the rescaled one about as often as it says."""
    rng = np.random.default_rng(8)
    wild = np.tile(np.repeat([1.0, 3.0], 60), 50)
    returns = 0.01 * wild * rng.standard_normal(len(wild))
    ends = np.arange(1000, len(returns))
    ends = ends[(wild[ends] == 3.0) & (wild[ends - 20] == 3.0)]  # the wild weeks that come after wild weeks
    plain, rescaled = (
        (
            -returns[ends] > one.fit(returns, levels=(0.95,), days=1).predict(returns, ends, window=500).value_at_risk
        ).mean()
        for one in (Historical(), VolatilityWeighted())
    )
    assert plain > 0.085
    assert abs(rescaled - 0.05) < 0.02


def test_simulated_days_have_the_moments_of_independent_sums() -> None:
    """Ten draws from the rescaled losses: mean and variance are ten times theirs, and the quantile is within its error
    of that of plain NumPy draws."""
    returns, days, paths = sample(), 10, 65_536
    method = VolatilityWeighted(paths=paths)
    told = method.fit(returns, levels=(0.95, 0.99), days=days).predict(returns, np.array([700]), window=500)
    losses, today = rescaled_losses(returns[200:], decay=0.94, skip=20)
    sums = today * np.random.default_rng(2).choice(losses, (paths, days)).sum(axis=1)
    for j, level in enumerate((0.95, 0.99)):
        theirs = quantile_and_shortfall(np.sort(sums)[::-1], level, paths)
        for figure, error, other in (
            (told.value_at_risk, told.value_at_risk_error, theirs[0]),
            (told.expected_shortfall, told.expected_shortfall_error, theirs[1]),
        ):
            assert 0.0 < error[j, 0] < 0.02 * other
            assert abs(figure[j, 0] - other) < 4.0 * np.sqrt(2.0) * error[j, 0]
    draws = np.array([[0.0, 0.34, 0.99999], [0.5, 0.5, 0.5]])
    assert resampled_sums(np.array([1.0, 10.0, 100.0]), draws).tolist() == [11.0, 20.0, 110.0]


def test_what_the_user_is_told() -> None:
    returns = sample(252)
    assert Historical().fit(returns, levels=(0.95,), days=1).notes == ()
    assert Historical().fit(returns, levels=(0.99, 0.997), days=1).notes == (
        "beyond 0.997 lies less than one of 252 losses: VaR and ES are the largest of them",
    )
    assert Historical().fit(returns, levels=(0.95,), days=10).notes == (
        "243 losses over 10 days overlap; they tell about as much as 24 apart",
    )
    assert AgeWeighted().fit(returns, levels=(0.95, 0.99), days=1).notes == (
        "the newest loss weighs 0.0201, more than the tail beyond 0.99: it alone can be all of it",
    )
    # its largest loss, if old, weighs less than what lies beyond the level
    assert "largest" not in " ".join(AgeWeighted().fit(returns, levels=(0.997,), days=1).notes)
    assert VolatilityWeighted().fit(returns[:100], levels=(0.99,), days=1).notes == (
        "beyond 0.99 lies less than one of 80 losses: VaR and ES are the largest of them",
    )
    still = np.where(np.arange(252) < 30, 0.0, returns)
    assert VolatilityWeighted().fit(still, levels=(0.99,), days=1).notes == (
        "11 losses have only returns of zero before them, so no volatility, and are left out",
    )
    assert [one.horizon_rule(1) for one in ALL] == ["one day ahead"] * 3
    assert [one.horizon_rule(10) for one in ALL] == [
        "overlapping windows of the sample",
        "overlapping windows of the sample",
        "simulation of independent rescaled days at today's volatility",
    ]


def test_names_and_records() -> None:
    assert NAMES == ["historical", "age_weighted", "volatility_weighted"]
    other = [AgeWeighted(decay=0.99), VolatilityWeighted(decay=0.97, warm_up=30, paths=1000, seed=4)]
    assert [one.name for one in other] == [
        "age_weighted_0.99",
        "volatility_weighted_0.97_warm_up_30_1000_paths_seed_4",
    ]
    for one in [*ALL, *other]:
        assert forecaster(one.record()) == one
        assert not one.estimated


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: AgeWeighted(decay=1.0), "decay: 1.0 is not between 0 and 1"),
        (lambda: VolatilityWeighted(warm_up=0), "warm_up: 0 is not an integer >= 1"),
        (
            lambda: Historical().fit(np.ones(1), levels=(0.9,), days=1),
            "historical: 1 returns are too few; at least 2 are needed",
        ),
        (
            lambda: Historical().fit(1e-200 * np.arange(9.0), levels=(0.9,), days=1),
            "historical: the largest return is 8e-200, not between 1e-60 and 1e+60; scale the returns",
        ),
        (
            lambda: (
                Historical().fit(sample(300), levels=(0.9,), days=10).predict(sample(300), np.array([300]), window=9)
            ),
            "historical: a window of 9 returns holds no loss over 10 days",
        ),
        (
            lambda: (
                VolatilityWeighted()
                .fit(sample(300), levels=(0.9,), days=1)
                .predict(sample(300), np.array([300]), window=20)
            ),
            "volatility_weighted: a window of 20 returns is no longer than the warm-up of 20; "
            "lengthen the window or shorten warm_up",
        ),
    ],
)
def test_what_is_refused(made: object, message: str) -> None:
    with pytest.raises(InputError) as problem:
        made()  # type: ignore[operator]
    assert str(problem.value) == message
