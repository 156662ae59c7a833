"""Filtered historical simulation: past days drawn again, rescaled to the volatility that each asset has by then.

The residuals of GARCH fits, over their conditional deviations, are drawn by whole days, which keeps whatever dependence
the assets had; each asset's variance runs on from today's (Barone-Adesi, Giannopoulos and Vosper 1999; Hull and White
1998 without the recursion).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import xarray as xr

from riskops.checks import check_finite, check_positive
from riskops.errors import InputError
from riskops.models.base import Array, Shock
from riskops.models.calibration import Calibration
from riskops.models.garch_fit import INNOVATIONS, check_garch_options, fit_garch, mean_of
from riskops.models.garch_process import GarchProcess, advance_garch
from riskops.models.parameters import frozen, set_frozen
from riskops.models.registry import register
from riskops.models.sample import sample_log_returns

__all__ = ["FilteredHistorical"]


@register
@dataclass(frozen=True, eq=False)
class FilteredHistorical(GarchProcess):
    """Filtered historical simulation: days of standardized residuals drawn jointly, on each asset's GARCH variance.

    Parameters
    ----------
    assets
        Names, unique, at least one.
    mean
        Mean of each log return, an observation.
    omega, alpha, gamma, beta
        Of each variance, an observation: ``h' = omega + (alpha + gamma 1[e < 0]) e^2 + beta h``; ``omega`` above zero,
        ``alpha`` and ``alpha + gamma`` not below zero, ``beta`` in ``[0, 1)``; ``gamma`` zero for GARCH(1,1).
    variance
        Variance forecast of the first simulated observation, above zero.
    days_per_year
        Observations in a year; a simulation step must be one of them.
    residuals
        Standardized residuals ``(observation, asset)``, at least two rows; a row is drawn for all assets at once.

    Raises
    ------
    InputError
        When a shape does not fit the assets, or a value is not finite or out of its range.

    Notes
    -----
    A path's return is ``mu + sqrt(h) z`` with ``z`` a past day's residuals. Nothing is assumed of their distribution or
    of their dependence across assets on a day; over time they are taken as independent.

    Examples
    --------
    >>> residuals = [[1.0], [-1.0], [0.5], [-0.5]]
    >>> model = FilteredHistorical(("A",), [0.0], [2e-6], [0.1], [0.0], [0.88], [4e-4], 252.0, residuals)
    >>> model.variance_log_growth(1 / 252).tolist()
    [0.00025]
    """

    residuals: npt.NDArray[np.float64]

    kind: ClassVar[str] = "filtered_historical"
    shocks: ClassVar[tuple[Shock, ...]] = (Shock("residual", kind="rows", per="shared", table="residuals"),)

    def __post_init__(self) -> None:
        parameters = self._checked()
        residuals = check_finite("residuals", self.residuals)
        assets = len(parameters["assets"])
        if residuals.ndim != 2 or residuals.shape[1] != assets or len(residuals) < 2:
            raise InputError(
                f"residuals: shape {residuals.shape} is not (observations, {assets}), at least two of them"
            )
        set_frozen(self, parameters | {"residuals": frozen(residuals)})

    @classmethod
    def calibrate(
        cls,
        returns: xr.Dataset,
        *,
        days_per_year: float = 252.0,
        asymmetry: bool = False,
        innovations: str = "normal",
        mean: str = "constant",
        drift: str | Mapping[str, float] = "fitted",
        window: int | None = None,
        standardize: bool = True,
    ) -> Calibration[Self]:
        """Fit as :meth:`fit` does, and return the model with a report of the fits and of the residuals."""
        check_positive("days_per_year", days_per_year)
        check_garch_options(asymmetry=asymmetry, innovations=innovations, mean=mean, known=tuple(INNOVATIONS))
        if not isinstance(standardize, bool):
            raise InputError(f"standardize: {standardize!r} is not true or false")
        sample = sample_log_returns(returns, window=window)
        means = mean_of(drift, sample, days_per_year=days_per_year)
        found = fit_garch(sample, asymmetry=asymmetry, innovations=innovations, mean=mean, days_per_year=days_per_year)
        residuals, centre = found.residuals, found.residuals.mean(axis=0)
        deviation = residuals.std(axis=0)
        model = cls(
            assets=sample.assets,
            mean=found.mean if means is None else means,
            omega=found.omega,
            alpha=found.alpha,
            gamma=found.gamma,
            beta=found.beta,
            variance=found.variance,
            days_per_year=float(days_per_year),
            residuals=(residuals - centre) / deviation if standardize else residuals,
        )
        options = {
            "asymmetry": asymmetry,
            "innovations": innovations,
            "mean": mean,
            "drift": drift if isinstance(drift, str) else {str(k): float(v) for k, v in drift.items()},
            "window": window,
            "standardize": standardize,
        }
        report: dict[str, Any] = {
            **sample.window_report(days_per_year),
            "options": options,
            **found.report,
            "residual_mean": dict(zip(sample.assets, centre.tolist(), strict=True)),
            "residual_deviation": dict(zip(sample.assets, deviation.tolist(), strict=True)),
        }
        return Calibration(model, report)

    @classmethod
    def fit(
        cls,
        returns: xr.Dataset,
        *,
        days_per_year: float = 252.0,
        asymmetry: bool = False,
        innovations: str = "normal",
        mean: str = "constant",
        drift: str | Mapping[str, float] = "fitted",
        window: int | None = None,
        standardize: bool = True,
    ) -> Self:
        """Estimate every asset's variance by quasi maximum likelihood, and keep the residuals over their deviations.

        Parameters
        ----------
        returns
            Dataset with ``log_return`` ``(observation, asset)``, equally spaced; NaN is an error that says where.
        days_per_year
            Observations in a year.
        asymmetry
            GJR-GARCH: falls have a weight of their own, ``alpha + gamma``.
        innovations
            Of the likelihood alone, ``"normal"``, ``"student_t"`` or ``"skewed_t"`` (Hansen 1994): paths draw the
            residuals themselves.
        mean
            Of the returns in the likelihood: ``"constant"``, estimated with the variance, or ``"zero"``.
        drift
            Of the simulated prices: ``"fitted"`` keeps the estimated mean of log returns; ``"historical"`` takes the
            sample's; ``"zero"`` (prices are expected to stay) or a yearly rate for each asset by name take half the
            sample's variance off for log returns, as for geometric Brownian motion.
        window
            Number of last observations to use; all of them by default. All their residuals are drawn from.
        standardize
            Whether the residuals are shifted to mean zero and scaled to variance one, so that drift and long-run
            variance are those of the parameters; otherwise they are drawn as the fit left them.

        Returns
        -------
        The model, its parameters an observation; simulations start from the variance forecast of the next one.

        Raises
        ------
        InputError
            When the window is longer than the sample or shorter than 100, an asset's returns do not vary, an option is
            unknown, or the optimiser does not converge.

        Examples
        --------
        >>> from riskops.market import load_prices, log_returns
        >>> model = FilteredHistorical.fit(log_returns(load_prices("sp500", assets=["AAPL", "XOM"])), window=1008)
        >>> model.residuals.shape, bool(abs(model.residuals.mean(axis=0)).max() < 1e-12)
        ((1008, 2), True)
        """
        return cls.calibrate(
            returns,
            days_per_year=days_per_year,
            asymmetry=asymmetry,
            innovations=innovations,
            mean=mean,
            drift=drift,
            window=window,
            standardize=standardize,
        ).model

    def tables(self, step_years: float) -> Mapping[str, Array]:
        """The parameters ``(asset,)`` of a step, which must be one observation, and ``residuals`` ``(row, asset)``."""
        return {**super().tables(step_years), "residuals": self.residuals}

    @staticmethod
    def advance(state: Mapping[str, Array], shocks: Mapping[str, Array], tables: Mapping[str, Array]) -> None:
        """Add an observation's return to log growth and move the variance on, in place."""
        parameters = (tables[name] for name in ("mean", "omega", "upper", "lower", "beta"))
        advance_garch(state["log_growth"], state["variance"], shocks["residual"], *parameters)

    def shocked(self, *, volatility: float = 1.0, correlation: float = 0.0, drift: float = 0.0) -> Self:
        """The model under a scenario: every volatility multiplied, today's and the long run's, and a yearly rate added
        to the mean of log returns.

        Clustering, ``alpha``, ``gamma`` and ``beta``, is left as it is. The dependence of the assets is that of the
        days drawn: a correlation shock is refused.
        """
        if (volatility, correlation, drift) == (1.0, 0.0, 0.0):
            return self
        if correlation != 0.0:
            raise InputError(
                f"model {self.kind}: a correlation shock does not apply to it: whole days of residuals are drawn, "
                "and the assets' dependence is theirs"
            )
        return self._copy(self._shocked(volatility, drift))

    def innovation_moments(self) -> dict[str, npt.NDArray[np.float64]]:
        """Moments of the residuals about zero: they are the distribution."""
        squares = self.residuals * self.residuals
        below = self.residuals < 0.0
        return {
            "mean": self.residuals.mean(axis=0),
            "second": squares.mean(axis=0),
            "second_below": (squares * below).mean(axis=0),
            "fourth": (squares * squares).mean(axis=0),
            "fourth_below": (squares * squares * below).mean(axis=0),
        }

    def innovation_correlation(self) -> npt.NDArray[np.float64]:
        """Correlation ``(asset, asset)`` of the residual rows."""
        deviations = self.residuals - self.residuals.mean(axis=0)
        products = np.einsum("ta,tb->ab", deviations, deviations)
        norms = np.sqrt(np.diagonal(products))
        correlation: npt.NDArray[np.float64] = products / (norms[:, None] * norms[None, :])
        return correlation
