"""What every registered method keeps, whatever it is: its contract, and nominal coverage of data of its own kind."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy import stats

from riskops.errors import InputError
from riskops.history import rolling_forecasts
from riskops.history.forecasts.base import Fit, Floats, Forecaster
from riskops.history.forecasts.registry import METHODS, forecaster, list_forecasters
from tests.history.examples import returns_of

LEVELS = (0.95, 0.975, 0.99)
DAYS = 600
ENDS = np.arange(DAYS - 40, DAYS + 1, 4)

every_method = pytest.mark.parametrize("name", METHODS)


# Data of a known kind, as returns: gains positive


def moving(days: int, seed: int, *, innovations: Callable[[np.random.Generator, int], Floats], kind: str) -> Floats:
    """Returns of a volatility that moves by GARCH, GJR, EGARCH or RiskMetrics, after a thousand days of warming up."""
    shocks = innovations(np.random.default_rng(seed), days + 1000)
    out = np.empty(len(shocks))
    variance = 1e-4
    for t, shock in enumerate(shocks):
        out[t] = np.sqrt(variance) * shock
        if kind == "garch":
            variance = 2e-6 + 0.08 * out[t] ** 2 + 0.90 * variance
        elif kind == "gjr":
            variance = 2e-6 + (0.03 + 0.10 * (out[t] < 0.0)) * out[t] ** 2 + 0.90 * variance
        elif kind == "egarch":
            size = abs(shock) - np.sqrt(2.0 / np.pi)
            variance = np.exp(np.log(1e-4) * 0.03 + 0.97 * np.log(variance) + 0.15 * size - 0.06 * shock)
        else:
            variance = 0.94 * variance + 0.06 * max(out[t] ** 2, 1e-6)
    return out[1000:]


def normal(generator: np.random.Generator, days: int) -> Floats:
    return generator.standard_normal(days)


def student_t(generator: np.random.Generator, days: int) -> Floats:
    return generator.standard_t(6.0, days) * np.sqrt(4.0 / 6.0)


def skewed_t(generator: np.random.Generator, days: int) -> Floats:
    """Hansen's skewed t, by inversion of arch's quantile function."""
    from arch.univariate import SkewStudent

    draws: Floats = np.asarray(SkewStudent().ppf(generator.random(days), np.array([7.0, -0.2])))
    return draws


def independent(innovations: Callable[[np.random.Generator, int], Floats]) -> Callable[[int, int], Floats]:
    return lambda days, seed: 0.01 * innovations(np.random.default_rng(seed), days) + 2e-4


def of(kind: str, innovations: Callable[[np.random.Generator, int], Floats]) -> Callable[[int, int], Floats]:
    return lambda days, seed: moving(days, seed, innovations=innovations, kind=kind)


#: The data that each method is made for; a method that is added is given its own.
OWN: dict[str, Callable[[int, int], Floats]] = {
    "historical": independent(student_t),
    "age_weighted": independent(student_t),
    "volatility_weighted": of("ewma", student_t),
    "normal": independent(normal),
    "student_t": independent(student_t),
    "skewed_t": independent(skewed_t),
    "ewma": of("ewma", normal),
    "cornish_fisher": independent(normal),
    "peaks_over_threshold": independent(student_t),
    "block_maxima": independent(student_t),
    "filtered_historical": of("garch", skewed_t),
    "conditional_evt": of("garch", student_t),
    "caviar_symmetric": of("garch", normal),
    "caviar_asymmetric": of("gjr", normal),
    "caviar_indirect_garch": of("garch", normal),
} | {
    f"{volatility}_{law}": of(volatility, draw)
    for volatility in ("garch", "gjr", "egarch")
    for law, draw in (("normal", normal), ("student_t", student_t), ("skewed_t", skewed_t))
}


def test_every_method_has_data_of_its_own_kind_and_a_line_about_it() -> None:
    assert OWN.keys() == METHODS.keys()
    assert all(len(line) > 20 and line.endswith(".") for line in list_forecasters().values())


# The contract


@dataclass(frozen=True, eq=False)
class Fitted:
    method: Forecaster
    returns: Floats
    fit: Fit


@cache
def fitted(name: str) -> Fitted:
    """A method fitted to 500 days of GARCH returns, with 100 more to forecast from."""
    method, returns = forecaster(name), of("garch", student_t)(DAYS, 3)
    return Fitted(method, returns, method.fit(returns[:500], levels=LEVELS, days=1))


def same(one: Any, other: Any) -> None:
    for part in ("value_at_risk", "expected_shortfall", "value_at_risk_error", "expected_shortfall_error"):
        assert (getattr(one, part) is None) == (getattr(other, part) is None)
        if getattr(one, part) is not None:
            np.testing.assert_array_equal(getattr(one, part), getattr(other, part))


@every_method
def test_tails_are_ordered(name: str) -> None:
    held = fitted(name)
    found = held.fit.predict(held.returns, ENDS, window=500)
    assert found.value_at_risk.shape == found.expected_shortfall.shape == (len(LEVELS), len(ENDS))
    assert np.all(np.isfinite(found.value_at_risk) & np.isfinite(found.expected_shortfall))
    assert np.all(found.expected_shortfall >= found.value_at_risk)
    assert np.all(np.diff(found.value_at_risk, axis=0) >= 0.0)
    assert np.all(np.diff(found.expected_shortfall, axis=0) >= 0.0)
    assert 0.1 < (found.value_at_risk[2] / (2.33 * held.returns.std())).mean() < 3.0


@every_method
@pytest.mark.parametrize("window", [500, None])
def test_a_forecast_knows_nothing_of_later_returns(name: str, window: int | None) -> None:
    held = fitted(name)
    ends = ENDS[:6]
    known = held.returns[: ends[-1]]
    base = held.fit.predict(known, ends, window=window)
    for shift in (-0.2, 0.2):
        other = held.returns.copy()
        other[ends[-1] :] += shift
        same(held.fit.predict(other, ends, window=window), base)
    for i, end in enumerate(ends):  # and nothing of what lies between a forecast and the next
        one = held.fit.predict(held.returns[:end], ends[i : i + 1], window=window)
        np.testing.assert_array_equal(one.value_at_risk[:, 0], base.value_at_risk[:, i])
        np.testing.assert_array_equal(one.expected_shortfall[:, 0], base.expected_shortfall[:, i])


@every_method
def test_the_forecast_distribution_fits_its_quantiles(name: str) -> None:
    held = fitted(name)
    found = held.fit.predict(held.returns, ENDS, window=500)
    assert (found.probability is None) == name.startswith("caviar")
    if found.probability is None:  # of quantiles alone
        return
    below = found.probability(np.full(len(ENDS), -1.0))
    above = found.probability(np.full(len(ENDS), 1.0))
    assert np.all((below >= 0.0) & (below < 0.02) & (above > 0.98) & (above <= 1.0))
    at = np.stack([found.probability(row) for row in found.value_at_risk])
    assert np.all(np.diff(at, axis=0) >= 0.0)
    step = 0.025 if name == "age_weighted" else 0.011  # the youngest of its losses weighs more than 2 %
    np.testing.assert_allclose(at, np.repeat(np.array(LEVELS)[:, None], len(ENDS), axis=1), atol=step)


@every_method
@pytest.mark.parametrize("scale", [0.25, 3.0])
def test_returns_in_another_unit_give_the_loss_in_that_unit(name: str, scale: float) -> None:
    held = fitted(name)
    base = held.fit.predict(held.returns, ENDS, window=500)
    fit = held.method.fit(scale * held.returns[:500], levels=LEVELS, days=1)
    found = fit.predict(scale * held.returns, ENDS, window=500)
    np.testing.assert_allclose(found.value_at_risk, scale * base.value_at_risk, rtol=0.01)
    np.testing.assert_allclose(found.expected_shortfall, scale * base.expected_shortfall, rtol=0.01)


@every_method
def test_a_record_gives_the_method_again(name: str) -> None:
    method = forecaster(name)
    record = json.loads(json.dumps(method.record()))
    again = forecaster(record)
    assert (again.name, again) == (method.name, method)
    assert again.record() == method.record()
    assert method.name == name


@every_method
def test_samples_that_can_not_carry_it_are_refused_in_a_line(name: str) -> None:
    method, returns = fitted(name).method, fitted(name).returns
    for sample in (returns[: method.least - 1], np.full(500, 0.01), np.append(returns[:499], np.nan)):
        with pytest.raises(InputError) as error:
            method.fit(sample, levels=LEVELS, days=1)
        assert name.split("_")[0] in str(error.value)
        assert "\n" not in str(error.value)
    method.fit(returns[: max(method.least, 250)], levels=(0.95,), days=1)


# Coverage

#: At its usual decay a method of ages has about a hundred losses, of which the 99 % quantile is exceeded on 1.5 % of
#: days even where all days are alike; one that forgets slowly has nominal coverage like the others.
SLOW: dict[str, dict[str, Any]] = {"age_weighted": {"kind": "age_weighted", "decay": 0.998}}


def breaches(name: str, *, seed: int, known: int, ahead: int, refit_every: int) -> tuple[int, ...]:
    """How often the loss of data of its own kind was above VaR at 95 % and 99 % on the ``ahead`` days that followed."""
    returns = returns_of(OWN[name](known + ahead, seed))
    found = rolling_forecasts(
        returns, methods=SLOW.get(name, name), level=(0.95, 0.99), window=known, refit_every=refit_every
    )
    return tuple(found["breach"].sum("observation").compute(scheduler="synchronous").values.ravel().tolist())


@every_method
def test_coverage_of_its_own_data_is_nominal(name: str) -> None:
    """Within the 99.9 % bounds of a binomial, whose variance is doubled for the error of parameters from 1000 days."""
    counts = breaches(name, seed=11, known=1000, ahead=1000, refit_every=500)
    for level, count in zip((0.95, 0.99), counts, strict=True):
        assert_nominal(count, 1000, level)


@pytest.mark.long
@every_method
def test_coverage_over_many_years_is_nominal(name: str) -> None:
    counts = np.sum([breaches(name, seed=s, known=2000, ahead=4000, refit_every=500) for s in range(3)], axis=0)
    for level, count in zip((0.95, 0.99), counts, strict=True):
        assert_nominal(int(count), 12_000, level)


def assert_nominal(count: int, days: int, level: float) -> None:
    half = float(stats.norm.ppf(0.9995)) * np.sqrt(2.0 * days * level * (1.0 - level))
    assert abs(count - days * (1.0 - level)) <= half + 1.0
