"""Markov chains of regimes: their checks, their long run, and the exact law of what a chain does over several days."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import comb
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from riskops.checks import check_finite
from riskops.errors import InputError

__all__ = [
    "LARGEST_STEP",
    "StepOutcomes",
    "check_probabilities",
    "check_transition",
    "expected_duration",
    "powers",
    "stationary_distribution",
    "step_outcomes",
]

Floats = npt.NDArray[np.float64]

#: So many different outcomes of one step at most: each has its mixing matrix, and a draw is compared with all of them.
LARGEST_STEP = 1024


class StepOutcomes(NamedTuple):
    """What a chain can do over a step of several days, and how probable that is.

    ``days`` ``(outcome, regime)`` counts the days spent in each regime and ``last`` ``(outcome,)`` is the regime of the
    last day. ``following`` ``(regime, outcome)`` is the law of a step given the last regime of the step before it, and
    ``first`` ``(outcome,)`` that of the first step. A step of one day has the regimes themselves as outcomes.
    """

    days: npt.NDArray[np.int64]
    last: npt.NDArray[np.int32]
    following: Floats
    first: Floats


def check_probabilities(name: str, values: npt.ArrayLike, *, size: int) -> Floats:
    """Return probabilities ``(size,)`` that are not below zero and sum to one within 1e-9; nothing is rescaled."""
    array = check_finite(name, values)
    if array.shape != (size,):
        raise InputError(f"{name}: shape {array.shape} is not {(size,)}, one probability a regime")
    if np.any(array < 0.0) or np.any(array > 1.0) or abs(float(array.sum()) - 1.0) > 1e-9:
        raise InputError(f"{name}: {array.tolist()} are not probabilities that sum to one")
    return array


def check_transition(name: str, values: npt.ArrayLike) -> Floats:
    """Return a transition matrix ``(from, to)``: square, for two regimes at least, each row probabilities."""
    array = check_finite(name, values)
    if array.ndim != 2 or array.shape[0] != array.shape[1] or len(array) < 2:
        raise InputError(f"{name}: shape {array.shape} is not that of a square matrix of two regimes or more")
    for row in range(len(array)):
        check_probabilities(f"{name} from regime {row}", array[row], size=len(array))
    return array


def stationary_distribution(transition: npt.ArrayLike) -> Floats:
    """The distribution ``(regime,)`` that a day leaves as it is: ``p P = p``.

    Parameters
    ----------
    transition
        Transition matrix ``(from, to)``.

    Raises
    ------
    InputError
        When the chain has more than one, as when two regimes are never left.

    Examples
    --------
    >>> stationary_distribution([[0.9, 0.1], [0.3, 0.7]]).round(12).tolist()
    [0.75, 0.25]
    """
    matrix = check_transition("transition", transition)
    size = len(matrix)
    equations = np.concatenate([matrix.T - np.eye(size), np.ones((1, size))])
    solution, _, rank, _ = np.linalg.lstsq(equations, np.append(np.zeros(size), 1.0))
    if rank < size:
        raise InputError(f"transition: {matrix.tolist()} has more than one stationary distribution")
    positive = np.clip(solution, 0.0, None)
    found: Floats = positive / positive.sum()
    return found


def expected_duration(transition: npt.ArrayLike) -> Floats:
    """The expected days of a stay in each regime, ``1 / (1 - p_kk)``; infinite where a regime is never left.

    Examples
    --------
    >>> expected_duration([[0.75, 0.25], [0.5, 0.5]]).tolist()
    [4.0, 2.0]
    """
    matrix = check_transition("transition", transition)
    # the sum of the ways out keeps the digits that one minus a persistence near one would lose
    leaving = np.array([np.delete(row, k).sum() for k, row in enumerate(matrix)])
    with np.errstate(divide="ignore"):
        return 1.0 / leaving


def powers(transition: npt.ArrayLike, distribution: npt.ArrayLike, days: int) -> Floats:
    """The law ``(day, regime)`` of the regime on days ``0 .. days - 1``, by elementwise sums in a fixed order.

    Examples
    --------
    >>> powers([[0.5, 0.5], [0.25, 0.75]], [1.0, 0.0], 3).tolist()
    [[1.0, 0.0], [0.5, 0.5], [0.375, 0.625]]
    """
    matrix = np.asarray(transition, dtype=np.float64)
    rows = [np.asarray(distribution, dtype=np.float64)]
    for _ in range(days - 1):
        rows.append((rows[-1][:, None] * matrix).sum(axis=0))
    return np.array(rows[:days])


def step_outcomes(transition: npt.ArrayLike, initial: npt.ArrayLike, days: int) -> StepOutcomes:
    """The exact law of the days that a chain spends in each regime over a step, together with its last regime.

    Parameters
    ----------
    transition
        Transition matrix of a day ``(from, to)``.
    initial
        Law of the regime on the first day of all.
    days
        Length of a step.

    Returns
    -------
    StepOutcomes
        The outcomes ordered by last regime, then by the days in each regime, and their probabilities.

    Raises
    ------
    InputError
        When a step has more than ``LARGEST_STEP`` outcomes.

    Notes
    -----
    Given the days in each regime, the growth over the step is normal, so that a step of ``n`` days drawn from this law
    is distributed exactly as ``n`` steps of one. The law follows from ``f_1(e_k, k) = q_k`` and
    ``f_{t+1}(c + e_j, j) = sum_i f_t(c, i) P_ij``, where ``c`` counts the days and ``q`` is the law of the first day.

    Examples
    --------
    >>> outcomes = step_outcomes([[0.5, 0.5], [0.25, 0.75]], [1.0, 0.0], 2)
    >>> outcomes.days.tolist(), outcomes.last.tolist()
    ([[1, 1], [2, 0], [0, 2], [1, 1]], [0, 0, 1, 1])
    >>> outcomes.first.tolist()
    [0.0, 0.5, 0.0, 0.5]
    """
    matrix = check_transition("transition", transition)
    regimes = len(matrix)
    count = regimes * comb(days + regimes - 2, regimes - 1)
    if count > LARGEST_STEP:
        raise InputError(
            f"simulation.step_days: a step of {days} days through {regimes} regimes has {count} outcomes, more than "
            f"{LARGEST_STEP}; choose shorter steps"
        )
    order = [
        (tuple(c + (j == k) for j, c in enumerate(counts)), k)
        for k in range(regimes)
        for counts in _compositions(days - 1, regimes)
    ]
    starts = [*matrix, np.asarray(initial, dtype=np.float64)]
    laws = [_law(matrix, start, days) for start in starts]
    probability = np.array([[law.get(outcome, 0.0) for outcome in order] for law in laws])
    return StepOutcomes(
        days=np.array([counts for counts, _ in order], dtype=np.int64),
        last=np.array([last for _, last in order], dtype=np.int32),
        following=probability[:-1],
        first=probability[-1],
    )


def _compositions(total: int, parts: int) -> list[tuple[int, ...]]:
    """All ways to write ``total`` as an ordered sum of ``parts`` counts, in ascending order."""
    bars = combinations(range(total + parts - 1), parts - 1)
    ends = [(-1, *b, total + parts - 1) for b in bars]
    return [tuple(e[k + 1] - e[k] - 1 for k in range(parts)) for e in ends]


def _law(matrix: Floats, start: Sequence[float] | Floats, days: int) -> dict[tuple[tuple[int, ...], int], float]:
    regimes = len(matrix)
    rows = matrix.tolist()
    law = {(tuple(int(j == k) for j in range(regimes)), k): float(start[k]) for k in range(regimes)}
    for _ in range(days - 1):
        following: dict[tuple[tuple[int, ...], int], float] = {}
        for (counts, i), probability in law.items():
            for j in range(regimes):
                key = ((*counts[:j], counts[j] + 1, *counts[j + 1 :]), j)
                following[key] = following.get(key, 0.0) + probability * rows[i][j]
        law = following
    return law
