"""Merton's jump diffusion: geometric Brownian motion with lognormal jumps, each asset's own and common ones.

``dS_a / S_a- = (mu_a - k_a) dt + sigma_a dW_a + (e^Y - 1) dN_a + (e^C_a - 1) dN`` (Merton 1976, *Option pricing when
underlying stock returns are discontinuous*, J. Financial Economics 3), ``Y ~ N(m_a, s_a^2)`` at the jumps of the
asset's own Poisson process, ``C`` jointly normal at those of the one process that all assets share. ``k_a`` compensates
the jumps: ``E[S_t] = S_0 exp(mu t)``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from riskops.checks import check_number, check_positive
from riskops.models.base import Array, Shock
from riskops.models.elementwise import exponentials_less_one
from riskops.models.factor_structure import mixing_of, push
from riskops.models.jump_likelihood import CommonJumps, JumpLikelihood
from riskops.models.jumps import (
    JumpDiffusion,
    check_share,
    count_thresholds,
    non_negative_per_asset,
    optional_per_asset,
)
from riskops.models.kernel import path_kernel
from riskops.models.parameters import per_asset, set_frozen
from riskops.models.registry import register
from riskops.scalar import fma, like, scalar_function, sqrt

__all__ = ["MertonJumpDiffusion", "step"]

Floats = npt.NDArray[np.float64]


@scalar_function
def jump_sum(count, mean, noise):  # type: ignore[no-untyped-def]
    """The sum of ``n`` jumps is normal with ``n`` times the mean and variance of one: ``n m + sqrt(n) s z``, for
    ``noise = s z``."""
    n = like(mean, count)
    return fma(sqrt(n), noise, n * mean)


@scalar_function
def step(log_growth, drift, shock, jumps, common_jumps):  # type: ignore[no-untyped-def]
    """Log growth after one step; the small terms are added first, which loses least in single precision."""
    return log_growth + ((drift + shock) + (jumps + common_jumps))


@path_kernel(tables=("drift", "mean", "deviation", "common_mean", "loading", "rest"))
def _advance(  # type: ignore[no-untyped-def]
    log_growth,
    shock,
    count,
    size,
    common_count,
    common_size,
    factor,
    drift,
    mean,
    deviation,
    common_mean,
    loading,
    rest,
):
    common_n, common_factor = common_count[0], factor[0]
    for asset in range(log_growth.shape[0]):
        growth, diffusion = log_growth[asset], shock[asset]
        n, own_size, joint_size = count[asset], size[asset], common_size[asset]
        d, m, s = drift[asset], mean[asset], deviation[asset]
        common_m, load, own = common_mean[asset], loading[asset], rest[asset]
        for path in range(log_growth.shape[1]):
            jumps = jump_sum(n[path], m, s * own_size[path])
            noise = fma(load, common_factor[path], own * joint_size[path])
            common = jump_sum(common_n[path], common_m, noise)
            growth[path] = step(growth[path], d, diffusion[path], jumps, common)


@register
@dataclass(frozen=True, eq=False)
class MertonJumpDiffusion(JumpDiffusion):
    """Merton's jump diffusion for correlated assets, with idiosyncratic and common lognormal jumps.

    Parameters
    ----------
    assets
        Names, unique, at least one.
    drift
        Expected growth rate of each price a year, jumps included, ``mu``: a price is expected to grow by ``exp(mu t)``.
    volatility
        Standard deviation of the diffusion of each log return a year, above zero.
    correlation
        Correlation of the diffusions ``(asset, asset)``, positive definite.
    intensity
        Expected jumps of each asset's own a year, zero or above.
    jump_mean, jump_deviation
        Mean and standard deviation of the log return of each asset at a jump of its own.
    common_intensity
        Expected jumps a year that all assets share; none by default.
    common_jump_mean, common_jump_deviation
        Mean and standard deviation of the log return of each asset at a common jump.
    common_jump_correlation
        Correlation in [0, 1] of the log returns of every two assets at a common jump; zero makes the sizes independent
        given the jump.

    Raises
    ------
    InputError
        When a shape does not fit the assets, a value is not finite or out of its range, the correlation is not positive
        definite, or there are common jumps without a mean or deviation.

    Notes
    -----
    The jumps of a step are drawn as a count, by inversion, and one normal for their sum, which is exact for a step of
    any length: ``n`` jumps sum to ``N(n m, n s^2)``. Common jumps have one factor: ``C_a = m_a + s_a (sqrt(r) z +
    sqrt(1 - r) z_a)``.

    :meth:`fit` maximises the likelihood of a Poisson mixture of normals a day, ``sum_n P(n) N(b + n m, sigma^2 + n
    s^2)``. It is unbounded where ``sigma`` goes to zero beside a single return (Honore 1998, *Pitfalls in estimating
    jump-diffusion models*), so ``sigma`` and ``s`` are kept above a tenth of the sample's deviation and the intensity
    between half a jump in the window and one a day; an estimate at a bound is reported as such.

    Examples
    --------
    >>> model = MertonJumpDiffusion(("A",), [0.05], [0.2], [[1.0]], [2.0], [-0.1], [0.1])
    >>> model.covariance_log_growth(1.0).round(4).tolist(), model.mean_simple_return(1.0).round(4).tolist()
    ([[0.08]], [0.0513])
    >>> model.cumulants_log_growth(1.0)[2:].round(5).tolist()
    [[-0.008], [0.002]]
    """

    jump_mean: Floats
    jump_deviation: Floats
    common_intensity: float = 0.0
    common_jump_mean: Floats = None  # type: ignore[assignment]  # zeros once made
    common_jump_deviation: Floats = None  # type: ignore[assignment]
    common_jump_correlation: float = 0.0

    kind: ClassVar[str] = "merton"
    shocks: ClassVar[tuple[Shock, ...]] = (
        Shock("diffusion", mixing="mixing"),
        Shock("count", kind="outcome", table="count_thresholds"),
        Shock("size"),
        Shock("common_count", kind="outcome", per="shared", table="common_count_thresholds"),
        Shock("common_size"),
        Shock("common_factor", per="shared"),
    )

    def __post_init__(self) -> None:
        shared = self._checked(self.common_intensity)
        assets, needed = shared["assets"], shared["common_intensity"] > 0.0
        parameters = {
            **shared,
            "jump_mean": per_asset("jump_mean", self.jump_mean, assets),
            "jump_deviation": non_negative_per_asset("jump_deviation", self.jump_deviation, assets),
            "common_jump_mean": optional_per_asset(
                "common_jump_mean", self.common_jump_mean, assets, needed=needed, non_negative=False
            ),
            "common_jump_deviation": optional_per_asset(
                "common_jump_deviation", self.common_jump_deviation, assets, needed=needed, non_negative=True
            ),
            "common_jump_correlation": check_share("common_jump_correlation", self.common_jump_correlation),
        }
        set_frozen(self, parameters)

    @classmethod
    def _estimators(cls) -> tuple[type[JumpLikelihood], CommonJumps]:
        from riskops.models.merton_fit import MertonLikelihood, common_normal_jumps

        return MertonLikelihood, common_normal_jumps

    def tables(self, step_years: float) -> Mapping[str, Array]:
        """``drift`` ``(asset,)`` of log growth over a step between jumps, ``mixing`` ``(asset, asset or factor + 1)``
        of the diffusion, the thresholds of the counts, and the mean and deviation of one jump.
        """
        check_positive("step_years", step_years)
        deviation = self.volatility * np.sqrt(step_years)
        shared = self.common_jump_correlation
        return {
            "drift": self._log_drift() * step_years,
            "mixing": mixing_of(self.correlation, deviation),
            "count_thresholds": count_thresholds("intensity", self.intensity, step_years),
            "common_count_thresholds": count_thresholds("common_intensity", self.common_intensity, step_years),
            "mean": self.jump_mean,
            "deviation": self.jump_deviation,
            "common_mean": self.common_jump_mean,
            "loading": self.common_jump_deviation * np.sqrt(shared),
            "rest": self.common_jump_deviation * np.sqrt(1.0 - shared),
        }

    @staticmethod
    def advance(state: Mapping[str, Array], shocks: Mapping[str, Array], tables: Mapping[str, Array]) -> None:
        """Add the step's drift, mixed normals and sums of jumps to log growth, in place."""
        _advance(
            state["log_growth"],
            shocks["diffusion"],
            shocks["count"],
            shocks["size"],
            shocks["common_count"],
            shocks["common_size"],
            shocks["common_factor"],
            tables["drift"],
            tables["mean"],
            tables["deviation"],
            tables["common_mean"],
            tables["loading"],
            tables["rest"],
        )

    def shocked(self, *, volatility: float = 1.0, correlation: float = 0.0, drift: float = 0.0) -> Self:
        """The model under a scenario: the deviation of log growth multiplied, correlations moved towards one by a share
        in [0, 1), and a yearly rate added to the drift of every price.

        A volatility shock multiplies the diffusion and every jump's size and leaves the intensities; a correlation
        shock moves the correlations of the diffusions and of the common jumps, while own jumps stay each asset's own.
        """
        if (volatility, correlation, drift) == (1.0, 0.0, 0.0):
            return self
        factor = check_positive("volatility shock", volatility)
        pushed = push(self.correlation, correlation)
        shared = self.common_jump_correlation
        return type(self)(
            self.assets,
            self.drift + check_number("drift shock", drift),
            self.volatility * factor,
            pushed,
            self.intensity,
            self.jump_mean * factor,
            self.jump_deviation * factor,
            self.common_intensity,
            self.common_jump_mean * factor,
            self.common_jump_deviation * factor,
            shared + correlation * (1.0 - shared),
        )

    def _compensator(self) -> Floats:
        """What jumps add to the expected growth rate of each price a year: ``lambda (exp(m + s^2 / 2) - 1)``."""
        own = exponentials_less_one(self.jump_mean + 0.5 * self.jump_deviation**2)
        common = exponentials_less_one(self.common_jump_mean + 0.5 * self.common_jump_deviation**2)
        return self.intensity * own + self.common_intensity * common

    def _jump_moments(self) -> Floats:
        own = self.intensity * _raw_moments(self.jump_mean, self.jump_deviation)
        return own + self.common_intensity * _raw_moments(self.common_jump_mean, self.common_jump_deviation)

    def _common_covariance(self) -> Floats:
        """``lambda (m_a m_b + r s_a s_b)``."""
        m, s = self.common_jump_mean, self.common_jump_deviation
        alike = m[:, None] * m[None, :] + self.common_jump_correlation * s[:, None] * s[None, :]
        return self.common_intensity * alike


def _raw_moments(m: Floats, s: Floats) -> Floats:
    """The first four raw moments of a normal."""
    v = s * s
    return np.stack([m, m**2 + v, m**3 + 3 * m * v, m**4 + 6 * m**2 * v + 3 * v**2])
