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

from riskops.checks import check_levels, exact_level
from riskops.errors import InputError
from riskops.measures.exceedances import group_sums
from riskops.measures.found_tail import FoundTail
from riskops.reductions import Groups, WorstLosses, skewed_interval, skewness_over_root

__all__ = [
    "GroupedTail",
    "change_errors",
    "grouped_estimate",
    "grouped_figures",
    "grouped_span",
    "needed_mass",
    "order_statistic",
    "quantile_mass",
]

#: An arrangement may turn out worse than plain draws by this factor in the error before the tail kept is too short.
WORSE = 2.5
#: Fewer groups than this do not tell the skewness of their sums; Student's t alone widens their intervals.
ENOUGH_GROUPS = 100


@dataclass(frozen=True, eq=False)
class GroupedTail:
    """VaR and ES of one row at one level, with their errors and the sums that those of their changes are made from."""

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
    sums: Mapping[str, float]


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


def grouped_span(level: float, n: int, groups: Groups) -> tuple[float, float]:
    """The weights between which the order statistics lie that VaR and its interval may need."""
    mass = float(1 - exact_level(level))
    wide = WORSE * groups.reach(n) * math.sqrt(mass * (1.0 - mass) / n)
    return max(mass - wide, 0.0) * n, needed_mass(level, n, groups)


def order_statistic(worst: WorstLosses, mass: float, level: float) -> float:
    """The loss at which the weights exceed ``mass``."""
    place = worst.beyond(mass)
    if not 0 <= place < len(worst.values):
        raise InputError(
            f"level: the error at {level!r} reaches beyond the tail that was kept; take more paths or another sampling"
        )
    return float(worst.values[place])


def quantile_mass(level: float, n: int, *, counted: bool) -> float:
    """The weight beyond VaR; where every path counts one, in integers: floating point gets 0.07 * 100 wrong."""
    exact = n * (1 - exact_level(level))
    return float(int(exact)) if counted else float(exact)


def grouped_estimate(
    worst: WorstLosses, sums: Mapping[str, float], *, level: float, n: int, groups: Groups
) -> GroupedTail:
    """VaR and ES of a row from the losses around its quantile and the sums over what lies beyond it.

    Parameters
    ----------
    worst
        The order statistics that :func:`grouped_span` asks for.
    sums
        The sums of :func:`riskops.measures.exceedances.terms` over VaR, under their common names.
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
    exact = float(n * (1 - exact_level(level)))
    quantile = order_statistic(worst, quantile_mass(level, n, counted=worst.counted), level)
    shortfall = quantile + sums["excess"] / exact
    reach = groups.reach(n)
    error = math.sqrt(max(groups.covariance(sums["weight_squares"], sums["weight"], sums["weight"], n), 0.0))
    low = order_statistic(worst, n * (mass + reach * error), level)
    high = order_statistic(worst, n * max(mass - reach * error, 0.0), level)
    variance = max(groups.covariance(sums["excess_squares"], sums["excess"], sums["excess"], n), 0.0) / (mass * mass)
    shortfall_error = math.sqrt(variance)
    skewness = _skewness(sums, shortfall_error * mass, n=n, groups=groups)
    shortfall_low, shortfall_high = skewed_interval(shortfall, shortfall_error, skewness, reach)
    # what plain draws would have: the second moment of the influence function under the model's own law
    plain = max(sums["spread"] / (n * mass * mass) - (shortfall - quantile) ** 2, 0.0)
    return GroupedTail(
        value_at_risk=quantile,
        value_at_risk_error=(high - low) / (2.0 * reach),
        value_at_risk_low=low,
        value_at_risk_high=high,
        expected_shortfall=shortfall,
        expected_shortfall_error=shortfall_error,
        expected_shortfall_low=shortfall_low,
        expected_shortfall_high=shortfall_high,
        reach=reach,
        effective_sample_size=plain / variance if variance > 0.0 else math.nan,
        value_at_risk_effective_sample_size=mass * (1.0 - mass) / (error * error) if error > 0.0 else math.nan,
        sums=sums,
    )


def _skewness(sums: Mapping[str, float], error: float, *, n: int, groups: Groups) -> float:
    """Of the sums over all groups the skewness over the root of their number; zero where the groups are few."""
    number = groups.number(n)
    if number < ENOUGH_GROUPS:
        return 0.0
    root = error * (n // number) * math.sqrt(number * (number - 1.0))  # the inverse of Groups.covariance
    powers = (sums["excess"], sums["excess_squares"], sums["excess_cubes"])
    return skewness_over_root(powers, root=root, number=number)


def change_errors(
    base: GroupedTail, stressed: GroupedTail, *, level: float, n: int, groups: Groups
) -> tuple[float, float]:
    """The standard errors of the changes of VaR and ES, from groups matched between base and stressed paths."""
    mass = float(1 - exact_level(level))
    one, two = base.sums, stressed.sums
    variances = [groups.covariance(sums["weight_squares"], sums["weight"], sums["weight"], n) for sums in (one, two)]
    covariance = groups.covariance(two["weight_products"], one["weight"], two["weight"], n)
    scale = math.sqrt(max(variances[0], 0.0) * max(variances[1], 0.0))
    correlation = covariance / scale if scale > 0.0 else 0.0
    a, b = base.value_at_risk_error, stressed.value_at_risk_error
    quantile = _rounded(a * a + b * b - 2.0 * correlation * a * b, a * a + b * b)
    gap = two["excess"] - one["excess"]
    left = groups.covariance(two["gap_squares"], gap, gap, n) / (mass * mass)
    spread = base.expected_shortfall_error**2 + stressed.expected_shortfall_error**2
    return math.sqrt(quantile), math.sqrt(_rounded(left, spread))


def _rounded(left: float, scale: float) -> float:
    """Below this share of its parts a difference is rounding."""
    return left if left > 1e-12 * scale else 0.0


def grouped_figures(
    found: FoundTail, *, levels: Sequence[float], groups: Groups, stressed: bool
) -> dict[str, list[tuple[tuple[int, ...], tuple[float, float, float, float]]]]:
    """Every figure as (place, (value, standard error, low, high)), by measure; places are (row..., level)."""
    n = found.paths
    made: dict[tuple[int, ...], GroupedTail] = {}
    sizes = ("effective_sample_size", "value_at_risk_effective_sample_size")
    out: dict[str, list[Any]] = {name: [] for name in ("value_at_risk", "expected_shortfall", *sizes)}
    if stressed:
        out |= {"value_at_risk_change": [], "expected_shortfall_change": []}
    for row in np.ndindex(*found.lead):
        for column, level in enumerate(levels):
            at = (*row, column)
            first = (0, *at[1:])
            matched = stressed and row[0] > 0
            sums = group_sums(found.sums[at], found.sums[first] if matched else None, groups=groups)
            one = made[at] = grouped_estimate(found.worst[at], sums, level=level, n=n, groups=groups)
            es, error = one.expected_shortfall, one.expected_shortfall_error
            var = (one.value_at_risk, one.value_at_risk_error, one.value_at_risk_low, one.value_at_risk_high)
            out["value_at_risk"].append((at, var))
            ends = (one.expected_shortfall_low, one.expected_shortfall_high)
            out["expected_shortfall"].append((at, (es, error, *ends)))
            for name in sizes:
                out[name].append((at, (getattr(one, name), 0.0, 0.0, 0.0)))
            if matched:
                base = made[first]
                errors = change_errors(base, one, level=level, n=n, groups=groups)
                changes = (one.value_at_risk - base.value_at_risk, es - base.expected_shortfall)
                for name, change, wide in zip(("value_at_risk", "expected_shortfall"), changes, errors, strict=True):
                    reach = one.reach * wide
                    out[f"{name}_change"].append((at, (change, wide, change - reach, change + reach)))
    return out
