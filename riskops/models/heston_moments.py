"""Exact moments of Heston's model: the integrated variance and the covariance of log growth.

With ``G(u) = (1 - exp(-kappa u)) / kappa`` the integrated variance is its mean plus ``sigma int G(t - s) sqrt(V_s)
dZ_s``, and log growth ``mu t - int V / 2 + int sqrt(V) dW``. So any covariance of log growth is the time integral of
``E[sqrt(V_a V_b)]`` times a known function: of the mean variance for one asset, of a product of means of roots for
two whose variances are independent.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from riskops.checks import check_positive
from riskops.errors import InputError

__all__ = [
    "SquareRootVariance",
    "covariance_of_log_growth",
    "mean_integrated_variance",
    "mean_root_variance",
    "variance_of_log_growth",
]

Floats = npt.NDArray[np.float64]

#: Correlations of variance shocks below this are rounding, and the variances independent.
_ROUNDING = 1e-12


class SquareRootVariance(Protocol):
    """What is needed of the model: its parameters, one an asset, and two correlations ``(asset, asset)``."""

    @property
    def assets(self) -> tuple[str, ...]: ...
    @property
    def drift(self) -> Floats: ...
    @property
    def initial_variance(self) -> Floats: ...
    @property
    def mean_reversion(self) -> Floats: ...
    @property
    def long_run_variance(self) -> Floats: ...
    @property
    def volatility_of_variance(self) -> Floats: ...
    @property
    def leverage(self) -> Floats: ...
    @property
    def correlation(self) -> Floats: ...
    def variance_shock_correlation(self) -> Floats: ...


def _decayed(kappa: Floats, years: float) -> Floats:
    """``G(t) = (1 - exp(-kappa t)) / kappa``."""
    return -np.expm1(-kappa * years) / kappa


def mean_integrated_variance(model: SquareRootVariance, years: float) -> Floats:
    """The exact mean ``(asset,)`` of the variance integrated over ``years``: ``theta t + (v0 - theta) G(t)``."""
    theta = model.long_run_variance
    return theta * years + (model.initial_variance - theta) * _decayed(model.mean_reversion, years)


def variance_of_log_growth(model: SquareRootVariance, years: float) -> Floats:
    """The exact variance ``(asset,)`` of log growth after ``years``, leverage included.

    ``E[I] - rho sigma int G(t-s) E[V_s] ds + sigma^2 / 4 int G(t-s)^2 E[V_s] ds`` with ``E[V_s] = theta + (v0 - theta)
    exp(-kappa s)`` and ``I`` the integrated variance.

    Examples
    --------
    >>> from riskops.models.heston import Heston
    >>> model = Heston(("A",), [0.0], [0.04], [1.5], [0.04], [0.3], [-0.7], [[1.0]])
    >>> variance_of_log_growth(model, 1.0).round(5).tolist()
    [0.04281]
    """
    check_positive("years", years)
    kappa, theta, sigma = model.mean_reversion, model.long_run_variance, model.volatility_of_variance
    excess, left = model.initial_variance - theta, np.exp(-kappa * years)
    once, twice = _decayed(kappa, years), _decayed(2.0 * kappa, years)
    single = (theta * (years - once) + excess * (once - years * left)) / kappa
    double = (theta * (years - 2.0 * once + twice) + excess * (once - 2.0 * years * left + left * once)) / kappa**2
    return mean_integrated_variance(model, years) - model.leverage * sigma * single + 0.25 * sigma**2 * double


def mean_root_variance(model: SquareRootVariance, times: npt.ArrayLike) -> Floats:
    """The exact mean ``(asset, time)`` of the root of the variance at ``times`` in years, above zero.

    ``E[sqrt(V)] = int_0^inf (1 - E[exp(-u V)]) u^(-3/2) du / (2 sqrt(pi))`` from the Laplace transform of the
    noncentral chi-squared variance; in ``log u`` the trapezoid rule converges faster than any power of its step.
    """
    time = np.asarray(times, dtype=np.float64)[None, :, None]
    kappa, theta, sigma = (
        array[:, None, None] for array in (model.mean_reversion, model.long_run_variance, model.volatility_of_variance)
    )
    decay = np.exp(-kappa * time)
    unit = sigma * sigma * -np.expm1(-kappa * time) / (4.0 * kappa)
    carried = model.initial_variance[:, None, None] * decay
    mean = carried + theta * -np.expm1(-kappa * time)
    width = 0.15
    x = np.arange(-80.0, 80.0 + width, width)
    u = np.exp(x) / mean
    scaled = 2.0 * unit * u
    exponent = 2.0 * kappa * theta / (sigma * sigma) * np.log1p(scaled) + carried * u / (1.0 + scaled)
    roots: Floats = np.sum(-np.expm1(-exponent) / np.sqrt(u), axis=-1) * width / (2.0 * np.sqrt(np.pi))
    return roots


def covariance_of_log_growth(model: SquareRootVariance, years: float) -> Floats:
    """The exact covariance ``(asset, asset)`` of log growth; pairs with correlated variance shocks are refused.

    For a pair with independent variances it is ``R_ab int E[sqrt(V_a)] E[sqrt(V_b)] (1 - rho_a sigma_a G_a / 2 - rho_b
    sigma_b G_b / 2) ds`` with ``G`` at ``t - s``, by Gauss-Legendre quadrature in ``sqrt(s)``.
    """
    variance = variance_of_log_growth(model, years)
    matrix = np.diag(variance)
    shocks = model.variance_shock_correlation()
    for a, b in np.argwhere(np.triu(np.abs(shocks) > _ROUNDING, 1)).tolist():
        raise InputError(
            f"model heston: the covariance of the log growth of {model.assets[a]!r} and {model.assets[b]!r} is not "
            f"known in closed form, because their variance shocks are correlated ({shocks[a, b]:.3g})"
        )
    if len(variance) == 1:
        return matrix
    nodes, weights = np.polynomial.legendre.leggauss(128)
    place = 0.5 * (nodes + 1.0)
    times, measure = years * place * place, years * place * weights
    roots = mean_root_variance(model, times)
    kappa = model.mean_reversion[:, None]
    pull = 0.5 * (model.leverage * model.volatility_of_variance)[:, None] * -np.expm1(-kappa * (years - times)) / kappa
    for a in range(len(variance)):
        for b in range(a):
            integral = float(np.sum(measure * roots[a] * roots[b] * (1.0 - pull[a] - pull[b])))
            matrix[a, b] = matrix[b, a] = model.correlation[a, b] * integral
    return matrix
