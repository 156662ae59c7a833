"""Value at risk, expected shortfall and their changes under stress, exact on the simulated sample, each with its error.

All of them come from one reduction, the worst losses of every row with their path numbers; see
:class:`riskops.reductions.Tail`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from numba import njit

from riskops.checks import check_levels, exact_level
from riskops.errors import InputError
from riskops.measures.grouped_tail import grouped_figures, needed_mass
from riskops.measures.lazy import lazy_variables
from riskops.reductions import (
    Z95,
    Groups,
    Reduction,
    Tail,
    WeightedTail,
    groups_of,
    interval_ranks,
    needed_tail,
    order_index,
    quantile_and_shortfall,
    reduce_paths,
    shortfall_error,
    shortfall_interval,
)
from riskops.scalar import fma
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


def tail_reduction(losses: xr.Dataset, *, level: Sequence[float], controlled: bool = False) -> Reduction:
    """The reduction that keeps what VaR, ES and their intervals need of these losses, weighted where they are."""
    n, groups = losses.sizes["path"], groups_of(losses.attrs)
    if "loss_weight" in losses:
        return WeightedTail(mass=needed_mass(level, n, groups))
    return Tail(keep=tail_size(level, n, groups, controlled=controlled))


def tail_size(levels: Sequence[float], n: int, groups: Groups, *, controlled: bool = False) -> int:
    """How many of the largest of n losses of weight one are needed; controlled figures move along the tail."""
    plain = needed_tail(levels, n)
    if groups.unit == "path" and not controlled:
        return plain
    return max(plain, min(n, math.ceil(needed_mass(levels, n, groups)) + 1))


def tail_risk_from(result: Any, losses: xr.Dataset, *, level: Sequence[float], key: str | None = None) -> xr.Dataset:
    """The same from a tail that a (fused) reduction has already found; ``key`` is its name in the fused reduction."""
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
        result,
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
    """VaR, ES, their errors and changes from the sorted tail ``(..., keep)``: plain arithmetic, no graph."""
    tail = result if key is None else result[key]
    if groups != "path":
        placed = grouped_figures(tail, levels=levels, groups=Groups.from_text(groups), stressed=stressed)
        return put_figures(placed, (*tail["loss"].shape[:-1], len(levels)))
    lead = tail["loss"].shape[:-1]
    losses = tail["loss"].reshape(-1, tail["loss"].shape[-1])
    n = int(tail["paths"])
    shape = (len(losses), len(levels))
    out = {name: np.empty(shape) for name in with_errors(MEASURES)}
    for column, level in enumerate(levels):
        low_rank, high_rank = interval_ranks(level, n)
        for row, worst in enumerate(losses):
            var, es = quantile_and_shortfall(worst, level, n)
            low, high = float(worst[n - low_rank]), float(worst[n - high_rank])
            put_figure(out, "value_at_risk", (row, column), var, (high - low) / (2 * Z95), low, high)
            es_error = shortfall_error(worst, level, n, var, es)
            es_ends = shortfall_interval(worst, level, n, var, es)
            put_figure(out, "expected_shortfall", (row, column), es, es_error, *es_ends)
    figures = {name: values.reshape(*lead, len(levels)) for name, values in out.items()}
    if stressed:
        figures |= _changes(figures, tail["loss"], tail["path"], levels, n)
    return figures


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


def _beyond(level: float, n: int) -> int:
    """How many of the worst losses lie beyond VaR's order statistic."""
    return n - order_index(level, n)


@njit(cache=True, nogil=True, error_model="numpy")
def _matched_tails(  # type: ignore[no-untyped-def]
    losses, paths, order, others, other_paths, other_order, beyond, var, other_var
):
    """Over the paths in both tails, in path order: how many lie beyond both VaRs ``[level]``, and the sum of the
    products of their excesses over them."""
    count, products = np.zeros(len(beyond)), np.zeros(len(beyond))
    a = b = 0
    while a < len(order) and b < len(other_order):
        i, j = order[a], other_order[b]
        if paths[i] < other_paths[j]:
            a += 1
        elif paths[i] > other_paths[j]:
            b += 1
        else:
            for c in range(len(beyond)):
                if i < beyond[c] and j < beyond[c]:
                    count[c] += 1.0
                    products[c] = fma(losses[i] - var[c], others[j] - other_var[c], products[c])
            a += 1
            b += 1
    return count, products


def _changes(
    figures: Mapping[str, Float], losses: Float, paths: npt.NDArray[np.int64], levels: Sequence[float], n: int
) -> dict[str, Float]:
    """Stressed minus base, with the error that the common draws leave."""
    scenarios, keep = losses.shape[0], losses.shape[-1]
    flat_losses, flat_paths = losses.reshape(scenarios, -1, keep), paths.reshape(scenarios, -1, keep)
    flat = {name: figures[name].reshape(scenarios, -1, len(levels)) for name in with_errors(MEASURES)}
    out = {name: np.zeros(flat["value_at_risk"].shape) for name in with_errors([f"{m}_change" for m in MEASURES])}
    mass = np.array([float(1 - exact_level(level)) for level in levels])
    beyond = np.array([_beyond(level, n) for level in levels])
    tail = beyond / n
    var, es = flat["value_at_risk"], flat["expected_shortfall"]
    for row in range(flat_losses.shape[1]):
        orders = [np.argsort(flat_paths[s, row]) for s in range(scenarios)]
        for s in range(1, scenarios):
            tails = [(flat_losses[k, row], flat_paths[k, row], orders[k]) for k in (0, s)]
            count, products = _matched_tails(*tails[0], *tails[1], beyond, var[0, row], var[s, row])
            errors = [(flat[f"{m}_standard_error"][0, row], flat[f"{m}_standard_error"][s, row]) for m in MEASURES]
            # of VaR: 1 - correlation of the indicators {L > VaR}, exactly zero where both tails are the same paths
            apart = (beyond - count) / n / (tail * (1 - tail))
            gaps = (es[0, row] - var[0, row]) * (es[s, row] - var[s, row])
            covariances = ((1 - apart) * errors[0][0] * errors[0][1], (products / (n * mass * mass) - gaps) / n)
            for measure, (base, stressed), covariance in zip(MEASURES, errors, covariances, strict=True):
                change = flat[measure][s, row] - flat[measure][0, row]
                squares = base * base + stressed * stressed
                left = squares - 2 * covariance
                error = np.sqrt(np.where(left > 1e-12 * squares, left, 0.0))  # below that it is rounding
                low, high = change - Z95 * error, change + Z95 * error
                put_figure(out, f"{measure}_change", (s, row), change, error, low, high)
    return {name: values.reshape(figures["value_at_risk"].shape) for name, values in out.items()}
