"""GARCH variances of daily returns, one asset at a time, by quasi maximum likelihood with ``arch``."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from riskops.arch_fit import FEWEST, INNOVATIONS, MEANS, fit_arch
from riskops.errors import InputError
from riskops.models.parameters import drift_of
from riskops.models.sample import Sample
from riskops.threads import pinned_threads

__all__ = ["INNOVATIONS", "GarchFit", "check_garch_options", "fit_garch", "mean_of"]

Floats = npt.NDArray[np.float64]

#: A persistence closer to one than this is one: an estimate at its bound has no long-run variance to speak of.
INTEGRATED = 1e-6


@dataclass(frozen=True)
class GarchFit:
    """Estimates ``(asset,)`` an observation, in the units of log returns, and what they were found with."""

    mean: Floats
    omega: Floats
    alpha: Floats
    gamma: Floats
    beta: Floats
    #: The variance forecast of the first observation after the sample.
    variance: Floats
    #: Of Student-t innovations, skewed or not; None for normal ones.
    degrees_of_freedom: Floats | None
    #: ``(observation, asset)``: residuals over their conditional deviations.
    residuals: Floats
    report: dict[str, Any]

    def correlation(self) -> Floats:
        """Sample correlation ``(asset, asset)`` of the residuals, exactly symmetric with an exact unit diagonal."""
        deviations = self.residuals - self.residuals.mean(axis=0)
        products = np.einsum("ta,tb->ab", deviations, deviations)
        norms = np.sqrt(np.diagonal(products))
        matrix: Floats = products / (norms[:, None] * norms[None, :])
        matrix = (matrix + matrix.T) / 2.0
        np.fill_diagonal(matrix, 1.0)
        return matrix


def check_garch_options(*, asymmetry: object, innovations: str, mean: str, known: Collection[str]) -> None:
    """Refuse what :func:`fit_garch` does not know, and likelihoods other than the ``known`` ones."""
    if not isinstance(asymmetry, bool):
        raise InputError(f"asymmetry: {asymmetry!r} is not true or false")
    for name, value, choices in (("innovations", innovations, known), ("mean", mean, MEANS)):
        if not isinstance(value, str) or value not in choices:
            raise InputError(f"{name}: {value!r} is not one of {', '.join(choices)}")


def mean_of(drift: str | Mapping[str, float], sample: Sample, *, days_per_year: float) -> Floats | None:
    """The mean log return an observation that the option ``drift`` asks for, or None for ``"fitted"``.

    The other values mean what they mean for geometric Brownian motion, with the sample's variance: a rate ``mu`` of the
    price is a mean log return of ``mu - sigma^2 / 2`` a year.
    """
    if drift == "fitted":
        return None
    if not isinstance(drift, Mapping) and drift not in ("historical", "zero"):
        raise InputError(
            f"drift: {drift!r} is not 'fitted', 'historical', 'zero' or a mapping from asset to yearly rate"
        )
    half = 0.5 * np.diagonal(sample.covariance) * days_per_year
    return (drift_of(drift, sample, half_variance=half, days_per_year=days_per_year) - half) / days_per_year


def fit_garch(sample: Sample, *, asymmetry: bool, innovations: str, mean: str, days_per_year: float) -> GarchFit:
    """Fit GARCH(1,1), or GJR-GARCH(1,1,1) with ``asymmetry``, to every asset of a sample.

    Parameters
    ----------
    sample
        Log returns.
    asymmetry
        Whether a fall weighs more (or less) than a rise of the same size: estimates ``gamma``, which is zero otherwise.
    innovations
        The likelihood: ``"normal"``, ``"student_t"`` or ``"skewed_t"`` (Hansen 1994); the latter two estimate degrees
        of freedom too, the last one a skewness.
    mean
        ``"constant"`` or ``"zero"``: the mean of returns in the likelihood.
    days_per_year
        Observations in a year, for the yearly volatilities of the report.

    Returns
    -------
    GarchFit
        The estimates and a report: ``estimates``, ``log_likelihood`` of the log returns as they are (not in percent),
        ``standard_errors`` (robust, Bollerslev and Wooldridge 1992; ``None`` where not defined, as at a bound),
        ``at_bound`` (estimates at the end of their range), ``persistence`` (``alpha + gamma / 2 + beta``),
        ``unconditional_volatility`` (a year, ``None`` for a persistence of one), ``volatility_today`` (a year),
        ``iterations``, ``restarts`` (from how many other starting values the optimiser was run again),
        ``scale`` of the returns in the optimiser, and ``estimator``.

    Raises
    ------
    InputError
        With fewer than 100 observations, for an asset whose returns do not vary, and where the optimiser converges from
        no starting values.

    Notes
    -----
    ``arch.arch_model(...).fit()`` from its own starting values, and from others only where it does not converge; the
    recursion starts from an exponentially weighted mean of the first 75 squared residuals. Returns enter in percent,
    which the optimiser is made for, and estimates are brought back.
    """
    if sample.observations < FEWEST:
        raise InputError(f"log_return: {sample.observations} observations are too few; a GARCH fit needs {FEWEST}")
    deviations = sample.volatility()
    with pinned_threads():
        fits = [
            _fit_one(asset, sample.values[:, a], float(deviations[a]), asymmetry, innovations, mean)
            for a, asset in enumerate(sample.assets)
        ]
    values = {name: np.array([fit["estimates"][name] for fit in fits]) for name in fits[0]["estimates"]}
    persistence = values["alpha"] + values["gamma"] / 2.0 + values["beta"]
    long_run = [
        math.sqrt(omega / (1.0 - p) * days_per_year) if p < 1.0 - INTEGRATED else None
        for omega, p in zip(values["omega"].tolist(), persistence.tolist(), strict=True)
    ]
    variance = np.array([fit["variance"] for fit in fits])

    def by_asset(column: Any) -> dict[str, Any]:
        return dict(zip(sample.assets, column, strict=True))

    report = {
        **{
            name: by_asset(fit[name] for fit in fits)
            for name in (
                "estimates",
                "log_likelihood",
                "standard_errors",
                "at_bound",
                "iterations",
                "restarts",
                "scale",
            )
        },
        "persistence": by_asset(persistence.tolist()),
        "unconditional_volatility": by_asset(long_run),
        "volatility_today": by_asset(np.sqrt(variance * days_per_year).tolist()),
        "estimator": _version(),
    }
    return GarchFit(
        **{name: values[name] for name in ("mean", "omega", "alpha", "gamma", "beta")},
        variance=variance,
        degrees_of_freedom=values.get("degrees_of_freedom"),
        residuals=np.stack([fit["residuals"] for fit in fits], axis=1),
        report=report,
    )


def _version() -> str:
    from importlib.metadata import version

    return f"arch {version('arch')}"


def _fit_one(
    asset: str, returns: Floats, deviation: float, asymmetry: bool, innovations: str, mean: str
) -> dict[str, Any]:
    """The fit of one asset, in the units of its returns."""
    found = fit_arch(
        returns,
        deviation=deviation,
        volatility="gjr" if asymmetry else "garch",
        innovations=innovations,
        mean=mean,
        what=f"log_return: the GARCH fit of {asset!r}",
    )
    estimates, result = found.estimates(), found.result
    residuals = np.asarray(result.resid) / found.scale
    conditional = (np.asarray(result.conditional_volatility) / found.scale) ** 2
    return {
        "estimates": estimates,
        "standard_errors": found.standard_errors(),
        "at_bound": found.at_bound(),
        "log_likelihood": found.log_likelihood,
        "iterations": int(result.optimization_result.nit),
        "restarts": found.restarts,
        "scale": found.scale,
        "variance": _next_variance(estimates, float(residuals[-1]), float(conditional[-1])),
        "residuals": residuals / np.sqrt(conditional),
    }


def _next_variance(estimates: dict[str, float], residual: float, variance: float) -> float:
    weight = estimates["alpha"] + (estimates["gamma"] if residual < 0.0 else 0.0)
    return estimates["omega"] + weight * residual * residual + estimates["beta"] * variance
