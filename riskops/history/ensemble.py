"""An ensemble of forecasts, weighted by how well each did out of sample, up to the day before and never after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import xarray as xr

from riskops.checks import check_integer, check_level, check_one_of, check_positive, check_unique
from riskops.errors import InputError
from riskops.history.ensemble_weights import SCORES, Rule, combine_levels
from riskops.history.forecasts.base import Floats
from riskops.schema import validate, variable

__all__ = ["ensemble"]

_LEADING = ("asset", "portfolio", "horizon")


def ensemble(
    forecasts: xr.Dataset,
    *,
    score: Literal["fissler_ziegel", "tick"] = "fissler_ziegel",
    window: int = 250,
    minimum_history: int = 50,
    minimum_weight: float = 0.0,
    learning_rate: float | None = None,
    update_every: int = 1,
    confidence_set: float | None = None,
    seed: int = 1,
    lag: int = 1,
    name: str = "ensemble",
) -> xr.Dataset:
    """Combine the forecasts of several methods into one, by weights from their scores out of sample.

    The value at risk and the expected shortfall of a day are weighted means of the members', so the expected shortfall
    stays above the value at risk. A day's weights rest on the scores of forecasts whose loss was known when the day's
    forecast was made, and on nothing later.

    Parameters
    ----------
    forecasts
        ``forecast_value_at_risk`` and ``forecast_expected_shortfall`` (method, asset | portfolio, level, observation)
        and ``realised_loss`` (asset | portfolio, observation), as :func:`riskops.rolling_forecasts` gives them; the
        methods are the members. NaN: no forecast, or no loss, on that day.
    score
        ``"fissler_ziegel"``: the joint score of value at risk and expected shortfall in the form that is homogeneous of
        degree zero (Patton, Ziegel and Chen 2019). ``"tick"``: the tick loss of the value at risk alone.
    window
        The number of forecasts, back from the last known one, whose scores count.
    minimum_history
        Weights are equal until this many of them have been scored.
    minimum_weight
        No member that is weighted on a day gets less than this; the number of members times it is at most one.
    learning_rate
        How fast weights follow the scores; 0 keeps them equal. None: a rate for each day, from how far apart the
        members' scores were.
    update_every
        Weights, and the confidence set, are made anew at every so-many-th forecast and kept in between. With a
        confidence set choose a coarser step, such as 20: each set is a bootstrap.
    confidence_set
        Keep only the members in the model confidence set (Hansen, Lunde and Nason 2011) of the window's scores at this
        confidence, such as 0.75; None: keep all.
    seed
        Of the confidence set's bootstrap.
    lag
        How many forecasts back the last known loss is: 1 where losses do not overlap, as rolling forecasts have it;
        ``h`` for a Dataset with a forecast over ``h`` observations on every observation.
    name
        What the ensemble is called among the methods.

    Returns
    -------
    Dataset
        Lazy, one task a series; loss positive, per unit of value:

        - ``forecast_value_at_risk``, ``forecast_expected_shortfall`` and ``breach`` as the members have them, with the
          one ``method`` ``name``;
        - ``ensemble_weight`` (member, ...): each member's weight; the weights of a day add up to one;
        - ``member_score`` (member, ...): the mean score over the window that the day's weights rest on.

        Forecasts and weights are NaN on a day that no member forecasts.

    Raises
    ------
    InputError
        A variable that is missing, fewer than two members, a member called ``name``, a minimum weight that the members
        can't all have, an option outside its range; and, when computed, an expected shortfall that is not above zero
        under the Fissler-Ziegel score.

    Notes
    -----
    With ``S_m`` the sum over the window of member m's score less the average score of all members on the same day, the
    weight is ``minimum + (1 - k minimum) exp(-rate S_m) / sum exp(-rate S)`` over the ``k`` members that forecast the
    day: exponential weighting (Vovk 1990), which Shan and Yang (2009) use for quantiles and Taylor (2020), as relative
    score combining, for value at risk and expected shortfall. Without a rate given it is that of Cesa-Bianchi, Mansour
    and Stoltz (2007), over the window: ``min(1 / R, sqrt(c ln m / V))`` with the number ``m`` of members,
    ``c = 2 (sqrt(2) - 1) / (e - 2)``, ``V`` the sum of the variances of a day's scores over the members, and ``R`` the
    largest distance of two of them on one day. A few breaches at a high level, whose scores are far apart, then do not
    leave all weight with one member. Tick losses have the unit of returns; they are divided by
    their mean over window and members first. On a day that a member did not forecast, it counts as the average of the
    others in the scores (Freund et al. 1997) and has no weight; the others' weights are renormalised.

    With a confidence set, members outside it have no weight, and the minimum is that of the members inside. Judged are
    the members with a score on every day of the window; the others stay. Should no member of the set forecast a day,
    all that do are used.

    References
    ----------
    Taylor (2020), Forecast combinations for value at risk and expected shortfall. Shan and Yang (2009), Combining
    regression quantile estimators. Patton, Ziegel and Chen (2019), Dynamic semiparametric models for expected shortfall
    (and value-at-risk). Cesa-Bianchi, Mansour and Stoltz (2007), Improved second-order bounds for prediction with
    expert advice. Hansen, Lunde and Nason (2011), The model confidence set. Freund, Schapire, Singer and Warmuth
    (1997), Using and combining predictors that specialize.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> loss = np.random.default_rng(1).normal(0.0, 1.0, (1, 500))
    >>> dims = ("method", "asset", "level", "observation")
    >>> held = xr.Dataset(
    ...     {
    ...         "forecast_value_at_risk": (dims, np.multiply.outer([1.645, 3.0], np.ones((1, 1, 500)))),
    ...         "forecast_expected_shortfall": (dims, np.multiply.outer([2.063, 4.0], np.ones((1, 1, 500)))),
    ...         "realised_loss": (("asset", "observation"), loss),
    ...     },
    ...     coords={"method": ["right", "cautious"], "asset": ["A"], "level": [0.95]},
    ... )
    >>> both = ensemble(held, minimum_weight=0.1)
    >>> both["ensemble_weight"].isel(asset=0, level=0, observation=-1).values.round(3).tolist()
    [0.9, 0.1]
    """
    rule = Rule(
        score=check_one_of("score", score, tuple(SCORES)),
        window=check_integer("window", window, at_least=1),
        minimum_history=check_integer("minimum_history", minimum_history, at_least=1),
        minimum_weight=_check_share("minimum_weight", minimum_weight),
        learning_rate=learning_rate if learning_rate in (None, 0.0) else check_positive("learning_rate", learning_rate),
        update_every=check_integer("update_every", update_every, at_least=1),
        confidence_set=None if confidence_set is None else check_level("confidence_set", confidence_set),
        seed=check_integer("seed", seed, at_least=0, below=2**32),
        lag=check_integer("lag", lag, at_least=1),
    )
    if minimum_history > window:
        raise InputError(f"minimum_history: {minimum_history} is more than the window of {window}")
    validate(forecasts, "forecast_value_at_risk", "forecast_expected_shortfall", "realised_loss")
    for dim in ("method", "level"):
        if dim not in forecasts["forecast_value_at_risk"].dims:
            raise InputError(f"forecast_value_at_risk: it has no dim {dim!r}; an ensemble is made along it")
    members = [str(method) for method in forecasts["method"].to_numpy()]
    check_unique("method", [*members, name])
    if len(members) < 2:
        raise InputError(f"forecasts: {len(members)} method makes no ensemble; at least two are needed")
    if rule.minimum_weight * len(members) > 1.0:
        raise InputError(
            f"minimum_weight: {minimum_weight!r} for each of {len(members)} members is more than one in all; "
            f"at most {1.0 / len(members):.6g}"
        )
    return _combined(forecasts, members, rule, name)


def _check_share(argument: str, value: float) -> float:
    return 0.0 if value == 0.0 else check_positive(argument, value)


def _combined(forecasts: xr.Dataset, members: Sequence[str], rule: Rule, name: str) -> xr.Dataset:
    """The lazy variables: one task for each of the leading dims' places, over all members, levels and days."""
    figures = forecasts["forecast_value_at_risk"]
    lead = [str(dim) for dim in figures.dims if dim in _LEADING]
    levels = [float(level) for level in forecasts["level"].to_numpy()]
    whole = {"method": -1, "level": -1, "observation": -1, **dict.fromkeys(lead, 1)}

    def of_series(value_at_risk: Floats, expected_shortfall: Floats, losses: Floats) -> Any:
        return combine_levels(value_at_risk, expected_shortfall, losses, levels=levels, rule=rule)

    inputs = [
        forecasts[one].chunk({dim: size for dim, size in whole.items() if dim in forecasts[one].dims})
        for one in ("forecast_value_at_risk", "forecast_expected_shortfall", "realised_loss")
    ]
    daily, by_member = ["level", "observation"], ["member", "level", "observation"]
    found = xr.apply_ufunc(
        of_series,
        *inputs,
        input_core_dims=[["method", *daily], ["method", *daily], ["observation"]],
        output_core_dims=[daily, daily, daily, by_member, by_member],
        vectorize=True,
        dask="parallelized",
        output_dtypes=[np.float64, np.float64, np.bool_, np.float64, np.float64],
        dask_gufunc_kwargs={"output_sizes": {"member": len(members)}},
    )
    coords = {str(dim): figures[dim].to_numpy() for dim in figures.dims if dim != "method" and dim in figures.coords}
    result = {}
    names = ("forecast_value_at_risk", "forecast_expected_shortfall", "breach", "ensemble_weight", "member_score")
    for one, array in zip(names, found, strict=True):
        first, labels = ("member", list(members)) if "member" in array.dims else ("method", [name])
        shaped = array if "member" in array.dims else array.expand_dims("method")
        dims = (first, *lead, *daily)
        result[one] = variable(one, dims, shaped.transpose(*dims).data, coords={first: labels, **coords})
    return xr.Dataset(result, attrs=dict(forecasts.attrs))
