"""Correlated geometric Brownian motion: constant drift, volatility and correlation, for any number of assets.

``dS_a = mu_a S_a dt + sigma_a S_a dW_a`` with ``corr(dW_a, dW_b) = R_ab``: log growth after ``t`` years is normal with
mean ``(mu - sigma^2 / 2) t`` and covariance ``sigma_a sigma_b R_ab t``, and ``E[S_t] = S_0 exp(mu t)``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import xarray as xr

from riskops.checks import check_number, check_positive
from riskops.models.base import Array, Model, Shock
from riskops.models.calibration import Calibration
from riskops.models.elementwise import exponentials_less_one
from riskops.models.factor_option import Factors, estimate_correlation, plain_factors
from riskops.models.factor_structure import (
    Correlation,
    check_structure,
    correlation_matrix,
    mixing_of,
    push,
    with_factors,
)
from riskops.models.kernel import path_kernel
from riskops.models.parameters import check_assets, drift_of, per_asset, positive_per_asset, set_frozen
from riskops.models.registry import register
from riskops.models.sample import sample_log_returns
from riskops.scalar import scalar_function

__all__ = ["GeometricBrownianMotion", "step"]


@scalar_function
def step(log_growth, drift, shock):  # type: ignore[no-untyped-def]
    """Log growth after one step; the two small terms are added first, which loses least in single precision."""
    return log_growth + (drift + shock)


@path_kernel(tables=("drift",))
def _advance(log_growth, shock, drift):  # type: ignore[no-untyped-def]
    for asset in range(log_growth.shape[0]):
        mean = drift[asset]
        for path in range(log_growth.shape[1]):
            log_growth[asset, path] = step(log_growth[asset, path], mean, shock[asset, path])


@register
@dataclass(frozen=True, eq=False)
class GeometricBrownianMotion(Model):
    """Correlated geometric Brownian motion.

    Parameters
    ----------
    assets
        Names, unique, at least one.
    drift
        Expected growth rate of each price a year, ``mu``: a price is expected to grow by ``exp(mu t)``.
    volatility
        Standard deviation of each log return a year, above zero.
    correlation
        Correlation of log returns: ``(asset, asset)``, positive definite, or a
        :class:`riskops.models.factor_structure.FactorStructure`.

    Raises
    ------
    InputError
        When a shape does not fit the assets, a value is not finite, a volatility is not above zero, or the correlation
        is not symmetric with a unit diagonal and positive definite.

    Examples
    --------
    >>> model = GeometricBrownianMotion(("A", "B"), [0.05, 0.0], [0.2, 0.1], [[1.0, 0.5], [0.5, 1.0]])
    >>> model.mean_log_growth(1.0).round(4).tolist(), model.covariance_log_growth(1.0).round(4).tolist()
    ([0.03, -0.005], [[0.04, 0.01], [0.01, 0.01]])
    """

    drift: npt.NDArray[np.float64]
    volatility: npt.NDArray[np.float64]
    correlation: Correlation

    kind: ClassVar[str] = "geometric_brownian"
    shocks: ClassVar[tuple[Shock, ...]] = (Shock("diffusion", kind="normal", per="asset", mixing="mixing"),)

    def __post_init__(self) -> None:
        assets = check_assets(self.assets)
        drift = per_asset("drift", self.drift, assets)
        volatility = positive_per_asset("volatility", self.volatility, assets)
        correlation = check_structure("correlation", self.correlation, assets=assets)
        parameters = {"assets": assets, "drift": drift, "volatility": volatility, "correlation": correlation}
        set_frozen(self, parameters | {"shocks": with_factors(type(self).shocks, correlation)})

    def __setstate__(self, state: dict[str, Any]) -> None:
        set_frozen(self, state)

    @classmethod
    def calibrate(
        cls,
        returns: xr.Dataset,
        *,
        days_per_year: float = 252.0,
        drift: str | Mapping[str, float] = "historical",
        window: int | None = None,
        nearest_correlation: bool = False,
        factors: Factors = None,
    ) -> Calibration[Self]:
        """Fit as :meth:`fit` does, and return the model with a report of the window and of every adjustment."""
        check_positive("days_per_year", days_per_year)
        sample = sample_log_returns(returns, window=window)
        volatility = sample.volatility() * np.sqrt(days_per_year)
        correlation, how = estimate_correlation(
            sample.correlation(), assets=sample.assets, nearest=nearest_correlation, factors=factors
        )
        drifts = drift_of(drift, sample, half_variance=0.5 * volatility * volatility, days_per_year=days_per_year)
        model = cls(sample.assets, drifts, volatility, correlation)
        options = {
            "drift": drift if isinstance(drift, str) else {str(k): float(v) for k, v in drift.items()},
            "window": window,
            "nearest_correlation": nearest_correlation,
            "factors": plain_factors(factors),
        }
        report = {
            **sample.window_report(days_per_year),
            "options": options,
            **how,
        }
        return Calibration(model, report)

    @classmethod
    def fit(
        cls,
        returns: xr.Dataset,
        *,
        days_per_year: float = 252.0,
        drift: str | Mapping[str, float] = "historical",
        window: int | None = None,
        nearest_correlation: bool = False,
        factors: int | str | Mapping[str, Sequence[float]] | None = None,
    ) -> Self:
        """Estimate drift, volatility and correlation from daily log returns.

        Parameters
        ----------
        returns
            Dataset with ``log_return`` ``(observation, asset)``; NaN is an error that says where.
        days_per_year
            Observations in a year.
        drift
            ``"historical"``: mean log return a year plus half the variance; ``"zero"``: prices are expected to stay;
            or a yearly rate for each asset by name.
        window
            Number of last observations to use; all of them by default.
        nearest_correlation
            Replace a sample correlation that is not positive definite (as from a window shorter than the number of
            assets) by the nearest one that is. By default such a sample is refused. :meth:`calibrate` says by how
            much it was changed.
        factors
            A number of factors, by principal axes of the sample correlation, in the place of the full correlation; or
            given loadings: the path of a YAML or CSV file, or asset to list of loadings. Many assets need it: it does
            with fewer observations than assets, and a step mixes a few normals instead of all.
            :meth:`calibrate` says how near the sample it is.

        Returns
        -------
        The model, its parameters a year; sample deviations use ddof=1.

        Raises
        ------
        InputError
            When the window is longer than the sample, an asset's returns do not vary, a drift is missing or unknown, or
            the correlation is not positive definite.

        Examples
        --------
        >>> import numpy as np, xarray as xr
        >>> from riskops.schema import variable
        >>> table = variable("log_return", ("observation", "asset"), [[0.01], [-0.01], [0.02], [0.0]],
        ...                  coords={"asset": ["A"]})
        >>> model = GeometricBrownianMotion.fit(xr.Dataset({"log_return": table}), drift="zero")
        >>> model.drift.tolist(), model.volatility.round(4).tolist()
        ([0.0], [0.2049])
        """
        return cls.calibrate(
            returns,
            days_per_year=days_per_year,
            drift=drift,
            window=window,
            nearest_correlation=nearest_correlation,
            factors=factors,
        ).model

    def tables(self, step_years: float) -> Mapping[str, Array]:
        """``drift`` ``(asset,)`` of log growth over a step, and ``mixing`` ``(asset, asset or factor + 1)``.

        Mixing is the Cholesky factor, or the loadings, row ``a`` scaled by the standard deviation of asset ``a`` over a
        step.
        """
        check_positive("step_years", step_years)
        drift = (self.drift - 0.5 * self.volatility * self.volatility) * step_years
        deviation = self.volatility * np.sqrt(step_years)
        return {"drift": drift, "mixing": mixing_of(self.correlation, deviation)}

    @staticmethod
    def advance(state: Mapping[str, Array], shocks: Mapping[str, Array], tables: Mapping[str, Array]) -> None:
        """Add the step's drift and mixed normals to log growth, in place."""
        _advance(state["log_growth"], shocks["diffusion"], tables["drift"])

    def shocked(self, *, volatility: float = 1.0, correlation: float = 0.0, drift: float = 0.0) -> Self:
        """The model under a scenario: volatilities multiplied, correlations moved towards one by a share in [0, 1), and
        a yearly rate added to the drift of every price.

        The drift is that of the price, so a volatility shock alone leaves the expected price as it was.
        """
        if (volatility, correlation, drift) == (1.0, 0.0, 0.0):
            return self
        factor = check_positive("volatility shock", volatility)
        pushed = push(self.correlation, correlation)
        return type(self)(
            self.assets, self.drift + check_number("drift shock", drift), self.volatility * factor, pushed
        )

    def mean_log_growth(self, years: float) -> npt.NDArray[np.float64]:
        """Exact mean ``(asset,)`` of log growth: ``(mu - sigma^2 / 2) t``."""
        return (self.drift - 0.5 * self.volatility * self.volatility) * years

    def covariance_log_growth(self, years: float) -> npt.NDArray[np.float64]:
        """Exact covariance ``(asset, asset)`` of log growth: ``sigma_a sigma_b R_ab t``."""
        return correlation_matrix(self.correlation) * (self.volatility[:, None] * self.volatility[None, :]) * years

    def mean_simple_return(self, years: float) -> npt.NDArray[np.float64]:
        """Exact mean ``(asset,)`` of the simple return: ``exp(mu t) - 1``."""
        return exponentials_less_one(self.drift * years)

    def covariance_simple_return(self, years: float) -> npt.NDArray[np.float64]:
        """Exact covariance ``(asset, asset)`` of simple returns.

        ``exp((mu_a + mu_b) t) (exp(sigma_a sigma_b R_ab t) - 1)``, the lognormal's.
        """
        growth = np.exp(self.drift * years)
        return growth[:, None] * growth[None, :] * np.expm1(self.covariance_log_growth(years))
