"""Standard errors of a regime-switching fit: the inverse of the observed information.

The score of the likelihood is the expected score of returns and regimes together, given the returns (Fisher's identity,
Louis 1982): one pass of filter and smoother gives it whole. Its central differences at the maximum are the information.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from riskops.models.regime_filter import cholesky_factors, infer, log_densities, weighted_moments

__all__ = ["standard_errors"]

Floats = npt.NDArray[np.float64]

#: Parameters times observations at most: the passes take a second or so there.
MOST_WORK = 500_000

#: A move that is expected less often in the whole history has no standard error: its probability is held fixed.
FEWEST_MOVES = 1.0

#: Step of the differences, as a share of the size of a parameter.
STEP = 1e-4


class _Point(NamedTuple):
    means: Floats
    covariances: Floats
    transition: Floats


def standard_errors(
    values: Floats, means: Floats, covariances: Floats, transition: Floats, first: Floats, *, common_mean: bool
) -> dict[str, Any]:
    """Standard errors at the maximum of the likelihood.

    Parameters
    ----------
    values
        Returns ``(observation, asset)``.
    means, covariances, transition, first
        The maximum, ``(regime, asset)``, ``(regime, asset, asset)``, ``(from, to)`` and ``(regime,)``; the law of the
        first regime is held fixed, as its maximum lies at a corner.
    common_mean
        Whether the means of all regimes are one parameter.

    Returns
    -------
    dict
        ``mean`` and ``deviation`` ``(regime, asset)`` in the unit of the returns and ``transition`` ``(from, to)``, NaN
        where a probability was held fixed because hardly a move is expected; or ``refused``, which says why there are
        none.
    """
    point = _Point(means, covariances, transition)
    regimes = len(means)
    moves = _score(values, point, first)[2]
    free = [
        (i, j)
        for i in range(regimes)
        for j in range(regimes)
        if i != j and moves[i, j] >= FEWEST_MOVES and transition[i, i] > 0.0
    ]
    deviation = np.sqrt(np.diagonal(covariances, axis1=1, axis2=2))
    shifts = list(_shifts(point, deviation, free, common_mean))
    if len(shifts) * len(values) > MOST_WORK:
        return {"refused": f"{len(shifts)} parameters on {len(values)} observations would take too long"}
    information = np.empty((len(shifts), len(shifts)))
    for row, (size, shift) in enumerate(shifts):
        up, down = (_gradient(values, _moved(point, shift, s), first, free, common_mean) for s in (size, -size))
        information[row] = (down - up) / (2.0 * size)
    information = (information + information.T) / 2.0
    # by sizes of one the matrix is well scaled, and its smallest eigenvalue says whether it is that of a maximum
    scale = np.sqrt(np.abs(np.diagonal(information)))
    with np.errstate(divide="ignore", invalid="ignore"):  # a parameter that the likelihood does not feel
        scaled = information / (scale[:, None] * scale[None, :])
    if not np.all(np.isfinite(scaled)) or np.linalg.eigvalsh(scaled)[0] <= 1e-10:
        return {"refused": "the observed information is not positive definite"}
    covariance = np.linalg.inv(scaled) / (scale[:, None] * scale[None, :])
    return _read(covariance, deviation, free, common_mean)


def _shifts(
    point: _Point, deviation: Floats, free: list[tuple[int, int]], common_mean: bool
) -> Iterator[tuple[float, _Point]]:
    """Every parameter as the size of its step and a direction: means, then covariances, then probabilities."""
    regimes, assets = point.means.shape
    nothing = _Point(np.zeros_like(point.means), np.zeros_like(point.covariances), np.zeros_like(point.transition))
    for k in range(1 if common_mean else regimes):
        for a in range(assets):
            direction = nothing.means.copy()
            direction[slice(None) if common_mean else k, a] = 1.0
            yield STEP * float(deviation[:, a].min()), nothing._replace(means=direction)
    for k in range(regimes):
        for a in range(assets):
            for b in range(a + 1):
                direction = nothing.covariances.copy()
                direction[k, a, b] = direction[k, b, a] = 1.0
                yield STEP * float(deviation[k, a] * deviation[k, b]), nothing._replace(covariances=direction)
    for i, j in free:
        direction = nothing.transition.copy()
        direction[i, j], direction[i, i] = 1.0, -1.0
        smaller = min(float(point.transition[i, j]), float(point.transition[i, i]))
        yield STEP * smaller, nothing._replace(transition=direction)


def _moved(point: _Point, direction: _Point, size: float) -> _Point:
    return _Point(*(p + size * d for p, d in zip(point, direction, strict=True)))


def _score(values: Floats, point: _Point, first: Floats) -> tuple[Floats, Floats, Floats]:
    """Derivatives by the means, by the covariances' elements one by one, and the expected moves."""
    lowers = cholesky_factors(point.covariances)
    assert lowers is not None  # steps are small beside the maximum, which is regular
    found = infer(log_densities(values, point.means, lowers), point.transition, first)
    centre, spread = weighted_moments(values, found.smoothed)
    by_mean, by_covariance = np.empty_like(point.means), np.empty_like(point.covariances)
    for k, weight in enumerate(found.smoothed.sum(axis=0)):
        inverse, off = np.linalg.inv(point.covariances[k]), centre[k] - point.means[k]
        about = spread[k] + off[:, None] * off[None, :]
        by_mean[k] = weight * (inverse @ off)
        by_covariance[k] = 0.5 * weight * (inverse @ (about - point.covariances[k]) @ inverse)
    return by_mean, by_covariance, found.moves


def _gradient(values: Floats, point: _Point, first: Floats, free: list[tuple[int, int]], common_mean: bool) -> Floats:
    by_mean, by_covariance, moves = _score(values, point, first)
    below = np.tril_indices(point.means.shape[1])
    both = np.where(below[0] == below[1], 1.0, 2.0)  # an element off the diagonal stands in two places
    chances = [moves[i, j] / point.transition[i, j] - moves[i, i] / point.transition[i, i] for i, j in free]
    first_part = by_mean.sum(axis=0) if common_mean else by_mean.ravel()
    return np.concatenate([first_part, *(both * matrix[below] for matrix in by_covariance), chances])


def _read(covariance: Floats, deviation: Floats, free: list[tuple[int, int]], common_mean: bool) -> dict[str, Any]:
    regimes, assets = deviation.shape
    error = np.sqrt(np.diagonal(covariance))
    means = assets if common_mean else regimes * assets
    elements = assets * (assets + 1) // 2
    mean = np.broadcast_to(error[:means].reshape(-1, assets), (regimes, assets))
    diagonal = [a * (a + 3) // 2 for a in range(assets)]
    variance = error[means : means + regimes * elements].reshape(regimes, elements)[:, diagonal]
    start = means + regimes * elements
    transition = np.full((regimes, regimes), np.nan)
    for k, (i, j) in enumerate(free):
        transition[i, j] = error[start + k]
    for i in range(regimes):
        own = [start + k for k, (row, _) in enumerate(free) if row == i]
        if own:
            transition[i, i] = np.sqrt(covariance[np.ix_(own, own)].sum())
    return {"mean": mean, "deviation": variance / (2.0 * deviation), "transition": transition}
