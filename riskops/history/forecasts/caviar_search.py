"""The search for the coefficients of a CAViaR recursion: compiled, from many random starts, the same for every run.

The recursion is written as a weighted mean, ``v' = b1 v + (1 - b1) (base + up gain + down fall)``, in which the search
moves: persistence, base and reactions hardly trade off against each other there, as they do in the plain coefficients.
"""

from __future__ import annotations

import numba
import numpy as np

from riskops.history.forecasts.base import Floats
from riskops.history.forecasts.simulated import uniforms

__all__ = ["best_coefficients", "quantile_paths", "run_recursion"]

#: Random starts, and how many of the best are improved for a recursion of three coefficients and of four.
_STARTS = 1024
_KEPT = (10, 15)
#: The simplex: evaluations a run, runs from where the run before ended, and the relative gain that is none.
_EVALUATIONS = 300
_RUNS = 12
_NO_GAIN = 1e-8
#: How many ends of the first runs are followed until they rest.
_FOLLOWED = 3
#: The persistence is ``1 - exp(-x)``, and no closer to one than this.
_SHARPEST = 14.0

_kernel = numba.njit(cache=True, nogil=True, error_model="numpy")


@_kernel
def run_recursion(gains, falls, coefficients, start, first, ends, out):  # type: ignore[no-untyped-def]
    """The state after ``ends[i]`` returns, begun at ``first[i]``, into ``out`` ``(level, i)``.

    While the beginning stays where it is, a later end goes on from the one before.
    """
    for row in range(coefficients.shape[0]):
        b0, b1, up, down = coefficients[row, 0], coefficients[row, 1], coefficients[row, 2], coefficients[row, 3]
        state, t = start[row], first[0]
        for i in range(len(ends)):
            if i > 0 and first[i] != first[i - 1]:
                state, t = start[row], first[i]
            while t < ends[i]:
                state = b0 + b1 * state + up * gains[t] + down * falls[t]
                t += 1
            out[row, i] = state


@_kernel
def _paths(gains, falls, coefficients, start, root, out):  # type: ignore[no-untyped-def]
    for row in range(coefficients.shape[0]):
        b0, b1, up, down = coefficients[row, 0], coefficients[row, 1], coefficients[row, 2], coefficients[row, 3]
        state = start[row]
        for t in range(len(gains)):
            out[row, t] = np.sqrt(state) if root else state
            state = b0 + b1 * state + up * gains[t] + down * falls[t]


def quantile_paths(gains: Floats, falls: Floats, coefficients: Floats, start: Floats, root: bool) -> Floats:
    """The quantiles ``(level, day)`` of the days of a sample."""
    out = np.empty((len(coefficients), len(gains)))
    _paths(gains, falls, coefficients, start, root, out)
    return out


@_kernel
def _coefficients_of(x, out):  # type: ignore[no-untyped-def]
    """From where the search is, any real numbers (persistence, base, up[, down]), to the plain coefficients."""
    rest = np.exp(-min(abs(x[0]), _SHARPEST))
    out[0] = rest * abs(x[1])
    out[1] = 1.0 - rest
    out[2] = rest * abs(x[2])
    out[3] = rest * abs(x[len(x) - 1])


@_kernel
def _tick_loss(x, gains, falls, losses, start, mass, root):  # type: ignore[no-untyped-def]
    """The summed tick loss of one recursion."""
    rest = np.exp(-min(abs(x[0]), _SHARPEST))
    b0, b1, up, down = rest * abs(x[1]), 1.0 - rest, rest * abs(x[2]), rest * abs(x[len(x) - 1])
    total = 0.0
    state = start
    if root:
        for t in range(len(gains)):
            gap = losses[t] - np.sqrt(state)
            total += max(gap, 0.0) - mass * gap
            state = b1 * state + (b0 + up * gains[t] + down * falls[t])
    else:
        for t in range(len(gains)):
            gap = losses[t] - state
            total += max(gap, 0.0) - mass * gap
            state = b1 * state + (b0 + up * gains[t] + down * falls[t])
    return total


@_kernel
def _tick_losses(points, gains, falls, losses, start, mass, root, out):  # type: ignore[no-untyped-def]
    """The summed tick losses of many recursions ``(number, coordinates)`` side by side."""
    number = points.shape[0]
    plain = np.empty((4, number))
    one = np.empty(4)
    for s in range(number):
        _coefficients_of(points[s], one)
        for k in range(4):
            plain[k, s] = one[k]
    b0, b1, up, down = plain[0], plain[1], plain[2], plain[3]
    state = np.full(number, start)
    out[:] = 0.0
    for t in range(len(gains)):
        gain, fall, loss = gains[t], falls[t], losses[t]
        for s in range(number):
            gap = loss - (np.sqrt(state[s]) if root else state[s])
            out[s] += max(gap, 0.0) - mass * gap
            state[s] = b0[s] + b1[s] * state[s] + up[s] * gain + down[s] * fall


@_kernel
def _simplex(x, steps, gains, falls, losses, start, mass, root, evaluations):  # type: ignore[no-untyped-def]
    """Nelder and Mead from ``x``, which becomes the best point; its loss, and whether the corners had met."""
    d = len(x)
    points = np.empty((d + 1, d))
    values = np.empty(d + 1)
    for k in range(d + 1):
        points[k] = x
        if k > 0:
            points[k, k - 1] += steps[k - 1]
        values[k] = _tick_loss(points[k], gains, falls, losses, start, mass, root)
    used = d + 1
    middle, trial, further = np.empty(d), np.empty(d), np.empty(d)
    met = False
    while used < evaluations:
        order = np.argsort(values)
        points = points[order]
        values = values[order]
        if values[d] - values[0] <= _NO_GAIN * 0.01 * abs(values[0]):
            met = True
            break
        for j in range(d):
            middle[j] = 0.0
            for k in range(d):
                middle[j] += points[k, j]
            middle[j] /= d
            trial[j] = 2.0 * middle[j] - points[d, j]
        value = _tick_loss(trial, gains, falls, losses, start, mass, root)
        used += 1
        if value < values[0]:
            for j in range(d):
                further[j] = 3.0 * middle[j] - 2.0 * points[d, j]
            beyond = _tick_loss(further, gains, falls, losses, start, mass, root)
            used += 1
            if beyond < value:
                points[d], values[d] = further, beyond
            else:
                points[d], values[d] = trial, value
            continue
        if value < values[d - 1]:
            points[d], values[d] = trial, value
            continue
        inside = value >= values[d]
        for j in range(d):
            end = points[d, j] if inside else trial[j]
            further[j] = 0.5 * (middle[j] + end)
        near = _tick_loss(further, gains, falls, losses, start, mass, root)
        used += 1
        if near < min(value, values[d]):
            points[d], values[d] = further, near
            continue
        for k in range(1, d + 1):
            for j in range(d):
                points[k, j] = 0.5 * (points[0, j] + points[k, j])
            values[k] = _tick_loss(points[k], gains, falls, losses, start, mass, root)
            used += 1
    best = np.argmin(values)
    x[:] = points[best]
    return values[best], met


@_kernel
def _improve(points, steps, gains, falls, losses, start, mass, root, values, met):  # type: ignore[no-untyped-def]
    """One run of the simplex from every row."""
    for k in range(points.shape[0]):
        values[k], met[k] = _simplex(points[k], steps, gains, falls, losses, start, mass, root, _EVALUATIONS)


def best_coefficients(
    gains: Floats,
    falls: Floats,
    losses: Floats,
    start: float,
    target: float,
    mass: float,
    root: bool,
    *,
    asymmetric: bool,
    seed: int,
) -> tuple[Floats, bool]:
    """The plain coefficients ``(4,)`` with the least tick loss that is found, and whether the search came to rest.

    Parameters
    ----------
    gains, falls, losses
        ``(day,)``: what the recursion reacts to, and the losses that its values are quantiles of.
    start, target
        What the recursion begins at, and its typical value: the size of the random bases and reactions.
    mass
        One minus the level.
    root
        Whether the value at risk is the root of what follows the recursion.
    asymmetric
        Whether gains and falls have reactions of their own.
    seed
        Of the random starts.
    """
    draws = uniforms(paths=_STARTS, days=4, seed=seed)
    points = _random_points(draws, float(np.mean(gains)), float(np.mean(falls)), target, asymmetric)
    arguments = (gains, falls, losses, start, mass, root)
    values = np.empty(_STARTS)
    _tick_losses(points, *arguments, values)
    points = points[np.argsort(values, kind="stable")[: _KEPT[int(asymmetric)]]].copy()
    reaction = target / float(np.mean(gains) + np.mean(falls))
    steps = np.array([0.5, 0.2 * target, *([0.2 * reaction] * (2 if asymmetric else 1))])
    values, met = np.empty(len(points)), np.empty(len(points), np.bool_)
    _improve(points, steps, *arguments, values, met)
    order = np.argsort(values, kind="stable")[:_FOLLOWED]
    points, values, met = points[order].copy(), values[order], met[order]
    settled = np.zeros(len(points), np.bool_)
    for run in range(_RUNS):
        going = np.flatnonzero(~settled)
        if not len(going):
            break
        before, some, ends, some_met = values[going], points[going].copy(), np.empty(len(going)), met[going]
        # every other simplex lies the other way round, and each is smaller than the one before
        _improve(some, steps * (-0.7) ** (run + 1), *arguments, ends, some_met)
        points[going], values[going] = some, ends
        settled[going] = (before - ends) <= _NO_GAIN * ends
    best = int(np.argmin(values))
    found = np.empty(4)
    _coefficients_of(points[best], found)
    return found, bool(settled[best])


def _random_points(draws: Floats, gain: float, fall: float, target: float, asymmetric: bool) -> Floats:
    """Starts around the recursions whose mean is the typical value at risk: ``(number, 3 or 4)``.

    Persistence, the share of the mean that reacts to returns, the mean itself and, with two reactions, the share of
    falls are drawn; mean gain and mean fall are given.
    """
    persistence, share, size, side = draws
    total = target * (0.7 + 0.6 * size)
    base, reacting = total * (1.0 - share), total * share
    columns = [0.05 + 4.5 * persistence, base]
    if asymmetric:
        columns += [reacting * (1.0 - side) / (gain or 1.0), reacting * side / fall]
    else:
        columns += [reacting / (gain + fall)]
    return np.ascontiguousarray(np.stack(columns, axis=1))
