"""How jump diffusions are fitted: maximum likelihood asset by asset, days of common jumps, correlation of diffusions.

A model brings the likelihood of one asset's standardised daily log returns and a function that makes the parameters of
common jumps from the returns on their days (:mod:`riskops.models.jump_likelihood`); everything else is here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import xarray as xr

from riskops.checks import check_one_of, check_positive
from riskops.errors import InputError
from riskops.models.calibration import Calibration
from riskops.models.factor_option import Factors, check_correlation_options, estimate_correlation, plain_factors
from riskops.models.jump_likelihood import CommonJumps, JumpLikelihood
from riskops.models.jumps import JumpDiffusion, check_intensity
from riskops.models.parameters import drift_of
from riskops.models.sample import Sample, sample_log_returns
from riskops.threads import pinned_threads

__all__ = ["OwnJumps", "calibrate_jumps", "maximise"]

Floats = npt.NDArray[np.float64]
M = TypeVar("M", bound=JumpDiffusion)

#: A likelihood of five or six parameters asks for this much.
FEWEST_OBSERVATIONS = 100
FEWEST_COMMON_DAYS = 5

#: Own and common jumps a year unless told otherwise, for two assets or more. Frequent own jumps, which the likelihood
#: prefers where volatility changes over time, would leave the assets all but independent: see the notes of ``fit``.
LARGEST_INTENSITY = 6.0
COMMON_INTENSITY = 8.0

#: The largest slope of the average log likelihood, a unit of a parameter, that counts as a maximum.
_FLAT = 1e-4


@dataclass(frozen=True)
class OwnJumps:
    """What the maximum of one asset's likelihood gives: parameters a year, their errors, the filtered diffusion."""

    parameters: Floats
    errors: list[float | None]
    diffusion: Floats
    diffusion_variance: float
    log_likelihood: float
    at_bounds: list[str]
    iterations: int


def maximise(
    asset: str, values: Floats, likelihood: type[JumpLikelihood], *, largest: float, days_per_year: float
) -> OwnJumps:
    """Maximise one asset's likelihood over its bounds from every start (L-BFGS-B), and keep the highest maximum.

    Raises
    ------
    InputError
        When no start ends in a maximum.
    """
    from scipy.optimize import minimize

    deviation = float(values.std(ddof=1))
    model = likelihood((values - values.mean()) / deviation, largest)
    bounds = model.bounds()
    low, high = np.array(bounds).T

    def objective(theta: Floats) -> tuple[float, Floats]:
        density, gradient, _ = model.log_density(theta)
        return -float(np.mean(density)), -gradient

    best, iterations = None, 0
    for start in model.starts():
        found = minimize(
            objective,
            np.clip(start, low, high),
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": 500, "ftol": 1e-13, "gtol": 1e-7},
        )
        iterations += int(found.nit)
        slope = np.where(found.x <= low, np.minimum(found.jac, 0.0), found.jac)
        slope = np.where(found.x >= high, np.maximum(slope, 0.0), slope)
        if np.abs(slope).max() < _FLAT and (best is None or found.fun < best.fun):
            best = found
    if best is None:
        raise InputError(f"log_return: no maximum of the likelihood was found for {asset!r} from any start")
    theta = np.asarray(best.x, dtype=np.float64)
    density, _, slope = model.log_density(theta)
    free = (theta > low + 1e-9) & (theta < high - 1e-9)
    variance = float(np.exp(2.0 * theta[1]))
    return OwnJumps(
        parameters=model.natural(theta, deviation, days_per_year),
        errors=_standard_errors(model, objective, theta, free, deviation, days_per_year),
        diffusion=-variance * slope * deviation,
        diffusion_variance=variance * deviation**2,
        log_likelihood=float(np.sum(density)) - len(values) * float(np.log(deviation)),
        at_bounds=[label for label, inside in zip(model.labels, free, strict=True) if not inside],
        iterations=iterations,
    )


def _standard_errors(
    model: JumpLikelihood,
    objective: Callable[[Floats], tuple[float, Floats]],
    theta: Floats,
    free: npt.NDArray[np.bool_],
    deviation: float,
    days_per_year: float,
) -> list[float | None]:
    """From the observed information of what is not at a bound, by the delta method; none where it is not known."""
    step, n = 1e-4, len(model.x)
    inside = np.flatnonzero(free)
    shifts = step * np.eye(len(theta))[inside]
    information = np.array([objective(theta + s)[1] - objective(theta - s)[1] for s in shifts])[:, inside] * n / step
    information = (information + information.T) / 4.0
    jacobian = np.array(
        [
            model.natural(theta + s, deviation, days_per_year) - model.natural(theta - s, deviation, days_per_year)
            for s in step * np.eye(len(theta))
        ]
    ) / (2.0 * step)
    if np.linalg.eigvalsh(information)[0] <= 0.0:
        return [None] * len(model.names)
    covariance = np.linalg.inv(information)
    errors = np.sqrt(np.einsum("ip,ij,jp->p", jacobian[inside], covariance, jacobian[inside]))
    moved_by_bound = np.any(jacobian[~free] != 0.0, axis=0)
    return [None if unknown else float(e) for e, unknown in zip(errors, moved_by_bound, strict=True)]


def calibrate_jumps(
    cls: type[M],
    returns: xr.Dataset,
    *,
    likelihood: type[JumpLikelihood],
    common_jumps: CommonJumps,
    days_per_year: float,
    drift: str | Mapping[str, float],
    window: int | None,
    largest_intensity: float | None,
    common_intensity: float | None,
    correlation: str,
    nearest_correlation: bool,
    factors: Factors,
) -> Calibration[M]:
    """Fit a jump diffusion as :meth:`riskops.models.jumps.JumpDiffusion.fit` says, with a report."""
    check_positive("days_per_year", days_per_year)
    check_one_of("correlation", correlation, ("diffusion", "total"))
    if common_intensity is not None:
        check_intensity("common_intensity", common_intensity)
    sample = sample_log_returns(returns, window=window)
    taken: dict[str, Any] = {"assets": sample.assets, "nearest": nearest_correlation, "factors": factors}
    check_correlation_options(**taken)
    if sample.observations < FEWEST_OBSERVATIONS:
        raise InputError(
            f"log_return: {sample.observations} observations are too few for jumps; {FEWEST_OBSERVATIONS} are needed"
        )
    together = len(sample.assets) > 1
    largest = LARGEST_INTENSITY if together else days_per_year
    if largest_intensity is not None:
        largest = check_positive("largest_intensity", largest_intensity)
    if common_intensity is None:
        common, left_out = COMMON_INTENSITY if together else 0.0, " (the default)"
    else:
        common, left_out = float(common_intensity), ""
    smallest = days_per_year / sample.observations
    if not smallest <= largest <= days_per_year:
        raise InputError(
            f"largest_intensity: {largest!r} is not between {smallest:.4g}, one jump in the window, and "
            f"{days_per_year!r}, one a day"
        )
    sample.volatility()  # names an asset whose returns do not vary
    days, direction = _common_days(sample, common, days_per_year, left_out)
    ordinary = np.delete(sample.values, days, axis=0)
    with pinned_threads():
        fits = [
            maximise(asset, ordinary[:, a], likelihood, largest=largest / days_per_year, days_per_year=days_per_year)
            for a, asset in enumerate(sample.assets)
        ]
        parameters: dict[str, Any] = {
            name: np.array([fit.parameters[k] for fit in fits]) for k, name in enumerate(likelihood.names)
        }
        found_correlation, how = estimate_correlation(_diffusion_correlation(fits), **taken)
        model = cls(sample.assets, np.zeros(len(fits)), correlation=found_correlation, **parameters)
        if len(days):
            usual = model.covariance_log_growth(1.0 / days_per_year)
            found = common_jumps(sample.values[days] - ordinary.mean(axis=0), direction, usual)
            intensity = len(days) / sample.observations * days_per_year
            model = replace(model, **{"common_intensity": intensity, **found})
        if correlation == "total":
            matrix = _total_correlation(model, sample, days_per_year)
            found_correlation, how = estimate_correlation(matrix, **taken)
            model = replace(model, correlation=found_correlation)
    compensation = -model.mean_log_growth(1.0)  # its drift is zero so far
    model = replace(model, drift=drift_of(drift, sample, half_variance=compensation, days_per_year=days_per_year))
    options = {
        "drift": drift if isinstance(drift, str) else {str(k): float(v) for k, v in drift.items()},
        "window": window,
        "largest_intensity": None if largest_intensity is None else float(largest_intensity),
        "common_intensity": None if common_intensity is None else float(common_intensity),
        "correlation": correlation,
        "nearest_correlation": nearest_correlation,
        "factors": plain_factors(factors),
    }
    report = {
        **sample.window_report(days_per_year),
        "options": options,
        **how,
        "largest_intensity": largest,
        "common_intensity": common,
        "common_days": _dates(returns, sample, days),
        **_report_of_assets(sample.assets, fits, likelihood, ordinary),
        "average_correlation": {
            "sample": _average(sample.covariance),
            "model": _average(model.covariance_log_growth(1.0)),
        },
        "equal_weight_deviation": _equal_weight_deviation(
            sample.covariance, model.covariance_log_growth(1.0 / days_per_year)
        ),
    }
    return Calibration(model, report)


def _report_of_assets(
    assets: Sequence[str], fits: Sequence[OwnJumps], likelihood: type[JumpLikelihood], ordinary: Floats
) -> dict[str, Any]:
    normal = -0.5 * len(ordinary) * (np.log(2.0 * np.pi * ordinary.var(axis=0)) + 1.0)
    return {
        "log_likelihood": {a: fit.log_likelihood for a, fit in zip(assets, fits, strict=True)},
        "log_likelihood_without_jumps": dict(zip(assets, normal.tolist(), strict=True)),
        "standard_errors": {
            name: {a: fit.errors[k] for a, fit in zip(assets, fits, strict=True)}
            for k, name in enumerate(likelihood.names)
        },
        "at_bounds": {a: fit.at_bounds for a, fit in zip(assets, fits, strict=True) if fit.at_bounds},
        "filtered_variance": {
            a: float(fit.diffusion.var()) / fit.diffusion_variance for a, fit in zip(assets, fits, strict=True)
        },
        "iterations": {a: fit.iterations for a, fit in zip(assets, fits, strict=True)},
    }


def _common_days(
    sample: Sample, common_intensity: float, days_per_year: float, left_out: str
) -> tuple[npt.NDArray[np.int64], Floats]:
    """The days on which the median of the standardised returns was furthest from zero, and that median."""
    if common_intensity == 0.0:
        return np.empty(0, dtype=np.int64), np.empty(0)
    if len(sample.assets) < 2:
        raise InputError(f"common_intensity: {common_intensity!r} needs two assets or more; there is one")
    count = round(common_intensity * sample.observations / days_per_year)
    if count < FEWEST_COMMON_DAYS or sample.observations - count < FEWEST_OBSERVATIONS:
        raise InputError(
            f"common_intensity: {common_intensity!r} a year{left_out} makes {count} days of the window's "
            f"{sample.observations}; at least {FEWEST_COMMON_DAYS} are needed, and {FEWEST_OBSERVATIONS} must be left"
        )
    median = np.median((sample.values - sample.mean) / sample.volatility(), axis=1)
    days = np.sort(np.argsort(-np.abs(median), kind="stable")[:count])
    return days, median[days]


def _dates(returns: xr.Dataset, sample: Sample, days: npt.NDArray[np.int64]) -> list[str]:
    table = returns["log_return"]
    if "observation" not in table.coords:
        return [str(day) for day in days.tolist()]
    dates = table["observation"].values[-sample.observations :][days]
    return [str(d.astype("datetime64[D]")) if isinstance(d, np.datetime64) else str(d) for d in dates]


def _diffusion_correlation(fits: Sequence[OwnJumps]) -> Floats:
    """The correlation of the filtered diffusions, which is positive definite where the sample's is.

    For diffusions with correlation ``r`` and independent jumps, the covariance of two filtered ones is ``r v_a v_b /
    (sigma_a sigma_b)`` to first order in ``r``, ``v`` being the variance of a filtered one. Dividing that out was
    tried: market returns, whose jumps are not independent, come out with correlations above one.
    """
    matrix = np.atleast_2d(np.corrcoef(np.array([fit.diffusion for fit in fits])))
    matrix = (matrix + matrix.T) / 2.0
    np.fill_diagonal(matrix, 1.0)
    return matrix


def _total_correlation(model: JumpDiffusion, sample: Sample, days_per_year: float) -> Floats:
    """The correlation of the diffusions that leaves the covariance of every two assets as the sample has it."""
    alone = replace(model, correlation=np.eye(len(model.assets))).covariance_log_growth(1.0)
    scale = model.volatility[:, None] * model.volatility[None, :]
    matrix = (sample.covariance * days_per_year - alone) / scale
    matrix = (matrix + matrix.T) / 2.0
    np.fill_diagonal(matrix, 1.0)
    return matrix


def _equal_weight_deviation(sample: Floats, model: Floats) -> dict[str, float]:
    """The daily deviation of the average log return of all assets in the sample and in the model, and the second over
    the first: below one, the model understates the risk of a portfolio of them."""
    sample_deviation, model_deviation = (float(np.sqrt(np.mean(covariance))) for covariance in (sample, model))
    return {
        "sample": sample_deviation,
        "model": model_deviation,
        "model_over_sample": model_deviation / sample_deviation,
    }


def _average(covariance: Floats) -> float | None:
    """The average correlation of two different assets."""
    deviation = np.sqrt(np.diagonal(covariance))
    pairs = np.tril_indices(len(covariance), -1)
    return float(np.mean((covariance / (deviation[:, None] * deviation[None, :]))[pairs])) if len(pairs[0]) else None
