"""VaR and ES with the portfolio's own loss as control variate: its mean is known, what the sample errs by is taken out.

With ``d = mean(L) - E[L]`` the tail probability of the sample at ``x`` is corrected to ``P(L > x) - b_x d``, so VaR is
the loss at which the sample's tail reaches ``1 - level + b d``; ``E[(L - VaR)^+]`` is corrected alike. The coefficients
``b = Cov(f, L) / Var(L)`` come from a pilot of other paths than the run's own, so the corrected means stay free of bias
(Glasserman 2003, Monte Carlo Methods, 4.1; Hesterberg and Nelson 1998). The errors are those of the residuals ``f - b
L`` in the run's sample.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr
from dask.base import tokenize

from riskops.checks import exact_level
from riskops.errors import InputError
from riskops.measures.exceedances import beyond, terms, total
from riskops.measures.found_tail import found_from_sums, found_from_tail, worst_of
from riskops.measures.grouped_tail import order_statistic
from riskops.measures.lazy import lazy_variables
from riskops.measures.tail_passes import Again, find_tail
from riskops.measures.tail_risk import put_figures
from riskops.models import Model
from riskops.models.elementwise import exponentials
from riskops.portfolio import portfolio_loss
from riskops.reductions import Z95, Groups, Moments, Tail, boxed, fuse, needed_tail, order_index, reduce_paths
from riskops.rng import MAX_PATHS
from riskops.schema import ERROR_SUFFIXES
from riskops.simulation import PathJob, paths_of
from riskops.simulation.sampling import PILOT_PATHS

__all__ = ["check_controlled", "controlled_figures", "controlled_tail_risk", "expected_loss"]

Floats = npt.NDArray[np.float64]
#: The effective sample sizes of ES and of VaR.
SIZES = ("effective_sample_size", "value_at_risk_effective_sample_size")
Placed = list[tuple[tuple[int, ...], tuple[float, float, float, float]]]


def check_controlled(model: Model) -> None:
    """Refuse a model whose mean loss is not known."""
    if model.price_enters_dynamics:
        raise InputError(f"sampling.method: control_variate needs known means, and model {model.kind} has none")
    try:
        model.mean_simple_return(1.0)
    except InputError as problem:
        raise InputError(f"sampling.method: control_variate needs known means: {problem}") from problem


def controlled_tail_risk(
    summary: Any,
    losses: xr.Dataset,
    *,
    job: PathJob,
    book: xr.Dataset,
    level: Sequence[float],
    again: Again | None = None,
) -> xr.Dataset:
    """VaR and ES corrected by the portfolios' known mean losses, and the effective sample size; lazy.

    Parameters
    ----------
    summary
        The run's fused reduction, with the parts ``tail`` and ``moments``.
    losses
        ``loss`` ``(scenario, portfolio, horizon, path)`` of the job's paths.
    job
        What the paths were made from; its pilot paths give the coefficients.
    book
        ``exposure`` ``(portfolio, asset)``.
    level
        Confidence levels.
    again
        Gives the losses once more where one pass over them does not suffice.

    Returns
    -------
    Dataset
        ``value_at_risk`` and ``expected_shortfall`` with ``_standard_error``, ``_low``, ``_high``, and
        ``effective_sample_size``, all ``(..., level)``.

    Raises
    ------
    InputError
        A model whose mean simple return is not known.
    """
    loss = losses["loss"]
    paths = paths_of(job, first_path=MAX_PATHS - PILOT_PATHS, stop_path=MAX_PATHS)
    horizons = [float(h) for h in loss["horizon"].values]
    pilot = reduce_paths(
        portfolio_loss(paths, book=book, horizons=horizons),
        fuse(tail=Tail(keep=needed_tail(level, PILOT_PATHS)), moments=Moments()),
        name="reduce-pilot",
    )
    exposure = book["exposure"].sel(asset=list(job.spec.assets), portfolio=loss["portfolio"].values).values
    expected = np.empty(loss.shape[:-1])
    for s, m in enumerate(job.model_of):
        check_controlled(job.models[m])
        if job.events[m]:
            raise InputError(
                f"sampling.method: control_variate needs known means, and the events of scenario {job.scenarios[s]} "
                "change them"
            )
        for h, horizon in enumerate(horizons):
            returns = job.models[m].mean_simple_return(horizon / job.spec.days_per_year)
            expected[s, :, h] = expected_loss(exposure, returns, job.output_shift[s])
    both = da.map_blocks(
        _both,
        summary,
        pilot,
        dtype=object,
        meta=np.empty((), object),
        name=f"pilot-{tokenize(summary.name, pilot.name)}",
    )
    lead = tuple(str(d) for d in loss.dims[:-1])
    names = [m + suffix for m in ("value_at_risk", "expected_shortfall") for suffix in ("", *ERROR_SUFFIXES)]
    masses = partial(_masses, expected=expected, levels=tuple(level))
    found = find_tail(both, losses, level=level, key="tail", again=again, masses=masses)
    if found is not both:
        found = _joined(both, found)
    return lazy_variables(
        found,
        _corrected,
        outputs=dict.fromkeys([*names, *SIZES], (*lead, "level")),
        coords={**{d: loss[d] for d in lead if d in loss.coords}, "level": list(level)},
        sizes={**{d: loss.sizes[d] for d in lead}, "level": len(level)},
        stage="control-variate",
        expected=expected,
        levels=tuple(level),
    )


def _both(summary: npt.NDArray[Any], pilot: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return boxed({**summary.item(), "pilot": pilot.item()})


def _joined(both: da.Array, found: da.Array) -> da.Array:
    """The moments of the run and the pilot beside what two passes have found."""
    name = f"control-variate-passes-{tokenize(both.name, found.name)}"
    return da.map_blocks(_join, both, found, dtype=object, meta=np.empty((), object), name=name)


def _join(both: npt.NDArray[Any], found: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return boxed({"moments": both.item()["moments"], "pilot": both.item()["pilot"], **found.item()})


def _corrected(result: Mapping[str, Any], *, expected: Floats, levels: Sequence[float]) -> dict[str, Floats]:
    placed = controlled_figures(result, result["pilot"], expected, levels=levels)
    return put_figures(placed, (*expected.shape, len(levels)))


class _Covariances(NamedTuple):
    """Of the tail's indicator and excess with the loss, and their own variances."""

    indicator: float
    excess: float
    indicator_variance: float
    excess_variance: float


def expected_loss(exposure: Floats, mean_simple_return: Floats, shift: Floats) -> Floats:
    """The known mean of a loss ``(portfolio,)``: ``-sum_a exposure_a (E[S_a] / S_a(0) - 1)``.

    Parameters
    ----------
    exposure
        ``(portfolio, asset)``.
    mean_simple_return
        ``(asset,)`` over the horizon.
    shift
        Logarithm ``(asset,)`` of the instant price move that precedes it.
    """
    # our own exponential: the last bits of NumPy's depend on the processor
    growth = (1.0 + mean_simple_return) * exponentials(shift) - 1.0
    return np.array([-math.fsum((row * growth).tolist()) for row in exposure])


def _covariances(sums: Mapping[str, float], beyond: float, quantile: float, *, mean: float, n: int) -> _Covariances:
    """From the sums over the losses beyond a quantile, and how many stand before it."""
    share, average = beyond / n, sums["excess"] / n
    return _Covariances(
        indicator=(sums["excess"] + beyond * quantile) / n - share * mean,
        excess=(sums["squares"] + sums["excess"] * quantile) / n - average * mean,
        indicator_variance=share * (1.0 - share),
        excess_variance=sums["squares"] / n - average * average,
    )


def _masses(summary: Mapping[str, Any], *, expected: Floats, levels: Sequence[float]) -> Floats:
    """How many losses stand before each corrected quantile ``(row..., level)``."""
    tail = summary["tail"]
    n = int(tail["paths"])
    masses = np.empty((*expected.shape, len(levels)))
    for at in np.ndindex(*masses.shape):
        row, level = at[:-1], levels[at[-1]]
        centre = float(1 - exact_level(level)) + _slopes(summary["pilot"], row, level)[0] * _surprise(
            summary, expected, row
        )
        masses[at] = max(math.floor(n * centre), 0)
    return masses


def _surprise(summary: Mapping[str, Any], expected: Floats, row: tuple[int, ...]) -> float:
    return float(summary["moments"]["mean"][row]) - float(expected[row])


def controlled_figures(
    summary: Mapping[str, Any], pilot: Mapping[str, Any], expected: Floats, *, levels: Sequence[float]
) -> dict[str, Placed]:
    """VaR, ES and the effective sample size as (place, (value, standard error, low, high)); places are (row..., level).

    Parameters
    ----------
    summary
        Of the run: ``moments``, and ``tail`` or what two passes have found instead.
    pilot
        The fused result ``tail`` and ``moments`` of the pilot.
    expected
        The known mean of every row ``(...)``.
    levels
        Confidence levels.

    Raises
    ------
    InputError
        The correction or the interval reaches beyond the tail that was kept.
    """
    moments = summary["moments"]
    if "second" in summary:
        found = found_from_sums(summary["marks"], summary["second"], stressed=len(expected.shape) > 2)
    else:
        masses = _masses({**summary, "pilot": pilot}, expected=expected, levels=levels)
        found = found_from_tail(summary["tail"], masses, groups=Groups(), plain=True, stressed=False)
    n = found.paths
    out: dict[str, Placed] = {name: [] for name in ("value_at_risk", "expected_shortfall", *SIZES)}
    for at, worst in found.worst.items():
        row, level, sums = at[:-1], levels[at[-1]], found.sums[at]
        mean = float(moments["mean"][row])
        variance = float(moments["standard_deviation"][row]) ** 2
        surprise = mean - float(expected[row])
        mass = float(1 - exact_level(level))
        slopes = _slopes(pilot, row, level)
        centre = mass + slopes[0] * surprise
        before = float(max(math.floor(n * centre), 0))
        quantile = order_statistic(worst, before, level)
        spread = _covariances(sums, before, quantile, mean=mean, n=n)
        error = _residual_error(spread.indicator_variance, spread.indicator, variance, slopes[0], n)
        low = order_statistic(worst, max(math.floor(n * (centre + Z95 * error)), 0), level)
        high = order_statistic(worst, max(math.floor(n * (centre - Z95 * error)), 0), level)
        excess = sums["excess"] / n - slopes[1] * surprise
        shortfall = quantile + excess / mass
        wide = _residual_error(spread.excess_variance, spread.excess, variance, slopes[1], n) / mass
        out["value_at_risk"].append((at, (quantile, (high - low) / (2.0 * Z95), low, high)))
        out["expected_shortfall"].append((at, (shortfall, wide, shortfall - Z95 * wide, shortfall + Z95 * wide)))
        plain = (spread.excess_variance / (mass * mass), spread.indicator_variance)
        for name, variance_of, left in zip(SIZES, plain, (wide, error), strict=True):
            size = variance_of / (left * left) if left > 0.0 else math.nan
            out[name].append((at, (size, 0.0, 0.0, 0.0)))
    return out


def _slopes(pilot: Mapping[str, Any], row: tuple[int, ...], level: float) -> tuple[float, float]:
    """The coefficients of the indicator and of the excess, from the pilot."""
    kept, n = worst_of(pilot["tail"], row), int(pilot["tail"]["paths"])
    before = float(n - order_index(level, n))
    quantile = order_statistic(kept, before, level)
    sums = total(terms(beyond(kept.values, kept.paths, None, quantile), None, groups=Groups(), plain=True))
    variance = float(pilot["moments"]["standard_deviation"][row]) ** 2
    spread = _covariances(sums, before, quantile, mean=float(pilot["moments"]["mean"][row]), n=n)
    return (spread.indicator / variance, spread.excess / variance) if variance > 0.0 else (0.0, 0.0)


def _residual_error(variance: float, covariance: float, control: float, slope: float, n: int) -> float:
    return math.sqrt(max(variance - 2.0 * slope * covariance + slope * slope * control, 0.0) / n)
