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
from typing import Any, NamedTuple

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr
from dask.base import tokenize

from riskops.checks import exact_level
from riskops.errors import InputError
from riskops.measures.lazy import lazy_variables
from riskops.measures.tail_risk import put_figures
from riskops.models import Model
from riskops.models.elementwise import exponentials
from riskops.portfolio import portfolio_loss
from riskops.reductions import (
    Z95,
    Moments,
    Tail,
    fuse,
    needed_tail,
    order_index,
    quantile_and_shortfall,
    reduce_paths,
)
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
    summary: Any, losses: xr.Dataset, *, job: PathJob, book: xr.Dataset, level: Sequence[float]
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
    return lazy_variables(
        both,
        _corrected,
        outputs=dict.fromkeys([*names, *SIZES], (*lead, "level")),
        coords={**{d: loss[d] for d in lead if d in loss.coords}, "level": list(level)},
        sizes={**{d: loss.sizes[d] for d in lead}, "level": len(level)},
        stage="control-variate",
        expected=expected,
        levels=tuple(level),
    )


def _both(summary: npt.NDArray[Any], pilot: npt.NDArray[Any]) -> npt.NDArray[Any]:
    boxed = np.empty((), object)
    boxed[()] = {"summary": summary.item(), "pilot": pilot.item()}
    return boxed


def _corrected(result: Mapping[str, Any], *, expected: Floats, levels: Sequence[float]) -> dict[str, Floats]:
    placed = controlled_figures(result["summary"], result["pilot"], expected, levels=levels)
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


def _covariances(worst: Floats, beyond: int, quantile: float, *, mean: float, n: int) -> _Covariances:
    losses = worst[:beyond]
    over = losses - quantile
    share, average = beyond / n, math.fsum(over.tolist()) / n
    return _Covariances(
        indicator=math.fsum(losses.tolist()) / n - share * mean,
        excess=math.fsum((over * losses).tolist()) / n - average * mean,
        indicator_variance=share * (1.0 - share),
        excess_variance=math.fsum((over * over).tolist()) / n - average * average,
    )


def controlled_figures(
    summary: Mapping[str, Any], pilot: Mapping[str, Any], expected: Floats, *, levels: Sequence[float]
) -> dict[str, Placed]:
    """VaR, ES and the effective sample size as (place, (value, standard error, low, high)); places are (row..., level).

    Parameters
    ----------
    summary, pilot
        Fused results ``tail`` and ``moments`` of the run and of the pilot.
    expected
        The known mean of every row ``(...)``.
    levels
        Confidence levels.

    Raises
    ------
    InputError
        The correction or the interval reaches beyond the tail that was kept.
    """
    tail, moments = summary["tail"], summary["moments"]
    n = int(tail["paths"])
    out: dict[str, Placed] = {name: [] for name in ("value_at_risk", "expected_shortfall", *SIZES)}
    for row in np.ndindex(*tail["loss"].shape[:-1]):
        worst, mean = tail["loss"][row], float(moments["mean"][row])
        variance = float(moments["standard_deviation"][row]) ** 2
        surprise = mean - float(expected[row])
        for column, level in enumerate(levels):
            mass = float(1 - exact_level(level))
            slopes = _slopes(pilot, row, level)
            beyond = _place(n * (mass + slopes[0] * surprise), worst, level)
            quantile = float(worst[beyond])
            found = _covariances(worst, beyond, quantile, mean=mean, n=n)
            error = _residual_error(found.indicator_variance, found.indicator, variance, slopes[0], n)
            centre = mass + slopes[0] * surprise
            low = float(worst[_place(n * (centre + Z95 * error), worst, level)])
            high = float(worst[_place(n * (centre - Z95 * error), worst, level)])
            excess = math.fsum((worst[:beyond] - quantile).tolist()) / n - slopes[1] * surprise
            shortfall = quantile + excess / mass
            wide = _residual_error(found.excess_variance, found.excess, variance, slopes[1], n) / mass
            at = (*row, column)
            out["value_at_risk"].append((at, (quantile, (high - low) / (2.0 * Z95), low, high)))
            out["expected_shortfall"].append((at, (shortfall, wide, shortfall - Z95 * wide, shortfall + Z95 * wide)))
            plain = (found.excess_variance / (mass * mass), found.indicator_variance)
            for name, variance_of, left in zip(SIZES, plain, (wide, error), strict=True):
                size = variance_of / (left * left) if left > 0.0 else math.nan
                out[name].append((at, (size, 0.0, 0.0, 0.0)))
    return out


def _slopes(pilot: Mapping[str, Any], row: tuple[int, ...], level: float) -> tuple[float, float]:
    """The coefficients of the indicator and of the excess, from the pilot."""
    worst, n = pilot["tail"]["loss"][row], int(pilot["tail"]["paths"])
    quantile, _ = quantile_and_shortfall(worst, level, n)
    variance = float(pilot["moments"]["standard_deviation"][row]) ** 2
    mean = float(pilot["moments"]["mean"][row])
    found = _covariances(worst, n - order_index(level, n), quantile, mean=mean, n=n)
    return (found.indicator / variance, found.excess / variance) if variance > 0.0 else (0.0, 0.0)


def _place(count: float, worst: Floats, level: float) -> int:
    place = max(math.floor(count), 0)
    if place >= len(worst):
        raise InputError(f"level: the interval at {level!r} reaches beyond the tail that was kept; take more paths")
    return place


def _residual_error(variance: float, covariance: float, control: float, slope: float, n: int) -> float:
    return math.sqrt(max(variance - 2.0 * slope * covariance + slope * slope * control, 0.0) / n)
