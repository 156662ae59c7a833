"""Multivariate Student t log returns: fat tails that all assets share, so that extremes come together.

The log growth of a step of ``h`` years is ``m h + sqrt((nu - 2) / nu) sigma sqrt(h) sqrt(nu / W) (L z)`` with ``z``
standard normal, ``L L'`` the correlation and ``W`` chi-square with ``nu`` degrees of freedom, one for all assets of a
path and step: a multivariate t (McNeil, Frey and Embrechts, *Quantitative Risk Management*, 2015, 6.2) whose standard
deviation a year is ``sigma``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import xarray as xr

from riskops.checks import check_number, check_one_of, check_positive
from riskops.errors import InputError
from riskops.models.base import Array, Model, Shock, State
from riskops.models.calibration import Calibration
from riskops.models.correlation import check_correlation
from riskops.models.factor_option import Factors, check_correlation_options, estimate_correlation, plain_factors
from riskops.models.factor_structure import (
    Correlation,
    FactorStructure,
    check_structure,
    correlation_matrix,
    mixing_of,
    push,
    with_factors,
)
from riskops.models.kernel import path_kernel
from riskops.models.parameters import check_assets, drift_of, frozen, per_asset, positive_per_asset, set_frozen
from riskops.models.registry import register
from riskops.models.sample import Sample, sample_log_returns
from riskops.models.student_t_fit import StudentTFit, check_table, fit_student_t, mixing_table
from riskops.scalar import fma, scalar_function
from riskops.tables import cubics, value_at

__all__ = ["StudentT", "step"]

Floats = npt.NDArray[np.float64]


@scalar_function
def step(log_growth, drift, root, shock):  # type: ignore[no-untyped-def]
    """Log growth after one step: a normal shock, widened by ``root = sqrt(nu / W)``."""
    return log_growth + fma(root, shock, drift)


@path_kernel(tables=("drift", "mixing_root"))
def _advance(log_growth, root, shock, tail, drift, mixing_root):  # type: ignore[no-untyped-def]
    roots, tails = root[0], tail[0]
    for path in range(roots.shape[0]):
        roots[path] = value_at(mixing_root, tails[path])
    for asset in range(log_growth.shape[0]):
        growth, mixed, mean = log_growth[asset], shock[asset], drift[asset]
        for path in range(growth.shape[0]):
            growth[path] = step(growth[path], mean, roots[path], mixed[path])


@register
@dataclass(frozen=True, eq=False)
class StudentT(Model):
    """Multivariate Student t log returns with tails that all assets share.

    Parameters
    ----------
    assets
        Names, unique, at least one.
    log_drift
        Expected log growth a year. It is no growth rate of the price: the expected price itself is infinite, because
        the exponential of a t distributed number has no mean.
    volatility
        Standard deviation of each log return a year, above zero.
    correlation
        Correlation of log returns: ``(asset, asset)``, positive definite, or a
        :class:`riskops.models.factor_structure.FactorStructure`.
    degrees_of_freedom
        ``nu``, above 2, of the returns of one step.
    mixing_values
        Values of :func:`riskops.models.student_t_fit.mixing_table`, made from ``degrees_of_freedom`` when left out; a
        record keeps them, so that it gives the same paths under every version of SciPy.

    Raises
    ------
    InputError
        When a shape does not fit the assets, a value is not finite or out of range, the correlation is not positive
        definite, or the table belongs to other degrees of freedom.

    Notes
    -----
    The returns of each step are t distributed and independent of those of other steps. A sum of several steps is not:
    its tails are thinner (the excess kurtosis of ``n`` steps is ``6 / (nu - 4) / n``) and its variance is the sum.
    With another length of step mean and variance scale with the length and ``nu`` stays that of one step, whatever its
    length: ten steps of a day and one step of ten days have the same moments of first and second order, and other
    tails. Uncorrelated assets are not independent, because they share ``W``.

    Examples
    --------
    >>> model = StudentT(("A", "B"), [0.05, 0.0], [0.2, 0.1], [[1.0, 0.5], [0.5, 1.0]], 4.0)
    >>> model.mean_log_growth(1.0).tolist(), model.covariance_log_growth(1.0).round(4).tolist()
    ([0.05, 0.0], [[0.04, 0.01], [0.01, 0.01]])
    """

    log_drift: Floats
    volatility: Floats
    correlation: Correlation
    degrees_of_freedom: float
    mixing_values: Floats = None  # type: ignore[assignment]  # made from the degrees of freedom

    kind: ClassVar[str] = "student_t"
    #: The second state holds the root of a step for all assets; the next step overwrites it.
    states: ClassVar[tuple[State, ...]] = (State("log_growth"), State("root", per="shared"))
    shocks: ClassVar[tuple[Shock, ...]] = (
        Shock("diffusion", kind="normal", per="asset", mixing="mixing"),
        Shock("tail", kind="normal", per="shared"),
    )

    def __post_init__(self) -> None:
        assets = check_assets(self.assets)
        nu = check_number("degrees_of_freedom", self.degrees_of_freedom)
        if not nu > 2.0:
            raise InputError(f"degrees_of_freedom: {nu!r} is not above 2, where the volatility is infinite")
        correlation = check_structure("correlation", self.correlation, assets=assets)
        parameters = {
            "assets": assets,
            "log_drift": per_asset("log_drift", self.log_drift, assets),
            "volatility": positive_per_asset("volatility", self.volatility, assets),
            "correlation": correlation,
            "shocks": with_factors(type(self).shocks, correlation),
            "degrees_of_freedom": nu,
            "mixing_values": frozen(check_table("mixing_values", self.mixing_values, mixing_table(nu).values)),
        }
        set_frozen(self, parameters)

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
        degrees_of_freedom: float | None = None,
        dispersion: str = "likelihood",
        nearest_correlation: bool = False,
        factors: Factors = None,
    ) -> Calibration[Self]:
        """Fit as :meth:`fit` does, and return the model with a report of the likelihood and of every adjustment."""
        check_positive("days_per_year", days_per_year)
        check_one_of("dispersion", dispersion, ("likelihood", "sample"))
        if degrees_of_freedom is not None and not check_number("degrees_of_freedom", degrees_of_freedom) > 2.0:
            raise InputError(f"degrees_of_freedom: {degrees_of_freedom!r} is not above 2")
        sample = sample_log_returns(returns, window=window)
        check_correlation_options(sample.assets, nearest=nearest_correlation, factors=factors)
        log_drift = drift_of(drift, sample, half_variance=np.zeros(len(sample.assets)), days_per_year=days_per_year)
        fitted, deviation, correlation, how = _estimate(
            sample, degrees_of_freedom, dispersion=dispersion, nearest=nearest_correlation, factors=factors
        )
        nu, volatility = fitted.degrees_of_freedom, deviation * np.sqrt(days_per_year)
        mixing = mixing_table(nu)
        model = cls(sample.assets, log_drift, volatility, correlation, nu, mixing.values)
        report = {
            **sample.window_report(days_per_year),
            "options": {
                "drift": drift if isinstance(drift, str) else {str(k): float(v) for k, v in drift.items()},
                "window": window,
                "degrees_of_freedom": degrees_of_freedom,
                "dispersion": dispersion,
                "nearest_correlation": nearest_correlation,
                "factors": plain_factors(factors),
            },
            **how,
            "degrees_of_freedom": nu,
            "degrees_of_freedom_standard_error": fitted.standard_error,
            "log_likelihood": fitted.log_likelihood,
            "location_a_day": fitted.location.tolist(),
            "iterations": fitted.iterations,
            "table_error": mixing.error,
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
        degrees_of_freedom: float | None = None,
        dispersion: str = "likelihood",
        nearest_correlation: bool = False,
        factors: int | str | Mapping[str, Sequence[float]] | None = None,
    ) -> Self:
        """Estimate the multivariate t distribution of daily log returns by maximum likelihood.

        Parameters
        ----------
        returns
            Dataset with ``log_return`` ``(observation, asset)``; NaN is an error that says where.
        days_per_year
            Observations in a year.
        drift
            ``"historical"``: the mean log return a year; ``"zero"``: log growth is expected to be zero; or a yearly
            rate of log growth for each asset by name.
        window
            Number of last observations to use; all of them by default.
        degrees_of_freedom
            A number above 2, or null to fit them.
        dispersion
            ``"likelihood"``: volatility and correlation are those of the fitted t distribution, which extremes move
            less than the sample's; ``"sample"``: they are the sample's (ddof=1), and the degrees of freedom have the
            largest likelihood given these.
        nearest_correlation
            Replace a correlation that is not positive definite (as the sample's from a window shorter than the number
            of assets) by the nearest one that is. By default it is refused. :meth:`calibrate` says by how much it was
            changed.
        factors
            A number of factors, by principal axes of the fitted correlation, in the place of it; or given loadings: the
            path of a YAML or CSV file, or asset to list of loadings.

        Returns
        -------
        The model, its parameters a year.

        Raises
        ------
        InputError
            When the window is longer than the sample, an asset's returns do not vary, a drift is missing or unknown,
            the correlation is not positive definite, or the likelihood has no maximum at degrees of freedom above 2.

        Notes
        -----
        Location and dispersion by EM at each ``nu``, ``nu`` where that profile is largest; its standard error is from
        the observed information of the profile.

        Examples
        --------
        >>> import numpy as np, xarray as xr
        >>> from riskops.schema import variable
        >>> values = 0.01 * np.random.default_rng(1).standard_t(4.0, size=(2000, 1))
        >>> table = variable("log_return", ("observation", "asset"), values, coords={"asset": ["A"]})
        >>> model = StudentT.fit(xr.Dataset({"log_return": table}), drift="zero")
        >>> abs(model.degrees_of_freedom - 4.0) < 1.0
        True
        """
        return cls.calibrate(
            returns,
            days_per_year=days_per_year,
            drift=drift,
            window=window,
            degrees_of_freedom=degrees_of_freedom,
            dispersion=dispersion,
            nearest_correlation=nearest_correlation,
            factors=factors,
        ).model

    def tables(self, step_years: float) -> Mapping[str, Array]:
        """``drift`` ``(asset,)`` of log growth over a step, ``mixing`` ``(asset, asset)`` and ``mixing_root``.

        Mixing is the Cholesky factor, or the loadings ``(asset, factor + 1)``, row ``a`` scaled by
        ``sqrt((nu - 2) / nu)`` of the deviation of asset ``a`` over a step, which the variance ``nu / (nu - 2)`` of a t
        distributed number makes up for.
        """
        check_positive("step_years", step_years)
        scale = self.volatility * np.sqrt(step_years * ((self.degrees_of_freedom - 2.0) / self.degrees_of_freedom))
        return {
            "drift": self.log_drift * step_years,
            "mixing": mixing_of(self.correlation, scale),
            "mixing_root": cubics(self.mixing_values),
        }

    @staticmethod
    def advance(state: Mapping[str, Array], shocks: Mapping[str, Array], tables: Mapping[str, Array]) -> None:
        """Add the step's drift and the mixed normals, widened by the path's root, to log growth, in place."""
        _advance(
            state["log_growth"],
            state["root"],
            shocks["diffusion"],
            shocks["tail"],
            tables["drift"],
            tables["mixing_root"],
        )

    def shocked(self, *, volatility: float = 1.0, correlation: float = 0.0, drift: float = 0.0) -> Self:
        """The model under a scenario: volatilities multiplied, correlations moved towards one by a share in [0, 1), and
        a yearly rate added to the expected log growth; the degrees of freedom stay."""
        if (volatility, correlation, drift) == (1.0, 0.0, 0.0):
            return self
        factor = check_positive("volatility shock", volatility)
        pushed = push(self.correlation, correlation)
        log_drift = self.log_drift + check_number("drift shock", drift)
        widened = self.volatility * factor
        return type(self)(self.assets, log_drift, widened, pushed, self.degrees_of_freedom, self.mixing_values)

    def mean_log_growth(self, years: float) -> Floats:
        """Exact mean ``(asset,)`` of log growth: ``m t``."""
        return self.log_drift * years

    def covariance_log_growth(self, years: float) -> Floats:
        """Exact covariance ``(asset, asset)`` of log growth: ``sigma_a sigma_b R_ab t``, for any number of steps."""
        return correlation_matrix(self.correlation) * (self.volatility[:, None] * self.volatility[None, :]) * years

    def mean_simple_return(self, years: float) -> Floats:
        """Refused: the exponential of a t distributed number has no mean."""
        raise InputError("model student_t: the mean of simple returns is infinite under t distributed log returns")


def _estimate(
    sample: Sample, degrees_of_freedom: float | None, *, dispersion: str, nearest: bool, factors: Factors
) -> tuple[StudentTFit, Floats, Correlation, dict[str, Any]]:
    """The fit, the standard deviations a day, the correlation, and what was made of it."""
    deviation = sample.volatility()
    if dispersion == "sample":
        taken, how = estimate_correlation(sample.correlation(), assets=sample.assets, nearest=nearest, factors=factors)
        if not isinstance(taken, FactorStructure):
            check_correlation("correlation", taken, size=len(sample.assets))
        kept = correlation_matrix(taken) * (deviation[:, None] * deviation[None, :])
        return fit_student_t(sample, degrees_of_freedom=degrees_of_freedom, covariance=kept), deviation, taken, how
    fitted = fit_student_t(sample, degrees_of_freedom=degrees_of_freedom)
    covariance = fitted.covariance()
    deviation = np.sqrt(np.diagonal(covariance))
    correlation = covariance / (deviation[:, None] * deviation[None, :])
    np.fill_diagonal(correlation, 1.0)
    taken, how = estimate_correlation(correlation, assets=sample.assets, nearest=nearest, factors=factors)
    return fitted, deviation, taken, how
