"""Parametric forecasts: independent losses of one law, normal, Student t or skewed t, with estimated parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from riskops.checks import check_integer, check_one_of
from riskops.history.forecasts.base import Floats, Integers, Law, Prediction, check_sample, located
from riskops.history.forecasts.laws import NormalLaw, SkewedTLaw, StudentTLaw
from riskops.history.forecasts.simulated import PATHS, SEED, simulated_sum
from riskops.history.forecasts.simulated_days import (
    check_simulation,
    few_beyond,
    predict_unchanged,
    simulation_name,
)
from riskops.history.forecasts.t_likelihood import FEWEST_DEGREES, MOST_DEGREES, MOST_SKEWNESS, TFit, fit_t
from riskops.history.forecasts.window_moments import window_moments

__all__ = ["Normal", "NormalFit", "SkewedT", "StudentT", "StudentTFit"]

#: An estimate nearer to the end of its range than this is reported as being there.
_AT_BOUND = 1e-6


@dataclass(frozen=True)
class Normal:
    """Normal losses with the mean and the deviation of the window.

    ``VaR = -days mean + sqrt(days) deviation z`` and ``ES = -days mean + sqrt(days) deviation density(z) / (1 -
    level)``: over several days the law of a sum of independent normal returns, exactly.

    Parameters
    ----------
    mean
        ``"sample"``: the window's mean, and its deviation with divisor n - 1. ``"zero"``: none, and the root of the
        mean squared return.

    Examples
    --------
    >>> returns = np.array([0.01, -0.02, 0.015, -0.01])
    >>> told = Normal().fit(returns, levels=(0.99,), days=1).predict(returns, np.array([4]), window=None)
    >>> told.value_at_risk.round(6).tolist(), told.expected_shortfall.round(6).tolist()
    ([[0.039682]], [[0.04528]])
    """

    mean: str = "sample"

    def __post_init__(self) -> None:
        check_one_of("mean", self.mean, ("sample", "zero"))

    @property
    def name(self) -> str:
        """The method's name in results."""
        return "normal" if self.mean == "sample" else "normal_zero_mean"

    @property
    def estimated(self) -> bool:
        """Nothing is held fixed: every forecast takes the moments of its own window."""
        return False

    @property
    def least(self) -> int:
        """The fewest returns."""
        return 2

    def horizon_rule(self, days: int) -> str:
        """The sum of normal losses is normal."""
        check_integer("days", days, at_least=1)
        return "one day ahead" if days == 1 else "sum of independent normals"

    def fit(self, returns: Floats, *, levels: Sequence[float], days: int) -> NormalFit:
        """Check the sample; nothing is estimated."""
        check_sample(self.name, returns, least=self.least)
        return NormalFit(self.mean, tuple(levels), check_integer("days", days, at_least=1))

    def record(self) -> dict[str, Any]:
        """The kind and all settings."""
        return {"kind": "normal", "mean": self.mean}


@dataclass(frozen=True)
class NormalFit:
    """The settings; the moments of a day's forecast are those of the returns before it."""

    mean: str
    levels: tuple[float, ...]
    days: int

    @property
    def parameters(self) -> dict[str, float]:
        """None."""
        return {}

    @property
    def notes(self) -> tuple[str, ...]:
        """None."""
        return ()

    def predict(self, returns: Floats, ends: Integers, *, window: int | None) -> Prediction:
        """Forecast from the moments of each day's window; of equal returns, from a deviation of zero."""
        moments = window_moments(returns, ends, window=window, least=2)
        if self.mean == "zero":
            location, variance = np.zeros(len(ends)), moments.second + moments.mean**2
        else:
            location, variance = -moments.mean, moments.second * moments.number / (moments.number - 1.0)
        return located(NormalLaw(), self.days * location, np.sqrt(self.days * variance), levels=self.levels)


@dataclass(frozen=True)
class StudentT:
    """Student t losses, fitted by maximum likelihood: location, scale and degrees of freedom.

    The scale is fitted directly and not through the variance, which is infinite from two degrees of freedom down. Over
    several days the loss is a sum of independent t losses, which is no t: it is simulated, and carries its errors.

    Parameters
    ----------
    paths, seed
        Of the simulation over several days.

    References
    ----------
    McNeil, Frey and Embrechts (2005), Quantitative Risk Management, 2.2.4.

    Examples
    --------
    >>> fit = StudentT().fit(0.01 * np.sinh(np.linspace(-3.0, 3.0, 199)), levels=(0.99,), days=1)
    >>> sorted(fit.parameters)
    ['degrees_of_freedom', 'location', 'scale']
    """

    kind: ClassVar[str] = "student_t"
    skewed: ClassVar[bool] = False

    paths: int = PATHS
    seed: int = SEED

    def __post_init__(self) -> None:
        check_simulation(self.paths, self.seed)

    @property
    def name(self) -> str:
        """The method's name in results."""
        return self.kind + simulation_name(self.paths, self.seed, usual=PATHS)

    @property
    def estimated(self) -> bool:
        """The parameters are held fixed between fits."""
        return True

    @property
    def least(self) -> int:
        """The fewest returns."""
        return 50 if self.skewed else 30

    def horizon_rule(self, days: int) -> str:
        """One day from the law, several by simulation."""
        check_integer("days", days, at_least=1)
        return "one day ahead" if days == 1 else "simulated sum of independent days"

    def fit(self, returns: Floats, *, levels: Sequence[float], days: int) -> StudentTFit:
        """Fit by maximum likelihood."""
        losses = -check_sample(self.kind, returns, least=self.least)
        found = fit_t(losses, skewed=self.skewed, method=self.kind)
        return _t_fit(found, levels=levels, days=days, paths=self.paths, seed=self.seed, skewed=self.skewed)

    def record(self) -> dict[str, Any]:
        """The kind and all settings."""
        return {"kind": self.kind, "paths": self.paths, "seed": self.seed}


@dataclass(frozen=True)
class SkewedT(StudentT):
    """Skewed Student t losses (Hansen's), fitted by maximum likelihood: mode, scale, degrees of freedom and skewness.

    ``skewness`` among the parameters is that of returns: below zero, the losses are the longer tail. Fitted and carried
    over several days as :class:`StudentT` is.

    Parameters
    ----------
    paths, seed
        Of the simulation over several days.

    References
    ----------
    Hansen (1994), Autoregressive conditional density estimation, International Economic Review 35.

    Examples
    --------
    >>> fit = SkewedT().fit(0.01 * np.sinh(np.linspace(-4.0, 3.0, 199)), levels=(0.99,), days=1)
    >>> fit.parameters["skewness"] < 0.0
    True
    """

    kind: ClassVar[str] = "skewed_t"
    skewed: ClassVar[bool] = True


@dataclass(frozen=True, eq=False)
class StudentTFit:
    """A fitted t, skewed or not, and for several days the simulated loss over them."""

    parameters: dict[str, float]
    notes: tuple[str, ...]
    levels: tuple[float, ...]
    #: A day's loss is ``location + scale * innovation``, and its innovation has this law.
    location: float
    scale: float
    law: Law
    #: The simulated loss over the days, ascending; None for one day.
    sums: Floats | None

    def predict(self, returns: Floats, ends: Integers, *, window: int | None) -> Prediction:
        """The same forecast for every day: independent losses of one law do not look back."""
        n = len(ends)
        if self.sums is not None:
            return predict_unchanged(self.sums, n, levels=self.levels)
        return located(self.law, np.full(n, self.location), np.full(n, self.scale), levels=self.levels)


def _t_fit(found: TFit, *, levels: Sequence[float], days: int, paths: int, seed: int, skewed: bool) -> StudentTFit:
    """What a maximum of the likelihood says over some days."""
    check_integer("days", days, at_least=1)
    parameters = {"location": -found.location, "scale": found.scale, "degrees_of_freedom": found.degrees}
    if skewed:
        parameters["skewness"] = -found.skewness
    law: Law = StudentTLaw(found.degrees, unit_variance=False)
    if skewed:
        law = SkewedTLaw(found.degrees, found.skewness, unit_variance=False)
    sums, notes = None, tuple(_notes(found))
    if days > 1:
        sums = days * found.location + found.scale * simulated_sum(law, days=days, paths=paths, seed=seed)
        notes += few_beyond(levels, paths)
    return StudentTFit(
        parameters=parameters,
        notes=notes,
        levels=tuple(levels),
        location=found.location,
        scale=found.scale,
        law=law,
        sums=sums,
    )


def _notes(found: TFit) -> list[str]:
    """What is said of estimates at the end of their range."""
    notes = []
    if found.degrees <= FEWEST_DEGREES * (1.0 + _AT_BOUND):
        notes.append(
            f"degrees of freedom are at their lower bound {FEWEST_DEGREES:g}; the expected shortfall is nearly infinite"
        )
    elif found.degrees >= MOST_DEGREES * (1.0 - _AT_BOUND):
        notes.append(f"degrees of freedom are at their upper bound {MOST_DEGREES:g}; the tails are those of a normal")
    if abs(found.skewness) >= MOST_SKEWNESS - _AT_BOUND:
        notes.append(f"skewness is at its bound, {-found.skewness:+g}")
    return notes
