"""GARCH forecasts: losses of one law, scaled by a variance that every return moves on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from riskops.checks import check_integer
from riskops.history.forecasts.base import Floats, Integers, Law, Prediction, located
from riskops.history.forecasts.recursion import simulate_losses
from riskops.history.forecasts.simulated import SEED, draws
from riskops.history.forecasts.simulated_days import (
    DAILY_PATHS,
    check_simulation,
    few_beyond,
    predict_samples,
    simulation_name,
)
from riskops.history.forecasts.volatility import FEWEST, Volatility, VolatilityFit, fit_volatility

__all__ = ["INFINITE_SHORTFALL", "GarchForecaster", "ScaledFit", "horizon_rule", "scaled_fit"]

#: The mean of ``exp(c |z|)`` is infinite where the tails of ``z`` are powers; so is that of two days of EGARCH.
INFINITE_SHORTFALL = (
    "over several days the population's expected shortfall of an EGARCH with heavy-tailed innovations is infinite; "
    "the one told is that of the simulated sample"
)


@dataclass(frozen=True)
class GarchForecaster:
    """GARCH(1,1), GJR-GARCH(1,1,1) or EGARCH(1,1,1) with normal, Student t or skewed t innovations.

    One day ahead ``loss = -mean + sqrt(h) z``, in closed form: ``h`` is the variance to which the returns known by then
    lead with the parameters of the last fit, ``z`` has the fitted law of losses. Over several days the recursion is
    simulated from each day's ``h``; all days and series share their draws (common random numbers).

    Parameters
    ----------
    volatility
        ``garch``, ``gjr`` or ``egarch``.
    innovations
        ``normal``, ``student_t`` or ``skewed_t``.
    mean
        Of a day's return: ``constant``, or ``zero``.
    paths, seed
        Of the simulation over several days.

    Notes
    -----
    Quasi maximum likelihood by ``arch``; the recursion begins with the weighted mean of the first 75 squared deviations
    (:func:`riskops.history.forecasts.recursion.presample_variance`). An EGARCH whose filter is unstable,
    or whose first estimate is no sound maximum, is fitted again with ``alpha`` at least 0.01 and ``beta`` at most
    0.999, and a note says so; a fit without a sound maximum is refused.

    References
    ----------
    Bollerslev (1986), Generalized autoregressive conditional heteroskedasticity. Glosten, Jagannathan and Runkle
    (1993), On the relation between the expected value and the volatility of the nominal excess return on stocks. Nelson
    (1991), Conditional heteroskedasticity in asset returns.

    Examples
    --------
    >>> from riskops.history.forecasts.simulated import normals
    >>> returns = 0.01 * normals(paths=1, days=500, seed=7)[:, 0]
    >>> fit = GarchForecaster("garch", "normal").fit(returns, levels=(0.99,), days=1)
    >>> bool(abs(fit.predict(returns, np.array([500]), window=None).value_at_risk[0, 0] - 0.0233) < 0.005)
    True
    """

    volatility: str
    innovations: str
    mean: str = "constant"
    paths: int = DAILY_PATHS
    seed: int = SEED

    def __post_init__(self) -> None:
        _ = self._spec
        check_simulation(self.paths, self.seed)

    @property
    def _spec(self) -> Volatility:
        return Volatility(self.volatility, self.innovations, self.mean)

    @property
    def _kind(self) -> str:
        return f"{self.volatility}_{self.innovations}"

    @property
    def name(self) -> str:
        """The method's name in results."""
        return self._kind + ("_zero_mean" if self.mean == "zero" else "") + simulation_name(self.paths, self.seed)

    @property
    def estimated(self) -> bool:
        """The parameters are held fixed between fits; the variance is not."""
        return True

    @property
    def least(self) -> int:
        """The fewest returns."""
        return FEWEST

    def horizon_rule(self, days: int) -> str:
        """One day from the law, several by simulation."""
        return horizon_rule(days)

    def fit(self, returns: Floats, *, levels: Sequence[float], days: int) -> ScaledFit:
        """Fit by quasi maximum likelihood."""
        found = fit_volatility(self._spec, returns, method=self.name)
        heavy = self.volatility == "egarch" and self.innovations != "normal" and days > 1
        law, notes = found.loss_law(), (INFINITE_SHORTFALL,) if heavy else ()
        return scaled_fit(found, law, notes=notes, levels=levels, days=days, paths=self.paths, seed=self.seed)

    def record(self) -> dict[str, Any]:
        """The kind and all settings."""
        return {"kind": self._kind, "mean": self.mean, "paths": self.paths, "seed": self.seed}


@dataclass(frozen=True, eq=False)
class ScaledFit:
    """Losses ``-mean + sqrt(h) z`` with a filtered ``h`` and one law of ``z``."""

    volatility: VolatilityFit
    law: Law
    parameters: Mapping[str, float]
    notes: tuple[str, ...]
    levels: tuple[float, ...]
    days: int
    #: Draws of the law ``(day, path)``, for more than one day; the same for all forecasts.
    innovations: Floats | None

    def predict(self, returns: Floats, ends: Integers, *, window: int | None) -> Prediction:
        """Forecast from each day's variance, filtered through the window of returns before it."""
        variances = self.volatility.forecast_variances(returns, ends, window=window)
        recursion, innovations = self.volatility.recursion, self.innovations
        if innovations is None:
            location = np.full(len(ends), -recursion.mean)
            return located(self.law, location, np.sqrt(variances), levels=self.levels)

        def draw(i: int) -> Floats:
            return simulate_losses(innovations, recursion, variance=float(variances[i]))

        return predict_samples(draw, len(ends), levels=self.levels)


def scaled_fit(
    found: VolatilityFit,
    law: Law,
    *,
    levels: Sequence[float],
    days: int,
    paths: int,
    seed: int,
    parameters: Mapping[str, float] | None = None,
    notes: tuple[str, ...] = (),
) -> ScaledFit:
    """A fitted volatility with a law of the standardised losses; ``parameters`` and ``notes`` are the law's own."""
    drawn = None
    if check_integer("days", days, at_least=1) > 1:
        drawn = draws(law, paths=paths, days=days, seed=seed)
        notes += few_beyond(levels, paths)
    return ScaledFit(
        found, law, found.parameters | dict(parameters or {}), (*found.notes, *notes), tuple(levels), days, drawn
    )


def horizon_rule(days: int) -> str:
    """How all methods on a filtered variance reach a horizon."""
    check_integer("days", days, at_least=1)
    return "one day ahead" if days == 1 else "simulated from the day's variance, with common random numbers"
