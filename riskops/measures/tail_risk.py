"""Value at risk, expected shortfall and their changes under stress, exact on the simulated sample, each with its error.

All of them come from the order statistics around each quantile and exact sums over what lies beyond them, in one pass
or, where the tail is too large to be kept, in two; see :mod:`riskops.measures.tail_passes`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from riskops.checks import check_levels, exact_level
from riskops.errors import InputError
from riskops.measures.found_tail import FoundTail
from riskops.measures.grouped_tail import grouped_figures
from riskops.measures.lazy import lazy_variables
from riskops.measures.tail_passes import Again, find_tail, found_tail, tail_reduction
from riskops.reductions import (
    Z95,
    Groups,
    WorstLosses,
    groups_of,
    interval_ranks,
    order_index,
    reduce_paths,
    skewed_interval,
    skewness_over_root,
)
from riskops.schema import ERROR_SUFFIXES, validate

__all__ = ["expected_shortfall", "tail_risk", "tail_risk_from", "value_at_risk"]

MEASURES = ("value_at_risk", "expected_shortfall")
Float = npt.NDArray[np.float64]


def with_errors(names: Sequence[str]) -> list[str]:
    """The names of measures and of their error companions."""
    return [name + suffix for name in names for suffix in ("", *ERROR_SUFFIXES)]


def value_at_risk(losses: xr.Dataset, *, level: float | Sequence[float] = (0.95, 0.99)) -> xr.Dataset:
    """Value at risk: the loss that is not exceeded with probability ``level``; lazy.

    Parameters
    ----------
    losses
        ``loss`` ``([scenario, portfolio, horizon,] path)``, positive for a loss.
    level
        One or several confidence levels in (0, 1), each the decimal that it prints as.

    Returns
    -------
    Dataset
        ``value_at_risk`` ``(..., level)`` in money with ``_standard_error``, ``_low`` and ``_high``.

    Raises
    ------
    InputError
        A level outside (0, 1), fewer paths than its interval needs, or (when computed) a NaN loss.

    Notes
    -----
    With n losses ascending, ``VaR = x(k)``, ``k = ceil(n level)`` in integers. The 95 % interval is the
    distribution-free one between two order statistics (binomial ranks); the standard error is its width over 2 *
    1.96. NaN is an error.

    References
    ----------
    McNeil, Frey and Embrechts (2015), Quantitative Risk Management, 2.3; David and Nagaraja (2003), Order
    Statistics, 7.1.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> losses = xr.Dataset({"loss": ("path", np.arange(1.0, 1001.0))}).chunk(path=1024)
    >>> float(value_at_risk(losses, level=0.95)["value_at_risk"].compute().item())
    950.0
    """
    return tail_risk(losses, level=level)[with_errors(["value_at_risk"])]


def expected_shortfall(losses: xr.Dataset, *, level: float | Sequence[float] = (0.95, 0.99)) -> xr.Dataset:
    """Expected shortfall: the average of the quantile function of the loss beyond ``level``; lazy.

    Parameters
    ----------
    losses
        ``loss`` ``([scenario, portfolio, horizon,] path)``, positive for a loss.
    level
        One or several confidence levels in (0, 1), each the decimal that it prints as.

    Returns
    -------
    Dataset
        ``expected_shortfall`` ``(..., level)`` in money with ``_standard_error``, ``_low`` and ``_high``.

    Raises
    ------
    InputError
        A level outside (0, 1), fewer paths than its interval needs, or (when computed) a NaN loss.

    Notes
    -----
    ``ES = x(k) + sum_{j>k} (x(j) - x(k)) / (n (1 - level))``, never below VaR. The standard error is that of its
    influence function ``(L - VaR)^+ / (1 - level) - (ES - VaR)``. That function is skewed, and so is ES less its truth
    over the standard error; the 95 % interval is corrected for it by Hall's cubic transform and reaches further above
    ES than below, see :func:`riskops.reductions.skewed_interval`. NaN is an error.

    References
    ----------
    Acerbi and Tasche (2002), On the coherence of expected shortfall; Chen (2008), Nonparametric estimation of ES; Hall
    (1992), On the removal of skewness by transformation, JRSS B 54.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> losses = xr.Dataset({"loss": ("path", np.arange(1.0, 1001.0))}).chunk(path=1024)
    >>> float(expected_shortfall(losses, level=0.95)["expected_shortfall"].compute().item())
    975.5
    """
    return tail_risk(losses, level=level)[with_errors(["expected_shortfall"])]


def tail_risk(losses: xr.Dataset, *, level: float | Sequence[float] = (0.95, 0.99)) -> xr.Dataset:
    """VaR and ES together, from one pass; with a ``scenario`` dim also their changes against its first entry, ``base``.

    Parameters
    ----------
    losses
        ``loss`` ``([scenario, portfolio, horizon,] path)``, positive for a loss.
    level
        One or several confidence levels in (0, 1).

    Returns
    -------
    Dataset
        ``value_at_risk`` and ``expected_shortfall`` ``(..., level)``; with scenarios also ``value_at_risk_change`` and
        ``expected_shortfall_change``. Money; each with ``_standard_error``, ``_low`` and ``_high``.

    Raises
    ------
    InputError
        As :func:`value_at_risk`; or scenarios that do not begin with ``base``.

    Notes
    -----
    The same draws serve every scenario, so the error of a change comes from paths matched by number: with influence
    functions psi, ``Var(psi_s - psi_b) / n``, whose cross term is read off the paths that lie in both tails. The 95 %
    interval of a change is 1.96 standard errors to either side.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> losses = xr.Dataset({"loss": ("path", np.arange(1.0, 1001.0))}).chunk(path=1024)
    >>> sorted(map(str, tail_risk(losses, level=0.99)))[:2]
    ['expected_shortfall', 'expected_shortfall_high']
    """
    levels = check_levels("level", level)
    validate(losses, "loss")
    return tail_risk_from(reduce_paths(losses, tail_reduction(losses, level=levels)), losses, level=levels)


def tail_risk_from(
    result: Any, losses: xr.Dataset, *, level: Sequence[float], key: str | None = None, again: Again | None = None
) -> xr.Dataset:
    """The same from a tail that a (fused) reduction has already found; ``key`` is its name in the fused reduction, and
    ``again`` gives the losses once more where one pass over them does not suffice."""
    loss = losses["loss"]
    lead = tuple(str(d) for d in loss.dims[:-1])
    stressed = "scenario" in lead
    if stressed and str(loss["scenario"].values[0]) != "base":
        raise InputError(f"scenario: {str(loss['scenario'].values[0])!r} stands first, 'base' must")
    names = with_errors([*MEASURES, *(f"{m}_change" for m in MEASURES if stressed)])
    groups = groups_of(losses.attrs)
    if groups.unit != "path":
        names += ["effective_sample_size", "value_at_risk_effective_sample_size"]
    return lazy_variables(
        find_tail(result, losses, level=level, key=key, again=again),
        tail_figures,
        outputs=dict.fromkeys(names, (*lead, "level")),
        coords={**{d: loss[d] for d in lead if d in loss.coords}, "level": list(level)},
        sizes={**{d: loss.sizes[d] for d in lead}, "level": len(level)},
        stage="tail-risk",
        levels=tuple(level),
        stressed=stressed,
        groups=groups.text,
        key=key,
    )


def tail_figures(
    result: Mapping[str, Any], *, levels: Sequence[float], stressed: bool, groups: str = "path", key: str | None
) -> dict[str, Float]:
    """VaR, ES, their errors and changes from the tail that was found: plain arithmetic, no graph."""
    plain = groups == "path"
    found = found_tail(result, key=key, levels=levels, groups=groups, plain=plain, stressed=stressed)
    return figures_of(found, levels=levels, stressed=stressed, groups=groups)


def figures_of(found: FoundTail, *, levels: Sequence[float], stressed: bool, groups: str) -> dict[str, Float]:
    """VaR, ES, their errors and changes from order statistics and sums."""
    shape = (*found.lead, len(levels))
    if groups != "path":
        placed = grouped_figures(found, levels=levels, groups=Groups.from_text(groups), stressed=stressed)
        return put_figures(placed, shape)
    n = found.paths
    out = {name: np.empty(shape) for name in with_errors(MEASURES)}
    for at in np.ndindex(*shape):
        level, worst, sums = levels[at[-1]], found.worst[at], found.sums[at]
        low_rank, high_rank = interval_ranks(level, n)
        var, low, high = (_ranked(worst, n - rank, level) for rank in (order_index(level, n), low_rank, high_rank))
        put_figure(out, "value_at_risk", at, var, (high - low) / (2 * Z95), low, high)
        put_figure(out, "expected_shortfall", at, *shortfall_of(sums, level, n, var))
    return out | _changes(out, found, levels) if stressed else out


def _ranked(worst: WorstLosses, before: int, level: float) -> float:
    """The order statistic before which so many losses stand."""
    place = worst.beyond(float(before))
    if not 0 <= place < len(worst.values):
        raise InputError(f"tail: {len(worst.values)} losses are not what level {level!r} needs")
    return float(worst.values[place])


def shortfall_of(sums: Mapping[str, float], level: float, n: int, var: float) -> tuple[float, float, float, float]:
    """ES with its standard error and its 95 % interval, from VaR and the sums over the losses beyond it."""
    mass = float(1 - exact_level(level))
    es = var + sums["excess"] / float(n * (1 - exact_level(level)))
    error = math.sqrt(max(sums["squares"] / (n * mass * mass) - (es - var) ** 2, 0.0) / n)
    skewness = skewness_over_root((sums["excess"], sums["squares"], sums["cubes"]), root=n * error * mass, number=n)
    return es, error, *skewed_interval(es, error, skewness, Z95)


def put_figure(
    out: dict[str, Float], name: str, at: tuple[int, ...], value: Any, error: Any, low: Any, high: Any
) -> None:
    """Write a measure and its error companions at one place."""
    for suffix, number in zip(("", *ERROR_SUFFIXES), (value, error, low, high), strict=True):
        out[name + suffix][at] = number


def put_figures(placed: Mapping[str, Any], shape: tuple[int, ...]) -> dict[str, Float]:
    """Arrays from figures given as (place, (value, standard error, low, high)), by measure; the rest is zero."""
    out: dict[str, Float] = {}
    for name, figures in placed.items():
        out |= {name + suffix: np.zeros(shape) for suffix in ("", *ERROR_SUFFIXES)}
        for at, (value, error, low, high) in figures:
            put_figure(out, name, at, value, error, low, high)
    return out


def _changes(figures: Mapping[str, Float], found: FoundTail, levels: Sequence[float]) -> dict[str, Float]:
    """Stressed minus base, with the error that the common draws leave."""
    n, shape = found.paths, (*found.lead, len(levels))
    out = {name: np.zeros(shape) for name in with_errors([f"{m}_change" for m in MEASURES])}
    for at in np.ndindex(*shape):
        if at[0] == 0:
            continue
        base = (0, *at[1:])
        mass = float(1 - exact_level(levels[at[-1]]))
        tail = (n - order_index(levels[at[-1]], n)) / n
        own, first = found.sums[at], found.sums[base]
        # of VaR: 1 - correlation of the indicators {L > VaR}, exactly zero where both tails are the same paths
        apart = (own["number"] + first["number"] - 2.0 * own["both"]) / (2.0 * n) / (tail * (1 - tail))
        var, es = figures["value_at_risk"], figures["expected_shortfall"]
        gaps = (es[base] - var[base]) * (es[at] - var[at])
        errors = [(figures[f"{m}_standard_error"][base], figures[f"{m}_standard_error"][at]) for m in MEASURES]
        covariances = ((1 - apart) * errors[0][0] * errors[0][1], (own["products"] / (n * mass * mass) - gaps) / n)
        for measure, (one, two), covariance in zip(MEASURES, errors, covariances, strict=True):
            change = figures[measure][at] - figures[measure][base]
            squares = one * one + two * two
            left = squares - 2 * covariance
            error = math.sqrt(left) if left > 1e-12 * squares else 0.0  # below that it is rounding
            put_figure(out, f"{measure}_change", at, change, error, change - Z95 * error, change + Z95 * error)
    return out
