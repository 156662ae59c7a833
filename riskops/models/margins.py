"""Standardised distributions of one asset's returns: normal, Student t, and the skewed t of Hansen.

All have mean 0 and variance 1; location and scale are then the mean and the standard deviation of the returns. Hansen's
skewed t (1994, *Autoregressive conditional density estimation*) joins two halves of a t with ``nu > 2`` degrees of
freedom, of widths ``1 - lambda`` and ``1 + lambda`` with ``-1 < lambda < 1``; with ``lambda = 0`` it is the t.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from riskops.checks import check_number, check_one_of, check_subset
from riskops.errors import InputError

__all__ = [
    "MARGINS",
    "FittedMargin",
    "check_margins",
    "fit_margin",
    "log_density",
    "margin_names",
    "margin_quantile",
]

Floats = npt.NDArray[np.float64]

MARGINS = ("normal", "skewed_t", "student_t")

#: The degrees of freedom that a margin's fit searches, and the largest skewness.
LOWEST, HIGHEST = 2.01, 500.0
_MOST_SKEWED = 0.99


def margin_names(margins: str | Mapping[str, str], assets: Sequence[str]) -> dict[str, str]:
    """The name of each asset's distribution that the option ``margins`` asks for: one for all, or one by asset."""
    if isinstance(margins, Mapping):
        check_subset("margins", margins, assets)
        for asset in assets:
            if asset not in margins:
                raise InputError(f"margins: {asset!r} is missing; given margins name every asset")
        return {asset: check_one_of(f"margin of {asset!r}", margins[asset], MARGINS) for asset in assets}
    return dict.fromkeys(assets, check_one_of("margins", margins, MARGINS))


def check_margins(
    degrees_of_freedom: Sequence[float | None], skewness: Floats, assets: Sequence[str]
) -> list[tuple[float | None, float]]:
    """The degrees of freedom (None for a normal) and the skewness of each asset, in range."""
    degrees = tuple(degrees_of_freedom)
    if len(degrees) != len(assets):
        raise InputError(
            f"margin_degrees_of_freedom: {len(degrees)} are not {len(assets)}, one an asset, null if normal"
        )
    found: list[tuple[float | None, float]] = []
    for asset, nu, skew in zip(assets, degrees, skewness.tolist(), strict=True):
        if nu is None:
            if skew != 0.0:
                raise InputError(f"skewness of {asset!r}: {skew!r} is not zero, and its margin is normal")
            found.append((None, 0.0))
            continue
        if not check_number(f"margin_degrees_of_freedom of {asset!r}", nu) > 2.0:
            raise InputError(f"margin_degrees_of_freedom of {asset!r}: {nu!r} is not above 2")
        if not -1.0 < skew < 1.0:
            raise InputError(f"skewness of {asset!r}: {skew!r} is not between -1 and 1")
        found.append((float(nu), skew))
    return found


@dataclass(frozen=True)
class FittedMargin:
    """One asset's distribution an observation; ``degrees_of_freedom`` is None for a normal."""

    name: str
    location: float
    scale: float
    degrees_of_freedom: float | None
    skewness: float
    log_likelihood: float
    #: By parameter, from the observed information of all of them.
    standard_errors: dict[str, float]


def _constants(nu: npt.ArrayLike, skewness: npt.ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Hansen's ``a`` and ``b``, and the logarithm of ``c``."""
    degrees, skew = np.asarray(nu, dtype=np.float64), np.asarray(skewness, dtype=np.float64)
    log_c = special.gammaln((degrees + 1.0) / 2.0) - special.gammaln(degrees / 2.0)
    log_c = log_c - 0.5 * np.log(np.pi * (degrees - 2.0))
    a = 4.0 * skew * np.exp(log_c) * (degrees - 2.0) / (degrees - 1.0)
    b = np.sqrt(1.0 + 3.0 * skew * skew - a * a)
    return a, b, log_c


def margin_quantile(lower: Floats, upper: Floats, degrees_of_freedom: float | None, skewness: float) -> Floats:
    """The quantile of a standardised margin.

    Parameters
    ----------
    lower, upper
        The probability below the quantile and that above it; both are taken, so that neither tail loses precision.
    degrees_of_freedom
        Above two; None for the normal.
    skewness
        Hansen's ``lambda``, inside (-1, 1); zero for the symmetric ones.

    Returns
    -------
    Quantiles in standard deviations from the mean.

    Notes
    -----
    ``F(z) = (1 - lambda) T(y / (1 - lambda))`` below the mode, where ``z = -a / b``, and
    ``1 - F(z) = (1 + lambda) T(-y / (1 + lambda))`` above it, with ``y = sqrt(nu / (nu - 2)) (b z + a)`` and ``T`` the
    t distribution function.

    Examples
    --------
    >>> margin_quantile(np.array([0.01]), np.array([0.99]), 4.0, 0.0).round(4).tolist()
    [-2.6495]
    """
    if degrees_of_freedom is None:
        tail = special.ndtri(np.minimum(lower, upper))
        return np.where(lower < upper, tail, -tail)
    nu, left, right = degrees_of_freedom, 1.0 - skewness, 1.0 + skewness
    a, b, _ = _constants(nu, skewness)
    below = left * special.stdtrit(nu, np.minimum(lower / left, 0.5))
    above = -right * special.stdtrit(nu, np.minimum(upper / right, 0.5))
    y = np.where(lower < left / 2.0, below, above)
    found: Floats = (np.sqrt((nu - 2.0) / nu) * y - a) / b
    return found


def log_density(z: Floats, degrees_of_freedom: float, skewness: float) -> Floats:
    """Logarithm of the standardised skewed t density."""
    a, b, log_c = _constants(degrees_of_freedom, skewness)
    y = b * z + a
    y = y / np.where(y < 0.0, 1.0 - skewness, 1.0 + skewness)
    found: Floats = np.log(b) + log_c - 0.5 * (degrees_of_freedom + 1.0) * np.log1p(y * y / (degrees_of_freedom - 2.0))
    return found


def fit_margin(asset: str, name: str, values: Floats, *, mean: float, deviation: float) -> FittedMargin:
    """Fit one asset's distribution by maximum likelihood.

    Parameters
    ----------
    asset
        For error texts.
    name
        ``"normal"``, ``"student_t"`` or ``"skewed_t"``.
    values
        Log returns ``(observation,)``.
    mean, deviation
        Of the sample (ddof=1): a normal's own, and where the others' search begins.

    Returns
    -------
    FittedMargin
        Estimates, log-likelihood and standard errors.

    Raises
    ------
    InputError
        When the likelihood has no maximum at degrees of freedom between 2 and 500.
    """
    if name == "normal":
        z = (values - mean) / deviation
        likelihood = -0.5 * float(np.sum(z * z)) - len(values) * float(np.log(deviation * np.sqrt(2.0 * np.pi)))
        errors = {"location": deviation / np.sqrt(len(values)), "scale": deviation / np.sqrt(2.0 * len(values))}
        return FittedMargin(name, mean, deviation, None, 0.0, likelihood, {k: float(v) for k, v in errors.items()})
    skewed = name == "skewed_t"
    scaled = (values - mean) / deviation

    def negative(parameters: Floats) -> float:
        location, scale, nu = parameters[:3]
        z = (scaled - location) / scale
        return len(z) * float(np.log(scale)) - float(np.sum(log_density(z, nu, parameters[3] if skewed else 0.0)))

    found = _largest(negative, skewed=skewed)
    nu = float(found[2])
    if nu > 0.95 * HIGHEST:
        raise InputError(
            f"margins: the returns of {asset!r} have no fatter tails than the normal's; give it the margin normal"
        )
    if nu < LOWEST + 1e-3:
        raise InputError(f"margins: the returns of {asset!r} have no finite variance as {name}")
    names = ("location", "scale", "degrees_of_freedom", "skewness")[: len(found)]
    units = np.array([deviation, deviation, 1.0, 1.0])[: len(found)]
    errors_of = _standard_errors(negative, found, asset) * units
    return FittedMargin(
        name=name,
        location=mean + deviation * float(found[0]),
        scale=deviation * float(found[1]),
        degrees_of_freedom=nu,
        skewness=float(found[3]) if skewed else 0.0,
        log_likelihood=-negative(found) - len(values) * float(np.log(deviation)),
        standard_errors=dict(zip(names, errors_of.tolist(), strict=True)),
    )


def _largest(negative: Callable[[Floats], float], *, skewed: bool) -> Floats:
    """Location, scale, degrees of freedom and skewness where minus the log-likelihood is smallest."""
    from scipy import optimize

    minimize: Any = optimize.minimize

    def natural(x: Floats) -> Floats:
        inner = [x[0], np.exp(x[1]), 2.0 + np.exp(x[2])]
        return np.array([*inner, np.tanh(x[3])] if skewed else inner)

    start = np.array([0.0, 0.0, np.log(4.0), 0.0][: 4 if skewed else 3])
    low, high = float(np.log(LOWEST - 2.0)), float(np.log(HIGHEST - 2.0))
    most = float(np.arctanh(_MOST_SKEWED))
    bounds = [(-1.0, 1.0), (-2.0, 2.0), (low, high), (-most, most)][: len(start)]
    rough = minimize(lambda x: negative(natural(x)), start, method="L-BFGS-B", jac="3-point", bounds=bounds)
    # the search by gradients stops where their differences are noise; a simplex goes on from there
    fine = minimize(
        lambda x: negative(natural(x)),
        rough.x,
        method="Nelder-Mead",
        bounds=bounds,
        options={
            "xatol": 1e-7,
            "fatol": 1e-9,
            "maxiter": 4000,
            "initial_simplex": np.vstack([rough.x, rough.x + 0.01 * np.eye(len(start))]),
        },
    )
    if not fine.success:
        raise InputError(f"margins: the search for the largest likelihood did not end: {fine.message}")
    return natural(fine.x)


def _standard_errors(negative: Callable[[Floats], float], at: Floats, asset: str) -> Floats:
    """Roots of the diagonal of the inverse observed information, by central differences."""
    size = len(at)
    steps = np.array([1e-3, 1e-3, 0.01 * (at[2] - 2.0), 1e-3])[:size]
    information = np.empty((size, size))
    for i in range(size):
        for j in range(i + 1):
            total = 0.0
            for first in (-1.0, 1.0):
                for second in (-1.0, 1.0):
                    moved = at.copy()
                    moved[i] += first * steps[i]
                    moved[j] += second * steps[j]
                    total += first * second * negative(moved)
            information[i, j] = information[j, i] = total / (4.0 * steps[i] * steps[j])
    variances = np.diagonal(np.linalg.inv(information))
    if not np.all(variances > 0.0):
        raise InputError(f"margins: the likelihood of {asset!r} is flat at its maximum; give it another margin")
    found: Floats = np.sqrt(variances)
    return found
