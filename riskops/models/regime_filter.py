"""Inference about hidden regimes: normal densities by regime, Hamilton's filter, Kim's smoother.

Hamilton (1989), Econometrica 57, and Kim (1994), J. Econometrics 60. The filter carries probabilities, scaled on every
day by the largest density, so that no product of densities under- or overflows. Sums run in the order of the
observations, assets and regimes: a fit has the same bits on every machine and with any number of threads.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from riskops.scalar import exp_f64, fma, log_f64, sqrt

__all__ = ["Inference", "cholesky_factors", "infer", "log_densities", "weighted_moments"]

Floats = npt.NDArray[np.float64]

#: Half of the logarithm of two pi.
HALF_LOG_TWO_PI = 0.9189385332046728

#: A covariance counts as regular when each variable keeps this share of its variance given those before it.
SMALLEST_SHARE = 1e-10


class Inference(NamedTuple):
    """What the returns say about the regimes: ``Pr(regime of t | returns to t)`` ``(observation, regime)``, the same
    given all returns, the expected number of moves ``(from, to)``, and the log-likelihood."""

    filtered: Floats
    smoothed: Floats
    moves: Floats
    log_likelihood: float


@njit(cache=True, nogil=True, error_model="numpy")
def _factor(covariance, lower, smallest):  # type: ignore[no-untyped-def]
    """The Cholesky factor of one covariance; false when a pivot is below the given share of its variance."""
    size = covariance.shape[0]
    for i in range(size):
        for j in range(i + 1):
            rest = covariance[i, j]
            for k in range(j):
                rest = fma(-lower[i, k], lower[j, k], rest)
            if i == j:
                if not rest > smallest * covariance[i, i]:
                    return False
                lower[i, i] = sqrt(rest)
            else:
                lower[i, j] = rest / lower[j, j]
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def _log_densities(values, means, lowers, out):  # type: ignore[no-untyped-def]
    """Forward substitution: the squared length of ``L^-1 (x - m)``, and the logarithms of the diagonal of L."""
    days, assets = values.shape
    solved = np.empty(assets)
    for k in range(means.shape[0]):
        constant = 0.0
        for a in range(assets):
            constant = constant - log_f64(lowers[k, a, a])
            constant = constant - HALF_LOG_TWO_PI
        for t in range(days):
            squares = 0.0
            for a in range(assets):
                rest = values[t, a] - means[k, a]
                for b in range(a):
                    rest = fma(-lowers[k, a, b], solved[b], rest)
                solved[a] = rest / lowers[k, a, a]
                squares = fma(solved[a], solved[a], squares)
            out[t, k] = fma(-0.5, squares, constant)


@njit(cache=True, nogil=True, error_model="numpy")
def _filter(log_density, transition, initial, filtered, predicted):  # type: ignore[no-untyped-def]
    """Hamilton's filter: predict by the transition matrix, weigh by the density, divide by the sum."""
    days, regimes = log_density.shape
    likelihood = 0.0
    for t in range(days):
        largest = log_density[t, 0]
        for k in range(regimes):
            largest = max(largest, log_density[t, k])
            if t == 0:
                predicted[0, k] = initial[k]
            else:
                total = 0.0
                for i in range(regimes):
                    total = fma(filtered[t - 1, i], transition[i, k], total)
                predicted[t, k] = total
        total = 0.0
        for k in range(regimes):
            density = exp_f64(log_density[t, k] - largest)
            filtered[t, k] = predicted[t, k] * density
            total = fma(predicted[t, k], density, total)
        for k in range(regimes):
            filtered[t, k] /= total
        likelihood += log_f64(total)
        likelihood += largest
    return likelihood


@njit(cache=True, nogil=True, error_model="numpy")
def _smooth(filtered, predicted, transition, smoothed, moves):  # type: ignore[no-untyped-def]
    """Kim's smoother, backwards from the last day, and the expected number of moves between regimes."""
    days, regimes = filtered.shape
    ratio = np.empty(regimes)
    for k in range(regimes):
        smoothed[days - 1, k] = filtered[days - 1, k]
    for t in range(days - 2, -1, -1):
        for k in range(regimes):
            ratio[k] = smoothed[t + 1, k] / predicted[t + 1, k] if predicted[t + 1, k] > 0.0 else 0.0
        for i in range(regimes):
            smoothed[t, i] = 0.0
            for j in range(regimes):
                here = filtered[t, i] * transition[i, j]
                moves[i, j] = fma(here, ratio[j], moves[i, j])
                smoothed[t, i] = fma(here, ratio[j], smoothed[t, i])


@njit(cache=True, nogil=True, error_model="numpy")
def _weighted_moments(values, weights, means, covariances, given_means):  # type: ignore[no-untyped-def]
    """Weighted means by regime (unless they are given) and covariances about them, divided by the weights' sum."""
    days, assets = values.shape
    centred = np.empty(assets)
    for k in range(weights.shape[1]):
        total = 0.0
        for t in range(days):
            total += weights[t, k]
        if not given_means:
            for a in range(assets):
                mean = 0.0
                for t in range(days):
                    mean = fma(weights[t, k], values[t, a], mean)
                means[k, a] = mean / total
        for t in range(days):
            for a in range(assets):
                centred[a] = values[t, a] - means[k, a]
            for a in range(assets):
                part = weights[t, k] * centred[a]
                for b in range(a + 1):
                    covariances[k, a, b] = fma(part, centred[b], covariances[k, a, b])
        for a in range(assets):
            for b in range(a + 1):
                covariances[k, a, b] /= total
                covariances[k, b, a] = covariances[k, a, b]


def cholesky_factors(covariances: Floats) -> Floats | None:
    """The lower factors ``(regime, asset, asset)`` of the covariances, or None when one is not regular."""
    lowers = np.zeros_like(covariances)
    for covariance, lower in zip(covariances, lowers, strict=True):
        if not _factor(covariance, lower, SMALLEST_SHARE):
            return None
    return lowers


def log_densities(values: Floats, means: Floats, lowers: Floats) -> Floats:
    """The logarithm ``(observation, regime)`` of the normal density of each day's returns in each regime."""
    out = np.empty((len(values), len(means)))
    _log_densities(values, means, lowers, out)
    return out


def infer(log_density: Floats, transition: Floats, initial: Floats) -> Inference:
    """Filter and smooth the regimes of a history, from the densities of its days and the law of its first regime.

    Examples
    --------
    >>> found = infer(np.log([[0.8, 0.2], [0.5, 0.5]]), np.array([[0.9, 0.1], [0.1, 0.9]]), np.array([0.5, 0.5]))
    >>> found.filtered.round(4).tolist(), found.smoothed.round(4).tolist()
    ([[0.8, 0.2], [0.74, 0.26]], [[0.8, 0.2], [0.74, 0.26]])
    >>> bool(np.isclose(found.log_likelihood, np.log(0.25)))
    True
    """
    filtered, predicted, smoothed = (np.empty_like(log_density) for _ in range(3))
    moves = np.zeros_like(transition)
    likelihood = _filter(log_density, transition, initial, filtered, predicted)
    _smooth(filtered, predicted, transition, smoothed, moves)
    return Inference(filtered, smoothed, moves, float(likelihood))


def weighted_moments(values: Floats, weights: Floats, means: Floats | None = None) -> tuple[Floats, Floats]:
    """Means ``(regime, asset)`` and covariances ``(regime, asset, asset)`` under weights ``(observation, regime)``.

    With ``means`` the covariances are taken about these.
    """
    regimes, assets = weights.shape[1], values.shape[1]
    centre = np.zeros((regimes, assets)) if means is None else np.array(means)
    covariances = np.zeros((regimes, assets, assets))
    _weighted_moments(values, weights, centre, covariances, means is not None)
    return centre, covariances
