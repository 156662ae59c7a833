"""Is one method better than another, or was it luck? Diebold and Mariano's test, and the model confidence set."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import xarray as xr

from riskops.checks import check_integer, check_level, check_one_of
from riskops.errors import InputError
from riskops.history.backtests.base import BacktestResult
from riskops.history.backtests.comparisons import Case, each_comparison
from riskops.history.backtests.scores import SCORES, daily_scores
from riskops.history.forecasts.base import Floats, Integers
from riskops.schema import variable

__all__ = ["compare_forecasts", "confidence_set", "diebold_mariano", "model_confidence_set"]


def diebold_mariano(differences: Floats, *, lags: int | None = None) -> BacktestResult:
    """Diebold and Mariano's test that the mean of score differences is zero, two-sided.

    ``DM = mean / sqrt(v / n)`` with v the long-run variance by Bartlett weights over ``lags`` lags, scaled by Harvey,
    Leybourne and Newbold's ``sqrt((n + 1 - 2 h + h (h - 1) / n) / n)`` with ``h = lags + 1``, against Student's t with
    n - 1 degrees. Negative where the first method is better. NaN and NaN where differences do not vary, or there are
    no more than ``2 (lags + 1)``.

    Parameters
    ----------
    differences
        Score of the first method less that of the second, day by day, ``(n,)``.
    lags
        How many autocovariances count; ``floor(4 (n / 100)^(2/9))`` by default (Newey and West).

    References
    ----------
    Diebold and Mariano (1995), Comparing predictive accuracy, Journal of Business and Economic Statistics 13, 253-263;
    Harvey, Leybourne and Newbold (1997), International Journal of Forecasting 13, 281-291; Newey and West (1994).

    Examples
    --------
    >>> result = diebold_mariano(np.array([1.0, 2.0, 0.0, 1.0, 3.0, -1.0]), lags=0)
    >>> round(result.statistic, 4), round(result.p_value, 4)
    (1.7321, 0.1438)
    """
    from scipy.special import stdtr

    n = len(differences)
    count = math.floor(4.0 * (n / 100.0) ** (2.0 / 9.0)) if lags is None else check_integer("lags", lags, at_least=0)
    if n <= 2 * (count + 1) or np.all(differences == differences[0]):
        return BacktestResult(math.nan, math.nan)
    mean = float(differences.mean())
    centred = differences - mean
    variance = float(np.sum(centred * centred)) / n
    for lag in range(1, count + 1):
        weight = 1.0 - lag / (count + 1.0)
        variance += 2.0 * weight * float(np.sum(centred[lag:] * centred[:-lag])) / n
    if not variance > 0.0:
        return BacktestResult(math.nan, math.nan)
    h = count + 1
    corrected = mean / math.sqrt(variance / n) * math.sqrt((n + 1 - 2 * h + h * (h - 1) / n) / n)
    return BacktestResult(corrected, float(2.0 * stdtr(n - 1, -abs(corrected))))


def model_confidence_set(
    daily: Floats, *, size: float = 0.25, block: int | None = None, simulations: int = 1000, seed: int = 1
) -> Floats:
    """The p-value of each method in the model confidence set of Hansen, Lunde and Nason; included where above ``size``.

    The range statistic of ``arch.bootstrap.MCS`` under the stationary bootstrap. Methods of the same scores on every
    day share one p-value; a method that is worse by the same on every day has a p-value of 0. One method alone: 1; no
    day: NaN.

    Parameters
    ----------
    daily
        ``(method, day)``; a method whose scores are not all finite takes no part, its p-value is NaN.
    size
        The size of the test.
    block
        The mean length of a block; ``ceil(n^(1/3))`` by default.
    simulations, seed
        How many samples are drawn, and the seed.

    References
    ----------
    Hansen, Lunde and Nason (2011), The model confidence set, Econometrica 79, 453-497.

    Examples
    --------
    >>> noise = np.sin(np.arange(300.0) ** 2)
    >>> model_confidence_set(np.stack([noise, noise, noise + 0.1 * noise**2])).tolist()
    [1.0, 1.0, 0.0]
    """
    check_level("size", size)
    n = daily.shape[1]
    length = math.ceil(n ** (1.0 / 3.0)) if block is None else check_integer("block", block, at_least=1)
    found = np.full(len(daily), np.nan)
    part = np.flatnonzero(np.isfinite(daily).all(axis=1)) if n else np.empty(0, np.int64)
    if not len(part):
        return found
    leaders, led = _leaders(daily, part)
    if len(leaders) == 1 or n < 2:
        by_leader = dict.fromkeys(leaders, 1.0)
    else:
        from arch.bootstrap import MCS

        test = MCS(daily[leaders].T, size=size, reps=simulations, block_size=length, seed=seed)
        test.compute()
        rows = test.pvalues.index.to_numpy()
        by_leader = {leaders[row]: float(p_value) for row, p_value in zip(rows, test.pvalues["Pvalue"], strict=True)}
    for m in part:
        leader, worse = led[int(m)]
        found[m] = 0.0 if worse else by_leader[leader]
    return found


def _leaders(daily: Floats, part: Integers) -> tuple[list[int], dict[int, tuple[int, bool]]]:
    """Methods whose scores differ from each other's by more than a constant, and whom each method stands behind.

    A constant difference has no variance for the bootstrap to see: such a method is as good as its leader, or certainly
    worse.
    """
    leaders: list[int] = []
    led: dict[int, tuple[int, bool]] = {}
    rounding = 1e-12 * float(np.max(np.abs(daily[part])))
    for m in sorted((int(m) for m in part), key=lambda m: (float(daily[m].mean()), m)):
        for leader in leaders:
            difference = daily[m] - daily[leader]
            if np.ptp(difference) <= rounding:
                led[m] = leader, bool(abs(difference[0]) > rounding)
                break
        else:
            leaders.append(m)
            led[m] = m, False
    return sorted(leaders), led


def compare_forecasts(
    forecasts: xr.Dataset, *, score: str = "fissler_ziegel", reference: str | None = None, lags: int | None = None
) -> xr.Dataset:
    """Compare the scores of methods pair by pair, over the days that all of them share.

    Parameters
    ----------
    forecasts
        As for :func:`riskops.history.backtests.scores.scores`.
    score
        The score: ``"tick"``, ``"fissler_ziegel"`` or ``"fissler_ziegel_half"``.
    reference
        The method that the others are compared with; None: each with each.
    lags
        Of the long-run variance, see :func:`diebold_mariano`.

    Returns
    -------
    Dataset
        Lazy where the forecasts are: ``score_difference``, ``diebold_mariano`` and ``diebold_mariano_p_value``
        (method, other_method, series, level): the score of ``method`` less that of ``other_method``, negative where the
        first is better. NaN for a method with itself, and where a score is not defined on every shared day.

    Raises
    ------
    InputError
        An unknown score or reference.

    Examples
    --------
    >>> from riskops.history.backtests.example import small_forecasts
    >>> found = compare_forecasts(small_forecasts(), reference="right")
    >>> found["score_difference"].sel(other_method="right", level=0.95).values.round(3).tolist()
    [[nan], [0.653]]
    """
    check_one_of("score", score, SCORES)
    methods = _methods(forecasts)
    others = list(methods) if reference is None else [check_one_of("reference", reference, methods)]
    places = [methods.index(name) for name in others]

    def pairs(cases: Sequence[Case]) -> Floats:
        (case,) = cases
        out = np.full((3, len(methods), len(places)), np.nan)
        if not len(case.days):
            return out
        daily = daily_scores(score, case)
        for m in range(len(methods)):
            for j, other in enumerate(places):
                if m != other:
                    difference = daily[m] - daily[other]
                    out[0, m, j] = difference.mean()
                    if np.isfinite(difference).all():
                        out[1:, m, j] = diebold_mariano(difference, lags=lags)
        return out

    found = each_comparison(
        forecasts, pairs, ("part", "method", "other_method"), sizes={"part": 3, "other_method": len(others)}
    ).assign_coords(other_method=others)
    return _parts(found, ("score_difference", "diebold_mariano", "diebold_mariano_p_value"), score)


def confidence_set(
    forecasts: xr.Dataset,
    *,
    score: str = "fissler_ziegel",
    size: float = 0.25,
    pooled: bool = False,
    block: int | None = None,
    simulations: int = 1000,
    seed: int = 1,
) -> xr.Dataset:
    """The methods that may be the best: the model confidence set over the days that all methods share.

    Parameters
    ----------
    forecasts
        As for :func:`riskops.history.backtests.scores.scores`.
    score
        The score: ``"tick"``, ``"fissler_ziegel"`` or ``"fissler_ziegel_half"``.
    size
        The probability that the best method is left out is at most this.
    pooled
        One set for all series: the score of a day is the mean over the series that share it, so that the bootstrap
        keeps what series have in common. Pool series of like scale only under ``"tick"``, whose unit is that of losses.
    block, simulations, seed
        See :func:`model_confidence_set`.

    Returns
    -------
    Dataset
        Lazy where the forecasts are: ``confidence_set_p_value`` (method, series, level) and ``in_confidence_set``
        of the same dims, true where the p-value is above ``size``; without series where they are pooled. A method
        without forecasts, or with a score that is not defined on every shared day, is not in the set; its p-value is
        NaN.

    Raises
    ------
    InputError
        An unknown score, or a size outside (0, 1).

    Examples
    --------
    >>> from riskops.history.backtests.example import small_forecasts
    >>> found = confidence_set(small_forecasts())
    >>> found["in_confidence_set"].sel(level=0.95).values.tolist()
    [[True], [False]]
    """
    check_one_of("score", score, SCORES)
    check_level("size", size)
    check_integer("simulations", simulations, at_least=1)
    if block is not None:
        check_integer("block", block, at_least=1)

    def p_values(cases: Sequence[Case]) -> Floats:
        daily = _pooled([(case.days, daily_scores(score, case)) for case in cases if len(case.days)])
        found = np.full((1, len(cases[0].value_at_risk)), np.nan)
        if daily is not None:
            found[0] = model_confidence_set(daily, size=size, block=block, simulations=simulations, seed=seed)
        return found

    found = each_comparison(forecasts, p_values, ("part", "method"), sizes={"part": 1}, pooled=pooled)
    result = _parts(found, ("confidence_set_p_value",), score)
    p_value = result["confidence_set_p_value"]
    dims = tuple(str(dim) for dim in p_value.dims)
    coords = {str(name): coord for name, coord in p_value.coords.items()}
    result["in_confidence_set"] = variable(
        "in_confidence_set", dims, (p_value > size).data, coords=coords, attrs={"score": score, "size": size}
    )
    return result


def _methods(forecasts: xr.Dataset) -> tuple[str, ...]:
    if "method" not in forecasts.coords:
        raise InputError("forecasts: coordinate 'method' is missing; a comparison needs it")
    return tuple(str(name) for name in np.atleast_1d(forecasts["method"].to_numpy()))


def _pooled(parts: Sequence[tuple[Integers, Floats]]) -> Floats | None:
    """The mean score of each day over the series that share it, ``(method, day)``.

    A method takes part where it has scores of every series: means over different series would not compare.
    """
    if not parts:
        return None
    days, place = np.unique(np.concatenate([days for days, _ in parts]), return_inverse=True)
    total, count = np.zeros((len(parts[0][1]), len(days))), np.bincount(place)
    first = 0
    for own, daily in parts:
        total[:, place[first : first + len(own)]] += daily
        first += len(own)
    return np.asarray(total / count)


def _parts(found: xr.DataArray, names: Sequence[str], score: str) -> xr.Dataset:
    dims = tuple(str(dim) for dim in found.dims[1:])
    coords = {str(name): coord for name, coord in found.coords.items()}
    return xr.Dataset(
        {
            name: variable(name, dims, found.isel(part=i).data, coords=coords, attrs={"score": score})
            for i, name in enumerate(names)
        }
    )
