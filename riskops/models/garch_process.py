"""What the models of daily returns with a GARCH variance share: the step, the parameters, and their exact moments.

``r_t = mu + e_t``, ``e_t = sqrt(h_t) z_t``, ``h_(t+1) = omega + (alpha + gamma 1[e_t < 0]) e_t^2 + beta h_t``, each
asset by itself (Bollerslev 1986; Glosten, Jagannathan and Runkle 1993). The innovations ``z`` are what tells the models
apart: drawn from a distribution (:mod:`riskops.models.garch`) or from the past
(:mod:`riskops.models.filtered_historical`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from riskops.checks import check_number, check_positive
from riskops.errors import InputError
from riskops.models.base import Array, Model, State
from riskops.models.kernel import path_kernel
from riskops.models.parameters import check_assets, per_asset, positive_per_asset, set_frozen
from riskops.scalar import fma, like, scalar_function, sqrt

__all__ = ["GarchProcess", "advance_garch", "step"]

Floats = npt.NDArray[np.float64]

#: How far a step may be from one observation, and a horizon from a whole number of them.
WHOLE = 1e-9


@scalar_function
def step(log_growth, variance, innovation, mean, omega, upper, lower, beta):  # type: ignore[no-untyped-def]
    """Log growth after one observation and the variance of the next; ``upper`` and ``lower`` weigh a squared shock
    above and below zero."""
    shock = sqrt(variance) * innovation
    news = (lower if shock < like(shock, 0.0) else upper) * shock
    growth = log_growth + fma(sqrt(variance), innovation, mean)
    return growth, fma(news, shock, fma(beta, variance, omega))


@path_kernel(tables=("mean", "omega", "upper", "lower", "beta"))
def advance_garch(log_growth, variance, innovation, mean, omega, upper, lower, beta):  # type: ignore[no-untyped-def]
    for asset in range(log_growth.shape[0]):
        growth, h, z = log_growth[asset], variance[asset], innovation[asset]
        m, w, a, b, c = mean[asset], omega[asset], upper[asset], lower[asset], beta[asset]
        for path in range(growth.shape[0]):
            growth[path], h[path] = step(growth[path], h[path], z[path], m, w, a, b, c)


@dataclass(frozen=True, eq=False)
class GarchProcess(Model):
    """The parameters of the variance, one each an asset and all of them an observation, not a year; a base class."""

    mean: Floats
    omega: Floats
    alpha: Floats
    gamma: Floats
    beta: Floats
    variance: Floats
    days_per_year: float

    states: ClassVar[tuple[State, ...]] = (State("log_growth"), State("variance"))

    def _checked(self) -> dict[str, Any]:
        """The parameters that all models of the family have, checked."""
        assets = check_assets(self.assets)
        values: dict[str, Any] = {"assets": assets, "mean": per_asset("mean", self.mean, assets)}
        for name in ("omega", "variance"):
            values[name] = positive_per_asset(name, getattr(self, name), assets)
        for name in ("alpha", "gamma", "beta"):
            values[name] = per_asset(name, getattr(self, name), assets)
        alpha, gamma, beta = values["alpha"], values["gamma"], values["beta"]
        for asset, a, g, b in zip(assets, alpha.tolist(), gamma.tolist(), beta.tolist(), strict=True):
            if a < 0.0:
                raise InputError(f"alpha of {asset!r}: {a!r} is below zero")
            if a + g < 0.0:
                raise InputError(f"gamma of {asset!r}: {g!r} is below -alpha, {-a!r}: variances could be negative")
            if not 0.0 <= b < 1.0:
                raise InputError(f"beta of {asset!r}: {b!r} is not in [0, 1)")
        return values | {"days_per_year": check_positive("days_per_year", self.days_per_year)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        set_frozen(self, state)

    @abstractmethod
    def innovation_moments(self) -> dict[str, Floats]:
        """``mean``, ``second``, ``second_below`` (the part of the negative ones), ``fourth`` and ``fourth_below``
        moment of the innovations about zero, ``(asset,)`` each; infinite where one does not exist."""

    @abstractmethod
    def innovation_correlation(self) -> Floats:
        """Correlation ``(asset, asset)`` of the innovations."""

    def start(self) -> Mapping[str, Floats]:
        """No growth, and the variance forecast of the first observation."""
        return {**super().start(), "variance": np.array(self.variance)}

    def tables(self, step_years: float) -> Mapping[str, Array]:
        """``mean``, ``omega``, ``upper`` (alpha), ``lower`` (alpha + gamma) and ``beta``, ``(asset,)`` each.

        A step is one observation: any other length is an error.
        """
        days = check_positive("step_years", step_years) * self.days_per_year
        if abs(days - 1.0) > WHOLE:
            raise InputError(
                f"simulation.step_days: a step of {days:g} observations is not one, "
                f"as model {self.kind} needs; it was fitted to {self.days_per_year:g} observations a year"
            )
        upper, lower = self.alpha, self.alpha + self.gamma
        return {"mean": self.mean, "omega": self.omega, "upper": upper, "lower": lower, "beta": self.beta}

    def _shocked(self, volatility: float, drift: float) -> dict[str, Any]:
        """The parameters under a factor on every volatility, today's and the long run's, and a yearly drift."""
        factor = check_positive("volatility shock", volatility)
        square = factor * factor
        return {
            "mean": self.mean + check_number("drift shock", drift) / self.days_per_year,
            "omega": self.omega * square,
            "variance": self.variance * square,
        }

    def _copy(self, changed: dict[str, Any]) -> Self:
        return type(self)(self.assets, **(self.parameters() | changed))

    def _observations(self, years: float) -> int:
        count = check_number("years", years) * self.days_per_year
        if count < 0.0 or abs(count - round(count)) > WHOLE * max(1.0, count):
            raise InputError(f"years: {years!r} is {count:g} observations, not a whole number of them")
        return round(count)

    # --- exact moments -----------------------------------------------------------------------------------------------

    def persistence(self) -> Floats:
        """The share ``(asset,)`` of a variance that is expected to be left an observation later.

        ``alpha E[z^2] + gamma E[z^2; z < 0] + beta``: ``alpha + gamma / 2 + beta`` for symmetric ``z`` of unit
        variance.
        """
        moments = self.innovation_moments()
        return self.alpha * moments["second"] + self.gamma * moments["second_below"] + self.beta

    def _stationary(self) -> Floats:
        persistence = self.persistence()
        for asset, value in zip(self.assets, persistence.tolist(), strict=True):
            if value >= 1.0:
                raise InputError(
                    f"persistence of {asset!r}: {value:.6g} is not below one, so there is no unconditional variance"
                )
        return persistence

    def unconditional_variance(self) -> Floats:
        """Variance of a shock ``e`` in the long run ``(asset,)``, an observation: ``omega / (1 - persistence) E[z^2]``.

        Raises
        ------
        InputError
            When a persistence is one or more (IGARCH and beyond): there is none.
        """
        return self.omega / (1.0 - self._stationary()) * self.innovation_moments()["second"]

    def unconditional_kurtosis(self) -> Floats:
        """Kurtosis of a shock in the long run ``(asset,)``; infinite where the fourth moment does not exist.

        ``k (1 - p^2) / (1 - q)`` with ``k = E[z^4] / E[z^2]^2``, ``p`` the persistence and ``q = E[((alpha + gamma
        1[z < 0]) z^2 + beta)^2] < 1``: for normal innovations and no asymmetry ``3 (1 - (alpha + beta)^2) /
        (1 - (alpha + beta)^2 - 2 alpha^2)`` (Bollerslev 1986).

        Raises
        ------
        InputError
            When a persistence is one or more.
        """
        persistence, moments = self._stationary(), self.innovation_moments()
        exists = np.isfinite(moments["fourth"])
        fourth, below = (np.where(exists, moments[name], 0.0) for name in ("fourth", "fourth_below"))
        squares = self.alpha**2 * fourth + (2.0 * self.alpha + self.gamma) * self.gamma * below
        square = squares + 2.0 * self.beta * (persistence - self.beta) + self.beta**2
        exists &= square < 1.0
        ratio = fourth / moments["second"] ** 2
        return np.where(exists, ratio * (1.0 - persistence**2) / np.where(exists, 1.0 - square, 1.0), np.inf)

    def expected_variance(self, observations: int) -> Floats:
        """Expected conditional variances ``(observation, asset)`` of the next observations, the first known today.

        ``E[h_(t+1)] = omega + p E[h_t]`` with ``p`` the persistence.
        """
        persistence, current = self.persistence(), np.array(self.variance)
        rows = np.empty((observations, len(self.assets)))
        for row in rows:
            row[:] = current
            current = self.omega + persistence * current
        return rows

    def variance_log_growth(self, years: float) -> Floats:
        """Exact variance ``(asset,)`` of log growth after ``years``: the expected variances, summed.

        Shocks of different days are uncorrelated, so nothing else enters.
        """
        observations = self._observations(years)
        self._centred(observations)
        moments = self.innovation_moments()
        return (moments["second"] - moments["mean"] ** 2) * self.expected_variance(observations).sum(axis=0)

    def mean_log_growth(self, years: float) -> Floats:
        """Exact mean ``(asset,)`` of log growth after ``years``: ``mu`` an observation, for centred innovations."""
        observations = self._observations(years)
        self._centred(observations)
        shift = np.sqrt(self.variance) * self.innovation_moments()["mean"]
        return self.mean * observations + (shift if observations == 1 else 0.0)

    def _centred(self, observations: int) -> None:
        """Beyond one observation the mean of ``sqrt(h)`` would enter, which is not known in closed form."""
        worst = float(np.abs(self.innovation_moments()["mean"]).max())
        if observations > 1 and worst > 1e-12:
            raise InputError(
                f"model {self.kind}: the moments beyond one observation are known in closed form for innovations of "
                f"mean zero only; here a mean is {worst:.3g} away from it"
            )

    def covariance_log_growth(self, years: float) -> Floats:
        """Exact covariance ``(asset, asset)`` of log growth: of one asset, or of several after one observation.

        Further ahead the covariance of two assets is a sum of ``R_ab E[sqrt(h_a h_b)]``, which has no closed form;
        :meth:`variance_log_growth` gives the diagonal.

        Raises
        ------
        InputError
            For several assets and more than one observation.
        """
        observations = self._observations(years)
        deviation = np.sqrt(self.variance_log_growth(years))
        if observations > 1 and len(self.assets) > 1:
            raise InputError(
                f"model {self.kind}: the covariance of several assets beyond one observation is not known in closed "
                "form; variance_log_growth gives each asset's variance"
            )
        covariance: Floats = self.innovation_correlation() * (deviation[:, None] * deviation[None, :])
        return covariance
