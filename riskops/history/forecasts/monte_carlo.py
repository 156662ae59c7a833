"""Monte Carlo forecasts: any model that can be fitted to one series and simulated ahead forecasts its tail.

What such a model must offer is :class:`PathModel`; ``riskops.run.model_forecast`` makes one of every registered model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from riskops.checks import check_integer
from riskops.history.forecasts.base import Floats, Integers, Prediction, check_sample, window_starts
from riskops.history.forecasts.simulated import SEED
from riskops.history.forecasts.simulated_days import (
    DAILY_PATHS,
    check_simulation,
    few_beyond,
    predict_samples,
    predict_unchanged,
    simulation_name,
)

__all__ = ["FittedPaths", "MonteCarlo", "MonteCarloFit", "PathModel"]


class FittedPaths(Protocol):
    """A model that was fitted to one series."""

    @property
    def parameters(self) -> Mapping[str, float]:
        """What was estimated, by name."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user must be told, a line each."""
        ...

    @property
    def follows(self) -> bool:
        """Whether draws begin from a state that later returns move; if not, all days have the same draws."""
        ...

    def losses(self, known: Floats, *, days: int, paths: int, seed: int) -> Floats:
        """Simulated losses ``(path,)`` over the days that follow the ``known`` returns.

        Independent draws in any order, a pure function of the arguments: the parameters are the fitted ones, and the
        state is that at the end of ``known``, the returns that the forecast looks back over.
        """
        ...


class PathModel(Protocol):
    """A model of one series of returns: what :class:`MonteCarlo` needs of it."""

    @property
    def name(self) -> str:
        """Its name in results, lower case with underscores."""
        ...

    @property
    def least(self) -> int:
        """The fewest returns that it can be fitted to."""
        ...

    def fit(self, returns: Floats) -> FittedPaths:
        """Fit to a sample of finite returns."""
        ...

    def record(self) -> dict[str, Any]:
        """Its settings, as plain JSON values."""
        ...


@dataclass(frozen=True)
class MonteCarlo:
    """Monte Carlo: a fitted model simulated over the horizon, from the state of the day that the forecast is made on.

    VaR and ES are those of the simulated losses (order statistics, contract C4), with their Monte-Carlo errors. Days
    and series share their draws (common random numbers).

    Parameters
    ----------
    model
        What is fitted and simulated.
    paths, seed
        Of each forecast's sample.

    Examples
    --------
    >>> from riskops.run.model_forecast import model_forecaster
    >>> model_forecaster("student_t").name
    'monte_carlo_student_t'
    """

    model: PathModel
    paths: int = DAILY_PATHS
    seed: int = SEED

    def __post_init__(self) -> None:
        check_simulation(self.paths, self.seed)

    @property
    def name(self) -> str:
        """The method's name in results."""
        return f"monte_carlo_{self.model.name}" + simulation_name(self.paths, self.seed)

    @property
    def estimated(self) -> bool:
        """The model's parameters are held fixed between fits; its state is not."""
        return True

    @property
    def least(self) -> int:
        """The fewest returns."""
        return self.model.least

    def horizon_rule(self, days: int) -> str:
        """The model's own paths."""
        check_integer("days", days, at_least=1)
        return "simulated by the model, with common random numbers"

    def fit(self, returns: Floats, *, levels: Sequence[float], days: int) -> MonteCarloFit:
        """Fit the model."""
        self.horizon_rule(days)
        fitted = self.model.fit(check_sample(self.name, returns, least=self.least))
        notes = (*fitted.notes, *few_beyond(levels, self.paths))
        return MonteCarloFit(fitted, notes, tuple(levels), days, self.paths, self.seed)

    def record(self) -> dict[str, Any]:
        """The kind and all settings."""
        return {"kind": "monte_carlo", "model": self.model.record(), "paths": self.paths, "seed": self.seed}


@dataclass(frozen=True, eq=False)
class MonteCarloFit:
    """A fitted model, and how it is simulated."""

    fitted: FittedPaths
    notes: tuple[str, ...]
    levels: tuple[float, ...]
    days: int
    paths: int
    seed: int

    @property
    def parameters(self) -> Mapping[str, float]:
        """Those of the model."""
        return self.fitted.parameters

    def predict(self, returns: Floats, ends: Integers, *, window: int | None) -> Prediction:
        """Simulate from the state of each day; one sample serves all days where there is no state."""
        if self.fitted.follows:
            starts = window_starts(ends, window)
            return predict_samples(lambda i: self._losses(returns[starts[i] : ends[i]]), len(ends), levels=self.levels)
        return predict_unchanged(self._lasting, len(ends), levels=self.levels)

    @cached_property
    def _lasting(self) -> Floats:
        """The sample of a model without a state."""
        return self._losses(np.empty(0))

    def _losses(self, known: Floats) -> Floats:
        return self.fitted.losses(known, days=self.days, paths=self.paths, seed=self.seed)
