"""Peaks over threshold: the worst losses follow a generalised Pareto distribution, the others their sample."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from riskops.checks import check_integer, check_one_of, exact_level
from riskops.history.forecasts.base import Floats, Integers, Prediction, check_sample, located
from riskops.history.forecasts.pareto import ESTIMATORS, FEWEST_EXCEEDANCES
from riskops.history.forecasts.pareto_tail import ParetoTail, fit_pareto_tail
from riskops.history.forecasts.simulated import PATHS, SEED, simulated_sum
from riskops.history.forecasts.simulated_days import (
    check_simulation,
    few_beyond,
    predict_unchanged,
    simulation_name,
)
from riskops.history.forecasts.thresholds import FEWEST_STABLE, WIDEST, check_threshold

__all__ = ["PeaksOverThreshold", "tail_notes", "tail_parameters"]


@dataclass(frozen=True)
class PeaksOverThreshold:
    """Extreme value theory: a generalised Pareto tail above a threshold.

    Losses are taken as independent draws of one distribution: the sample below the threshold, and above it
    ``VaR = u + scale / shape ((n / N (1 - level))^-shape - 1)`` and ``ES = (VaR + scale - shape u) / (1 - shape)``. At
    a level below the threshold, with more than the share ``N / n`` of the losses beyond it, the value at risk is an
    order statistic of the sample, not an extrapolation of the tail downwards, and the shortfall averages sample and
    tail; the fit's notes say so. Where the shape is 1 or more the shortfall is infinite, and the fit is refused.

    Over several days the loss is the sum of as many independent draws, simulated, with its Monte-Carlo error; there the
    lower tail is fitted too, since gains enter the sum.

    Parameters
    ----------
    fraction
        The share of the sample that is the tail, with threshold ``"fraction"``.
    threshold
        ``"fraction"``; ``"stability"``: chosen by the data, where the shape has settled (Reiss and Thomas 2007); or a
        loss.
    estimator
        ``"likelihood"``, or ``"moments"``: probability-weighted moments (Hosking and Wallis 1987).
    paths, seed
        Of the simulation over several days.

    References
    ----------
    McNeil and Frey (2000), Estimation of tail-related risk measures for heteroscedastic financial time series. McNeil,
    Frey and Embrechts (2015), Quantitative Risk Management, 5.2.

    Examples
    --------
    >>> returns = np.sinh(np.linspace(-3.0, 3.0, 1001)) / 100.0
    >>> fit = PeaksOverThreshold().fit(returns, levels=(0.95, 0.99), days=1)
    >>> fit.parameters["exceedances"], round(fit.parameters["threshold"], 4)
    (100.0, 0.0547)
    >>> tail = fit.predict(returns, np.array([1001]), window=None)
    >>> tail.value_at_risk.round(4).tolist()
    [[0.0756], [0.0943]]
    """

    fraction: float = 0.1
    threshold: str | float = "fraction"
    estimator: str = "likelihood"
    paths: int = PATHS
    seed: int = SEED

    def __post_init__(self) -> None:
        check_threshold(self.threshold, self.fraction)
        check_one_of("estimator", self.estimator, ESTIMATORS)
        check_simulation(self.paths, self.seed)

    @property
    def name(self) -> str:
        """``peaks_over_threshold``, and the settings that are not the defaults."""
        parts = ["peaks_over_threshold"]
        if self.threshold != "fraction":
            parts.append(self.threshold if isinstance(self.threshold, str) else f"above_{self.threshold!r}")
        elif self.fraction != 0.1:
            parts.append(f"fraction_{self.fraction!r}")
        if self.estimator != "likelihood":
            parts.append(self.estimator)
        return "_".join(parts) + simulation_name(self.paths, self.seed, usual=PATHS)

    @property
    def estimated(self) -> bool:
        """The tail is estimated."""
        return True

    @property
    def least(self) -> int:
        """What the threshold's rule needs for a tail of 10 losses."""
        if self.threshold == "fraction":
            return math.ceil(FEWEST_EXCEEDANCES / exact_level(self.fraction))
        if self.threshold == "stability":
            return math.ceil((FEWEST_STABLE + 10) / WIDEST)
        return 2 * FEWEST_EXCEEDANCES

    def horizon_rule(self, days: int) -> str:
        """One day: the fitted tail itself; more: sums of independent draws."""
        check_integer("days", days, at_least=1)
        return "fitted tail" if days == 1 else "simulated sums of independent days"

    def fit(self, returns: Floats, *, levels: Sequence[float], days: int) -> TailFit:
        """Fit the tail, and for several days both tails and the simulation of their sum."""
        self.horizon_rule(days)
        check_sample(self.name, returns, least=self.least)
        law = fit_pareto_tail(
            -returns, threshold=self.threshold, fraction=self.fraction, estimator=self.estimator, both=days > 1
        )
        if law.upper.shape >= 1.0:
            law.upper.mean_beyond(1.0)  # says that it is infinite
        sums = None if days == 1 else simulated_sum(law, days=days, paths=self.paths, seed=self.seed)
        return TailFit(law, tuple(levels), sums)

    def record(self) -> dict[str, Any]:
        """The kind and all settings."""
        return {
            "kind": "peaks_over_threshold",
            "fraction": self.fraction,
            "threshold": self.threshold,
            "estimator": self.estimator,
            "paths": self.paths,
            "seed": self.seed,
        }


@dataclass(frozen=True, eq=False)
class TailFit:
    """A fitted tail, the same for every day that is forecast."""

    law: ParetoTail
    levels: tuple[float, ...]
    #: The simulated loss over the days, ascending; None for one day.
    sums: Floats | None = field(repr=False)

    @property
    def parameters(self) -> Mapping[str, float]:
        """Threshold, exceedances, shape and scale of the tail, and of the lower one where it was fitted."""
        return tail_parameters(self.law)

    @property
    def notes(self) -> tuple[str, ...]:
        """Levels that the tail does not reach down to or the simulation up to, and shapes without standard errors."""
        if self.sums is None:
            return tail_notes(self.law, self.levels)
        return tail_notes(self.law, ()) + few_beyond(self.levels, len(self.sums))

    def predict(self, returns: Floats, ends: Integers, *, window: int | None) -> Prediction:
        """The fitted tail, on every day."""
        n = len(ends)
        if self.sums is not None:
            return predict_unchanged(self.sums, n, levels=self.levels)
        return located(self.law, np.zeros(n), np.ones(n), levels=self.levels)


def tail_parameters(law: ParetoTail) -> dict[str, float]:
    """What was estimated for a law with Pareto tails, by name."""
    found: dict[str, float] = {}
    for side, fit in (("", law.upper), ("lower_", law.lower)):
        if fit is not None:
            found |= {
                f"{side}threshold": fit.threshold,
                f"{side}exceedances": float(fit.exceedances),
                f"{side}shape": fit.shape,
                f"{side}scale": fit.scale,
            }
    return found


def tail_notes(law: ParetoTail, levels: Sequence[float]) -> tuple[str, ...]:
    """What a user must be told about a law with Pareto tails at some levels."""
    notes = []
    for level in levels:
        if not law.upper.reaches(level):
            notes.append(
                f"level {level!r}: below the threshold, above which are {law.upper.exceedances} of "
                f"{law.upper.observations} losses; the value at risk is an order statistic of the sample"
            )
    if law.upper.shape <= -0.5:
        notes.append(f"shape {law.upper.shape:.3g}: at or below -0.5 the estimates have no standard errors")
    return tuple(notes)
