"""What lies beyond VaR, and the terms that ES, the errors and the errors of changes are sums of.

Every term is a double of its own path, or of its own group of paths, so an exact sum over them has the same bits
however the paths were cut, and whether they came from a kept tail or from a second pass over the losses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from riskops.reductions import Groups
from riskops.reductions.exact_sums import exact_sum

__all__ = ["Exceedances", "beyond", "group_sums", "term_names", "terms", "total"]

Float = npt.NDArray[np.float64]


class Exceedances(NamedTuple):
    """The paths whose losses are above a quantile, ascending, their weights and the excess of their losses."""

    paths: npt.NDArray[np.int64]
    weights: Float
    excess: Float


def beyond(losses: Float, paths: npt.NDArray[np.int64], weights: Float | None, quantile: float) -> Exceedances:
    """The exceedances over a quantile among losses of paths in any order."""
    which = np.flatnonzero(losses > quantile)
    if len(which) and (np.diff(paths[which]) < 0).any():
        which = which[np.argsort(paths[which])]
    ones = np.ones(len(which)) if weights is None else weights[which]
    return Exceedances(paths[which], ones, losses[which] - quantile)


def term_names(groups: Groups, *, plain: bool, stressed: bool) -> tuple[str, ...]:
    """The names of the terms, in a fixed order; ``plain`` paths are independent and count one each."""
    if plain:
        return ("number", "excess", "squares", "cubes", *(("both", "products") if stressed else ()))
    if groups.unit == "replicate":  # a group's paths are spread over all tiles: its sums are the terms
        return (*(f"{name} {k}" for name in ("weight", "excess") for k in range(groups.replicates)), "spread")
    changes = ("weight_products", "gap_squares") if stressed else ()
    return ("weight", "excess", "spread", "weight_squares", "excess_squares", "excess_cubes", *changes)


@np.errstate(over="ignore")  # an infinite term is refused where it is added up
def terms(own: Exceedances, base: Exceedances | None, *, groups: Groups, plain: bool) -> dict[str, Float]:
    """The terms of one row, by name; with the exceedances of the base scenario also those that match the two.

    Parameters
    ----------
    own, base
        Exceedances of the same paths, all those of their groups.
    groups
        Which paths depend on each other.
    plain
        Whether paths are independent and count one each.
    """
    if plain:
        excess = own.excess
        found = {"number": np.array([float(len(excess))]), "excess": excess, "squares": excess * excess}
        found["cubes"] = found["squares"] * excess
        if base is not None:
            mine, theirs = _matched(own.paths, base.paths)
            found |= {"both": np.array([float(len(mine))]), "products": excess[mine] * base.excess[theirs]}
        return found
    weighted = own.weights * own.excess
    spread = weighted * own.excess
    if groups.unit == "replicate":
        number = groups.of(own.paths)
        found = {"spread": spread}
        for k in range(groups.replicates):
            mine = number == k
            found |= {f"weight {k}": own.weights[mine], f"excess {k}": weighted[mine]}
        return found
    group, weight, excess = _by_group(own, groups)
    found = {"weight": own.weights, "excess": weighted, "spread": spread}
    found |= {"weight_squares": weight * weight, "excess_squares": excess * excess}
    found["excess_cubes"] = found["excess_squares"] * excess
    if base is not None:
        base_group, base_weight, base_excess = _by_group(base, groups)
        mine, theirs = _matched(group, base_group)
        union = np.union1d(group, base_group)
        gap = np.zeros(len(union))
        gap[np.searchsorted(union, group)] = excess
        gap[np.searchsorted(union, base_group)] -= base_excess
        found |= {"weight_products": weight[mine] * base_weight[theirs], "gap_squares": gap * gap}
    return found


def _by_group(found: Exceedances, groups: Groups) -> tuple[npt.NDArray[np.int64], Float, Float]:
    """The groups that occur, and in path order the sums of their weights and weighted excesses."""
    if groups.unit == "path":
        return found.paths, found.weights, found.weights * found.excess
    weight, excess = groups.sums(found.paths, found.weights, found.weights * found.excess)
    return np.unique(groups.of(found.paths)), weight, excess


def _matched(
    one: npt.NDArray[np.int64], two: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Where the numbers that ascending arrays have in common stand in either."""
    place = np.searchsorted(two, one)
    mine = np.flatnonzero(two[np.minimum(place, len(two) - 1)] == one) if len(two) else np.empty(0, np.intp)
    return mine, place[mine]


def total(found: Mapping[str, Float]) -> dict[str, float]:
    """The exact sums of the terms, each rounded once."""
    return {name: exact_sum(each) for name, each in found.items()}


def group_sums(sums: Mapping[str, float], base: Mapping[str, float] | None, *, groups: Groups) -> dict[str, float]:
    """The sums of grouped paths under their common names, those of replicates made from the sums of each."""
    if groups.unit != "replicate":
        return dict(sums)
    weight, excess = _replicates(sums, groups)
    found = {
        "weight": exact_sum(weight),
        "excess": exact_sum(excess),
        "spread": sums["spread"],
        "weight_squares": exact_sum(weight * weight),
        "excess_squares": exact_sum(excess * excess),
        "excess_cubes": exact_sum(excess * excess * excess),
    }
    if base is not None:
        base_weight, base_excess = _replicates(base, groups)
        gap = excess - base_excess
        found["weight_products"] = exact_sum(weight * base_weight)
        found["gap_squares"] = exact_sum(gap * gap)
    return found


def _replicates(sums: Mapping[str, float], groups: Groups) -> tuple[Float, Float]:
    weight, excess = (
        np.array([sums[f"{name} {k}"] for k in range(groups.replicates)]) for name in ("weight", "excess")
    )
    return weight, excess
