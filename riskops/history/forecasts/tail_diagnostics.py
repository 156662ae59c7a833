"""Where does the tail begin, and how heavy is it: mean excess, Hill's estimator and the shape by threshold.

Each is a curve over the number of exceedances ``k``, the threshold being the largest loss but ``k``, ``x(n - k)``
ascending. A tail of the generalised Pareto kind has a mean excess that is straight in the threshold, and a shape that
no longer depends on it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import tokenize

from riskops.checks import check_integer, check_one_of, check_unique
from riskops.errors import InputError
from riskops.history.forecasts.base import Floats, Integers
from riskops.history.forecasts.pareto import ESTIMATORS, FEWEST_EXCEEDANCES, fit_sorted
from riskops.history.series import read_series
from riskops.reductions import Z95
from riskops.schema import ERROR_SUFFIXES, variable

__all__ = ["hill_shape", "mean_excess", "threshold_stability"]

#: Which end of the returns is the tail, and the sign that makes its returns positive.
_SIGNS = {"loss": -1.0, "gain": 1.0}


def mean_excess(returns: xr.Dataset, *, exceedances: Sequence[int] | None = None, tail: str = "loss") -> xr.Dataset:
    """The mean of the losses above a threshold less the threshold, by the number of losses above it; lazy.

    For a generalised Pareto tail with a shape below 1 it is ``(scale + shape (u - u0)) / (1 - shape)`` at a threshold
    ``u``: a straight line that rises where the tail is heavy, is level where it is exponential and falls where it ends.

    Parameters
    ----------
    returns
        ``simple_return`` or ``log_return`` (observation, asset), or ``portfolio_return`` (observation, portfolio).
    exceedances
        Numbers of losses above the threshold, at least 10 and fewer than the observations; all from 10 to a quarter of
        the observations unless told.
    tail
        ``"loss"``: the losses, minus the returns; ``"gain"``: the returns.

    Returns
    -------
    Dataset
        ``tail_threshold`` and ``mean_excess`` (exceedances, asset or portfolio), the latter with ``_standard_error``,
        ``_low`` and ``_high``: the deviation of the excesses over the root of their number, and 1.96 of it to either
        side. Where losses equal the threshold fewer lie above it; NaN where fewer than two do.

    Raises
    ------
    InputError
        No returns, or one that is not finite (the NaN rule; when computed, if ``returns`` are lazy), or a number of
        exceedances that does not fit them.

    References
    ----------
    McNeil, Frey and Embrechts (2015), Quantitative Risk Management, 5.2.2.

    Examples
    --------
    >>> moves = np.random.default_rng(1).standard_t(4.0, (2000, 1)) / 100.0
    >>> coords = {"observation": np.arange(2000), "asset": ["A"]}
    >>> returns = xr.Dataset({"simple_return": (("observation", "asset"), moves)}, coords=coords)
    >>> curve = mean_excess(returns, exceedances=[50, 200]).compute()
    >>> curve["tail_threshold"].values.ravel().round(4).tolist(), curve["mean_excess"].values.ravel().round(4).tolist()
    ([0.0277, 0.0155], [0.0167, 0.0106])
    """
    return _curves(returns, exceedances, tail, _mean_excess, ("mean_excess",))


def hill_shape(returns: xr.Dataset, *, exceedances: Sequence[int] | None = None, tail: str = "loss") -> xr.Dataset:
    """Hill's estimator of the shape of a heavy tail, by the number of losses that it uses (a Hill plot); lazy.

    With ``X(1) >= X(2) >= ...`` it is ``(1 / k) sum over i <= k of log(X(i) / X(k+1))``, and the tail index its
    inverse; the standard error is ``shape / sqrt(k)``. The other convention, of evir and of McNeil, Frey and Embrechts,
    puts ``X(k)`` for ``X(k+1)``: at ``k`` it is ``(k - 1) / k`` times this one at ``k - 1``.

    Parameters
    ----------
    returns
        ``simple_return`` or ``log_return`` (observation, asset), or ``portfolio_return`` (observation, portfolio).
    exceedances
        Numbers ``k`` of losses, at least 10 and fewer than the observations; all from 10 to a quarter of the
        observations unless told.
    tail
        ``"loss"``: the losses, minus the returns; ``"gain"``: the returns.

    Returns
    -------
    Dataset
        ``tail_threshold``, ``X(k+1)``, and ``hill_shape`` (exceedances, asset or portfolio), the latter with
        ``_standard_error``, ``_low`` and ``_high``. NaN where the threshold is not above zero.

    Raises
    ------
    InputError
        No returns, or one that is not finite (the NaN rule; when computed, if ``returns`` are lazy), or a number of
        exceedances that does not fit them.

    References
    ----------
    Hill (1975), A simple general approach to inference about the tail of a distribution.

    Examples
    --------
    >>> moves = np.random.default_rng(1).standard_t(4.0, (2000, 1)) / 100.0
    >>> coords = {"observation": np.arange(2000), "asset": ["A"]}
    >>> returns = xr.Dataset({"simple_return": (("observation", "asset"), moves)}, coords=coords)
    >>> hill_shape(returns, exceedances=[50, 200]).compute()["hill_shape"].values.ravel().round(2).tolist()
    [0.37, 0.42]
    """
    return _curves(returns, exceedances, tail, _hill, ("hill_shape",))


def threshold_stability(
    returns: xr.Dataset,
    *,
    exceedances: Sequence[int] | None = None,
    tail: str = "loss",
    estimator: str = "likelihood",
) -> xr.Dataset:
    """The generalised Pareto fit by the number of losses above the threshold; lazy.

    Above a threshold from which the tail is of the generalised Pareto kind the shape stays where it is, but for its
    error; the scale grows with the threshold by the shape.

    Parameters
    ----------
    returns
        ``simple_return`` or ``log_return`` (observation, asset), or ``portfolio_return`` (observation, portfolio).
    exceedances
        Numbers of losses above the threshold, at least 10 and fewer than the observations; 30 evenly from 15 to a
        quarter of the observations unless told.
    tail
        ``"loss"``: the losses, minus the returns; ``"gain"``: the returns.
    estimator
        As :func:`riskops.history.forecasts.pareto.fit_pareto` takes it.

    Returns
    -------
    Dataset
        ``tail_threshold``, ``pareto_shape`` and ``pareto_scale`` (exceedances, asset or portfolio), the latter two with
        ``_standard_error``, ``_low`` and ``_high`` (1.96 standard errors to either side). NaN where that tail cannot be
        fitted, or has no standard errors.

    Raises
    ------
    InputError
        No returns, or one that is not finite (the NaN rule; when computed, if ``returns`` are lazy), or a number of
        exceedances that does not fit them.

    References
    ----------
    McNeil, Frey and Embrechts (2015), Quantitative Risk Management, 5.2.2; Coles (2001), An Introduction to Statistical
    Modeling of Extreme Values, 4.3.4.

    Examples
    --------
    >>> moves = np.random.default_rng(1).standard_t(4.0, (2000, 1)) / 100.0
    >>> coords = {"observation": np.arange(2000), "asset": ["A"]}
    >>> returns = xr.Dataset({"simple_return": (("observation", "asset"), moves)}, coords=coords)
    >>> threshold_stability(returns, exceedances=[50, 200]).compute()["pareto_shape"].values.ravel().round(2).tolist()
    [0.46, 0.31]
    """
    check_one_of("estimator", estimator, ESTIMATORS)
    names = ("pareto_shape", "pareto_scale")
    return _curves(returns, exceedances, tail, _stability, names, number=30, estimator=estimator)


def _curves(
    returns: xr.Dataset,
    exceedances: Sequence[int] | None,
    tail: str,
    function: Callable[..., Floats],
    names: Sequence[str],
    *,
    number: int | None = None,
    **options: Any,
) -> xr.Dataset:
    """The lazy variables of a curve: the threshold, and each figure with its errors."""
    sign = _SIGNS[check_one_of("tail", tail, _SIGNS)]
    series = read_series(returns, missing="error", series_per_task=1)
    numbers = _numbers(exceedances, len(series.dates), number)
    token = tokenize(series.values.name, numbers, sign, function.__name__, options)
    rows = 1 + 2 * len(names)
    found = da.map_blocks(
        _block,
        series.values,
        sign=sign,
        numbers=numbers,
        function=function,
        options=options,
        new_axis=0,
        chunks=((rows,), (len(numbers),), series.values.chunks[1]),
        dtype=np.float64,
        meta=np.empty((0, 0, 0)),
        name=f"{names[0].replace('_', '-')}-{token}",
    )
    dims = ("exceedances", series.dim)
    coords = {"exceedances": numbers, series.dim: list(series.names)}
    arrays = {"tail_threshold": found[0]}
    for i, name in enumerate(names):
        figure, error = found[1 + 2 * i], found[2 + 2 * i]
        parts = (error, figure - Z95 * error, figure + Z95 * error)
        arrays |= {name: figure, **{name + suffix: part for suffix, part in zip(ERROR_SUFFIXES, parts, strict=True)}}
    return xr.Dataset(
        {name: variable(name, dims, data, coords=coords) for name, data in arrays.items()}, attrs={"tail": tail}
    )


def _numbers(exceedances: Sequence[int] | None, observations: int, number: int | None) -> Integers:
    """The numbers of exceedances, checked; the default is every one, or so many evenly spread."""
    if exceedances is None:
        last = observations // 4
        if last < FEWEST_EXCEEDANCES:
            raise InputError(
                f"returns: {observations} observations are too few; a quarter of them must be {FEWEST_EXCEEDANCES}"
            )
        if number is None:
            return np.arange(FEWEST_EXCEEDANCES, last + 1)
        return np.unique(np.linspace(min(15, last), last, number).round().astype(np.int64))
    given = [check_integer("exceedances", k, at_least=FEWEST_EXCEEDANCES, below=observations) for k in exceedances]
    if not given:
        raise InputError("exceedances: at least one number is needed")
    check_unique("exceedances", given)
    return np.sort(np.array(given, np.int64))


def _block(values: Floats, *, sign: float, numbers: Integers, function: Any, options: dict[str, Any]) -> Floats:
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
        raise InputError(f"returns: observation {row} is not finite")
    return np.stack([function(np.sort(sign * column), numbers, **options) for column in values.T], axis=-1)


def _above(ordered: Floats, numbers: Integers) -> tuple[Floats, Integers]:
    """The thresholds of so many exceedances and how many losses are strictly above each."""
    thresholds = ordered[len(ordered) - 1 - numbers]
    return thresholds, len(ordered) - np.searchsorted(ordered, thresholds, side="right")


def _mean_excess(ordered: Floats, numbers: Integers) -> Floats:
    out = np.full((3, len(numbers)), np.nan)
    out[0], counts = _above(ordered, numbers)
    for i, count in enumerate(counts.tolist()):
        if count >= 2:
            excesses = ordered[len(ordered) - count :] - out[0, i]
            out[1, i], out[2, i] = excesses.mean(), excesses.std(ddof=1) / np.sqrt(count)
    return out


def _hill(ordered: Floats, numbers: Integers) -> Floats:
    thresholds = ordered[len(ordered) - 1 - numbers]
    descending = ordered[::-1][: numbers[-1]]
    with np.errstate(invalid="ignore", divide="ignore"):
        logs = np.cumsum(np.log(descending))[numbers - 1]
        shapes = np.where(thresholds > 0.0, logs / numbers - np.log(thresholds), np.nan)
    return np.stack([thresholds, shapes, shapes / np.sqrt(numbers)])


def _stability(ordered: Floats, numbers: Integers, *, estimator: str) -> Floats:
    out = np.full((5, len(numbers)), np.nan)
    out[0], _ = _above(ordered, numbers)
    for i, threshold in enumerate(out[0].tolist()):
        try:
            fit = fit_sorted(ordered, threshold, estimator)
        except InputError:  # a gap in the curve, as the documentation says
            continue
        out[1:, i] = fit.shape, fit.shape_error, fit.scale, fit.scale_error
    return out
