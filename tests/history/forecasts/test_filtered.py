"""Filtered historical simulation and conditional extremes: a published case, their parts by hand, and coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from arch.data import sp500
from scipy.stats import binom

import riskops.history.forecasts.volatility as volatility_module
from riskops.errors import InputError
from riskops.history.forecasts.base import Floats, losses_ahead
from riskops.history.forecasts.filtered import ConditionalExtremes, FilteredHistorical
from riskops.history.forecasts.garch import INFINITE_SHORTFALL
from riskops.history.forecasts.laws import EmpiricalLaw, SkewedTLaw
from riskops.history.forecasts.pareto import fit_pareto
from riskops.history.forecasts.recursion import simulate_losses
from riskops.history.forecasts.registry import forecaster
from riskops.history.forecasts.simulated import uniforms
from riskops.history.forecasts.volatility import Volatility, clear_fits, fit_volatility

PRICES = sp500.load()["Adj Close"]
RETURNS = PRICES.pct_change().dropna().to_numpy()


def skewed_garch(days: int, seed: int) -> Floats:
    """Returns of a GARCH(1,1) whose losses are skewed t, which no normal law describes."""
    z = -SkewedTLaw(5.0, 0.3).quantile(uniforms(paths=days, days=1, seed=seed)[0])
    h, out = 1e-4, np.empty(days)
    for t in range(days):
        out[t] = 0.0003 + math.sqrt(h) * z[t]
        h = 2e-6 + 0.08 * h * z[t] ** 2 + 0.9 * h
    return out


def test_the_published_forecasts() -> None:
    # arch 8.0.0, examples/univariate_volatility_forecasting.ipynb: filtered historical simulation of a skewed t GARCH
    # of the S&P 500 to the end of 2017, in percent. Its quantiles are interpolated, ours are order statistics.
    known = int((PRICES.index[1:] <= "2017-12-31").sum())
    fit = FilteredHistorical(innovations="skewed_t").fit(RETURNS[:known], levels=(0.99, 0.95), days=1)
    assert isinstance(fit.law, EmpiricalLaw)
    assert np.quantile(fit.law.losses, [0.99, 0.95]) == pytest.approx([2.6682666, 1.7233429], abs=1e-3)
    told = fit.predict(RETURNS, np.arange(known + 1, known + 6), window=None)
    first_days = [
        [1.2915263, 1.3328949, 1.3160307, 1.3729745, 1.3263690],
        [0.8157543, 0.8424728, 0.8315808, 0.8683589, 0.8382579],
    ]
    assert 100.0 * told.value_at_risk == pytest.approx(np.array(first_days), abs=1e-2)


def test_one_day_is_the_rescaled_sample() -> None:
    sample = RETURNS[:1000]
    fit = FilteredHistorical().fit(sample, levels=(0.95, 0.99), days=1)
    told = fit.predict(sample, np.array([1000]), window=None)
    found = fit_volatility(Volatility(), sample, method="test")
    variances = found.variances(sample)
    z = np.sort((found.recursion.mean - sample) / np.sqrt(variances[:-1]))
    deviation, mean = math.sqrt(variances[-1]), found.recursion.mean
    assert told.value_at_risk[:, 0] == pytest.approx(-mean + deviation * z[[949, 989]], rel=1e-12)
    assert told.expected_shortfall[:, 0] == pytest.approx(
        -mean + deviation * np.array([z[950:].mean(), z[990:].mean()]), rel=1e-12
    )


def test_several_days_draw_the_sample_and_move_the_variance() -> None:
    sample = RETURNS[:1000]
    one = FilteredHistorical(paths=2048, seed=3)
    fit = one.fit(sample, levels=(0.95,), days=4)
    told = fit.predict(sample, np.array([1000]), window=None)
    z = EmpiricalLaw(fit.volatility.loss_residuals(sample)).losses
    drawn = z[np.ceil(1000 * uniforms(paths=2048, days=4, seed=3)).astype(int) - 1]
    losses = simulate_losses(drawn, fit.volatility.recursion, variance=fit.volatility.variances(sample)[-1])
    assert told.value_at_risk[0, 0] == np.sort(losses)[math.ceil(2048 * 0.95) - 1]


@pytest.mark.parametrize("method", ["filtered_historical", "conditional_evt"])
def test_nominal_coverage_whatever_the_innovations(method: str) -> None:
    returns = skewed_garch(10_000, seed=21)
    levels = (0.95, 0.99, 0.997)
    fit = forecaster(method).fit(returns[:4000], levels=levels, days=1)
    told = fit.predict(returns, np.arange(4000, 10_000), window=2000)
    for row, level in zip(told.value_at_risk, levels, strict=True):
        low, high = binom.ppf([0.0005, 0.9995], 6000, 1.0 - level)
        assert low <= (-returns[4000:] > row).sum() <= high
    # a normal law of the innovations has too many of the largest losses
    normal = forecaster("garch_normal").fit(returns[:4000], levels=levels, days=1)
    count = (-returns[4000:] > normal.predict(returns, np.arange(4000, 10_000), window=2000).value_at_risk[1]).sum()
    assert count > binom.ppf(0.9995, 6000, 0.01)


def test_nominal_coverage_of_conditional_extremes_over_several_days() -> None:
    returns = skewed_garch(9000, seed=4)
    fit = ConditionalExtremes(paths=4096).fit(returns[:4000], levels=(0.95, 0.99), days=5)
    ends = np.arange(4000, 8995, 5)
    told = fit.predict(returns, ends, window=1000)
    losses = losses_ahead(returns, days=5)[ends]
    for row, level in zip(told.value_at_risk, (0.95, 0.99), strict=True):
        low, high = binom.ppf([0.0005, 0.9995], len(ends), 1.0 - level)
        assert low <= (losses > row).sum() <= high
    assert told.value_at_risk_error is not None
    assert np.all(told.value_at_risk_error > 0.0)
    assert "tail_lower_shape" in fit.parameters


def test_conditional_extremes_are_the_pareto_tail_of_the_residuals() -> None:
    sample = RETURNS[:1000]
    fit = ConditionalExtremes().fit(sample, levels=(0.99, 0.997), days=1)
    told = fit.predict(sample, np.array([1000]), window=None)
    found = fit_volatility(Volatility(), sample, method="test")
    tail = fit_pareto(found.loss_residuals(sample), exceedances=100)
    deviation, mean = math.sqrt(found.variances(sample)[-1]), found.recursion.mean
    for i, level in enumerate((0.99, 0.997)):
        assert told.value_at_risk[i, 0] == pytest.approx(-mean + deviation * tail.value_at_risk(level), rel=1e-9)
        assert told.expected_shortfall[i, 0] == pytest.approx(
            -mean + deviation * tail.expected_shortfall(level), rel=1e-9
        )
    assert fit.parameters["tail_shape"] == pytest.approx(tail.shape)


def test_methods_on_one_volatility_share_its_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    clear_fits()
    calls = []
    real = volatility_module.fit_arch

    def counted(*given: object, **named: object) -> object:
        calls.append(named["volatility"])
        return real(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(volatility_module, "fit_arch", counted)
    for name in ("garch_normal", "filtered_historical", "conditional_evt"):
        forecaster(name).fit(RETURNS[:600], levels=(0.99,), days=1)
    assert calls == ["garch"]


def test_names_and_records() -> None:
    for settings, name in (
        ({"kind": "filtered_historical"}, "filtered_historical"),
        ({"kind": "conditional_evt"}, "conditional_evt"),
        (
            {"kind": "filtered_historical", "volatility": "gjr", "innovations": "student_t", "seed": 3},
            "filtered_historical_gjr_student_t_seed_3",
        ),
        (
            {"kind": "conditional_evt", "volatility": "egarch", "mean": "zero", "fraction": 0.05, "paths": 1024},
            "conditional_evt_egarch_zero_mean_fraction_0.05_1024_paths",
        ),
    ):
        one = forecaster(settings)
        assert one.name == name
        assert forecaster(one.record()) == one
        assert one.estimated
        assert one.horizon_rule(10).startswith("simulated from the day's variance")
    assert forecaster("conditional_evt").least == 100
    assert forecaster({"kind": "conditional_evt", "fraction": 0.05}).least == 200


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"kind": "filtered_historical", "volatility": "ewma"}, "volatility: 'ewma'"),
        ({"kind": "filtered_historical", "innovations": "cauchy"}, "innovations: 'cauchy'"),
        ({"kind": "conditional_evt", "fraction": 0.0}, "fraction: 0.0"),
        ({"kind": "conditional_evt", "paths": 0}, "paths: 0"),
    ],
)
def test_settings_that_are_refused(settings: dict[str, object], text: str) -> None:
    with pytest.raises(InputError) as caught:
        forecaster(settings)
    assert str(caught.value).startswith(text)


def test_a_sample_too_small_for_a_level_is_noted() -> None:
    sample = RETURNS[:500]
    note = "beyond 0.999 lies less than one of 500 losses: VaR and ES are the largest of them"
    assert FilteredHistorical().fit(sample, levels=(0.99, 0.999), days=1).notes == (note,)
    assert ConditionalExtremes().fit(sample, levels=(0.999,), days=1).notes == ()  # the tail holds beyond the sample
    for method in (FilteredHistorical(paths=500), ConditionalExtremes(paths=500)):
        assert method.fit(sample, levels=(0.999,), days=2).notes == (note,)


def test_an_egarch_of_pareto_tails_has_no_shortfall_over_several_days() -> None:
    method = ConditionalExtremes(volatility="egarch", paths=1024)
    fit = method.fit(RETURNS[:1000], levels=(0.99,), days=5)
    assert max(fit.parameters["tail_shape"], fit.parameters["tail_lower_shape"]) > 0.0
    assert INFINITE_SHORTFALL in fit.notes
    assert INFINITE_SHORTFALL not in method.fit(RETURNS[:1000], levels=(0.99,), days=1).notes


def test_what_was_estimated_is_told() -> None:
    fit = FilteredHistorical(volatility="gjr").fit(RETURNS[:500], levels=(0.99,), days=1)
    assert set(fit.parameters) == {"mean", "omega", "alpha", "gamma", "beta", "presample_variance"}
