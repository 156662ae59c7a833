"""Expectation maximisation for normal returns whose moments follow a hidden Markov chain.

Baum, Petrie, Soules and Weiss (1970); Hamilton (1990), J. Econometrics 45. The law of the first regime is free, which
makes every step of the maximisation exact: the likelihood never falls. It has several maxima, so the climb begins at
several places that depend on the returns alone, and it is unbounded where a regime shrinks to a few days, so such a
climb is given up.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from riskops.errors import InputError
from riskops.models.markov_chain import expected_duration, stationary_distribution
from riskops.models.regime_filter import cholesky_factors, infer, log_densities, weighted_moments
from riskops.models.regime_standard_errors import standard_errors
from riskops.models.sample import Sample

__all__ = ["SPARE_OBSERVATIONS", "RegimeFit", "describe", "fit_regimes"]

Floats = npt.NDArray[np.float64]

#: A regime needs as many expected observations as there are assets, which make its covariance regular, and these.
SPARE_OBSERVATIONS = 10

#: What a climb may still gain in log-likelihood when the starts are compared.
_COARSE = 1e-2

#: Days over which the starts average squared returns.
_WINDOWS = (5, 21, 63)


class RegimeFit(NamedTuple):
    """The maximum: regimes in ascending volatility, means and covariances a day."""

    means: Floats
    covariances: Floats
    transition: Floats
    first: Floats
    last: Floats
    occupancy: Floats
    log_likelihood: float
    iterations: int
    starts: list[dict[str, Any]]

    def deviations_and_correlations(self) -> tuple[Floats, Floats]:
        """Standard deviations a day ``(regime, asset)`` and correlations ``(regime, asset, asset)``."""
        deviation = np.sqrt(np.diagonal(self.covariances, axis1=1, axis2=2))
        correlation = self.covariances / (deviation[:, :, None] * deviation[:, None, :])
        for matrix in correlation:
            np.fill_diagonal(matrix, 1.0)
        return deviation, correlation


class _Parameters(NamedTuple):
    means: Floats
    covariances: Floats
    lowers: Floats
    transition: Floats
    first: Floats


class _Climb(NamedTuple):
    """Where a climb came to: its parameters, or why it was given up."""

    parameters: _Parameters
    log_likelihood: float
    iterations: int
    gain: float
    converged: bool
    refused: str | None


def fit_regimes(sample: Sample, regimes: int, common_mean: bool, *, max_iterations: int, tolerance: float) -> RegimeFit:
    """Maximise the likelihood of the sample over means, covariances, transition matrix and law of the first regime.

    Parameters
    ----------
    sample
        The returns.
    regimes
        How many regimes.
    common_mean
        Whether all regimes have the same mean.
    max_iterations
        Iterations of a climb at most.
    tolerance
        What the log-likelihood may still gain, by Aitken's extrapolation of its last gains.

    Returns
    -------
    RegimeFit
        The best of all climbs.

    Raises
    ------
    InputError
        When there are too few observations, every climb was given up, or the best one does not converge.
    """
    assets = len(sample.assets)
    needed = assets + SPARE_OBSERVATIONS
    if sample.observations < regimes * needed:
        raise InputError(
            f"window: {sample.observations} observations are too few for {regimes} regimes of {assets} assets; "
            f"at least {regimes * needed} are needed"
        )
    scale = sample.volatility()
    values = (sample.values - sample.mean) / scale
    climbs: list[tuple[str, _Climb]] = []
    for name, weights in _starts(values, regimes):
        begin = _from_weights(values, weights, common_mean=common_mean)
        climbs.append((name, _climb(values, begin, common_mean, needed, max_iterations, max(tolerance, _COARSE))))
    starts = [
        {"start": name, "log_likelihood": None if c.refused else _unscaled(c, scale, values), "refused": c.refused}
        for name, c in climbs
    ]
    usable = sorted((c for _, c in climbs if not c.refused), key=lambda c: -c.log_likelihood)
    for coarse in usable:
        best = _climb(values, coarse.parameters, common_mean, needed, max_iterations, tolerance)
        if best.refused:
            continue
        if not best.converged:
            raise InputError(
                f"max_iterations: {max_iterations} iterations are too few, the log-likelihood still gains "
                f"{best.gain:.2g} in one; allow more of them or fit fewer regimes than {regimes}"
            )
        return _finish(sample, scale, values, best, coarse.iterations, starts)
    raise InputError(
        f"regimes: {regimes} do not show in these returns, every climb ended in {_reasons(climbs)}; "
        f"fit fewer regimes or a longer window than {sample.observations} observations"
    )


def _reasons(climbs: list[tuple[str, _Climb]]) -> str:
    return " or ".join(sorted({c.refused or "a regime that vanished" for _, c in climbs}))


def _unscaled(climb: _Climb, scale: Floats, values: Floats) -> float:
    """The log-likelihood of the returns themselves: they were divided by their deviations."""
    return climb.log_likelihood - len(values) * float(np.log(scale).sum())


def _finish(
    sample: Sample, scale: Floats, values: Floats, best: _Climb, before: int, starts: list[dict[str, Any]]
) -> RegimeFit:
    found = best.parameters
    volatility = np.log(np.diagonal(found.covariances, axis1=1, axis2=2)).mean(axis=1)
    order = np.argsort(volatility, kind="stable")
    transition = found.transition[np.ix_(order, order)]
    density = log_densities(values, found.means, found.lowers)
    inference = infer(density, found.transition, found.first)
    return RegimeFit(
        means=(sample.mean + found.means * scale)[order],
        covariances=(found.covariances * (scale[:, None] * scale[None, :]))[order],
        transition=transition / transition.sum(axis=1, keepdims=True),
        first=found.first[order],
        last=inference.filtered[-1][order],
        occupancy=inference.smoothed.sum(axis=0)[order],
        log_likelihood=_unscaled(best, scale, values),
        iterations=before + best.iterations,
        starts=starts,
    )


def _starts(values: Floats, regimes: int) -> Iterator[tuple[str, Floats]]:
    """Days assigned to regimes by the quantiles of an average, calm days first: of squared returns over windows of
    several lengths, cut into equal parts and into parts that halve, and of returns, best days first."""
    squares, returns = (values * values).mean(axis=1), -values.mean(axis=1)
    equal = np.full(regimes, 1.0 / regimes)
    halving = 0.5 ** np.arange(1.0, regimes + 1.0)
    shares = {"equal": equal, "halving": halving / halving.sum()}
    longest = max(1, len(values) // (4 * regimes))
    for window in sorted({min(window, longest) for window in _WINDOWS}):
        score = _rolling_mean(squares, window)
        for name, share in shares.items():
            yield f"volatility over {window} days, {name} parts", _assign(score, share)
    window = min(21, longest)
    yield f"mean over {window} days, equal parts", _assign(_rolling_mean(returns, window), equal)


def _rolling_mean(values: Floats, window: int) -> Floats:
    """The centred mean over a window, which is cut off at both ends."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    day = np.arange(len(values))
    low = np.maximum(day - window // 2, 0)
    high = np.minimum(day - window // 2 + window, len(values))
    return (sums[high] - sums[low]) / (high - low)


def _assign(score: Floats, shares: Floats) -> Floats:
    """Weights of zero and one ``(observation, regime)``: ranks of the score, cut at the cumulated shares."""
    rank = np.empty(len(score))
    rank[np.argsort(score, kind="stable")] = (np.arange(len(score)) + 0.5) / len(score)
    regime = np.searchsorted(np.cumsum(shares)[:-1], rank)
    return np.eye(len(shares))[regime]


def _from_weights(values: Floats, weights: Floats, *, common_mean: bool) -> _Parameters | str:
    """The parameters that a first assignment of the days gives; every move has happened once more than it did, because
    a probability of zero would stay zero."""
    moves = 1.0 + weights[:-1].T @ weights[1:]
    means, covariances = weighted_moments(values, weights)
    if common_mean:
        means, covariances = weighted_moments(values, weights, np.zeros_like(means))
    lowers = cholesky_factors(covariances)
    if lowers is None:
        return "a singular covariance"
    transition = moves / moves.sum(axis=1, keepdims=True)
    return _Parameters(means, covariances, lowers, transition, weights.mean(axis=0))


def _climb(
    values: Floats, begin: _Parameters | str, common_mean: bool, needed: int, limit: int, tolerance: float
) -> _Climb:
    """Iterate expectation and maximisation until what is left to gain is below the tolerance."""
    if isinstance(begin, str):
        empty = np.empty(0)
        return _Climb(_Parameters(empty, empty, empty, empty, empty), -np.inf, 0, np.inf, False, begin)
    now, likelihood, gain = begin, -np.inf, np.inf
    for iteration in range(1, limit + 1):
        inference = infer(log_densities(values, now.means, now.lowers), now.transition, now.first)
        before, gain = gain, inference.log_likelihood - likelihood
        likelihood = inference.log_likelihood
        if _left_to_gain(gain, before, likelihood) < tolerance:
            return _Climb(now, likelihood, iteration, gain, True, None)
        occupancy = inference.smoothed.sum(axis=0)
        if occupancy.min() < needed:
            reason = f"a regime of fewer than {needed} observations"
            return _Climb(now, likelihood, iteration, gain, False, reason)
        means = _common_mean(values, inference.smoothed, now.lowers) if common_mean else None
        means, covariances = weighted_moments(values, inference.smoothed, means)
        lowers = cholesky_factors(covariances)
        if lowers is None:
            return _Climb(now, likelihood, iteration, gain, False, "a singular covariance")
        transition = inference.moves / inference.moves.sum(axis=1, keepdims=True)
        now = _Parameters(means, covariances, lowers, transition, inference.smoothed[0])
    return _Climb(now, likelihood, limit, gain, False, None)


def _left_to_gain(gain: float, before: float, likelihood: float) -> float:
    """What the log-likelihood will still gain when its gains shrink at the last rate (Aitken; Boehning et al. 1994)."""
    if gain <= 1e-13 * abs(likelihood):  # rounding
        return 0.0
    if not np.isfinite(before) or gain >= before:
        return np.inf
    rate = gain / before
    return gain + gain * rate / (1.0 - rate)


def _common_mean(values: Floats, weights: Floats, lowers: Floats) -> Floats:
    """The mean that maximises the expected likelihood for all regimes at once, given their covariances: each regime's
    sum of returns weighted by the inverse of its covariance (Meng and Rubin 1993, conditional maximisation)."""
    assets = values.shape[1]
    precision, pull = np.zeros((assets, assets)), np.zeros(assets)
    for weight, lower in zip(weights.T, lowers, strict=True):
        inverse = np.linalg.inv(lower)
        inverse = inverse.T @ inverse
        precision += weight.sum() * inverse
        pull += inverse @ (weight[:, None] * values).sum(axis=0)
    return np.tile(np.linalg.solve(precision, pull), (len(lowers), 1))


def describe(fit: RegimeFit, sample: Sample, *, common_mean: bool, days_per_year: float) -> dict[str, Any]:
    """What the report of a calibration says about the maximum, in plain values."""
    regimes, assets = fit.means.shape
    means = assets if common_mean else regimes * assets
    count = means + regimes * assets * (assets + 1) // 2 + regimes * regimes - 1
    return {
        "log_likelihood": fit.log_likelihood,
        "log_likelihood_of_one_regime": _one_regime(sample),
        "parameters_estimated": count,
        "akaike_information_criterion": 2.0 * count - 2.0 * fit.log_likelihood,
        "bayes_information_criterion": float(np.log(sample.observations)) * count - 2.0 * fit.log_likelihood,
        "iterations": fit.iterations,
        "starts": fit.starts,
        "observations_by_regime": fit.occupancy.tolist(),
        "smoothed_probability_at_start": fit.first.tolist(),
        "filtered_probability_at_end": fit.last.tolist(),
        "stationary_probability": stationary_distribution(fit.transition).tolist(),
        "expected_duration_days": expected_duration(fit.transition).tolist(),
        "mean_log_return": (fit.means * days_per_year).tolist(),
        "standard_errors": _standard_errors(fit, sample, common_mean, days_per_year),
    }


def _standard_errors(fit: RegimeFit, sample: Sample, common_mean: bool, days_per_year: float) -> dict[str, Any]:
    """Those of the mean log return and volatility a year and of the transition matrix; None where there is none."""
    scale = sample.volatility()
    found = standard_errors(
        (sample.values - sample.mean) / scale,
        (fit.means - sample.mean) / scale,
        fit.covariances / (scale[:, None] * scale[None, :]),
        fit.transition,
        fit.first,
        common_mean=common_mean,
    )
    if "refused" in found:
        return found
    return {
        "mean_log_return": (found["mean"] * scale * days_per_year).tolist(),
        "volatility": (found["deviation"] * scale * np.sqrt(days_per_year)).tolist(),
        "transition": [[None if np.isnan(e) else float(e) for e in row] for row in found["transition"]],
    }


def _one_regime(sample: Sample) -> float:
    """The largest log-likelihood of the sample under one regime, to hold that of several against."""
    means, covariances = weighted_moments(sample.values, np.ones((sample.observations, 1)))
    lowers = cholesky_factors(covariances)
    if lowers is None:
        raise InputError("log_return: the covariance of the returns is singular")
    return float(log_densities(sample.values, means, lowers).sum())
