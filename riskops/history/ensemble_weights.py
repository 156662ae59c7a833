"""The weights of an ensemble of one series: each day's from losses that were known before its forecast was made.

Plain arrays: members first, days last. Nothing here looks at a day before the place in the loop where it is known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from riskops.errors import InputError
from riskops.history.backtests.scores import fissler_ziegel_loss, tick_loss
from riskops.history.forecasts.base import Floats
from riskops.threads import pinned_threads

__all__ = ["SCORES", "Combined", "Rule", "combine_levels", "member_losses"]

Flags = npt.NDArray[np.bool_]


#: Each score, elementwise from losses, values at risk, expected shortfalls and the level; lower is better.
SCORES: dict[str, Callable[[Floats, Floats, Floats, float], Floats]] = {
    "fissler_ziegel": fissler_ziegel_loss,
    "tick": lambda losses, value_at_risk, _, level: tick_loss(losses, value_at_risk, level),
}

#: The constant of the learning rate, sqrt(2 (sqrt(2) - 1) / (e - 2)): Cesa-Bianchi, Mansour and Stoltz (2007).
_SPEED = math.sqrt(2.0 * (math.sqrt(2.0) - 1.0) / (math.e - 2.0))
#: Draws of the confidence set's bootstrap.
_REPLICATIONS = 500
#: A difference that moves by less than this, of its size, is the same on every day.
_STEADY = 1e-12


@dataclass(frozen=True)
class Rule:
    """How weights are made: the settings of :func:`riskops.history.ensemble.ensemble`, checked there."""

    score: str
    window: int
    minimum_history: int
    minimum_weight: float
    learning_rate: float | None
    update_every: int
    confidence_set: float | None
    seed: int
    lag: int


@dataclass(frozen=True, eq=False)
class Combined:
    """The ensemble of one series at one level: forecasts ``(day,)``, weights and scores ``(member, day)``.

    ``scores`` are the mean scores that the day's weights rest on, NaN where a member has none.
    """

    value_at_risk: Floats
    expected_shortfall: Floats
    weights: Floats
    scores: Floats


def member_losses(
    value_at_risk: Floats, expected_shortfall: Floats, losses: Floats, *, level: float, score: str
) -> Floats:
    """The score of every forecast that has a realised loss, ``(member, day)``, NaN elsewhere."""
    scored = np.isfinite(value_at_risk) & np.isfinite(expected_shortfall) & np.isfinite(losses)
    if score == "fissler_ziegel" and np.any(bad := scored & (expected_shortfall <= 0.0)):
        member, day = (int(i) for i in np.argwhere(bad)[0])
        raise InputError(
            f"score: the Fissler-Ziegel score needs expected shortfalls above zero; at level {level!r} that of member "
            f"{member}, forecast {day}, is {float(expected_shortfall[member, day])!r}; use score='tick'"
        )
    found = np.full(value_at_risk.shape, np.nan)
    realised = np.broadcast_to(losses, value_at_risk.shape)
    found[scored] = SCORES[score](realised[scored], value_at_risk[scored], expected_shortfall[scored], level)
    return found


def _combine(
    value_at_risk: Floats, expected_shortfall: Floats, losses: Floats, *, level: float, rule: Rule
) -> Combined:
    """Combine the forecasts ``(member, day)`` of one series at one level, given the losses ``(day,)`` that came."""
    scores = member_losses(value_at_risk, expected_shortfall, losses, level=level, score=rule.score)
    evidence, rates, means = _evidence(scores, rule)
    renewed = np.arange(scores.shape[1])
    renewed -= renewed % rule.update_every
    there = np.isfinite(value_at_risk) & np.isfinite(expected_shortfall)
    weights = _weights((rates * evidence)[:, renewed], there, _kept(scores, rule)[:, renewed], rule)
    none = ~there.any(axis=0)
    quantile, shortfall = (
        np.where(none, np.nan, _weighted(weights, there, figures)) for figures in (value_at_risk, expected_shortfall)
    )
    return Combined(quantile, shortfall, np.where(none, np.nan, weights), means[:, renewed])


def _weighted(weights: Floats, there: Flags, figures: Floats) -> Floats:
    """Weighted sums in the order of the members, which leaves no expected shortfall below its value at risk."""
    total = np.zeros(figures.shape[1])
    for row, present, values in zip(weights, there, figures, strict=True):
        total += row * np.where(present, values, 0.0)
    return total


def _past_sums(values: Any, rule: Rule) -> Floats:
    """The sum over the window that is known before each day, ``(..., day)``: of the days up to ``lag`` before it."""
    days = values.shape[-1]
    padded = np.zeros((*values.shape[:-1], rule.window + rule.lag - 1 + days))
    padded[..., rule.window + rule.lag - 1 :] = values
    total: Floats = np.zeros(values.shape)
    for k in range(rule.window):  # day by day, in one order: a sum does not depend on how many days there are
        total += padded[..., k : k + days]
    return total


def _evidence(scores: Floats, rule: Rule) -> tuple[Floats, Floats, Floats]:
    """How much each member's scores in the window before a day were above the members' average, summed; the learning
    rate of each day; and each member's mean score.

    On a day without a score of its own a member counts as the average of the others. Tick losses, which have the unit
    of returns, are taken in units of their mean.
    """
    known = np.isfinite(scores)
    filled = np.where(known, scores, 0.0)
    judged = known.any(axis=0)
    average = filled.sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    excess = _past_sums(np.where(known, filled - average, 0.0), rule)
    counts, days = _past_sums(known.astype(np.float64), rule), _past_sums(judged.astype(np.float64), rule)
    means = np.full(scores.shape, np.nan)
    np.divide(_past_sums(filled, rule), counts, out=means, where=counts > 0.0)
    scale = np.ones(len(days))
    if rule.score == "tick":
        unit = np.zeros(len(days))
        np.divide(_past_sums(average, rule), days, out=unit, where=days > 0.0)
        # no tick loss at all: no excess either
        scale = np.where(unit > 0.0, unit, 1.0)
        excess = excess / scale
    if rule.learning_rate is not None:
        rates = np.full(len(days), rule.learning_rate)
    else:
        rates = _rates(filled, known, rule) * scale
    return np.where(days >= rule.minimum_history, excess, 0.0), rates, means


def _rates(scores: Floats, known: Flags, rule: Rule) -> Floats:
    """The learning rate of each day, from how far apart the scores of the window before it were."""
    count = known.sum(axis=0)
    average = scores.sum(axis=0) / np.maximum(count, 1)
    variance = np.where(known, (scores - average) ** 2, 0.0).sum(axis=0) / np.maximum(count, 1)
    some = count > 0
    highest = np.where(known, scores, -np.inf).max(axis=0, where=some, initial=-np.inf)
    lowest = np.where(known, scores, np.inf).min(axis=0, where=some, initial=np.inf)
    spread = np.zeros(len(count))
    np.subtract(highest, lowest, out=spread, where=some)
    total, widest = _past_sums(variance, rule), _past_largest(spread, rule)
    rates = np.zeros(len(count))  # members that never differ need no rate
    np.divide(_SPEED**2 * np.log(max(len(scores), 2)), total, out=rates, where=total > 0.0)
    rates = np.sqrt(rates)
    limits = np.full(len(count), np.inf)
    np.divide(1.0, widest, out=limits, where=widest > 0.0)
    return np.minimum(rates, limits)


def _past_largest(values: Floats, rule: Rule) -> Floats:
    """The largest of the values in the window that is known before each day, 0 before the first."""
    padded = np.zeros(rule.window + rule.lag - 1 + len(values))
    padded[rule.window + rule.lag - 1 :] = values
    found: Floats = np.lib.stride_tricks.sliding_window_view(padded, rule.window)[: len(values)].max(axis=-1)
    return found


def _kept(scores: Floats, rule: Rule) -> Flags:
    """The members that the model confidence set holds, ``(member, day)``, on the days on which it is made."""
    kept = np.ones(scores.shape, np.bool_)
    if rule.confidence_set is not None:
        for day in range(0, scores.shape[1], rule.update_every):
            last = max(day - rule.lag + 1, 0)
            kept[:, day] = _judged(scores[:, max(last - rule.window, 0) : last], rule)
    return kept


def _judged(past: Floats, rule: Rule) -> Flags:
    """Which members the scores of one window keep; all where they are too few.

    Judged are the members that have a score on every day that any has one; members of equal scores share a verdict.
    """
    kept = np.ones(len(past), np.bool_)
    known = np.isfinite(past)
    days = known.any(axis=0)
    judged = np.flatnonzero(known[:, days].all(axis=1))
    if np.count_nonzero(days) < max(rule.minimum_history, 2) or len(judged) < 2:
        return kept
    distinct, which = np.unique(past[np.ix_(judged, np.flatnonzero(days))], axis=0, return_inverse=True)
    inside = ~_surely_worse(distinct)
    if np.count_nonzero(inside) > 1:
        inside[inside] = _confidence_set(distinct[inside], size=1.0 - (rule.confidence_set or 0.0), seed=rule.seed)
    kept[judged] = inside[which.ravel()]
    return kept


def _surely_worse(scores: Floats) -> Flags:
    """The members that another one beats by the same on every day: a difference that no bootstrap varies."""
    gaps = scores[:, None] - scores[None, :]
    size = np.abs(gaps).max(axis=2)
    steady = gaps.max(axis=2) - gaps.min(axis=2) <= _STEADY * size
    worse: Flags = np.any(steady & (gaps[:, :, 0] > 0.0), axis=1)
    return worse


def _confidence_set(scores: Floats, *, size: float, seed: int) -> Flags:
    """The model confidence set of Hansen, Lunde and Nason (2011) by ``arch``: which rows ``(member, day)`` stay."""
    from arch.bootstrap import MCS

    with pinned_threads():
        test = MCS(np.ascontiguousarray(scores.T), size=size, reps=_REPLICATIONS, method="R", seed=seed)
        test.compute()
    names: list[Any] = list(test.included)
    kept = np.zeros(len(scores), np.bool_)
    kept[[int(name) for name in names]] = True
    return kept


def _weights(evidence: Floats, there: Flags, kept: Flags, rule: Rule) -> Floats:
    """The weights ``(member, day)``, from what speaks against each member, times the learning rate.

    They are of the members that forecast the day and are kept, or of all that forecast it.
    """
    used = there & kept
    used |= there & ~used.any(axis=0)
    raw = np.where(used, -evidence, -np.inf)
    top = raw.max(axis=0)
    share = np.exp(raw - np.where(np.isfinite(top), top, 0.0))
    total = share.sum(axis=0)
    share /= np.where(total > 0.0, total, 1.0)
    spread = 1.0 - used.sum(axis=0) * rule.minimum_weight
    return np.where(used, rule.minimum_weight + spread * share, 0.0)


def combine_levels(
    value_at_risk: Floats, expected_shortfall: Floats, losses: Floats, *, levels: Sequence[float], rule: Rule
) -> tuple[Floats, Floats, Flags, Floats, Floats]:
    """All levels of one series, from ``(member, level, day)``: value at risk, expected shortfall and breach
    ``(level, day)``, weights and scores ``(member, level, day)``."""
    rows = [
        _combine(value_at_risk[:, i], expected_shortfall[:, i], losses, level=level, rule=rule)
        for i, level in enumerate(levels)
    ]
    quantile = np.stack([row.value_at_risk for row in rows])
    shortfall = np.stack([row.expected_shortfall for row in rows])
    weights, scores = (np.stack([getattr(row, part) for row in rows], axis=1) for part in ("weights", "scores"))
    return quantile, shortfall, losses > quantile, weights, scores
