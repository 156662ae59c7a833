"""Fitted volatilities and their recursions, held to arch: its published example, its filters and its simulations."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
from arch import arch_model
from arch.data import sp500

import riskops.arch_fit
import riskops.history.forecasts.volatility as volatility_module
from riskops.errors import InputError
from riskops.history.forecasts.recursion import Recursion, filter_variance, presample_variance, simulate_losses
from riskops.history.forecasts.simulated import normals
from riskops.history.forecasts.volatility import Volatility, clear_fits, fit_volatility
from riskops.market import load_prices, log_returns

RETURNS = sp500.load()["Adj Close"].pct_change().dropna().to_numpy()
#: What arch calls each recursion, and parameters that it can have: mean, omega, alpha[, gamma], beta of percents.
CASES = {
    "garch": ("GARCH", 0, (0.05, 0.02, 0.1, 0.88)),
    "gjr": ("GARCH", 1, (0.05, 0.02, 0.03, 0.12, 0.88)),
    "egarch": ("EGARCH", 1, (0.05, 0.01, 0.12, -0.15, 0.97)),
}


def _recursion(name: str) -> tuple[Any, Recursion]:
    process, asymmetric, parameters = CASES[name]
    oracle = arch_model(100.0 * RETURNS[:1500], vol=process, p=1, o=asymmetric, q=1, rescale=False)
    mean, omega, alpha, *gamma, beta = parameters
    return oracle.fix(parameters), Recursion(name == "egarch", mean, omega, alpha, gamma[0] if gamma else 0.0, beta)


def test_the_published_fits() -> None:
    # arch 8.0.0, examples/univariate_volatility_modeling.ipynb: GARCH(1,1) of the S&P 500's returns in percent
    for innovations, published, log_likelihood in (
        ("normal", {"mean": 0.056353, "omega": 0.017507, "alpha": 0.102150, "beta": 0.885206}, -6936.718477),
        (
            "student_t",
            {"mean": 0.066128, "omega": 0.008664, "alpha": 0.099596, "beta": 0.899932, "degrees_of_freedom": 6.607227},
            -6834.735585,
        ),
    ):
        fit = fit_volatility(Volatility("garch", innovations), RETURNS, method="test")
        units = {"mean": 100.0, "omega": 1e4}
        for name, value in published.items():
            assert fit.parameters[name] * units.get(name, 1.0) == pytest.approx(value, rel=2e-3), name
        assert fit.log_likelihood - len(RETURNS) * math.log(100.0) == pytest.approx(log_likelihood, abs=1e-3)
    normal = fit_volatility(Volatility(), RETURNS, method="test")
    assert 100.0 * math.sqrt(normal.variances(RETURNS)[-2]) == pytest.approx(1.9926212, rel=1e-4)


@pytest.mark.parametrize("name", CASES)
def test_filters_are_those_of_arch_from_its_presample_variance(name: str) -> None:
    fixed, recursion = _recursion(name)
    percents = 100.0 * RETURNS[:1500]
    presample = presample_variance(percents, mean=float(percents.mean()))
    ours = filter_variance(percents, recursion, presample=presample)
    assert np.sqrt(ours[:-1]) == pytest.approx(np.asarray(fixed.conditional_volatility), rel=1e-12)
    ahead = fixed.forecast(horizon=1, reindex=False).variance.to_numpy()[-1, 0]
    assert ours[-1] == pytest.approx(ahead, rel=1e-12)
    # the presample variance is felt at the start and forgotten at the end
    other = filter_variance(percents, recursion, presample=2.0 * presample)
    assert other[0] > 1.3 * ours[0]
    assert other[-1] == pytest.approx(ours[-1], rel=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_simulated_paths_are_those_of_arch_with_the_same_shocks(name: str) -> None:
    fixed, recursion = _recursion(name)
    percents = 100.0 * RETURNS[:1500]
    variance = filter_variance(percents, recursion, presample=presample_variance(percents, mean=percents.mean()))[-1]
    shocks = normals(paths=500, days=10, seed=3)
    simulated = fixed.forecast(
        horizon=10, method="simulation", simulations=500, reindex=False, rng=lambda size: shocks.T.reshape(size)
    )
    returns = simulated.simulations.values[-1].sum(axis=1)
    assert simulate_losses(-shocks, recursion, variance=variance) == pytest.approx(-returns, rel=1e-10)


@pytest.mark.parametrize("name", ["garch", "gjr"])
def test_simulated_variances_are_the_analytic_ones(name: str) -> None:
    fixed, recursion = _recursion(name)
    percents = 100.0 * RETURNS[:1500]
    variance = filter_variance(percents, recursion, presample=presample_variance(percents, mean=percents.mean()))[-1]
    analytic = fixed.forecast(horizon=5, reindex=False).variance.to_numpy()[-1].sum()
    losses = simulate_losses(normals(paths=200_000, days=5, seed=1), recursion, variance=variance)
    squares = (losses + 5 * recursion.mean) ** 2
    assert squares.mean() == pytest.approx(analytic, abs=4.0 * squares.std() / math.sqrt(len(squares)))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("innovations", "dist"), [("normal", "normal"), ("skewed_t", "skewt")])
def test_fits_in_the_units_of_the_returns_are_those_in_percent(name: str, innovations: str, dist: str) -> None:
    process, asymmetric, _ = CASES[name]
    sample = RETURNS[3000:4000]
    oracle = arch_model(100.0 * sample, vol=process, p=1, o=asymmetric, q=1, dist=dist, rescale=False).fit(disp="off")
    fit = fit_volatility(Volatility(name, innovations), sample, method="test")
    ours = 100.0 * np.sqrt(fit.variances(sample)[:-1])
    assert ours == pytest.approx(np.asarray(oracle.conditional_volatility), rel=1e-3)
    assert fit.loss_residuals(sample) == pytest.approx(-np.asarray(oracle.std_resid), rel=1e-2, abs=1e-3)
    assert fit.log_likelihood - 1000 * math.log(100.0) == pytest.approx(oracle.loglikelihood, abs=1e-3)
    if innovations == "skewed_t":
        assert fit.loss_law().quantile(np.array([0.99, 0.05])) == pytest.approx(
            -oracle.model.distribution.ppf([0.01, 0.95], oracle.params.to_numpy()[-2:]), rel=1e-3
        )


def test_a_mean_of_zero_is_not_estimated() -> None:
    fit = fit_volatility(Volatility(mean="zero"), RETURNS[:1000], method="test")
    assert fit.parameters["mean"] == 0.0
    oracle = arch_model(100.0 * RETURNS[:1000], mean="Zero", rescale=False).fit(disp="off")
    assert 100.0 * np.sqrt(fit.variances(RETURNS[:1000])[:-1]) == pytest.approx(oracle.conditional_volatility, rel=1e-5)


def test_a_fit_is_remembered_by_what_was_fitted() -> None:
    clear_fits()
    first = fit_volatility(Volatility(), RETURNS[:500], method="test")
    assert fit_volatility(Volatility(), RETURNS[:500].copy(), method="test") is first
    moved = RETURNS[:500].copy()
    moved[250] += 1e-12
    assert fit_volatility(Volatility(), moved, method="test") is not first
    assert fit_volatility(Volatility(mean="zero"), RETURNS[:500], method="test") is not first
    clear_fits()
    again = fit_volatility(Volatility(), RETURNS[:500], method="test")
    assert again is not first
    assert again.parameters == first.parameters


def test_no_more_fits_are_remembered_than_stated(monkeypatch: pytest.MonkeyPatch) -> None:
    clear_fits()
    monkeypatch.setattr(volatility_module, "_KEPT", 1)
    first = fit_volatility(Volatility(), RETURNS[:200], method="test")
    fit_volatility(Volatility(), RETURNS[200:400], method="test")
    assert fit_volatility(Volatility(), RETURNS[:200], method="test") is not first


def test_an_egarch_whose_filter_is_unstable_is_fitted_with_alpha_above_zero() -> None:
    # from 2002 to 2006 the unrestricted estimate has alpha below zero and a chaotic filter
    fit = fit_volatility(Volatility("egarch", "normal"), RETURNS[1000:2000], method="test")
    assert (
        fit.notes[0]
        == "an EGARCH with an unstable filter is fitted again with alpha at least 0.01 and beta at most 0.999"
    )
    assert fit.parameters["alpha"] >= 0.01 - 1e-9
    ours = fit.variances(RETURNS[1000:2000])
    other = filter_variance(RETURNS[1000:2000], fit.recursion, presample=10.0 * fit.presample)
    assert other[-1] == pytest.approx(ours[-1], rel=0.05)  # the tenfold start is forgotten


def test_estimates_at_the_end_of_their_range_are_noted() -> None:
    fit = fit_volatility(Volatility("gjr"), RETURNS[:1000], method="test")
    assert fit.notes == ("estimates at the end of their range: alpha",)
    assert fit.parameters["alpha"] == pytest.approx(0.0, abs=1e-6)


def test_a_fit_that_converges_from_no_start_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    clear_fits()
    monkeypatch.setattr(riskops.arch_fit, "_ENOUGH", {"maxiter": 1})
    with pytest.raises(InputError, match=r"^one: the fit of garch to 500 returns did not converge \(Iteration limit"):
        fit_volatility(Volatility(), RETURNS[:500], method="one")


def test_what_cannot_be_fitted_is_refused() -> None:
    with pytest.raises(InputError, match=r"^one: 99 returns are too few; at least 100 are needed"):
        fit_volatility(Volatility(), RETURNS[:99], method="one")
    with pytest.raises(InputError, match=r"^volatility: "):
        Volatility("arch")
    with pytest.raises(InputError, match=r"^innovations: "):
        Volatility(innovations="cauchy")
    with pytest.raises(InputError, match=r"^mean: "):
        Volatility(mean="ar")


def test_an_end_of_the_optimiser_that_is_no_sound_maximum_is_not_forecast_from(monkeypatch: pytest.MonkeyPatch) -> None:
    sample, spec = RETURNS[3000:3500], Volatility("garch", "normal")
    found = riskops.arch_fit.fit_arch(
        sample, deviation=0.01, volatility="garch", innovations="normal", mean="constant", what="one"
    )
    made = fit_volatility(spec, sample, method="one")
    assert volatility_module._is_sound(made, found, sample)
    # variances that arch's bounds hold are not those of the recursion
    moved = replace(made, recursion=made.recursion._replace(omega=1.01 * made.recursion.omega))
    assert not volatility_module._is_sound(moved, found, sample)
    # less likely than a constant variance
    constant = -250.0 * (math.log(2.0 * math.pi * sample.var()) + 1.0)
    assert found.log_likelihood > constant
    assert not volatility_module._is_sound(made, cast(Any, _Unlikely(found, constant - 1.0)), sample)

    clear_fits()
    answers = iter([False, False, True])
    monkeypatch.setattr(volatility_module, "_is_sound", lambda *given: next(answers))
    other = fit_volatility(spec, sample, method="one")
    assert other.notes == ("the first estimate is no sound maximum of the likelihood; another start's is taken",)
    assert other.log_likelihood == pytest.approx(made.log_likelihood, abs=1e-4)
    answers = iter([False, True])
    bounded = fit_volatility(Volatility("egarch"), sample, method="one")
    assert bounded.notes[0] == (
        "an EGARCH with no sound maximum is fitted again with alpha at least 0.01 and beta at most 0.999"
    )
    clear_fits()
    monkeypatch.setattr(volatility_module, "_is_sound", lambda *given: False)
    with pytest.raises(InputError, match=r"^one: the fit of garch to 500 returns has no sound maximum"):
        fit_volatility(spec, sample, method="one")


def test_a_share_that_hardly_traded_is_refused_or_has_variances_of_this_world() -> None:
    # seven in ten of its returns are zero: the likelihood of a t grows without bound, and what the optimiser ends at
    # forecasts variances of 1e49
    sample = log_returns(load_prices("sp500", assets=["RRC"]))["log_return"].values[:1000, 0]
    with suppress(InputError):
        found = fit_volatility(Volatility("egarch", "student_t"), sample, method="one")
        assert found.variances(sample).max() <= 1e3 * np.mean((sample - sample.mean()) ** 2)


class _Unlikely:
    """A fit with another likelihood."""

    def __init__(self, found: riskops.arch_fit.ArchFit, log_likelihood: float) -> None:
        self.log_likelihood, self.stable = log_likelihood, found.stable
        self.result, self.scale = found.result, found.scale
