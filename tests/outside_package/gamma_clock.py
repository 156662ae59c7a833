"""A model of one's own, outside riskops: correlated prices on a gamma clock that all assets share.

Business time runs by ``g`` days a day, ``g`` gamma distributed with mean 1 and variance ``1 / shape``, and log growth
is Brownian in business time: ``drift * g + sqrt(g) * z`` (variance gamma, Madan, Carr and Chang 1998).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy import special

from riskops.errors import InputError
from riskops.models import Model, Shock, State, cholesky, path_kernel, register
from riskops.scalar import fma, scalar_function, sqrt
from riskops.tables import cubics, tabulate, value_at

Floats = npt.NDArray[np.float64]


@scalar_function
def step(log_growth, drift, shock, passed):
    """Log growth after business time ``passed``."""
    return log_growth + fma(passed, drift, sqrt(passed) * shock)


@path_kernel(tables=("drift", "quantiles"))
def _advance(log_growth, clock, shock, speed, drift, quantiles):
    for asset in range(log_growth.shape[0]):
        for path in range(log_growth.shape[1]):
            passed = value_at(quantiles, speed[0, path])
            log_growth[asset, path] = step(log_growth[asset, path], drift[asset], shock[asset, path], passed)
    for path in range(log_growth.shape[1]):
        clock[0, path] += value_at(quantiles, speed[0, path])


@register
@dataclass(frozen=True, eq=False)
class GammaClock(Model):
    """Correlated prices on a gamma clock that all assets share."""

    drift: Floats  # (asset,) a day
    covariance: Floats  # (asset, asset) a day
    speeds: Floats  # business time of a day at the knots of a normal
    shape: float
    days_per_year: float

    kind: ClassVar[str] = "gamma_clock"
    states: ClassVar[tuple[State, ...]] = (State("log_growth"), State("clock", per="shared"))
    shocks: ClassVar[tuple[Shock, ...]] = (
        Shock("diffusion", mixing="mixing"),
        Shock("speed", kind="normal", per="shared"),
    )

    def __post_init__(self) -> None:
        for name in ("drift", "covariance", "speeds"):
            object.__setattr__(self, name, np.array(getattr(self, name), dtype=np.float64))

    @classmethod
    def fit(cls, returns: xr.Dataset, *, days_per_year: float = 252.0, shape: float = 2.0) -> Self:
        """Take mean and covariance of the returns, and a clock.

        Parameters
        ----------
        shape
            Shape of the gamma distribution of a day's business time, above zero.
        """
        if not shape > 0.0:
            raise InputError(f"shape: {shape!r} is not above zero")
        values = returns["log_return"].values
        mean = values.mean(axis=0)
        covariance = np.atleast_2d(np.cov(values.T)) - np.outer(mean, mean) / shape
        return cls(tuple(map(str, returns["asset"].values)), mean, covariance, _speeds(shape), shape, days_per_year)

    def tables(self, step_years: float) -> Mapping[str, npt.NDArray[Any]]:
        if round(step_years * self.days_per_year, 9) != 1.0:
            raise InputError("simulation.step_days: model gamma_clock steps by one day")
        deviation = np.sqrt(np.diagonal(self.covariance))
        lower = cholesky(self.covariance / np.outer(deviation, deviation))
        return {"drift": self.drift, "mixing": lower * deviation[:, None], "quantiles": cubics(self.speeds)}

    @staticmethod
    def advance(state: Mapping[str, Any], shocks: Mapping[str, Any], tables: Mapping[str, Any]) -> None:
        _advance(
            state["log_growth"],
            state["clock"],
            shocks["diffusion"],
            shocks["speed"],
            tables["drift"],
            tables["quantiles"],
        )

    def mean_log_growth(self, years: float) -> Floats:
        return self.drift * years * self.days_per_year

    def covariance_log_growth(self, years: float) -> Floats:
        daily = self.covariance + np.outer(self.drift, self.drift) / self.shape
        return daily * years * self.days_per_year


def _speeds(shape: float) -> Floats:
    """Quantiles of the gamma distribution with mean one, from either tail."""

    def quantile(z: Floats) -> Floats:
        low = special.gammaincinv(shape, special.ndtr(np.minimum(z, 0.0)))
        high = special.gammainccinv(shape, special.ndtr(-np.maximum(z, 0.0)))
        return np.where(z < 0.0, low, high) / shape

    return tabulate(quantile).values
