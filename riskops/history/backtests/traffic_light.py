"""Basel's traffic light: zones by the probability of so few breaches, and the multipliers that go with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.special import bdtr, bdtrc, ndtri

from riskops.checks import check_integer, check_level
from riskops.errors import InputError
from riskops.history.backtests.base import Backtest, BacktestResult, Bools, registered, tail_probability
from riskops.history.forecasts.base import Floats, Integers
from riskops.schema import validate, variable

__all__ = ["ZONES", "breaches_by_year", "traffic_light", "traffic_light_table"]

ZONES = ("green", "yellow", "red")

#: Where the yellow and the red zone begin: the probability of at most so many breaches.
_YELLOW, _RED = 0.95, 0.9999
#: The published increases of the yellow zone, of 250 days at 99 %, and what they add to: 1996 and MAR99.
_PUBLISHED = {5: (0.4, 0.2), 6: (0.5, 0.26), 7: (0.65, 0.33), 8: (0.75, 0.38), 9: (0.85, 0.42)}
_FLOORS = (3.0, 1.5)

_FIGURES = ("breach_probability", "traffic_light_zone", "multiplier", "multiplier_1996")


def _increases(breaches: int, n: int, level: float) -> tuple[float, float]:
    """What the yellow zone adds to the multipliers: as published, or by the rule behind the published figures."""
    if n == 250 and level == 0.99:
        return _PUBLISHED[breaches]
    calm = -float(ndtri(breaches / n))  # the normal quantile that so many breaches would belong to
    needed = -float(ndtri(tail_probability(level)))
    ratio = needed / calm if calm > 0.0 else np.inf
    return tuple(min(floor * (ratio - 1.0), floor / 3.0) for floor in _FLOORS)  # type: ignore[return-value]


def _judge(breaches: int, n: int, level: float) -> tuple[float, str, float, float]:
    """The figures of ``_FIGURES``."""
    if n == 0:
        return np.nan, "none", np.nan, np.nan
    probability = float(bdtr(breaches, n, tail_probability(level)))
    zone = ZONES[int(probability >= _YELLOW) + int(probability >= _RED)] if breaches else ZONES[0]
    old, current = {"green": (0.0, 0.0), "red": (1.0, 0.5)}.get(zone) or _increases(breaches, n, level)
    return probability, zone, _FLOORS[1] + current, _FLOORS[0] + old


def _figures(breaches: Integers, n: Integers, level: Floats) -> tuple[npt.NDArray[Any], ...]:
    """The figures of arrays that broadcast; each combination is judged once."""
    given = np.broadcast_arrays(breaches, n, level)
    flat = list(zip(*(array.ravel().tolist() for array in given), strict=True))
    known = {case: _judge(int(case[0]), int(case[1]), float(case[2])) for case in set(flat)}
    shape = given[0].shape
    dtypes = (np.float64, "<U6", np.float64, np.float64)
    return tuple(np.array([known[c][i] for c in flat], dtypes[i]).reshape(shape) for i in range(len(_FIGURES)))


def traffic_light_table(*, n: int = 250, level: float = 0.99) -> xr.Dataset:
    """Basel's table of zones and multipliers, for any number of days and any level.

    Yellow begins with the number of breaches that, with the level right, as many or fewer come with a probability of
    95 % or more, red at 99.99 %; without a breach the zone is green, however few the days are. The multipliers of 250
    days at 99 % are the published ones. Elsewhere the yellow zone follows the rule behind them: the increase that makes
    up for VaR being the normal quantile of the observed rate and not of the level,
    ``multiplier (z(level) / z(1 - breaches / n) - 1)``, at most what the red zone adds.

    Parameters
    ----------
    n
        The number of days.
    level
        The level of VaR.

    Returns
    -------
    Dataset
        ``breach_probability`` (of at most so many), ``traffic_light_zone``, ``multiplier`` (from 1.5 to 2, MAR99) and
        ``multiplier_1996`` (from 3 to 4), all (number): the number of breaches, from 0 to the first that is red.

    Raises
    ------
    InputError
        ``n`` below 1 or a level outside (0, 1).

    References
    ----------
    Basel Committee (January 1996), Supervisory framework for the use of backtesting; Basel framework, MAR32 and MAR99.

    Examples
    --------
    >>> table = traffic_light_table()
    >>> table["traffic_light_zone"].sel(number=[4, 5, 10]).values.tolist()
    ['green', 'yellow', 'red']
    >>> table["multiplier"].sel(number=[4, 5, 10]).values.tolist()
    [1.5, 1.7, 2.0]
    """
    check_integer("n", n, at_least=1)
    check_level("level", level)
    numbers = np.arange(n + 1)
    red = np.flatnonzero(bdtr(numbers[1:], n, tail_probability(level)) >= _RED) + 1
    numbers = numbers[: red[0] + 1]
    figures = _figures(numbers, np.array(n), np.array(level))
    found = {
        name: variable(name, ("number",), figure, coords={"number": numbers})
        for name, figure in zip(_FIGURES, figures, strict=True)
    }
    return xr.Dataset(found, attrs={"n": n, "level": level})


def traffic_light(forecasts: xr.Dataset, *, days: int = 250) -> xr.Dataset:
    """The zone and multipliers of every method and series by its last ``days`` forecasts.

    Parameters
    ----------
    forecasts
        ``forecast_value_at_risk`` and ``realised_loss``, as :func:`riskops.history.rolling_forecasts` gives them.
    days
        How many of the last forecasts that have a realised loss are judged: the year of 250 days that Basel's rules
        speak of. Where there are fewer all are, by the same rule; ``forecasts`` says how many.

    Returns
    -------
    Dataset
        ``forecasts``, ``breaches``, ``breach_probability``, ``traffic_light_zone``, ``multiplier`` and
        ``multiplier_1996`` (method, series, level); lazy where the forecasts are. See :func:`traffic_light_table`.

    Raises
    ------
    InputError
        ``days`` below 1, or a variable that is missing.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> losses = np.where(np.arange(300) % 40 == 0, 2.0, 0.0)
    >>> forecasts = xr.Dataset(
    ...     {"realised_loss": (("asset", "observation"), [losses]),
    ...      "forecast_value_at_risk": (("asset", "level", "observation"), np.ones((1, 1, 300)))},
    ...     coords={"asset": ["A"], "level": [0.99]})
    >>> light = traffic_light(forecasts)
    >>> int(light["breaches"].item()), light["traffic_light_zone"].item(), light["multiplier"].item()
    (6, 'yellow', 1.76)
    """
    check_integer("days", days, at_least=1)
    counted, breached = outcome_flags(forecasts)
    # how many count from each day on: the last ones are those of which no more than `days` do
    left = counted[{"observation": slice(None, None, -1)}].cumsum("observation")[{"observation": slice(None, None, -1)}]
    last = left <= days
    return _zones(forecasts, (breached & last).sum("observation"), (counted & last).sum("observation"))


def breaches_by_year(forecasts: xr.Dataset) -> xr.Dataset:
    """Breaches and traffic-light zones of every method and series, calendar year by calendar year.

    Parameters
    ----------
    forecasts
        ``forecast_value_at_risk`` and ``realised_loss`` with dated observations, as
        :func:`riskops.history.rolling_forecasts` gives them.

    Returns
    -------
    Dataset
        ``forecasts``, ``breaches``, ``breach_probability``, ``traffic_light_zone``, ``multiplier`` and
        ``multiplier_1996`` (method, series, level, year); lazy where the forecasts are. Each year is judged by the
        number of its own days, which ``forecasts`` says; a year without any has zone ``none`` and NaN.

    Raises
    ------
    InputError
        The observations have no dates, or a variable is missing.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> days = np.arange("2020-01-01", "2022-01-01", dtype="datetime64[D]").astype("datetime64[ns]")
    >>> losses = np.where(np.arange(731) % 40 == 0, 2.0, 0.0)
    >>> forecasts = xr.Dataset(
    ...     {"realised_loss": (("asset", "observation"), [losses]),
    ...      "forecast_value_at_risk": (("asset", "level", "observation"), np.ones((1, 1, 731)))},
    ...     coords={"asset": ["A"], "level": [0.99], "observation": days})
    >>> table = breaches_by_year(forecasts)
    >>> table["year"].values.tolist(), table["breaches"].values.ravel().tolist()
    ([2020, 2021], [10, 9])
    """
    counted, breached = outcome_flags(forecasts)
    dates = forecasts["observation"].to_numpy() if "observation" in forecasts.coords else np.empty(0)
    if not np.issubdtype(dates.dtype, np.datetime64):
        raise InputError("forecasts: the observations have no dates, so there are no years to count by")
    year = dates.astype("datetime64[Y]").astype(np.int64) + 1970
    years = np.unique(year)

    def sums(flags: Bools) -> npt.NDArray[np.int64]:
        return np.stack([flags[..., year == one].sum(axis=-1) for one in years], axis=-1)

    def by_year(flags: xr.DataArray) -> xr.DataArray:
        whole = flags.chunk(observation=-1) if flags.chunks else flags
        return xr.apply_ufunc(
            sums,
            whole,
            input_core_dims=[["observation"]],
            output_core_dims=[["year"]],
            dask="parallelized",  # one task a block, not one for each of its years
            output_dtypes=[np.int64],
            dask_gufunc_kwargs={"output_sizes": {"year": len(years)}},
        ).assign_coords(year=years)

    return _zones(forecasts, by_year(breached), by_year(counted))


def outcome_flags(forecasts: xr.Dataset) -> tuple[xr.DataArray, xr.DataArray]:
    """Which forecasts have a realised loss, both finite, and of which of them VaR was breached."""
    validate(forecasts, "forecast_value_at_risk", "realised_loss")
    risk, loss = forecasts["forecast_value_at_risk"], forecasts["realised_loss"]
    if "level" not in risk.coords:
        raise InputError("forecast_value_at_risk: coordinate 'level' is missing")
    finite = [xr.apply_ufunc(np.isfinite, array, dask="allowed") for array in (risk, loss)]
    valid: xr.DataArray = (finite[0] & finite[1]).transpose(*risk.dims)
    return valid, valid & (loss > risk).transpose(*risk.dims)


def _zones(forecasts: xr.Dataset, breaches: xr.DataArray, counted: xr.DataArray) -> xr.Dataset:
    order = [str(dim) for dim in forecasts["forecast_value_at_risk"].dims if dim != "observation"]
    dims = tuple(dim for dim in (*order, "year") if dim in breaches.dims)
    figures = xr.apply_ufunc(
        _figures,
        breaches,
        counted,
        breaches["level"],
        output_core_dims=[[]] * len(_FIGURES),
        dask="parallelized",
        output_dtypes=[np.float64, np.dtype("<U6"), np.float64, np.float64],
    )
    found: Mapping[str, xr.DataArray] = dict(
        zip(("forecasts", "breaches", *_FIGURES), (counted, breaches, *figures), strict=True)
    )
    ordered = {name: array.transpose(*dims) for name, array in found.items()}
    return xr.Dataset({name: registered(name, array) for name, array in ordered.items()})


def _exceptions(breaches: Bools, level: float) -> BacktestResult:
    """The traffic light as a test: the probability of at most so many breaches, and of at least so many."""
    m, n, tail = int(np.count_nonzero(breaches)), len(breaches), tail_probability(level)
    return BacktestResult(float(bdtr(m, n, tail)), float(bdtrc(m - 1, n, tail)) if m else 1.0)


BACKTESTS = (
    Backtest(
        "traffic_light",
        "Breaches come with a probability of at most 1 - level (one-sided, exact; the statistic sets the zone).",
        lambda o: _exceptions(o.breaches, o.level),
    ),
)
