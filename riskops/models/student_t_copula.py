"""Student t copula with a fitted distribution for every asset: tails of their own, extremes that come together.

A step draws a multivariate t number ``x = sqrt(nu / W) (L z)`` with correlation ``L L'``, whose dependence alone is
kept: the log return of asset ``a`` is ``F_a^-1(T_nu(x_a))``, with ``T_nu`` the t distribution function and ``F_a`` the
asset's own (McNeil, Frey and Embrechts, *Quantitative Risk Management*, 2015, 7.3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy import special

from riskops.checks import check_number, check_positive
from riskops.errors import InputError
from riskops.models.base import Array, Model, Shock, State
from riskops.models.calibration import Calibration
from riskops.models.factor_option import Factors, check_correlation_options, plain_factors
from riskops.models.factor_structure import (
    Correlation,
    check_structure,
    correlation_matrix,
    mixing_of,
    push,
    with_factors,
)
from riskops.models.kernel import path_kernel
from riskops.models.margins import check_margins, margin_names
from riskops.models.parameters import check_assets, drift_of, frozen, per_asset, positive_per_asset, set_frozen
from riskops.models.registry import register
from riskops.models.sample import sample_log_returns
from riskops.models.student_t_copula_fit import fit_margins, fit_t_copula
from riskops.models.student_t_copula_tables import check_margin_tables, margin_coefficients, margin_tables
from riskops.models.student_t_fit import check_table, mixing_table
from riskops.scalar import fma, scalar_function
from riskops.tables import cubics, value_at
from riskops.tables.octaves import value_by_octave

__all__ = ["StudentTCopula", "step"]

Floats = npt.NDArray[np.float64]


@scalar_function
def step(log_growth, location, scale, root, shock, margin):  # type: ignore[no-untyped-def]
    """Log growth after one step: the t number ``root * shock`` read off the margin's table, scaled and moved."""
    return log_growth + fma(scale, value_by_octave(margin, root * shock), location)


@path_kernel(tables=("location", "scale", "mixing_root", "margin"))
def _advance(log_growth, root, shock, tail, location, scale, mixing_root, margin):  # type: ignore[no-untyped-def]
    roots, tails = root[0], tail[0]
    for path in range(roots.shape[0]):
        roots[path] = value_at(mixing_root, tails[path])
    for asset in range(log_growth.shape[0]):
        growth, mixed, table = log_growth[asset], shock[asset], margin[asset]
        mean, deviation = location[asset], scale[asset]
        for path in range(growth.shape[0]):
            growth[path] = step(growth[path], mean, deviation, roots[path], mixed[path], table)


@register
@dataclass(frozen=True, eq=False)
class StudentTCopula(Model):
    """Student t copula with a normal, Student t or skewed t distribution for each asset's log returns.

    Parameters
    ----------
    assets
        Names, unique, at least one.
    location
        Mean log return an observation; log growth, not the price, which is infinite in expectation under t margins.
    scale
        Standard deviation of the log return an observation, above zero.
    margin_degrees_of_freedom
        Of each asset's own distribution, above 2; null (``None``) where it is normal.
    skewness
        Hansen's ``lambda`` of each asset, inside (-1, 1): below zero the lower tail is the longer one. Zero is the
        Student t, and for a normal it must be zero.
    degrees_of_freedom
        ``nu`` of the copula, at least 1: the smaller, the more often extremes come together.
    correlation
        Of the copula: that of the t numbers, not of the returns; ``(asset, asset)``, positive definite, or a
        :class:`riskops.models.factor_structure.FactorStructure`.
    days_per_year
        Observations in a year.
    mixing_values
        Values of :func:`riskops.models.student_t_fit.mixing_table`, made when left out; a record keeps them.
    margin_values
        Values of :func:`riskops.models.student_t_copula_tables.margin_tables`, made when left out; a record keeps them.

    Raises
    ------
    InputError
        When a shape does not fit the assets, a value is not finite or out of range, the correlation is not positive
        definite, or a table belongs to other parameters.

    Notes
    -----
    Margins are distributions of one observation, and no other length of step has distributions of the same family:
    a step of the simulation is one observation. Steps are independent of each other; the sum of several has thinner
    tails than one, and weaker tail dependence.

    Kendall's tau of two assets over a step is ``2/pi asin(rho)`` whatever the margins, and the coefficient of tail
    dependence, of both tails, ``2 T_(nu+1)(-sqrt((nu + 1) (1 - rho) / (1 + rho)))``.

    Examples
    --------
    >>> model = StudentTCopula(("A", "B"), [0.0, 0.0], [0.01, 0.02], [4.0, None], [-0.1, 0.0], 5.0,
    ...                        [[1.0, 0.5], [0.5, 1.0]])
    >>> model.margins, model.kendall_tau()[0, 1].round(4).item(), model.tail_dependence()[0, 1].round(4).item()
    (('skewed_t', 'normal'), 0.3333, 0.207)
    """

    location: Floats
    scale: Floats
    margin_degrees_of_freedom: tuple[float | None, ...]
    skewness: Floats
    degrees_of_freedom: float
    correlation: Correlation
    days_per_year: float = 252.0
    mixing_values: Floats = None  # type: ignore[assignment]  # made from the parameters
    margin_values: Floats = None  # type: ignore[assignment]  # made from the parameters

    kind: ClassVar[str] = "student_t_copula"
    #: The second state holds the root of a step for all assets; the next step overwrites it.
    states: ClassVar[tuple[State, ...]] = (State("log_growth"), State("root", per="shared"))
    shocks: ClassVar[tuple[Shock, ...]] = (
        Shock("diffusion", kind="normal", per="asset", mixing="mixing"),
        Shock("tail", kind="normal", per="shared"),
    )

    def __post_init__(self) -> None:
        assets = check_assets(self.assets)
        nu = check_number("degrees_of_freedom", self.degrees_of_freedom)
        if not nu >= 1.0:
            raise InputError(f"degrees_of_freedom: {nu!r} is not at least 1")
        skewness = per_asset("skewness", self.skewness, assets)
        margins = check_margins(self.margin_degrees_of_freedom, skewness, assets)
        correlation = check_structure("correlation", self.correlation, assets=assets)
        parameters = {
            "assets": assets,
            "location": per_asset("location", self.location, assets),
            "scale": positive_per_asset("scale", self.scale, assets),
            "margin_degrees_of_freedom": tuple(nu for nu, _ in margins),
            "skewness": skewness,
            "degrees_of_freedom": nu,
            "correlation": correlation,
            "shocks": with_factors(type(self).shocks, correlation),
            "days_per_year": check_positive("days_per_year", self.days_per_year),
            "mixing_values": frozen(check_table("mixing_values", self.mixing_values, mixing_table(nu).values)),
            "margin_values": frozen(check_margin_tables("margin_values", self.margin_values, nu, margins)),
        }
        set_frozen(self, parameters)

    def __setstate__(self, state: dict[str, Any]) -> None:
        set_frozen(self, state)

    @property
    def margins(self) -> tuple[str, ...]:
        """The name of each asset's distribution."""
        pairs = zip(self.margin_degrees_of_freedom, self.skewness.tolist(), strict=True)
        return tuple("normal" if nu is None else "skewed_t" if skew else "student_t" for nu, skew in pairs)

    @classmethod
    def calibrate(
        cls,
        returns: xr.Dataset,
        *,
        days_per_year: float = 252.0,
        margins: str | Mapping[str, str] = "student_t",
        degrees_of_freedom: float | None = None,
        drift: str | Mapping[str, float] = "historical",
        window: int | None = None,
        nearest_correlation: bool = False,
        factors: Factors = None,
    ) -> Calibration[Self]:
        """Fit as :meth:`fit` does, and return the model with a report of every likelihood and adjustment."""
        check_positive("days_per_year", days_per_year)
        if degrees_of_freedom is not None and not check_number("degrees_of_freedom", degrees_of_freedom) >= 1.0:
            raise InputError(f"degrees_of_freedom: {degrees_of_freedom!r} is not at least 1")
        sample = sample_log_returns(returns, window=window)
        check_correlation_options(sample.assets, nearest=nearest_correlation, factors=factors)
        names = margin_names(margins, sample.assets)
        log_drift = drift_of(drift, sample, half_variance=np.zeros(len(sample.assets)), days_per_year=days_per_year)
        copula = fit_t_copula(
            sample, degrees_of_freedom=degrees_of_freedom, nearest=nearest_correlation, factors=factors
        )
        fitted = fit_margins(sample, names)
        mixing = mixing_table(copula.degrees_of_freedom)
        tables, error = margin_tables(
            copula.degrees_of_freedom, [(margin.degrees_of_freedom, margin.skewness) for margin in fitted]
        )
        model = cls(
            assets=sample.assets,
            location=log_drift / days_per_year,
            scale=np.array([margin.scale for margin in fitted]),
            margin_degrees_of_freedom=tuple(margin.degrees_of_freedom for margin in fitted),
            skewness=np.array([margin.skewness for margin in fitted]),
            degrees_of_freedom=copula.degrees_of_freedom,
            correlation=copula.correlation,
            days_per_year=days_per_year,
            mixing_values=mixing.values,
            margin_values=tables,
        )
        report = {
            **sample.window_report(days_per_year),
            "options": {
                "margins": margins if isinstance(margins, str) else names,
                "degrees_of_freedom": degrees_of_freedom,
                "drift": drift if isinstance(drift, str) else {str(k): float(v) for k, v in drift.items()},
                "window": window,
                "nearest_correlation": nearest_correlation,
                "factors": plain_factors(factors),
            },
            **copula.replaced,
            "degrees_of_freedom": copula.degrees_of_freedom,
            "degrees_of_freedom_standard_error": copula.standard_error,
            "copula_log_likelihood": copula.log_likelihood,
            "margins": {asset: vars(margin) for asset, margin in zip(sample.assets, fitted, strict=True)},
            "mixing_table_error": mixing.error,
            "margin_table_error": error,
        }
        return Calibration(model, report)

    @classmethod
    def fit(
        cls,
        returns: xr.Dataset,
        *,
        days_per_year: float = 252.0,
        margins: str | Mapping[str, str] = "student_t",
        degrees_of_freedom: float | None = None,
        drift: str | Mapping[str, float] = "historical",
        window: int | None = None,
        nearest_correlation: bool = False,
        factors: int | str | Mapping[str, Sequence[float]] | None = None,
    ) -> Self:
        """Estimate each asset's distribution, and the copula of all of them, from daily log returns.

        Parameters
        ----------
        returns
            Dataset with ``log_return`` ``(observation, asset)``; NaN is an error that says where.
        days_per_year
            Observations in a year.
        margins
            ``"normal"``, ``"student_t"`` or ``"skewed_t"`` for all assets, or a name for each by asset.
        degrees_of_freedom
            Of the copula: a number of at least 1, or null to fit them.
        drift
            ``"historical"``: the mean log return of the sample; ``"zero"``: log growth is expected to be zero; or a
            yearly rate of log growth for each asset by name. It replaces the fitted location.
        window
            Number of last observations to use, at least 50; all of them by default.
        nearest_correlation
            Replace a correlation that is not positive definite (Kendall's need not be) by the nearest one that is. By
            default it is refused. :meth:`calibrate` says by how much it was changed.
        factors
            A number of factors, by principal axes of that of Kendall's tau, in the place of it; or given loadings: the
            path of a YAML or CSV file, or asset to list of loadings.

        Returns
        -------
        The model, its margins those of one observation.

        Raises
        ------
        InputError
            When the window is longer than the sample or too short, an asset's returns do not vary, a margin or drift
            is missing or unknown, the correlation is not positive definite, or a likelihood has no maximum.

        Notes
        -----
        Margins by maximum likelihood, each by itself. The copula's correlation is ``sin(pi/2 tau)`` of Kendall's
        tau, its degrees of freedom have the largest likelihood of the ranks given that (see
        :mod:`riskops.models.student_t_copula_fit`).

        Examples
        --------
        >>> import numpy as np, xarray as xr
        >>> from riskops.schema import variable
        >>> rng = np.random.default_rng(1)
        >>> values = 0.01 * rng.standard_normal((1000, 2)) / np.sqrt(rng.chisquare(4.0, (1000, 1)) / 4.0)
        >>> table = variable("log_return", ("observation", "asset"), values, coords={"asset": ["A", "B"]})
        >>> model = StudentTCopula.fit(xr.Dataset({"log_return": table}), drift="zero")
        >>> abs(model.degrees_of_freedom - 4.0) < 2.0
        True
        """
        return cls.calibrate(
            returns,
            days_per_year=days_per_year,
            margins=margins,
            degrees_of_freedom=degrees_of_freedom,
            drift=drift,
            window=window,
            nearest_correlation=nearest_correlation,
            factors=factors,
        ).model

    def parameters(self) -> dict[str, Any]:
        """The parameters by name, as JSON holds them exactly."""
        return super().parameters() | {"margin_degrees_of_freedom": list(self.margin_degrees_of_freedom)}

    def tables(self, step_years: float) -> Mapping[str, Array]:
        """``location`` and ``scale`` ``(asset,)``, ``mixing`` ``(asset, asset or factor + 1)``, ``mixing_root`` and
        ``margin`` ``(asset, interval, 4)``; a step of another length than an observation is refused."""
        check_positive("step_years", step_years)
        if abs(step_years * self.days_per_year - 1.0) > 1e-9:
            raise InputError(
                f"simulation.step_days: {step_years * self.days_per_year:.6g} is not 1, the step of model {self.kind}: "
                "its margins are those of one observation"
            )
        return {
            "location": self.location,
            "scale": self.scale,
            "mixing": mixing_of(self.correlation, np.ones(len(self.assets))),
            "mixing_root": cubics(self.mixing_values),
            "margin": margin_coefficients(self.margin_values, self.degrees_of_freedom),
        }

    @staticmethod
    def advance(state: Mapping[str, Array], shocks: Mapping[str, Array], tables: Mapping[str, Array]) -> None:
        """Add the step's log returns to log growth, in place."""
        _advance(
            state["log_growth"],
            state["root"],
            shocks["diffusion"],
            shocks["tail"],
            tables["location"],
            tables["scale"],
            tables["mixing_root"],
            tables["margin"],
        )

    def shocked(self, *, volatility: float = 1.0, correlation: float = 0.0, drift: float = 0.0) -> Self:
        """The model under a scenario: scales multiplied, the copula's correlations moved towards one by a share in
        [0, 1), and a yearly rate added to the expected log growth; degrees of freedom and skewness stay."""
        if (volatility, correlation, drift) == (1.0, 0.0, 0.0):
            return self
        factor = check_positive("volatility shock", volatility)
        return type(self)(
            assets=self.assets,
            location=self.location + check_number("drift shock", drift) / self.days_per_year,
            scale=self.scale * factor,
            margin_degrees_of_freedom=self.margin_degrees_of_freedom,
            skewness=self.skewness,
            degrees_of_freedom=self.degrees_of_freedom,
            correlation=push(self.correlation, correlation),
            days_per_year=self.days_per_year,
            mixing_values=self.mixing_values,
            margin_values=self.margin_values,
        )

    def mean_log_growth(self, years: float) -> Floats:
        """Exact mean ``(asset,)`` of log growth: the location times the observations."""
        return self.location * (years * self.days_per_year)

    def kendall_tau(self) -> Floats:
        """Kendall's tau ``(asset, asset)`` over one step: ``2/pi asin(rho)``."""
        found: Floats = 2.0 / np.pi * np.arcsin(correlation_matrix(self.correlation))
        return found

    def tail_dependence(self) -> Floats:
        """The coefficient of tail dependence ``(asset, asset)`` over one step, the same in both tails: the limit of the
        probability that one asset is beyond its quantile, given that the other is beyond its own."""
        nu, rho = self.degrees_of_freedom, correlation_matrix(self.correlation)
        return np.asarray(2.0 * special.stdtr(nu + 1.0, -np.sqrt((nu + 1.0) * (1.0 - rho) / (1.0 + rho))), np.float64)
