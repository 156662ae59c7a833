"""GARCH variances of daily returns, one asset at a time, by quasi maximum likelihood with ``arch``."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from riskops.errors import InputError
from riskops.models.parameters import drift_of
from riskops.models.sample import Sample
from riskops.threads import pinned_threads

__all__ = ["INNOVATIONS", "GarchFit", "check_garch_options", "fit_garch", "mean_of"]

Floats = npt.NDArray[np.float64]

INNOVATIONS: dict[str, Literal["normal", "t", "skewt"]] = {"normal": "normal", "student_t": "t", "skewed_t": "skewt"}
MEANS: dict[str, Literal["Constant", "Zero"]] = {"constant": "Constant", "zero": "Zero"}

#: A persistence closer to one than this is one: an estimate at its bound has no long-run variance to speak of.
INTEGRATED = 1e-6
#: The optimiser's default of 100 iterations does not suffice a flat likelihood.
_ENOUGH = {"maxiter": 2000}
#: SLSQP's "positive directional derivative for linesearch".
_NO_WAY_UP = 8
#: Fewer observations do not tell a variance's persistence from its level.
FEWEST = 100

#: An estimate nearer to the end of its range than this is reported as being there.
_AT_BOUND = 1e-6


#: Alpha, beta and degrees of freedom to start from again: smooth, usual and rough volatilities.
_STARTS = ((0.03, 0.95, 8.0), (0.1, 0.85, 6.0), (0.2, 0.7, 5.0), (0.4, 0.5, 4.5))


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


def _scale_of(deviation: float) -> float:
    """100 (percent), or the power of ten that brings unusual returns to the same size."""
    return 100.0 if 1e-3 <= deviation <= 0.3 else 10.0 ** math.ceil(-math.log10(deviation))


def _fit_one(
    asset: str, returns: Floats, deviation: float, asymmetry: bool, innovations: str, mean: str
) -> dict[str, Any]:
    """The fit of one asset, in the units of its returns."""
    from arch import arch_model

    scale = _scale_of(deviation)
    scaled = arch_model(
        np.ascontiguousarray(returns) * scale,
        mean=MEANS[mean],
        vol="GARCH",
        p=1,
        o=int(asymmetry),
        q=1,
        dist=INNOVATIONS[innovations],
        rescale=False,
    )
    found, restarts = _converged(scaled, asset, (deviation * scale) ** 2)
    units = {"mu": scale, "omega": scale * scale}
    names = {
        "mu": "mean",
        "omega": "omega",
        "alpha[1]": "alpha",
        "gamma[1]": "gamma",
        "beta[1]": "beta",
        "nu": "degrees_of_freedom",
        "eta": "degrees_of_freedom",
        "lambda": "skewness",
    }
    estimates = {"mean": 0.0, "gamma": 0.0}
    errors: dict[str, float | None] = {}
    for name, value, error in zip(found.params.index, found.params, found.std_err, strict=True):
        estimates[names[name]] = float(value) / units.get(name, 1.0)
        errors[names[name]] = float(error) / units.get(name, 1.0) if math.isfinite(error) else None
    # the optimiser keeps its bounds to rounding only
    estimates["alpha"] = max(estimates["alpha"], 0.0)
    estimates["gamma"] = max(estimates["gamma"], -estimates["alpha"])
    estimates["beta"] = max(estimates["beta"], 0.0)
    residuals = np.asarray(found.resid) / scale
    conditional = (np.asarray(found.conditional_volatility) / scale) ** 2
    return {
        "estimates": estimates,
        "standard_errors": errors,
        "at_bound": _at_bound(estimates),
        "log_likelihood": float(found.loglikelihood) + len(returns) * math.log(scale),
        "iterations": int(found.optimization_result.nit),
        "restarts": restarts,
        "scale": scale,
        "variance": _next_variance(estimates, float(residuals[-1]), float(conditional[-1])),
        "residuals": residuals / np.sqrt(conditional),
    }


def _converged(model: Any, asset: str, variance: float) -> tuple[Any, int]:
    """The first fit that converges, from arch's own starting values and then from those of ``_STARTS``.

    Where the best estimate lies between bounds, the optimiser may end there without a way up and not call it converged,
    which depends on the last bits. The best such end of all starts is taken then.
    """
    found, starts = model.fit(disp="off", show_warning=False, options=_ENOUGH), list(_STARTS)
    ends = []
    while found.convergence_flag != 0 or not np.all(np.isfinite(found.params)):
        if found.convergence_flag == _NO_WAY_UP and np.all(np.isfinite(found.params)):
            ends.append(found)
        if not starts:
            if ends:
                return max(ends, key=lambda end: float(end.loglikelihood)), len(_STARTS)
            message = found.optimization_result.message
            raise InputError(f"log_return: the GARCH fit of {asset!r} did not converge ({message}); try another window")
        alpha, beta, degrees = starts.pop(0)
        known = {"omega": variance * (1.0 - alpha - beta), "alpha[1]": alpha, "beta[1]": beta}
        known |= {"nu": degrees, "eta": degrees}
        start = np.array([known.get(name, 0.0) for name in found.params.index])
        found = model.fit(disp="off", show_warning=False, starting_values=start, options=_ENOUGH)
    return found, len(_STARTS) - len(starts)


def _next_variance(estimates: dict[str, float], residual: float, variance: float) -> float:
    weight = estimates["alpha"] + (estimates["gamma"] if residual < 0.0 else 0.0)
    return estimates["omega"] + weight * residual * residual + estimates["beta"] * variance


def _at_bound(estimates: dict[str, float]) -> list[str]:
    """The estimates at the end of their range, where standard errors mean little."""
    alpha, gamma, beta = estimates["alpha"], estimates["gamma"], estimates["beta"]
    distances = {"alpha": alpha, "beta": beta, "persistence": 1.0 - alpha - gamma / 2.0 - beta}
    if gamma != 0.0:
        distances["alpha + gamma"] = alpha + gamma
    return [name for name, distance in distances.items() if distance <= _AT_BOUND]
