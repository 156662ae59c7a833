"""Scores of forecasts: what makes one method better than another, day by day and on average; lower is better.

A score is consistent when no forecast is expected to do better than the truth. Value at risk has the tick loss;
expected shortfall has none alone, but together with value at risk it has the family of Fissler and Ziegel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from riskops.checks import check_level, check_one_of, check_unique
from riskops.errors import InputError
from riskops.history.backtests.base import tail_probability
from riskops.history.backtests.comparisons import Case, each_comparison
from riskops.history.forecasts.base import Floats
from riskops.schema import variable

__all__ = ["SCORES", "daily_scores", "fissler_ziegel_loss", "score_names", "scores", "tick_loss"]

#: The scores by name, in the order of results.
SCORES = ("tick", "fissler_ziegel", "fissler_ziegel_half")

Undefined = Literal["error", "nan"]


def tick_loss(losses: npt.ArrayLike, value_at_risk: npt.ArrayLike, level: float) -> Floats:
    """The tick (quantile) loss of value at risk, elementwise: ``(1{L > V} - p) (L - V)``, ``p = 1 - level``.

    Its expectation is least where V is the quantile at ``level``; it is never negative and has the unit of the losses.
    NaN stays NaN.

    References
    ----------
    Koenker and Bassett (1978), Regression quantiles, Econometrica 46; Giacomini and Komunjer (2005).

    Examples
    --------
    >>> tick_loss([3.0, 1.0], [2.0, 2.0], 0.75).tolist()
    [0.75, 0.25]
    """
    check_level("level", level)
    excess = np.asarray(losses, np.float64) - np.asarray(value_at_risk, np.float64)
    return np.asarray(np.maximum(excess, 0.0) - tail_probability(level) * excess)


def fissler_ziegel_loss(
    losses: npt.ArrayLike,
    value_at_risk: npt.ArrayLike,
    expected_shortfall: npt.ArrayLike,
    level: float,
    *,
    degree: float = 0.0,
    undefined: Undefined = "error",
) -> Floats:
    """The joint score of value at risk V and expected shortfall E of Fissler and Ziegel, elementwise.

    With ``p = 1 - level``, ``degree=0`` is the FZ0 loss of Patton, Ziegel and Chen,
    ``max(L - V, 0) / (p E) + V / E + log(E) - 1``: differences between methods do not depend on the unit of the losses.
    ``degree=0.5`` is the score whose differences grow with the root of the unit,
    ``(max(L - V, 0) / p + V + E) / (2 sqrt(E))``. Both are those of Nolde and Ziegel over p. They are defined for E
    above zero only; NaN stays NaN.

    Parameters
    ----------
    losses, value_at_risk, expected_shortfall
        Loss positive, of shapes that broadcast.
    level
        The confidence level of the forecasts.
    degree
        0 or 0.5, the degree of homogeneity.
    undefined
        What an expected shortfall of zero or below means: ``"error"``, or ``"nan"`` for a caller that counts them.

    Raises
    ------
    InputError
        An expected shortfall that is not above zero, unless ``undefined="nan"``; another degree.

    References
    ----------
    Fissler and Ziegel (2016), Higher order elicitability and Osband's principle, Annals of Statistics 44, 1680-1707;
    Patton, Ziegel and Chen (2019), Dynamic semiparametric models for expected shortfall (and value-at-risk), Journal of
    Econometrics 211, 388-413; Nolde and Ziegel (2017), Elicitability and backtesting, Annals of Applied Statistics 11.

    Examples
    --------
    >>> fissler_ziegel_loss([3.0, 1.0], [2.0, 2.0], [4.0, 4.0], 0.75).round(4).tolist()
    [1.8863, 0.8863]
    """
    check_level("level", level)
    check_one_of("undefined", undefined, ("error", "nan"))
    if degree not in (0.0, 0.5):
        raise InputError(f"degree: {degree!r} is neither 0 nor 0.5")
    quantile, shortfall = np.asarray(value_at_risk, np.float64), np.asarray(expected_shortfall, np.float64)
    bad = np.argwhere(shortfall <= 0.0)
    if len(bad) and undefined == "error":
        where = tuple(int(i) for i in bad[0])
        raise InputError(
            f"expected_shortfall: {float(shortfall[where])!r} at index {where} is not above zero; the joint score is "
            'not defined there, undefined="nan" makes it NaN'
        )
    positive = np.where(shortfall > 0.0, shortfall, np.nan)
    excess = np.maximum(np.asarray(losses, np.float64) - quantile, 0.0) / tail_probability(level)
    if degree == 0.0:
        return np.asarray((excess + quantile) / positive + np.log(positive) - 1.0)
    return np.asarray((excess + quantile + positive) / (2.0 * np.sqrt(positive)))


def score_names(names: str | Sequence[str]) -> tuple[str, ...]:
    """Return scores that there are, each named once; ``"all"`` is every one."""
    given = SCORES if names == "all" else (names,) if isinstance(names, str) else tuple(names)
    for name in given:
        check_one_of("score", name, SCORES)
    check_unique("score", given)
    if not given:
        raise InputError("score: at least one is needed")
    return given


def daily_scores(name: str, case: Case) -> Floats:
    """A score of each method and shared day of a comparison, ``(method, day)``; NaN where it is not defined."""
    losses, quantile = case.losses[None, :], case.value_at_risk
    if name == "tick":
        return tick_loss(losses, quantile, case.level)
    degree = 0.0 if name == "fissler_ziegel" else 0.5
    return fissler_ziegel_loss(losses, quantile, case.expected_shortfall, case.level, degree=degree, undefined="nan")


def scores(forecasts: xr.Dataset, *, score: str | Sequence[str] = ("tick", "fissler_ziegel")) -> xr.Dataset:
    """Mean scores of forecasts over the days that all methods share, so that like is compared with like.

    A day counts where every method that takes part has a value at risk and an expected shortfall, and the loss is
    known. A method without any forecast of a series and level takes no part there; its score is NaN. The joint scores
    are not defined for an expected shortfall of zero or below: a method that said so on a shared day has no such score
    (NaN), and ``undefined_scores`` counts those days; the others keep theirs.

    Parameters
    ----------
    forecasts
        ``forecast_value_at_risk``, ``forecast_expected_shortfall`` and ``realised_loss``, as
        :func:`riskops.history.rolling_forecasts` gives them.
    score
        ``"tick"``, ``"fissler_ziegel"`` (FZ0) or ``"fissler_ziegel_half"``; several, or ``"all"``. See
        :func:`tick_loss` and :func:`fissler_ziegel_loss`.

    Returns
    -------
    Dataset
        Lazy where the forecasts are: ``score`` (score_name, method, series, level), lower is better;
        ``shared_days`` (series, level), how many days the means are over; ``undefined_scores`` (method, series, level).

    Raises
    ------
    InputError
        An unknown score, or a variable that is missing.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> from riskops.schema import variable
    >>> coords = {"method": ["low", "high"], "level": [0.75]}
    >>> dims = ("method", "level", "observation")
    >>> risk = {"forecast_value_at_risk": [[[1.0, 1.0]], [[2.0, 2.0]]]}
    >>> risk["forecast_expected_shortfall"] = [[[2.0, 2.0]], [[4.0, 4.0]]]
    >>> ds = xr.Dataset({k: variable(k, dims, np.array(v), coords=coords) for k, v in risk.items()})
    >>> ds["realised_loss"] = variable("realised_loss", ("observation",), np.array([3.0, 1.0]))
    >>> scores(ds)["score"].sel(level=0.75).values.round(4).tolist()
    [[0.75, 0.5], [2.1931, 1.3863]]
    """
    names = score_names(score)

    def means(cases: Sequence[Case]) -> Floats:
        (case,) = cases
        out = np.full((len(names) + 2, len(case.value_at_risk)), np.nan)
        if len(case.days):
            for i, name in enumerate(names):
                out[i] = daily_scores(name, case).mean(axis=1)
        out[-2], out[-1] = case.undefined, len(case.days)
        return out

    parts = each_comparison(forecasts, means, ("part", "method"), sizes={"part": len(names) + 2})
    dims = tuple(str(dim) for dim in parts.dims[1:])
    found = parts.isel(part=slice(0, len(names)))
    coords = {str(name): coord for name, coord in parts.coords.items()}
    mean = variable("score", ("score_name", *dims), found.data, coords={"score_name": list(names)} | coords)
    days = parts.isel(part=-1, method=0, drop=True)
    return xr.Dataset(
        {
            "score": mean,
            "shared_days": variable(
                "shared_days", dims[1:], days.data, coords={str(name): coord for name, coord in days.coords.items()}
            ),
            "undefined_scores": variable("undefined_scores", dims, parts.isel(part=-2).data, coords=coords),
        }
    )
