"""Contributions to VaR and ES where paths depend on each other inside groups, or carry weights: honest errors.

The contributions are those of plain draws with every path counted by its weight ``w``; what their errors need beyond
that are sums over groups, which are independent. With ``c_g`` the weights of a group's paths in the tail (or in VaR's
window) and ``s_g`` the same times an asset's loss, the sums of ``c_g^2``, ``c_g s_g`` and ``s_g^2`` give the sum of
``(s_g - m c_g)^2`` for the mean asset loss ``m`` at VaR, which is known only at the end.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from riskops.checks import exact_level
from riskops.measures.tail_risk import put_figures
from riskops.reductions import Groups
from riskops.reductions.batches import SLOT
from riskops.scalar import fma

__all__ = ["SUMS", "add_group_sums", "grouped_contributions"]

Float = npt.NDArray[np.float64]

#: Sums over groups of squared weights, weights times weighted asset losses, and squared weighted asset losses.
SUMS = ("weight_squares", "cross", "sum_squares")


@numba.njit(cache=True, nogil=True, error_model="numpy")
def add_group_sums(weight_squares, cross, sum_squares, losses, tile, group, shares):  # type: ignore[no-untyped-def]
    """Add the groups' sums ``[tile, level, (ES, VaR)]``, of the latter two also ``[..., asset]``; the paths stand group
    by group, and no group leaves its tile."""
    total = np.empty(len(losses))
    for level in range(shares.shape[1]):
        for kind in range(2):
            weight = 0.0
            total[:] = 0.0
            for e in range(len(tile)):
                w = shares[e, level, kind]
                if w > 0.0:
                    weight += w
                    for a in range(len(losses)):
                        total[a] = fma(w, losses[a, e], total[a])
                if weight > 0.0 and (e + 1 == len(tile) or group[e + 1] != group[e]):
                    t = tile[e]
                    weight_squares[t, level, kind] = fma(weight, weight, weight_squares[t, level, kind])
                    for a in range(len(losses)):
                        cross[t, level, kind, a] = fma(weight, total[a], cross[t, level, kind, a])
                        sum_squares[t, level, kind, a] = fma(total[a], total[a], sum_squares[t, level, kind, a])
                        total[a] = 0.0
                    weight = 0.0


def _sums_over_replicates(result: Mapping[str, Any]) -> dict[str, Float]:
    weight, sums = result[SLOT + "weight"], result[SLOT + "sums"]
    out = dict.fromkeys(SUMS, np.zeros(()))
    for w, s in zip(weight, sums, strict=True):
        wide = w[..., None]
        out = {name: out[name] + term for name, term in zip(SUMS, (w * w, wide * s, s * s), strict=True)}
    return out


def grouped_contributions(
    result: Mapping[str, Any],
    base: Mapping[str, Float],
    *,
    levels: Sequence[float],
    n: int,
    groups: Groups,
    measures: Sequence[str],
) -> dict[str, Float]:
    """Contributions to VaR and ES (the two measures) with their errors, and the scale of VaR's, from the sums and from
    the figures of the base scenario."""
    weight, mean = result["weight"], result["mean"]
    squares = _sums_over_replicates(result) if SLOT + "sums" in result else result
    number, reach = groups.number(n), groups.reach(n)
    shape = weight.shape[:-1]
    scales = np.empty(shape)
    placed: dict[str, list[Any]] = {name: [] for name in measures}
    for at in np.ndindex(*shape):
        mass = float(1 - exact_level(levels[at[-1]]))
        var, var_error = (float(base[name][at]) for name in ("value_at_risk", "value_at_risk_standard_error"))
        (inside, count), (tail, near) = weight[at], mean[at]
        # sums of squared deviations from the mean asset loss at VaR, within the tail and within the window
        spread, window = (
            np.maximum(s2 - 2.0 * near * cs + near * near * c2, 0.0)
            for c2, cs, s2 in zip(*(squares[name][at] for name in SUMS), strict=True)
        )
        total = math.fsum(near.tolist())
        scales[at] = scale = var / total if total != 0.0 else math.nan
        share = near * (var_error / var) if var != 0.0 else np.full_like(near, np.nan)
        error = abs(scale) * np.sqrt(window / (count * count) * (number / (number - 1.0)) + share * share)
        component = near * scale
        placed[measures[0]].append((at, (component, error, component - reach * error, component + reach * error)))
        over = inside * (tail - near)
        variance = np.maximum(spread - over * over / number, 0.0) * (number / (number - 1.0))
        error = np.sqrt(variance) / (n * mass)
        component = tail * (inside / (n * mass))
        placed[measures[1]].append((at, (component, error, component - reach * error, component + reach * error)))
    return put_figures(placed, (*shape, mean.shape[-1])) | {"component_value_at_risk_scale": scales}
