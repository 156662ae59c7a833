"""Student-t innovations as scaled normals: each asset its own degrees of freedom, one draw of the scale for all.

``z_a = g_a(V) Y_a`` with ``Y`` correlated normals, ``V`` a normal that all assets share, and ``g_a(v) = sqrt((nu_a - 2)
/ W)``, ``W`` the quantile of chi-square with ``nu_a`` degrees of freedom at the probability ``Phi(-v)``. Each ``z_a``
is exactly Student-t with ``nu_a`` degrees of freedom and unit variance; with equal degrees of freedom they are together
multivariate t, otherwise the t with several of them (Daul, De Giorgi, Lindskog and McNeil 2003; Luo and Shevchenko
2010): large moves come together, as in markets. ``corr(z_a, z_b) = corr(Y_a, Y_b) E[g_a(V) g_b(V)]``.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from riskops.errors import InputError
from riskops.models.correlation import cholesky
from riskops.tables import tabulate

__all__ = ["fit_common_degrees", "scale", "scale_products", "tabulate_scales", "variance_beyond_draws"]

Floats = npt.NDArray[np.float64]

#: The smallest probability of a word in single precision (contract C1).
_EXTREME = 2.0**-33


def scale(degrees_of_freedom: float, v: npt.ArrayLike) -> Floats:
    """The scale ``g(v)``, increasing in ``v`` and accurate in both tails.

    Examples
    --------
    >>> scale(5.0, [-1.0, 0.0, 1.0]).round(4).tolist()
    [0.614, 0.8303, 1.208]
    """
    half, place = degrees_of_freedom / 2.0, np.asarray(v, dtype=np.float64)
    tail = special.ndtr(-np.abs(place))  # of the side that v is on
    gamma = np.where(place > 0.0, special.gammaincinv(half, tail), special.gammainccinv(half, tail))
    result: Floats = np.sqrt((half - 1.0) / gamma)
    return result


def tabulate_scales(degrees_of_freedom: npt.ArrayLike) -> tuple[Floats, float]:
    """The values ``(asset, knot)`` of every asset's scale table, and the largest relative error of any."""
    made = [tabulate(partial(scale, nu)) for nu in np.asarray(degrees_of_freedom).tolist()]
    return np.stack([table.values for table in made]), max(table.error for table in made)


def scale_products(degrees_of_freedom: npt.ArrayLike) -> Floats:
    """``E[g_a(V) g_b(V)]`` ``(asset, asset)``: one for equal degrees of freedom, below one otherwise.

    By the trapezoidal rule, which converges geometrically for integrands that vanish at both ends like a normal.

    Examples
    --------
    >>> scale_products([4.0, 4.0, 12.0]).round(4).tolist()
    [[1.0, 1.0, 0.9615], [1.0, 1.0, 0.9615], [0.9615, 0.9615, 1.0]]
    """
    nus = np.asarray(degrees_of_freedom, dtype=np.float64)
    v = np.linspace(-37.0, 37.0, 4737)
    weight = np.exp(-0.5 * v * v) / np.sqrt(2.0 * np.pi) * (v[1] - v[0])
    scales = np.stack([scale(nu, v) for nu in nus.tolist()])
    products = np.array([[np.sum(a * b * weight) for b in scales] for a in scales])
    return np.where(nus[:, None] == nus[None, :], 1.0, np.minimum(products, 1.0))


def variance_beyond_draws(degrees_of_freedom: npt.ArrayLike) -> Floats:
    """The share of a unit variance ``(asset,)`` that lies beyond the extreme draw of single precision.

    ``E[g^2; W < w] = P(chi-square with nu - 2 degrees of freedom < w)``, with ``w`` the quantile at 2^-33: next to
    nothing above 4 degrees of freedom, one part in a hundred at 2.5, a third at 2.1.

    Examples
    --------
    >>> variance_beyond_draws([2.5, 4.0]).round(4).tolist()
    [0.0117, 0.0]
    """
    nus = np.asarray(degrees_of_freedom, dtype=np.float64)
    return np.asarray(stats.chi2.cdf(stats.chi2.ppf(_EXTREME, nus), nus - 2.0), dtype=np.float64)


def fit_common_degrees(innovations: Floats, correlation: Floats) -> tuple[float, dict[str, Any]]:
    """The degrees of freedom of a multivariate t of unit variances, by maximum likelihood with the correlation given.

    Parameters
    ----------
    innovations
        Rows ``(observation, asset)``, as the standardized residuals of a fit.
    correlation
        Their correlation ``(asset, asset)``, positive definite.

    Returns
    -------
    The degrees of freedom, from 2.05 to 500, and a report: ``value``, ``standard_error`` (from the curvature of the
    likelihood; ``None`` at an end of the range) and ``log_likelihood``.

    Raises
    ------
    InputError
        When the optimiser does not converge.
    """
    from scipy import linalg, optimize

    size, count = innovations.shape[1], len(innovations)
    lower = cholesky(correlation)
    distances = np.square(linalg.solve_triangular(lower, innovations.T, lower=True)).sum(axis=0)
    constant = -count * float(np.log(np.diagonal(lower)).sum())

    def loss(log_excess: float) -> float:
        excess = np.exp(log_excess)  # nu - 2
        half = (excess + 2.0 + size) / 2.0
        level = special.gammaln(half) - special.gammaln(excess / 2.0 + 1.0) - size / 2.0 * np.log(np.pi * excess)
        return -float(count * level - half * np.log1p(distances / excess).sum()) - constant

    low, high = np.log(0.05), np.log(498.0)
    found: Any = optimize.minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-10})
    if not found.success:
        raise InputError(f"degrees_of_freedom: the fit of common ones did not converge ({found.message})")
    place, excess, width = float(found.x), float(np.exp(found.x)), 1e-3
    curvature = (loss(place + width) - 2.0 * loss(place) + loss(place - width)) / width**2
    inside = low + 1e-4 < place < high - 1e-4 and curvature > 0.0
    error = excess / float(np.sqrt(curvature)) if inside else None
    report = {"value": excess + 2.0, "standard_error": error, "log_likelihood": -float(found.fun)}
    return excess + 2.0, report
