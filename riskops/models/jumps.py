"""What the jump diffusions share: a diffusion plus compound Poisson jumps, each asset's own and common ones.

Common jumps hit all assets at the same instant. Over ``t`` years the cumulants of log growth are those of the diffusion
plus ``t`` times intensity times the raw moments of a jump, which gives every exact moment below.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import xarray as xr

from riskops.checks import check_number
from riskops.errors import InputError
from riskops.models.base import Model
from riskops.models.calibration import Calibration
from riskops.models.elementwise import exponentials_less_one
from riskops.models.factor_option import Factors
from riskops.models.factor_structure import Correlation, check_structure, correlation_matrix, with_factors
from riskops.models.jump_likelihood import CommonJumps, JumpLikelihood
from riskops.models.parameters import check_assets, frozen, per_asset, positive_per_asset, set_frozen
from riskops.tables import poisson_thresholds

__all__ = [
    "MOST_JUMPS",
    "JumpDiffusion",
    "check_intensity",
    "check_share",
    "count_thresholds",
    "non_negative_per_asset",
    "optional_per_asset",
]

Floats = npt.NDArray[np.float64]

#: Expected jumps of one kind in a step; more are no jumps any more, and counting them would take long.
MOST_JUMPS = 64.0


def check_intensity(name: str, value: object) -> float:
    """Return an intensity a year: a finite number, zero or above."""
    number = check_number(name, value)
    if number < 0.0:
        raise InputError(f"{name}: {value!r} is below zero")
    return number


def check_share(name: str, value: object) -> float:
    """Return a number in [0, 1]."""
    number = check_number(name, value)
    if not 0.0 <= number <= 1.0:
        raise InputError(f"{name}: {value!r} is not between 0 and 1")
    return number


def non_negative_per_asset(name: str, values: npt.ArrayLike, assets: Sequence[str]) -> Floats:
    """Return numbers, zero or above, one an asset."""
    array = per_asset(name, values, assets)
    for asset, value in zip(assets, array.tolist(), strict=True):
        check_intensity(f"{name} of {asset!r}", value)
    return array


def optional_per_asset(
    name: str, values: npt.ArrayLike | None, assets: Sequence[str], *, needed: bool, non_negative: bool
) -> Floats:
    """Return the numbers, one an asset; zeros where none are given and the model can do without."""
    if values is None:
        if needed:
            raise InputError(f"{name}: is missing; common_intensity is above zero")
        return frozen(np.zeros(len(assets)))
    return non_negative_per_asset(name, values, assets) if non_negative else per_asset(name, values, assets)


def count_thresholds(name: str, intensity: npt.ArrayLike, step_years: float) -> npt.NDArray[np.uint64]:
    """Thresholds of the Poisson counts of a step, from intensities a year.

    Parameters
    ----------
    name
        What the error calls the intensities.
    intensity
        Expected jumps a year, one an asset, or a single one that all share.
    step_years
        Length of the step.

    Returns
    -------
    Thresholds ``(asset or 1, largest count)``, as :func:`riskops.tables.poisson_thresholds` makes them: counts beyond
    the last have probability below 2^-32.

    Raises
    ------
    InputError
        When more than ``MOST_JUMPS`` are expected in a step.

    Examples
    --------
    >>> count_thresholds("intensity", [25.2], 1 / 252).shape
    (1, 7)
    """
    means = np.atleast_1d(np.asarray(intensity, dtype=np.float64)) * step_years
    if np.any(means > MOST_JUMPS):
        raise InputError(
            f"{name}: {float(means.max()):.4g} jumps are expected in a step of {step_years:.4g} years and at most "
            f"{MOST_JUMPS:.0f} may be; take shorter steps or a lower intensity"
        )
    return poisson_thresholds(means)


@dataclass(frozen=True, eq=False)
class JumpDiffusion(Model):
    """A geometric Brownian motion with compensated jumps: what Merton's and Kou's models have in common."""

    drift: Floats
    volatility: Floats
    correlation: Correlation
    intensity: Floats

    def _checked(self, common_intensity: object) -> dict[str, Any]:
        """The parameters that both models have, checked."""
        assets = check_assets(self.assets)
        correlation = check_structure("correlation", self.correlation, assets=assets)
        return {
            "assets": assets,
            "drift": per_asset("drift", self.drift, assets),
            "volatility": positive_per_asset("volatility", self.volatility, assets),
            "correlation": correlation,
            "shocks": with_factors(type(self).shocks, correlation),
            "intensity": non_negative_per_asset("intensity", self.intensity, assets),
            "common_intensity": check_intensity("common_intensity", common_intensity),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        set_frozen(self, state)

    @classmethod
    @abstractmethod
    def _estimators(cls) -> tuple[type[JumpLikelihood], CommonJumps]:
        """The likelihood of a day's log return, and what makes the parameters of common jumps from their days."""

    @abstractmethod
    def _compensator(self) -> Floats:
        """What jumps add to the expected growth rate of each price a year, ``(asset,)``."""

    @abstractmethod
    def _jump_moments(self) -> Floats:
        """Intensity times the first four raw moments of a jump, own plus common, ``(4, asset)``."""

    @abstractmethod
    def _common_covariance(self) -> Floats:
        """The covariance a year that common jumps give every two different assets; the diagonal is not read."""

    @classmethod
    def calibrate(
        cls,
        returns: xr.Dataset,
        *,
        days_per_year: float = 252.0,
        drift: str | Mapping[str, float] = "historical",
        window: int | None = None,
        largest_intensity: float | None = None,
        common_intensity: float | None = None,
        correlation: str = "diffusion",
        nearest_correlation: bool = False,
        factors: Factors = None,
    ) -> Calibration[Self]:
        """Fit as :meth:`fit` does, and return the model with a report of likelihoods, errors and adjustments."""
        from riskops.models.jumps_fit import calibrate_jumps

        likelihood, common_jumps = cls._estimators()
        return calibrate_jumps(
            cls,
            returns,
            likelihood=likelihood,
            common_jumps=common_jumps,
            days_per_year=days_per_year,
            drift=drift,
            window=window,
            largest_intensity=largest_intensity,
            common_intensity=common_intensity,
            correlation=correlation,
            nearest_correlation=nearest_correlation,
            factors=factors,
        )

    @classmethod
    def fit(
        cls,
        returns: xr.Dataset,
        *,
        days_per_year: float = 252.0,
        drift: str | Mapping[str, float] = "historical",
        window: int | None = None,
        largest_intensity: float | None = None,
        common_intensity: float | None = None,
        correlation: str = "diffusion",
        nearest_correlation: bool = False,
        factors: int | str | Mapping[str, Sequence[float]] | None = None,
    ) -> Self:
        """Estimate the diffusion and the jumps of each asset by maximum likelihood from daily log returns.

        Parameters
        ----------
        returns
            Dataset with ``log_return`` ``(observation, asset)``; NaN is an error that says where.
        days_per_year
            Observations in a year.
        drift
            ``"historical"``: the rate at which expected log growth is the sample's; ``"zero"``: prices are expected to
            stay; or a yearly rate for each asset by name.
        window
            Number of last observations to use, at least 100 beside the days of common jumps, of which there must be
            five; all of them by default.
        largest_intensity
            Upper bound of each asset's own jumps a year; 6 by default, and one a day for an asset alone. Where
            volatility changes over time, the likelihood takes many small jumps for it; a low bound keeps them rare and
            large.
        common_intensity
            Common jumps a year; 8 by default, and none for an asset alone, of which own and common jumps are the same.
            Above zero, that many of the days on which the assets moved furthest together are taken as the days of
            common jumps: they stay out of the likelihood, and the common jumps have their moments less those of an
            ordinary day. Own and common jumps can't be told apart otherwise.
        correlation
            Of the diffusions. ``"diffusion"``: that of the diffusions filtered out of the returns; ``"total"``: the
            one that gives the model the sample's covariance, jumps included, where there is such a one.
        nearest_correlation
            Replace a correlation that is not positive definite by the nearest one that is. By default it is refused.
        factors
            A number of factors, by principal axes of that of the diffusions, in the place of it; or given loadings: the
            path of a YAML or CSV file, or asset to list of loadings.

        Returns
        -------
        The model, its parameters a year.

        Raises
        ------
        InputError
            When the window is too short or longer than the sample, an asset's returns do not vary, a maximum of the
            likelihood is not found, an option is unknown, or the correlation is not positive definite.

        Notes
        -----
        Own jumps are independent across assets: the variance that they take is diversified away. In the 20 bundled
        stocks, with no common jumps and no bound but one a day, they take most of it, and an equal-weight portfolio's
        daily deviation comes out at 0.65 (Merton) and 0.61 (Kou) of the sample's. With the defaults it is 0.96 and
        0.94, and over windows of one to ten years 0.97 to 0.98 and 0.94 to 0.99; more common days or fewer own jumps
        hardly change that. What is left of the gap comes from the filter (below) and, for Kou, from the sizes of common
        jumps, which are independent given their direction. The report has the ratio for the assets at hand, in
        ``equal_weight_deviation``, and both average correlations. An asset alone has nothing to be diversified with,
        and its likelihood decides.

        Diffusions are filtered by Tweedie's formula, ``E[D | x] = -sigma^2 d log f(x) / dx``. The filter takes some of
        their variance, and of assets whose jumps are independent it leaves ``r`` times the root of the shares that the
        report gives as ``filtered_variance``. ``"total"`` has no such bias, but asks for more correlation than there
        can be where the returns jump together.
        """
        return cls.calibrate(
            returns,
            days_per_year=days_per_year,
            drift=drift,
            window=window,
            largest_intensity=largest_intensity,
            common_intensity=common_intensity,
            correlation=correlation,
            nearest_correlation=nearest_correlation,
            factors=factors,
        ).model

    def _log_drift(self) -> Floats:
        """Growth rate of the logarithm between jumps, ``mu - sigma^2 / 2 - k``."""
        return self.drift - 0.5 * self.volatility * self.volatility - self._compensator()

    def mean_log_growth(self, years: float) -> Floats:
        """Exact mean ``(asset,)`` of log growth."""
        return (self._log_drift() + self._jump_moments()[0]) * years

    def covariance_log_growth(self, years: float) -> Floats:
        """Exact covariance ``(asset, asset)`` of log growth: that of the diffusion and of common jumps, own jumps on
        the diagonal alone."""
        diffusion = correlation_matrix(self.correlation) * (self.volatility[:, None] * self.volatility[None, :])
        total = diffusion + self._common_covariance()
        np.fill_diagonal(total, self.volatility**2 + self._jump_moments()[1])
        return total * years

    def cumulants_log_growth(self, years: float) -> Floats:
        """Exact first four cumulants ``(4, asset)`` of log growth; skewness is the third over the second's power 3/2,
        excess kurtosis the fourth over its square."""
        cumulants = self._jump_moments() * years
        cumulants[0] = self.mean_log_growth(years)
        cumulants[1] += self.volatility**2 * years
        return cumulants

    def mean_simple_return(self, years: float) -> Floats:
        """Exact mean ``(asset,)`` of the simple return: ``exp(mu t) - 1``."""
        return exponentials_less_one(self.drift * years)
