"""GARCH(1,1) and GJR-GARCH with constant conditional correlation: volatility clusters, starting from today's.

Each asset's variance follows its own recursion (Bollerslev 1986; Glosten, Jagannathan and Runkle 1993), and the
innovations, normal or Student-t, are correlated across assets (Bollerslev 1990).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
import xarray as xr

from riskops.checks import check_one_of, check_positive
from riskops.errors import InputError
from riskops.models.base import Array, Shock, State
from riskops.models.calibration import Calibration
from riskops.models.factor_option import Factors, check_correlation_options, estimate_correlation, plain_factors
from riskops.models.factor_structure import (
    Correlation,
    check_structure,
    correlation_matrix,
    mixing_of,
    push,
    with_factors,
)
from riskops.models.garch_fit import check_garch_options, fit_garch, mean_of
from riskops.models.garch_process import GarchProcess, advance_garch, step
from riskops.models.kernel import path_kernel
from riskops.models.parameters import frozen, per_asset, set_frozen
from riskops.models.registry import register
from riskops.models.sample import sample_log_returns
from riskops.models.student_scale import fit_common_degrees, scale_products, tabulate_scales, variance_beyond_draws
from riskops.tables import cubics, value_at
from riskops.threads import pinned_threads

__all__ = ["Garch"]


@path_kernel(tables=("mean", "omega", "upper", "lower", "beta", "group", "scales"))
def _advance_student(log_growth, variance, scale, normal, mixing, mean, omega, upper, lower, beta, group, scales):  # type: ignore[no-untyped-def]
    """The scale of each group of assets is read off its table once, for all of them: that is most of the work."""
    common, factor = mixing[0], scale[0]
    for k in range(scales.shape[0]):
        table = scales[k]
        for path in range(factor.shape[0]):
            factor[path] = value_at(table, common[path])
        for asset in range(log_growth.shape[0]):
            if group[asset] == k:
                growth, h, y = log_growth[asset], variance[asset], normal[asset]
                m, w, a, b, c = mean[asset], omega[asset], upper[asset], lower[asset], beta[asset]
                for path in range(growth.shape[0]):
                    growth[path], h[path] = step(growth[path], h[path], y[path] * factor[path], m, w, a, b, c)


@register
@dataclass(frozen=True, eq=False)
class Garch(GarchProcess):
    """GARCH(1,1) or GJR-GARCH variances with constant conditional correlation, normal or Student-t innovations.

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
    correlation
        Correlation ``(asset, asset)`` of the normals behind the innovations, positive definite.
    degrees_of_freedom
        Of each asset's Student-t innovations, above two; ``None`` for normal ones.
    scale_values
        Tables ``(asset, knot)`` of the scales that make Student-t innovations of normals, as a fit recorded them; made
        from the degrees of freedom when left out.

    Raises
    ------
    InputError
        When a shape does not fit the assets, a value is not finite or out of its range, or the correlation is not
        symmetric with a unit diagonal and positive definite.

    Notes
    -----
    Student-t innovations have unit variance and share one draw of the scale a day
    (:mod:`riskops.models.student_scale`): together they are multivariate t where the degrees of freedom are equal, and
    their correlation is then ``correlation``; otherwise :meth:`innovation_correlation` is a little smaller.
    The mean is that of log returns: expected prices have no closed form, and under Student-t innovations none at all,
    because the exponential of a t distributed number has no mean. Draws in single precision end at a probability of
    2^-33, which cuts off a noticeable part of the variance below 2.5 degrees of freedom; a fit reports it as
    ``variance_beyond_draws``.

    Examples
    --------
    >>> model = Garch(("A",), [0.0], [2e-6], [0.1], [0.0], [0.88], [4e-4], 252.0, [[1.0]])
    >>> model.persistence().round(4).tolist(), (252 * model.unconditional_variance()).round(4).tolist()
    ([0.98], [0.0252])
    >>> model.variance_log_growth(10 / 252).round(6).tolist()
    [0.003744]
    """

    correlation: Correlation
    degrees_of_freedom: npt.NDArray[np.float64] | None = None
    scale_values: npt.NDArray[np.float64] | None = None

    kind: ClassVar[str] = "garch"
    #: The scale is only held for a step, that of one degree of freedom at a time.
    states: ClassVar[tuple[State, ...]] = (*GarchProcess.states, State("scale", per="shared"))
    shocks: ClassVar[tuple[Shock, ...]] = (Shock("normal", mixing="mixing"), Shock("scale", per="shared"))

    def __post_init__(self) -> None:
        parameters = self._checked()
        assets = parameters["assets"]
        parameters["correlation"] = check_structure("correlation", self.correlation, assets=assets)
        parameters["shocks"] = with_factors(type(self).shocks, parameters["correlation"])
        if self.degrees_of_freedom is None:
            if self.scale_values is not None:
                raise InputError("scale_values: normal innovations have none; degrees_of_freedom is None")
        else:
            degrees = per_asset("degrees_of_freedom", self.degrees_of_freedom, assets)
            for asset, value in zip(assets, degrees.tolist(), strict=True):
                if value <= 2.0:
                    raise InputError(f"degrees_of_freedom of {asset!r}: {value!r} is not above 2: no finite variance")
            values = tabulate_scales(degrees)[0] if self.scale_values is None else self.scale_values
            parameters |= {"degrees_of_freedom": degrees, "scale_values": _check_tables(values, len(assets))}
        set_frozen(self, parameters)

    @classmethod
    def calibrate(
        cls,
        returns: xr.Dataset,
        *,
        days_per_year: float = 252.0,
        asymmetry: bool = False,
        innovations: str = "normal",
        degrees_of_freedom: str = "each",
        mean: str = "constant",
        drift: str | Mapping[str, float] = "fitted",
        window: int | None = None,
        nearest_correlation: bool = False,
        factors: Factors = None,
    ) -> Calibration[Self]:
        """Fit as :meth:`fit` does, and return the model with a report of the fits and of every adjustment."""
        check_positive("days_per_year", days_per_year)
        check_garch_options(asymmetry=asymmetry, innovations=innovations, mean=mean, known=("normal", "student_t"))
        check_one_of("degrees_of_freedom", degrees_of_freedom, ("common", "each"))
        sample = sample_log_returns(returns, window=window)
        check_correlation_options(sample.assets, nearest=nearest_correlation, factors=factors)
        means = mean_of(drift, sample, days_per_year=days_per_year)
        found = fit_garch(sample, asymmetry=asymmetry, innovations=innovations, mean=mean, days_per_year=days_per_year)
        estimate, degrees, details = found.correlation(), found.degrees_of_freedom, dict(found.report)
        tables: npt.NDArray[np.float64] | None = None
        if degrees is not None and degrees_of_freedom == "each":
            estimate = estimate / scale_products(degrees)
        correlation, how = estimate_correlation(
            estimate, assets=sample.assets, nearest=nearest_correlation, factors=factors
        )
        if degrees is not None:
            if degrees_of_freedom == "common":
                with pinned_threads():
                    common, details["common_degrees_of_freedom"] = fit_common_degrees(
                        found.residuals, correlation_matrix(correlation)
                    )
                degrees = np.full(len(sample.assets), common)
            tables, details["scale_table_error"] = tabulate_scales(degrees)
            beyond = variance_beyond_draws(degrees).tolist()
            details["variance_beyond_draws"] = dict(zip(sample.assets, beyond, strict=True))
        model = cls(
            sample.assets,
            found.mean if means is None else means,
            found.omega,
            found.alpha,
            found.gamma,
            found.beta,
            found.variance,
            float(days_per_year),
            correlation,
            degrees,
            tables,
        )
        options = {
            "asymmetry": asymmetry,
            "innovations": innovations,
            "degrees_of_freedom": degrees_of_freedom,
            "mean": mean,
            "drift": drift if isinstance(drift, str) else {str(k): float(v) for k, v in drift.items()},
            "window": window,
            "nearest_correlation": nearest_correlation,
            "factors": plain_factors(factors),
        }
        report = {
            **sample.window_report(days_per_year),
            "options": options,
            **how,
            **details,
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
        degrees_of_freedom: str = "each",
        mean: str = "constant",
        drift: str | Mapping[str, float] = "fitted",
        window: int | None = None,
        nearest_correlation: bool = False,
        factors: int | str | Mapping[str, Sequence[float]] | None = None,
    ) -> Self:
        """Estimate every asset's variance by quasi maximum likelihood, and the correlation of its residuals.

        Parameters
        ----------
        returns
            Dataset with ``log_return`` ``(observation, asset)``, equally spaced; NaN is an error that says where.
        days_per_year
            Observations in a year.
        asymmetry
            GJR-GARCH: falls have a weight of their own, ``alpha + gamma``.
        innovations
            ``"normal"`` or ``"student_t"``.
        degrees_of_freedom
            Of Student-t innovations: ``"each"`` asset's own, from its likelihood; or ``"common"``, one number for all,
            from the multivariate t likelihood of the residuals. That is several times quicker to simulate for many
            assets.
        mean
            Of the returns in the likelihood: ``"constant"``, estimated with the variance, or ``"zero"``.
        drift
            Of the simulated prices: ``"fitted"`` keeps the estimated mean of log returns; ``"historical"`` takes the
            sample's; ``"zero"`` (prices are expected to stay) or a yearly rate for each asset by name take half the
            sample's variance off for log returns, as for geometric Brownian motion.
        window
            Number of last observations to use; all of them by default.
        nearest_correlation
            Replace a correlation that is not positive definite by the nearest one that is; refused by default.
        factors
            A number of factors, by principal axes of the residuals' correlation, in the place of it; or given
            loadings: the path of a YAML or CSV file, or asset to list of loadings.

        Returns
        -------
        The model, its parameters an observation; simulations start from the variance forecast of the next one.

        Raises
        ------
        InputError
            When the window is longer than the sample or shorter than 100, an asset's returns do not vary, an option is
            unknown, the optimiser does not converge, or the correlation is not positive definite.

        Notes
        -----
        By ``arch``, asset by asset; the correlation is that of the standardized residuals (Bollerslev 1990), for
        Student-t innovations over ``E[g_a g_b]``, so that simulated innovations have it.

        Examples
        --------
        >>> from riskops.market import load_prices, log_returns
        >>> model = Garch.fit(log_returns(load_prices("sp500", assets=["AAPL", "XOM"])), window=2520, asymmetry=True)
        >>> bool((model.gamma > 0.0).all()), bool((model.persistence() < 1.0).all())
        (True, True)
        """
        return cls.calibrate(
            returns,
            days_per_year=days_per_year,
            asymmetry=asymmetry,
            innovations=innovations,
            degrees_of_freedom=degrees_of_freedom,
            mean=mean,
            drift=drift,
            window=window,
            nearest_correlation=nearest_correlation,
            factors=factors,
        ).model

    def tables(self, step_years: float) -> Mapping[str, Array]:
        """The parameters ``(asset,)`` of a step, which must be one observation, and ``mixing`` ``(asset, asset or
        factor + 1)``; for Student-t innovations ``scales`` ``(group, knot, 4)``, one table for all assets of a
        ``group`` ``(asset,)``."""
        tables = {**super().tables(step_years), "mixing": mixing_of(self.correlation, np.ones(len(self.assets)))}
        if self.scale_values is not None:
            distinct, group = np.unique(self.scale_values, axis=0, return_inverse=True)
            tables["group"] = group.reshape(-1).astype(np.int32)
            tables["scales"] = np.stack([cubics(values) for values in distinct])
        return tables

    @staticmethod
    def advance(state: Mapping[str, Array], shocks: Mapping[str, Array], tables: Mapping[str, Array]) -> None:
        """Add an observation's return to log growth and move the variance on, in place."""
        moved = (state["log_growth"], state["variance"])
        parameters = tuple(tables[name] for name in ("mean", "omega", "upper", "lower", "beta"))
        if "scales" in tables:
            drawn = (state["scale"], shocks["normal"], shocks["scale"])
            _advance_student(*moved, *drawn, *parameters, tables["group"], tables["scales"])
        else:
            advance_garch(*moved, shocks["normal"], *parameters)

    def shocked(self, *, volatility: float = 1.0, correlation: float = 0.0, drift: float = 0.0) -> Self:
        """The model under a scenario: every volatility multiplied, today's and the long run's; correlations moved
        towards one by a share in [0, 1); and a yearly rate added to the mean of log returns.

        Clustering, ``alpha``, ``gamma`` and ``beta``, is left as it is, and so is the mean of log returns under a
        volatility shock.
        """
        if (volatility, correlation, drift) == (1.0, 0.0, 0.0):
            return self
        changed = self._shocked(volatility, drift)
        changed["correlation"] = push(self.correlation, correlation)
        return self._copy(changed)

    def innovation_moments(self) -> dict[str, npt.NDArray[np.float64]]:
        """Moments about zero: mean zero, variance one, fourth moment 3, or ``3 (nu - 2) / (nu - 4)`` above 4 degrees of
        freedom."""
        ones = np.ones(len(self.assets))
        fourth = 3.0 * ones
        if self.degrees_of_freedom is not None:
            nu = self.degrees_of_freedom
            above = nu > 4.0
            fourth = np.where(above, 3.0 * (nu - 2.0) / np.where(above, nu - 4.0, 1.0), np.inf)
        return {
            "mean": 0.0 * ones,
            "second": ones,
            "second_below": 0.5 * ones,
            "fourth": fourth,
            "fourth_below": 0.5 * fourth,
        }

    def innovation_correlation(self) -> npt.NDArray[np.float64]:
        """Correlation ``(asset, asset)`` of the innovations: of the normals, times ``E[g_a g_b]`` of the scales."""
        if self.degrees_of_freedom is None:
            return correlation_matrix(self.correlation)
        return correlation_matrix(self.correlation) * scale_products(self.degrees_of_freedom)


def _check_tables(values: npt.ArrayLike, assets: int) -> npt.NDArray[np.float64]:
    tables = frozen(values)
    if tables.ndim != 2 or len(tables) != assets or tables.shape[1] < 5 or not np.all(np.isfinite(tables)):
        raise InputError(f"scale_values: shape {tables.shape} is not ({assets}, knots), or a value is not finite")
    return tables
