"""Kou's jump diffusion: geometric Brownian motion with double exponential jumps, each asset's own and common ones.

``dS_a / S_a- = (mu_a - k_a) dt + sigma_a dW_a + (e^Y - 1) dN_a + (e^C_a - 1) dN`` (Kou 2002, *A jump-diffusion model
for option pricing*, Management Science 48): a jump ``Y`` goes up with probability ``p`` and is then exponential with
mean ``u_a = 1 / eta_1``, or down with mean ``d_a = 1 / eta_2``. ``k_a`` compensates the jumps: ``E[S_t] = S_0 exp(mu
t)``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from riskops.checks import check_number, check_positive
from riskops.errors import InputError
from riskops.models.base import Array, Shock
from riskops.models.factor_structure import mixing_of, push
from riskops.models.gamma_sums import exponential_sum, gamma_tables
from riskops.models.jump_likelihood import CommonJumps, JumpLikelihood
from riskops.models.jumps import (
    JumpDiffusion,
    check_share,
    count_thresholds,
    non_negative_per_asset,
    optional_per_asset,
)
from riskops.models.kernel import path_kernel
from riskops.models.parameters import set_frozen
from riskops.models.registry import register
from riskops.scalar import fma, scalar_function

__all__ = ["KouJumpDiffusion", "step"]

Floats = npt.NDArray[np.float64]


@scalar_function
def step(log_growth, drift, shock):  # type: ignore[no-untyped-def]
    """Log growth after one step without jumps; the two small terms are added first, which loses least in single
    precision."""
    return log_growth + (drift + shock)


@scalar_function
def jump_sum(ups, up_mean, up_normal, downs, down_mean, down_normal, gamma):  # type: ignore[no-untyped-def]
    """The sum of a step's jumps, by their counts and the normals at which the sums of each direction are read."""
    down = down_mean * exponential_sum(gamma, downs, down_normal)
    return fma(up_mean, exponential_sum(gamma, ups, up_normal), -down)


@path_kernel(tables=("drift",))
def _diffuse(log_growth, shock, drift):  # type: ignore[no-untyped-def]
    for asset in range(log_growth.shape[0]):
        growth, diffusion, d = log_growth[asset], shock[asset], drift[asset]
        for path in range(log_growth.shape[1]):
            growth[path] = step(growth[path], d, diffusion[path])


@path_kernel(tables=("up_mean", "down_mean", "gamma"))
def _jump(log_growth, up_count, up_size, down_count, down_size, up_mean, down_mean, gamma):  # type: ignore[no-untyped-def]
    """Own jumps have a row of counts for each asset, common ones a single row. Most paths do not jump in a step, and
    reading a table costs more than to find out."""
    for asset in range(log_growth.shape[0]):
        row = asset if up_count.shape[0] > 1 else 0
        growth, ups, downs = log_growth[asset], up_count[row], down_count[row]
        up_z, down_z, u, d = up_size[asset], down_size[asset], up_mean[asset], down_mean[asset]
        for path in range(log_growth.shape[1]):
            if (ups[path] | downs[path]) > 0:
                growth[path] += jump_sum(ups[path], u, up_z[path], downs[path], d, down_z[path], gamma)


@register
@dataclass(frozen=True, eq=False)
class KouJumpDiffusion(JumpDiffusion):
    """Kou's jump diffusion for correlated assets, with idiosyncratic and common double exponential jumps.

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
    up_probability
        Probability in [0, 1] that a jump of its own goes up.
    up_mean, down_mean
        Mean size of a jump up, below one, and of a jump down, as log returns, both zero or above: ``1 / eta_1`` and
        ``1 / eta_2``.
    common_intensity
        Expected jumps a year that all assets share; none by default.
    common_up_probability
        Probability in [0, 1] that a common jump takes every asset up; otherwise it takes every one down.
    common_up_mean, common_down_mean
        Mean size of each asset's part in a common jump up, below one, and down.

    Raises
    ------
    InputError
        When a shape does not fit the assets, a value is not finite or out of its range, the correlation is not positive
        definite, or there are common jumps without their means.

    Notes
    -----
    Jumps up and jumps down are independent Poisson processes (thinning). Their counts over a step are drawn by
    inversion, and the sum of ``k`` of them, of gamma law with shape ``k``, at one normal from the table of that count,
    which is exact for a step of any length. Given a common jump its direction is the same for all assets and the sizes
    are independent.

    :meth:`fit` maximises the likelihood of a day's density, the inverse Fourier transform of ``exp(i u b - sigma^2 u^2
    / 2 + l_up / (1 - i u up) + l_down / (1 + i u down) - l_up - l_down)``. ``sigma`` and the mean jumps are kept above
    a tenth of the sample's deviation, because the likelihood is unbounded where ``sigma`` goes to zero, and the jumps
    of each direction between half a one in the window and half a one a day; an estimate at a bound is reported as such.

    Examples
    --------
    >>> model = KouJumpDiffusion(("A",), [0.05], [0.16], [[1.0]], [1.0], [0.4], [0.1], [0.2])
    >>> model.covariance_log_growth(1.0).round(4).tolist(), model.mean_simple_return(1.0).round(4).tolist()
    ([[0.0816]], [0.0513])
    >>> model.cumulants_log_growth(1.0)[2:].round(5).tolist()
    [[-0.0264], [0.024]]
    """

    up_probability: Floats
    up_mean: Floats
    down_mean: Floats
    common_intensity: float = 0.0
    common_up_probability: float = 0.5
    common_up_mean: Floats = None  # type: ignore[assignment]  # zeros once made
    common_down_mean: Floats = None  # type: ignore[assignment]

    kind: ClassVar[str] = "kou"
    shocks: ClassVar[tuple[Shock, ...]] = (
        Shock("diffusion", mixing="mixing"),
        Shock("up_count", kind="outcome", table="up_thresholds"),
        Shock("up_size"),
        Shock("down_count", kind="outcome", table="down_thresholds"),
        Shock("down_size"),
        Shock("common_up_count", kind="outcome", per="shared", table="common_up_thresholds"),
        Shock("common_up_size"),
        Shock("common_down_count", kind="outcome", per="shared", table="common_down_thresholds"),
        Shock("common_down_size"),
    )

    def __post_init__(self) -> None:
        shared = self._checked(self.common_intensity)
        assets, needed = shared["assets"], shared["common_intensity"] > 0.0
        probability = non_negative_per_asset("up_probability", self.up_probability, assets)
        for asset, value in zip(assets, probability.tolist(), strict=True):
            check_share(f"up_probability of {asset!r}", value)
        parameters = {
            **shared,
            "up_probability": probability,
            "up_mean": non_negative_per_asset("up_mean", self.up_mean, assets),
            "down_mean": non_negative_per_asset("down_mean", self.down_mean, assets),
            "common_up_probability": check_share("common_up_probability", self.common_up_probability),
        }
        for name in ("common_up_mean", "common_down_mean"):
            given = getattr(self, name)
            parameters[name] = optional_per_asset(name, given, assets, needed=needed, non_negative=True)
        for name in ("up_mean", "common_up_mean"):
            for asset, value in zip(assets, np.asarray(parameters[name]).tolist(), strict=True):
                if value >= 1.0:
                    raise InputError(f"{name} of {asset!r}: {value!r} is not below one; the price would have no mean")
        set_frozen(self, parameters)

    @classmethod
    def _estimators(cls) -> tuple[type[JumpLikelihood], CommonJumps]:
        from riskops.models.kou_fit import KouLikelihood, common_exponential_jumps

        return KouLikelihood, common_exponential_jumps

    def tables(self, step_years: float) -> Mapping[str, Array]:
        """``drift`` ``(asset,)`` of log growth over a step between jumps, ``mixing`` ``(asset, asset or factor + 1)``
        of the diffusion, the thresholds of the counts, the mean jumps, and the gamma quantiles of every count there is.
        """
        check_positive("step_years", step_years)
        deviation = self.volatility * np.sqrt(step_years)
        up, common_up = self.intensity * self.up_probability, self.common_intensity * self.common_up_probability
        thresholds = {
            "up_thresholds": count_thresholds("intensity", up, step_years),
            "down_thresholds": count_thresholds("intensity", self.intensity - up, step_years),
            "common_up_thresholds": count_thresholds("common_intensity", common_up, step_years),
            "common_down_thresholds": count_thresholds(
                "common_intensity", self.common_intensity - common_up, step_years
            ),
        }
        most = {name: limits.shape[1] for name, limits in thresholds.items()}
        common = max(most["common_up_thresholds"], most["common_down_thresholds"]) if self.common_intensity else 0
        return {
            "drift": self._log_drift() * step_years,
            "mixing": mixing_of(self.correlation, deviation),
            **thresholds,
            "up_mean": self.up_mean,
            "down_mean": self.down_mean,
            "common_up_mean": self.common_up_mean,
            "common_down_mean": self.common_down_mean,
            "gamma": gamma_tables(max(most["up_thresholds"], most["down_thresholds"])),
            "common_gamma": gamma_tables(common),
        }

    @staticmethod
    def advance(state: Mapping[str, Array], shocks: Mapping[str, Array], tables: Mapping[str, Array]) -> None:
        """Add the step's drift, mixed normals and sums of jumps to log growth, in place."""
        growth, draws = state["log_growth"], ("up_count", "up_size", "down_count", "down_size")
        _diffuse(growth, shocks["diffusion"], tables["drift"])
        _jump(growth, *(shocks[name] for name in draws), tables["up_mean"], tables["down_mean"], tables["gamma"])
        if len(tables["common_gamma"]) > 1:
            means = tables["common_up_mean"], tables["common_down_mean"]
            _jump(growth, *(shocks[f"common_{name}"] for name in draws), *means, tables["common_gamma"])

    def shocked(self, *, volatility: float = 1.0, correlation: float = 0.0, drift: float = 0.0) -> Self:
        """The model under a scenario: the deviation of log growth multiplied, the correlations of the diffusions moved
        towards one by a share in [0, 1), and a yearly rate added to the drift of every price.

        A volatility shock multiplies the diffusion and every jump's size and leaves the intensities; a correlation
        shock leaves the jumps as they are.
        """
        if (volatility, correlation, drift) == (1.0, 0.0, 0.0):
            return self
        factor = check_positive("volatility shock", volatility)
        pushed = push(self.correlation, correlation)
        return type(self)(
            self.assets,
            self.drift + check_number("drift shock", drift),
            self.volatility * factor,
            pushed,
            self.intensity,
            self.up_probability,
            self.up_mean * factor,
            self.down_mean * factor,
            self.common_intensity,
            self.common_up_probability,
            self.common_up_mean * factor,
            self.common_down_mean * factor,
        )

    def _compensator(self) -> Floats:
        """What jumps add to the expected growth rate of each price a year: ``lambda (p / (1 - u) + (1 - p) / (1 + d) -
        1)``."""
        own = self.up_probability * self.up_mean / (1.0 - self.up_mean)
        own = own - (1.0 - self.up_probability) * self.down_mean / (1.0 + self.down_mean)
        common = self.common_up_probability * self.common_up_mean / (1.0 - self.common_up_mean)
        common = common - (1.0 - self.common_up_probability) * self.common_down_mean / (1.0 + self.common_down_mean)
        return self.intensity * own + self.common_intensity * common

    def _jump_moments(self) -> Floats:
        own = _raw_moments(self.up_probability, self.up_mean, self.down_mean)
        common = _raw_moments(self.common_up_probability, self.common_up_mean, self.common_down_mean)
        return self.intensity * own + self.common_intensity * common

    def _common_covariance(self) -> Floats:
        """``lambda (p u_a u_b + (1 - p) d_a d_b)``."""
        u, d, p = self.common_up_mean, self.common_down_mean, self.common_up_probability
        return self.common_intensity * (p * u[:, None] * u[None, :] + (1.0 - p) * d[:, None] * d[None, :])


def _raw_moments(p: float | Floats, u: Floats, d: Floats) -> Floats:
    """The first four raw moments of a double exponential jump."""
    return np.stack([f * (p * u**n + (1.0 - p) * (-d) ** n) for n, f in ((1, 1), (2, 2), (3, 6), (4, 24))])
