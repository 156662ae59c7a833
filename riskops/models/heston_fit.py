"""Heston's parameters from daily returns: an assumed-density filter of the variance, and its likelihood maximised.

The variance given the returns so far is taken as gamma with the filtered mean and variance, as its stationary law is. A
day's return updates it by its normal density given the variance at the day's start, in a sum over evenly spaced places
of the log variance; the conditional moments of the square-root process, moved by what leverage makes of the return,
then carry it to the next day.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from numba import njit

from riskops.checks import check_number, check_one_of, check_positive, check_subset
from riskops.errors import InputError
from riskops.models.correlation import nearest_correlation as find_nearest_correlation
from riskops.models.parameters import drift_of
from riskops.models.sample import Sample, sample_log_returns
from riskops.scalar import exp, expm1, fma, log, sqrt
from riskops.threads import pinned_threads

__all__ = ["Given", "estimate", "filter_variance"]

Floats = npt.NDArray[np.float64]
Given = float | Mapping[str, float] | None

#: Fewer say nothing about how a variance moves.
FEWEST = 250
#: Where the search ends: half-lives of the variance from 0.7 days to 7 years, and what is far beyond any market.
BOUNDS = {"mean_reversion": (0.1, 250.0), "volatility_of_variance": (0.01, 20.0), "leverage": (-0.98, 0.98)}
SEARCHED = tuple(BOUNDS)
PARAMETERS = ("initial_variance", "mean_reversion", "long_run_variance", "volatility_of_variance", "leverage")
#: The filtered mean is kept above this share of the long-run variance.
FLOOR = 1e-4
#: A filtered deviation above ``1 / sqrt`` of this times the mean is taken as that: only far corners of the search.
SMALLEST_SHAPE = 0.05
#: Places of the log variance that the filter sums over, in deviations: a gamma's lower tail is the longer one.
_PLACES = np.linspace(-12.0, 8.0, 64)


@njit(cache=True, nogil=True, error_model="numpy")
def _filter(returns, kappa, theta, sigma, rho, years, places, out):  # type: ignore[no-untyped-def]
    """Fill ``out`` with the log density of each return, then the mean and variance of the variance before it; the last
    row holds those after the last return."""
    size = places.shape[0]
    decay = exp(-kappa * years)
    reach = 1.0 - decay
    slope = sigma * sigma * decay * reach / kappa
    level = 0.5 * theta * sigma * sigma * reach * reach / kappa
    pull = rho * sigma * reach / (kappa * years)
    rest = fma(-rho, rho, 1.0)
    constant = log(sqrt(6.283185307179586 * years))
    mean, variance = theta, theta * sigma * sigma / (2.0 * kappa)
    values, priors, likelihoods = np.empty(size), np.empty(size), np.empty(size)
    for t in range(returns.shape[0]):
        out[t, 1], out[t, 2] = mean, variance
        shape = mean * mean / variance
        shape = shape if shape > SMALLEST_SHAPE else SMALLEST_SHAPE
        unit = sqrt((1.0 + 1.0 / shape) / shape)  # the deviation of the logarithm, nearly
        centre = log(mean)
        for j in range(size):
            grown = expm1(unit * places[j])
            values[j] = fma(mean, grown, mean)
            surprise = fma(0.5 * years, values[j] - theta, returns[t])
            priors[j] = exp(shape * fma(unit, places[j], -grown))
            likelihoods[j] = -0.5 * fma(surprise / years, surprise / values[j], fma(unit, places[j], centre))
        highest = -np.inf
        for j in range(size):
            # where the prior is nothing, so is the posterior, and its likelihood must not set the scale
            highest = max(highest, likelihoods[j] if priors[j] > 0.0 else -np.inf)
        total, weight, first, second = 0.0, 0.0, 0.0, 0.0
        for j in range(size):
            chance = priors[j] * exp(min(likelihoods[j] - highest, 0.0))
            surprise = fma(0.5 * years, values[j] - theta, returns[t])
            ahead = fma(pull, surprise, fma(decay, values[j] - theta, theta))
            spread = rest * fma(slope, values[j], level)
            total += priors[j]
            weight += chance
            first = fma(chance, ahead, first)
            second = fma(chance, fma(ahead, ahead, spread), second)
        out[t, 0] = highest + log(weight / total) - constant
        floor, least = FLOOR * theta, FLOOR * FLOOR * theta * theta
        mean = first / weight
        variance = fma(-mean, mean, second / weight)
        mean = mean if mean > floor else floor
        variance = variance if variance > least else least
    out[returns.shape[0], 1], out[returns.shape[0], 2] = mean, variance


def filter_variance(
    returns: Floats, *, kappa: float, theta: float, sigma: float, rho: float, days_per_year: float = 252.0
) -> Floats:
    """Filter the variance of one asset from its daily log returns less their mean.

    Returns
    -------
    ``(observation + 1, 3)``: log density of each return given those before it, mean and variance of the yearly variance
    at the start of its day. The last row has the mean and variance after the last return, and a log density of zero.
    """
    out = np.zeros((len(returns) + 1, 3))
    _filter(returns, kappa, theta, sigma, rho, 1.0 / days_per_year, _PLACES, out)
    return out


class _Asset(NamedTuple):
    """What was estimated for one asset: parameters by name, filtered variances, and the lines of the report."""

    parameters: dict[str, float]
    filtered: Floats
    report: dict[str, Any]


def estimate(
    returns: xr.Dataset,
    *,
    days_per_year: float,
    drift: str | Mapping[str, float],
    window: int | None,
    given: Mapping[str, Given],
    variance_correlation: str,
    nearest_correlation: bool,
) -> tuple[tuple[str, ...], dict[str, Floats], dict[str, Any]]:
    """Estimate all parameters: the assets, the parameters by name and the report; see :meth:`Heston.fit`."""
    check_positive("days_per_year", days_per_year)
    check_one_of("variance_correlation", variance_correlation, ("returns", "independent"))
    if not isinstance(nearest_correlation, bool):
        raise InputError(f"nearest_correlation: {nearest_correlation!r} is not true or false")
    sample = sample_log_returns(returns, window=window)
    fixed = {name: _given(name, given[name], sample.assets) for name in PARAMETERS}
    if sample.observations < FEWEST:
        raise InputError(f"log_return: {sample.observations} observations are too few; heston needs at least {FEWEST}")
    variance = sample.volatility() ** 2 * days_per_year
    with pinned_threads():
        fitted = [
            _estimate_asset(
                asset,
                sample.values[:, a] - sample.mean[a],
                float(variance[a]),
                {name: values[asset] for name, values in fixed.items() if asset in values},
                days_per_year,
            )
            for a, asset in enumerate(sample.assets)
        ]
        correlation = _standardised_correlation(sample, [f.filtered for f in fitted])
        repair: dict[str, Any] | None = None
        if nearest_correlation:
            correlation, repair = find_nearest_correlation(correlation)
    parameters = {name: np.array([f.parameters[name] for f in fitted]) for name in PARAMETERS}
    half = 0.5 * parameters["long_run_variance"]
    parameters["drift"] = drift_of(drift, sample, half_variance=half, days_per_year=days_per_year)
    parameters["correlation"] = correlation
    parameters["variance_correlation"] = correlation if variance_correlation == "returns" else np.eye(len(fitted))
    options = {
        "drift": drift if isinstance(drift, str) else {str(k): float(v) for k, v in drift.items()},
        "window": window,
        **{name: value if not isinstance(value, Mapping) else dict(value) for name, value in given.items()},
        "variance_correlation": variance_correlation,
        "nearest_correlation": nearest_correlation,
    }
    report = {
        **sample.window_report(days_per_year),
        "options": options,
        "method": "quasi maximum likelihood, gamma assumed-density filter, long-run variance of the sample",
        "log_likelihood": math.fsum(f.report["log_likelihood"] for f in fitted),
        "assets": {asset: f.report for asset, f in zip(sample.assets, fitted, strict=True)},
        "nearest_correlation": repair,
    }
    return sample.assets, parameters, report


def _given(name: str, value: Given, assets: tuple[str, ...]) -> dict[str, float]:
    """The values of an option by asset: for all, for some, or for none of them."""
    if value is None:
        return {}
    if isinstance(value, Mapping):
        check_subset(name, value, assets)
    values = dict(value) if isinstance(value, Mapping) else dict.fromkeys(assets, value)
    for asset, number in values.items():
        if name != "leverage":
            check_positive(f"{name} of {asset!r}", number)
        elif not -1.0 < check_number(f"{name} of {asset!r}", number) < 1.0:
            raise InputError(f"{name} of {asset!r}: {number!r} is not a correlation between -1 and 1")
    return {asset: float(number) for asset, number in values.items()}


def _estimate_asset(
    asset: str, returns: Floats, sample_variance: float, given: Mapping[str, float], days_per_year: float
) -> _Asset:
    known = {"long_run_variance": sample_variance, **given}
    theta = known["long_run_variance"]
    free = [name for name in SEARCHED if name not in given]

    def densities(values: Mapping[str, float]) -> Floats:
        return filter_variance(
            returns,
            kappa=values["mean_reversion"],
            theta=values["long_run_variance"],
            sigma=values["volatility_of_variance"],
            rho=values["leverage"],
            days_per_year=days_per_year,
        )

    calls = 0

    def badness(place: Floats) -> float:
        nonlocal calls
        calls += 1
        return -float(np.mean(densities({**known, **_values(free, place)})[:-1, 0]))

    found, method = _search(asset, badness, free, known, theta)
    values = {**known, **_values(free, found)}
    filtered = densities(values)
    values.setdefault("initial_variance", float(filtered[-1, 1]))
    errors = _standard_errors(densities, values, free, returns * returns * days_per_year, "long_run_variance" in given)
    at_bounds = [name for name in free if _at_bound(name, values[name])]
    ratio = 2.0 * values["mean_reversion"] * theta / values["volatility_of_variance"] ** 2
    deviation = math.sqrt(float(filtered[-1, 2]))
    report = {
        "estimates": {name: values[name] for name in PARAMETERS},
        "standard_errors": {name: errors.get(name) for name in (*SEARCHED, "long_run_variance")},
        "initial_variance_error": deviation if "initial_variance" not in given else None,
        "given": sorted(given),
        "at_bounds": at_bounds,
        "half_life_days": math.log(2.0) / values["mean_reversion"] * days_per_year,
        "feller_ratio": ratio,
        "feller": ratio >= 1.0,
        "log_likelihood": float(math.fsum(filtered[:-1, 0])),
        "constant_variance_log_likelihood": _constant(returns, days_per_year),
        "search": method,
        "evaluations": calls,
    }
    return _Asset(values, filtered, report)


def _constant(returns: Floats, days_per_year: float) -> float:
    """The likelihood of normal returns of one variance, to hold the model's against."""
    variance = math.fsum(returns * returns) / len(returns)
    return -0.5 * len(returns) * (math.log(2.0 * math.pi * variance) + 1.0)


def _values(names: list[str], place: Floats) -> dict[str, float]:
    """Parameters at a place of the search: logarithms, and the inverse hyperbolic tangent of leverage."""
    return {n: math.tanh(x) if n == "leverage" else math.exp(x) for n, x in zip(names, place.tolist(), strict=True)}


def _place(name: str, value: float) -> float:
    return math.atanh(value) if name == "leverage" else math.log(value)


def _at_bound(name: str, value: float) -> bool:
    place, (low, high) = _place(name, value), BOUNDS[name]
    return min(place - _place(name, low), _place(name, high) - place) < 1e-3


def _search(
    asset: str, badness: Callable[[Floats], float], free: list[str], known: Mapping[str, float], theta: float
) -> tuple[Floats, str]:
    """The place of the largest likelihood: the best of a grid, then a bounded search from there; and how."""
    from scipy.optimize import minimize

    if not free:
        return np.empty(0), "none"
    starts = []
    for kappa in (1.5, 5.0, 20.0, 60.0):
        for relative in (0.4, 0.9):  # the stationary deviation of the variance over its mean
            for rho in (-0.6, -0.1):
                speed = known.get("mean_reversion", kappa)
                sigma = relative * math.sqrt(2.0 * speed * theta)
                start = {"mean_reversion": speed, "volatility_of_variance": sigma, "leverage": rho}
                starts.append(np.array([_place(name, float(np.clip(start[name], *BOUNDS[name]))) for name in free]))
    best = min(starts, key=badness)
    bounds = [(_place(name, BOUNDS[name][0]), _place(name, BOUNDS[name][1])) for name in free]
    result = minimize(
        badness,
        best,
        jac="3-point",
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": 500, "ftol": 1e-12, "gtol": 1e-6},
    )
    method = "L-BFGS-B"
    if not result.success:  # differences of a flat likelihood may give a line search no way down
        result = minimize(
            badness,
            np.asarray(result.x),
            method="Nelder-Mead",
            bounds=bounds,
            options={"maxiter": 2000, "xatol": 1e-5, "fatol": 1e-10},
        )
        method = "L-BFGS-B, then Nelder-Mead"
    if not result.success:
        raise InputError(
            f"log_return: the likelihood of heston for {asset!r} was not maximised ({result.message}); "
            "take a longer window, or give mean_reversion"
        )
    return np.asarray(result.x), method


def _standard_errors(
    densities: Any, values: Mapping[str, float], free: list[str], squares: Floats, theta_given: bool
) -> dict[str, float | None]:
    """Standard errors of what was estimated, by stacking the moment of the long-run variance on the likelihood's.

    Newey and McFadden (1994), *Large sample estimation and hypothesis testing*: ``G^-1 S G^-T / n`` with ``G`` the
    derivatives of the mean moments and ``S`` their long-run covariance (Bartlett kernel, ``1.3 sqrt(n)`` lags). A
    parameter on its bound has none, nor has any where the curvature is not that of a maximum.
    """
    free = [name for name in free if not _at_bound(name, values[name])]
    names = free if theta_given else ["long_run_variance", *free]
    steps = {n: 1e-3 * max(abs(values[n]), 0.1 if n == "leverage" else 0.0) for n in names}

    def at(**moves: float) -> Floats:
        moved = {n: v + steps[n] * moves.get(n, 0.0) for n, v in values.items() if n in steps}
        table: Floats = densities({**values, **moved})[:-1, 0]
        return table

    count = len(squares)
    moments = np.zeros((count, len(names)))
    slopes = np.zeros((len(names), len(names)))
    for i, name in enumerate(names):
        if name == "long_run_variance":
            moments[:, i], slopes[i, i] = squares - values[name], -1.0
            continue
        moments[:, i] = (at(**{name: 1.0}) - at(**{name: -1.0})) / (2.0 * steps[name])
        for j, other in enumerate(names):
            if other == name:
                curve = at(**{name: 1.0}) - 2.0 * at() + at(**{name: -1.0})
                slopes[i, i] = np.mean(curve) / steps[name] ** 2
            else:
                crossed = [s * q * at(**{name: s, other: q}) for s in (1.0, -1.0) for q in (1.0, -1.0)]
                slopes[i, j] = np.mean(sum(crossed)) / (4.0 * steps[name] * steps[other])
    likelihood = slopes[-len(free) :, -len(free) :] if free else np.empty((0, 0))
    if free and np.max(np.linalg.eigvalsh(0.5 * (likelihood + likelihood.T))) >= 0.0:
        return {}
    if not names:
        return {}
    moments = moments - moments.mean(axis=0)
    lags = int(1.3 * math.sqrt(count))
    covariance = moments.T @ moments / count
    for lag in range(1, lags + 1):
        product = moments[lag:].T @ moments[:-lag] / count
        covariance += (1.0 - lag / (lags + 1.0)) * (product + product.T)
    inverse = np.linalg.inv(slopes)
    errors = np.sqrt(np.diagonal(inverse @ covariance @ inverse.T) / count)
    return dict(zip(names, errors.tolist(), strict=True))


def _standardised_correlation(sample: Sample, filtered: list[Floats]) -> Floats:
    """Correlation of returns over the roots of their filtered variances, products summed exactly."""
    deviations = np.stack([np.sqrt(table[:-1, 1]) for table in filtered], axis=1)
    scaled = (sample.values - sample.mean) / deviations
    size = scaled.shape[1]
    scaled = scaled - np.array([math.fsum(column) / len(scaled) for column in scaled.T])
    moments = np.array([[math.fsum(scaled[:, a] * scaled[:, b]) for b in range(size)] for a in range(size)])
    root = np.sqrt(np.diagonal(moments))
    matrix: Floats = moments / (root[:, None] * root[None, :])
    np.fill_diagonal(matrix, 1.0)
    return matrix
