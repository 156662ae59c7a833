"""VaR and ES where paths depend on each other inside groups, or carry weights: the same figures, honest errors.

The estimators are those of plain draws with every path counted by its weight ``w`` (one, unless it was drawn under
another law): ``VaR`` is the loss at which the weights of the worst losses first exceed ``n (1 - level)``, ``ES = VaR +
sum w (L - VaR)^+ / (n (1 - level))``. Their errors come from the sums over groups, which are independent: of ``w 1{L >
VaR}`` for VaR, whose interval is read off the tail at the tail probabilities that its own error reaches, and of the
influence function ``w (L - VaR)^+ / (1 - level)`` for ES, whose interval is corrected for the skewness of those sums
where the groups are enough to tell it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from riskops.checks import check_levels, exact_level
from riskops.errors import InputError
from riskops.reductions import Groups, skewed_interval, skewness_over_root

__all__ = ["GroupedTail", "grouped_estimate", "grouped_figures", "needed_mass"]

Floats = npt.NDArray[np.float64]
#: An arrangement may turn out worse than plain draws by this factor in the error before the tail kept is too short.
WORSE = 2.5
#: Fewer groups than this do not tell the skewness of their sums; Student's t alone widens their intervals.
ENOUGH_GROUPS = 100


@dataclass(frozen=True, eq=False)
class GroupedTail:
    """VaR and ES of one row at one level, with what their errors and those of their changes are made from."""

    value_at_risk: float
    value_at_risk_error: float
    value_at_risk_low: float
    value_at_risk_high: float
    expected_shortfall: float
    expected_shortfall_error: float
    expected_shortfall_low: float
    expected_shortfall_high: float
    reach: float
    effective_sample_size: float
    value_at_risk_effective_sample_size: float
    paths: npt.NDArray[np.int64]
    inside: Floats
    excess: Floats


def needed_mass(levels: float | Sequence[float], n: int, groups: Groups) -> float:
    """The sum of weights that the tail must hold for VaR, ES and VaR's 95 % interval at all these levels.

    Raises
    ------
    InputError
        The paths are too few for the interval of a level.
    """
    most, reach = 0.0, groups.reach(n)
    for level in check_levels("level", levels):
        mass = float(1 - exact_level(level))
        if n * mass < 1.0:
            raise InputError(f"level: {level!r} needs at least {math.ceil(1 / mass)} paths, and there are {n}")
        most = max(most, mass + WORSE * reach * math.sqrt(mass * (1.0 - mass) / n))
    return min(most, 1.0) * n


def grouped_estimate(
    losses: Floats, paths: npt.NDArray[np.int64], weights: Floats | None, *, level: float, n: int, groups: Groups
) -> GroupedTail:
    """VaR and ES from the worst losses of a row, descending, and the groups that their paths belong to.

    Parameters
    ----------
    losses, paths, weights
        The tail ``(kept,)``; None for weights of one.
    level
        Confidence level in (0, 1).
    n
        Number of all paths.
    groups
        Which paths depend on each other.

    Raises
    ------
    InputError
        The tail is too short, or the paths are too few for the interval.
    """
    mass = float(1 - exact_level(level))
    # in integers where every path counts one: floating point gets 0.07 * 100 wrong
    exact = n * (1 - exact_level(level))
    cumulative = np.arange(1.0, len(losses) + 1.0) if weights is None else np.cumsum(weights)
    ones = np.ones(len(losses)) if weights is None else weights
    beyond = int(exact) if weights is None else _first_above(cumulative, float(exact), level)
    if beyond >= len(losses):
        raise InputError(f"tail: {len(losses)} losses do not reach level {level!r}")
    quantile = float(losses[beyond])
    inside, excess = ones[:beyond], ones[:beyond] * (losses[:beyond] - quantile)
    shortfall = quantile + math.fsum(excess.tolist()) / float(exact)
    tail_paths = paths[:beyond]
    counts, sums = groups.sums(tail_paths, inside, excess / mass)
    reach = groups.reach(n)
    error = math.sqrt(max(groups.mean_covariance(counts, counts, n), 0.0))
    low = losses[_first_above(cumulative, n * (mass + reach * error), level)]
    high = losses[_first_above(cumulative, n * max(mass - reach * error, 0.0), level)]
    shortfall_variance = max(groups.mean_covariance(sums, sums, n), 0.0)
    shortfall_error = math.sqrt(shortfall_variance)
    skewness = _skewness(sums, shortfall_error, n=n, groups=groups)
    shortfall_low, shortfall_high = skewed_interval(shortfall, shortfall_error, skewness, reach)
    # what plain draws would have: the second moment of the influence function under the model's own law
    squares = math.fsum((excess * (losses[:beyond] - quantile)).tolist()) / (n * mass * mass)
    plain = max(squares - (shortfall - quantile) ** 2, 0.0)
    return GroupedTail(
        value_at_risk=quantile,
        value_at_risk_error=float(high - low) / (2.0 * reach),
        value_at_risk_low=float(low),
        value_at_risk_high=float(high),
        expected_shortfall=shortfall,
        expected_shortfall_error=shortfall_error,
        expected_shortfall_low=shortfall_low,
        expected_shortfall_high=shortfall_high,
        reach=reach,
        effective_sample_size=plain / shortfall_variance if shortfall_variance > 0.0 else math.nan,
        value_at_risk_effective_sample_size=mass * (1.0 - mass) / (error * error) if error > 0.0 else math.nan,
        paths=tail_paths,
        inside=inside,
        excess=excess / mass,
    )


def _skewness(sums: Floats, error: float, *, n: int, groups: Groups) -> float:
    """Of the sums over all groups the skewness over the root of their number; zero where the groups are few."""
    number = groups.number(n)
    if number < ENOUGH_GROUPS:
        return 0.0
    root = error * (n // number) * math.sqrt(number * (number - 1.0))  # the inverse of Groups.mean_covariance
    return skewness_over_root(sums, mean=math.fsum(sums.tolist()) / number, root=root, number=number)


def _first_above(cumulative: Floats, mass: float, level: float) -> int:
    """The first place at which the weights exceed ``mass``."""
    place = int(np.searchsorted(cumulative, mass, side="right"))
    if place >= len(cumulative):
        raise InputError(
            f"level: the error at {level!r} reaches beyond the tail that was kept; take more paths or another sampling"
        )
    return place


def change_errors(base: GroupedTail, stressed: GroupedTail, *, n: int, groups: Groups) -> tuple[float, float]:
    """The standard errors of the changes of VaR and ES, from groups matched between base and stressed paths."""
    union = np.union1d(base.paths, stressed.paths)
    parts = []
    for tail in (base, stressed):
        place = np.searchsorted(union, tail.paths)
        inside, excess = np.zeros(len(union)), np.zeros(len(union))
        inside[place], excess[place] = tail.inside, tail.excess
        parts.append(groups.sums(union, inside, excess))
    (base_in, base_out), (in_, out) = parts
    variances = [groups.mean_covariance(part, part, n) for part in (base_in, in_)]
    covariance = groups.mean_covariance(base_in, in_, n)
    scale = math.sqrt(variances[0] * variances[1])
    correlation = covariance / scale if scale > 0.0 else 0.0
    a, b = base.value_at_risk_error, stressed.value_at_risk_error
    quantile = _rounded(a * a + b * b - 2.0 * correlation * a * b, a * a + b * b)
    gap = out - base_out
    total = base.expected_shortfall_error**2 + stressed.expected_shortfall_error**2
    return math.sqrt(quantile), math.sqrt(_rounded(groups.mean_covariance(gap, gap, n), total))


def _rounded(left: float, scale: float) -> float:
    """Below this share of its parts a difference is rounding."""
    return left if left > 1e-12 * scale else 0.0


def grouped_figures(
    tail: Mapping[str, Any], *, levels: Sequence[float], groups: Groups, stressed: bool
) -> dict[str, list[tuple[tuple[int, ...], tuple[float, float, float, float]]]]:
    """Every figure as (place, (value, standard error, low, high)), by measure; places are (row..., level)."""
    lead = tail["loss"].shape[:-1]
    n = int(tail["paths"])
    found: dict[tuple[int, ...], GroupedTail] = {}
    sizes = ("effective_sample_size", "value_at_risk_effective_sample_size")
    out: dict[str, list[Any]] = {name: [] for name in ("value_at_risk", "expected_shortfall", *sizes)}
    if stressed:
        out |= {"value_at_risk_change": [], "expected_shortfall_change": []}
    for row in np.ndindex(*lead):
        losses, paths = tail["loss"][row], tail["path"][row]
        weights = tail["weight"][row] if "weight" in tail else None
        if weights is not None:
            held = int(np.count_nonzero(paths >= 0))
            losses, paths, weights = losses[:held], paths[:held], weights[:held]
        for column, level in enumerate(levels):
            at = (*row, column)
            one = found[at] = grouped_estimate(losses, paths, weights, level=level, n=n, groups=groups)
            es, error = one.expected_shortfall, one.expected_shortfall_error
            var = (one.value_at_risk, one.value_at_risk_error, one.value_at_risk_low, one.value_at_risk_high)
            out["value_at_risk"].append((at, var))
            ends = (one.expected_shortfall_low, one.expected_shortfall_high)
            out["expected_shortfall"].append((at, (es, error, *ends)))
            for name in sizes:
                out[name].append((at, (getattr(one, name), 0.0, 0.0, 0.0)))
            if stressed and row[0] > 0:
                base = found[(0, *at[1:])]
                errors = change_errors(base, one, n=n, groups=groups)
                changes = (one.value_at_risk - base.value_at_risk, es - base.expected_shortfall)
                for name, change, wide in zip(("value_at_risk", "expected_shortfall"), changes, errors, strict=True):
                    reach = one.reach * wide
                    out[f"{name}_change"].append((at, (change, wide, change - reach, change + reach)))
    return out
