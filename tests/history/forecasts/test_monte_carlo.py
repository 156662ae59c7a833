"""Monte Carlo forecasts by a model as simple as the protocol allows: normal losses, with and without a state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from riskops.errors import InputError
from riskops.history.forecasts.base import Floats
from riskops.history.forecasts.laws import NormalLaw
from riskops.history.forecasts.monte_carlo import FittedPaths, MonteCarlo
from riskops.history.forecasts.simulated import normals

RETURNS = 0.01 * normals(paths=400, days=1, seed=9)[0]


@dataclass(frozen=True)
class NormalPaths:
    """Losses of a fixed deviation, times the size of the last return where there is a state."""

    follows: bool
    deviation: float
    notes: tuple[str, ...] = ("a note",)
    parameters: Mapping[str, float] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)

    def losses(self, known: Floats, *, days: int, paths: int, seed: int) -> Floats:
        self.asked.append(len(known))
        scale = self.deviation * (abs(known[-1]) if self.follows else 1.0)
        return scale * normals(paths=paths, days=days, seed=seed).sum(axis=0)


@dataclass(frozen=True)
class NormalModel:
    """Estimates the deviation alone."""

    follows: bool = False
    name: str = "normal_paths"
    least: int = 10

    def fit(self, returns: Floats) -> FittedPaths:
        return NormalPaths(self.follows, float(returns.std()))

    def record(self) -> dict[str, Any]:
        return {"kind": self.name}


def test_a_model_without_a_state_says_the_same_for_every_day() -> None:
    fit = MonteCarlo(NormalModel(), paths=8192).fit(RETURNS, levels=(0.95, 0.99), days=4)
    told = fit.predict(RETURNS, np.array([100, 200, 400]), window=50)
    law, scale = NormalLaw(), 2.0 * RETURNS.std()
    assert told.value_at_risk_error is not None
    assert told.expected_shortfall_error is not None
    for i, level in enumerate((0.95, 0.99)):
        assert len(set(told.value_at_risk[i])) == 1
        gap = told.value_at_risk[i, 0] - scale * law.quantile(np.array(level))
        assert abs(gap) < 4.0 * told.value_at_risk_error[i, 0]
        assert (
            abs(told.expected_shortfall[i, 0] - scale * law.shortfall(level))
            < 4.0 * told.expected_shortfall_error[i, 0]
        )
    assert told.probability is not None
    assert told.probability(np.array([-1.0, 0.0, 1.0])) == pytest.approx([0.0, 0.5, 1.0], abs=0.02)
    assert isinstance(fit.fitted, NormalPaths)
    assert fit.fitted.asked == [0]  # drawn once


def test_a_state_is_that_of_the_day_in_its_own_window() -> None:
    fit = MonteCarlo(NormalModel(follows=True), paths=1024).fit(RETURNS, levels=(0.99,), days=2)
    ends = np.array([100, 200, 400])
    told = fit.predict(RETURNS, ends, window=150)
    assert isinstance(fit.fitted, NormalPaths)
    assert fit.fitted.asked == [100, 150, 150]
    sizes = np.abs(RETURNS[ends - 1])
    assert told.value_at_risk[0] / sizes == pytest.approx(np.full(3, told.value_at_risk[0, 0] / sizes[0]), rel=1e-12)
    assert told.probability is not None
    # the probability of the forecast itself: exactly the order statistic's mid-rank
    assert told.probability(told.value_at_risk[0]) == pytest.approx((1014 - 0.5 + 0.5) / 1025)


def test_names_rules_records_and_errors() -> None:
    one = MonteCarlo(NormalModel(), paths=1024, seed=4)
    assert one.name == "monte_carlo_normal_paths_1024_paths_seed_4"
    assert MonteCarlo(NormalModel()).name == "monte_carlo_normal_paths"
    assert one.record() == {"kind": "monte_carlo", "model": {"kind": "normal_paths"}, "paths": 1024, "seed": 4}
    assert one.estimated
    assert one.least == 10
    assert one.horizon_rule(10) == "simulated by the model, with common random numbers"
    assert one.fit(RETURNS, levels=(0.99,), days=1).notes == ("a note",)
    with pytest.raises(InputError, match=r"^monte_carlo_normal_paths: 9 returns are too few; at least 10 are needed"):
        MonteCarlo(NormalModel()).fit(RETURNS[:9], levels=(0.99,), days=1)
    with pytest.raises(InputError, match=r"^days: 0"):
        one.fit(RETURNS, levels=(0.99,), days=0)
    with pytest.raises(InputError, match=r"^paths: 0"):
        MonteCarlo(NormalModel(), paths=0)
