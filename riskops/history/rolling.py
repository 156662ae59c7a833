"""The rolling engine: every method over every series, refitted as time goes on, each forecast from the past alone.

A task is one method over a group of series. It walks through the days: at a refit it fits the method to the window
that ends there, and lets the fit forecast the days up to the next refit. Both see a slice of the returns that ends
where the knowledge of that day ends, so no forecast can depend on what came after it; and as a series is worked on by
itself, figures depend neither on the grouping nor on the scheduler.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr
from dask.base import tokenize

from riskops.checks import check_integer, check_levels, check_one_of
from riskops.errors import InputError
from riskops.history.fitting import FALLBACK, Failures, Methods, Unfit, check_failures, choose_methods, fitted, said
from riskops.history.forecasts.base import Fit, Floats, Forecaster, Integers, losses_ahead
from riskops.history.rolled import Memory, Rolled
from riskops.history.series import Missing, Series, check_returns, day_text, read_series
from riskops.history.tasks import Picked, method_tasks, picked, series_task
from riskops.schema import variable
from riskops.threads import pinned_threads

__all__ = ["SCHEMES", "rolled", "rolling_forecasts"]

Scheme = Literal["rolling", "expanding"]
SCHEMES = ("rolling", "expanding")

_DAILY = (
    Picked("forecast_value_at_risk", ("level", "observation"), np.float64, "value_at_risk"),
    Picked("forecast_expected_shortfall", ("level", "observation"), np.float64, "expected_shortfall"),
    Picked("forecast_value_at_risk_standard_error", ("level", "observation"), np.float64, "value_at_risk_error"),
    Picked(
        "forecast_expected_shortfall_standard_error", ("level", "observation"), np.float64, "expected_shortfall_error"
    ),
    Picked("breach", ("level", "observation"), np.bool_, "breach"),
    Picked("forecast_probability", ("observation",), np.float64, "probability"),
    Picked("refitted", ("observation",), np.bool_, "refitted"),
    Picked("forecast_failed", ("observation",), np.bool_, "failed"),
    Picked("forecast_notes", (), object, "notes"),
    Picked("fit_seconds", (), np.float64, "seconds"),
)


@dataclass(frozen=True)
class Roll:
    """What all tasks share: the settings, and the row of the first day that is forecast."""

    levels: tuple[float, ...]
    days: int
    window: int
    refit_every: int
    scheme: Scheme
    first: int
    missing: Missing
    failures: Failures

    def origins(self, observations: int) -> Integers:
        """The rows that forecasts are made before: every one, or every ``days``-th so that no two losses overlap."""
        return np.arange(self.first, observations - self.days + 1, self.days)


def rolling_forecasts(
    returns: xr.Dataset,
    *,
    methods: Methods,
    level: float | Sequence[float] = (0.95, 0.99),
    horizon: int = 1,
    window: int = 1000,
    refit_every: int = 20,
    scheme: Scheme = "rolling",
    start: str | np.datetime64 | int | None = None,
    missing: Missing = "error",
    failures: Failures = "error",
    series_per_task: int = 1,
) -> xr.Dataset:
    """Forecast value at risk and expected shortfall of every day from the days before it, by several methods.

    On a refit day each method is fitted to the last ``window`` returns (to all of them under ``scheme="expanding"``);
    the fit then forecasts every day up to the next refit with its parameters held fixed, from the returns up to the
    day before. Nothing that comes later is shown to a method. Methods without parameters are prepared once.

    For a horizon of ``h`` days forecasts are made every ``h``-th day, so that their losses share no day, and each is
    dated by the last of its ``h`` days, on which the loss is known.

    Parameters
    ----------
    returns
        ``simple_return`` or ``log_return`` (observation, asset), or ``portfolio_return`` (observation, portfolio), in
        memory or lazy. The loss over a horizon is minus the sum of its returns.
    methods
        Names of methods, mappings of ``kind`` and settings, or forecasters; one or several, or ``"all"``.
    level
        One or several confidence levels.
    horizon
        The number of days that a loss spans.
    window
        The number of returns that a fit, and a method that looks back, uses; the first forecast needs as many, under
        either scheme.
    refit_every
        A fit serves for this many days of the series.
    scheme
        ``"rolling"``: the window moves along. ``"expanding"``: it grows from the first return on.
    start
        The first day whose loss a forecast is for, a date or the number of an observation; the first that has
        ``window`` returns before it by default.
    missing
        ``"error"``: a NaN return is an error. ``"skip"``: a series consists of its own observed days; windows and
        refits count those, and a forecast is made where ``window`` of them came before and all days of the horizon
        were observed; elsewhere it is NaN.
    failures
        ``"error"``: a method that can't be fitted, or whose forecast is no finite number, stops the work with an error
        that names method, series and date. ``"nan"``: the days up to its next refit are NaN, ``forecast_failed`` is
        true there, and a note says why.
    series_per_task
        The number of series that one task goes through.

    Returns
    -------
    Dataset
        Lazy, one task a method and group of series; loss positive, per unit of value:

        - ``forecast_value_at_risk`` and ``forecast_expected_shortfall`` (method, series, level, observation), each with
          its Monte-Carlo ``_standard_error``; ``breach`` of the same dims;
        - ``forecast_probability`` (method, series, observation): of a loss no larger than the one that came;
        - ``realised_loss`` (series, observation);
        - ``refitted`` and ``forecast_failed`` (method, series, observation);
        - ``forecast_notes`` (method, series): JSON of each note and the number of fits, or of forecasts by a
          fallback, that it was said of, for :func:`forecast_notes`;
        - ``fit_seconds`` (method, series): the time that fitting and forecasting took, no figure of the risk.

        The coordinate ``horizon_rule`` (method) says how the horizon is reached. Attributes: ``window``,
        ``refit_every``, ``scheme``, ``horizon``, ``missing``, ``failures``, ``returns``.

    Raises
    ------
    InputError
        An unknown method or setting, two methods of one name, a method that has no way to the horizon or needs more
        returns than the window, dates that do not ascend, a window that leaves no day to forecast, an infinite return,
        and by the NaN rule a missing one.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> moves = np.random.default_rng(1).normal(0.0, 0.01, (300, 1))
    >>> days = np.datetime64("2020-01-01", "ns") + np.arange(300) * np.timedelta64(1, "D")
    >>> coords = {"observation": days, "asset": ["A"]}
    >>> returns = xr.Dataset({"simple_return": (("observation", "asset"), moves)}, coords=coords)
    >>> found = rolling_forecasts(returns, methods="historical", level=0.95, window=250)
    >>> int(found["breach"].sum().compute()), found.sizes["observation"]
    (3, 50)
    """
    return rolled(
        returns,
        methods=methods,
        level=level,
        horizon=horizon,
        window=window,
        refit_every=refit_every,
        scheme=scheme,
        start=start,
        missing=missing,
        failures=failures,
        series_per_task=series_per_task,
    )


def rolled(
    returns: xr.Dataset,
    *,
    methods: Methods,
    level: float | Sequence[float],
    horizon: int,
    window: int,
    refit_every: int,
    scheme: Scheme,
    start: str | np.datetime64 | int | None,
    missing: Missing = "error",
    failures: Failures,
    series_per_task: int = 1,
    memory: Memory | None = None,
) -> xr.Dataset:
    """:func:`rolling_forecasts`, with a memory of what was forecast before; a run that is resumed has one."""
    chosen = choose_methods(methods)
    levels = check_levels("level", level)
    days = check_integer("horizon", horizon, at_least=1)
    check_integer("window", window, at_least=2)
    check_integer("refit_every", refit_every, at_least=1)
    check_one_of("scheme", scheme, SCHEMES)
    check_failures(failures)
    check_integer("series_per_task", series_per_task, at_least=1)
    rules = [one.horizon_rule(days) for one in chosen]
    for one in chosen:
        if one.least > window:
            raise InputError(f"window: {window} returns are fewer than the {one.least} that {one.name} needs")
    series = read_series(returns, missing=missing, series_per_task=series_per_task)
    roll = Roll(levels, days, window, refit_every, scheme, _first(series, start, window), missing, failures)
    origins = roll.origins(len(series.dates))
    if not len(origins):
        raise InputError(
            f"window: {window} returns before the first forecast leave none of the {len(series.dates)} observations "
            f"for a horizon of {days}"
        )
    results = method_tasks(_roll_block, series, chosen, roll, stage="roll", memory=memory)
    losses = series_task(_loss_block, series, roll, stage="losses", dtype=np.float64, days=len(origins))
    coords = {
        "method": [one.name for one in chosen],
        series.dim: list(series.names),
        "level": list(levels),
        "observation": series.dates[origins + days - 1],
    }
    sizes = {"level": len(levels), "observation": len(origins)}
    found = picked(results, _DAILY, dim=series.dim, coords=coords, sizes=sizes)
    known = {dim: coords[dim] for dim in (series.dim, "observation")}
    found["realised_loss"] = variable("realised_loss", (series.dim, "observation"), losses, coords=known)
    attrs: dict[str, Any] = {"window": window, "refit_every": refit_every, "scheme": scheme, "horizon": days}
    attrs |= {"missing": missing, "failures": failures, "returns": series.variable}
    return xr.Dataset(found, attrs=attrs).assign_coords(horizon_rule=("method", rules))


def _first(series: Series, start: str | np.datetime64 | int | None, window: int) -> int:
    if start is None:
        return window
    first = series.rows_before(start)
    if first < window:
        raise InputError(f"start: {first} observations before {start} are fewer than the window of {window}")
    return first


def _loss_block(values: Floats, *, settings: Roll) -> Floats:
    origins = settings.origins(len(values))
    return np.stack([losses_ahead(np.ascontiguousarray(column), days=settings.days)[origins] for column in values.T])


def _roll_block(
    methods: npt.NDArray[Any],
    values: Floats,
    names: npt.NDArray[Any],
    dates: npt.NDArray[Any],
    *,
    settings: Roll,
    memory: Memory | None,
) -> npt.NDArray[Any]:
    check_returns(values, [str(name) for name in names], dates, missing=settings.missing)
    out = np.empty((len(methods), values.shape[1]), object)
    with pinned_threads():
        for m, s in np.ndindex(out.shape):
            method: Any = methods[m]
            name, own = str(names[s]), np.array(values[:, s])
            key = f"{method.name} {name} {tokenize(type(method).__qualname__, method.record(), settings, own)}"
            found = None if memory is None else memory.recall(key)
            if found is None:
                found = roll_series(method, own, settings, name=name, dates=dates)
                if memory is not None:
                    memory.keep(key, found)
            out[m, s] = found
    return out


def roll_series(method: Forecaster, values: Floats, roll: Roll, *, name: str, dates: npt.NDArray[Any]) -> Rolled:
    """All forecasts of one method for one series; NaN values are days on which the series was not observed."""
    seen = np.isfinite(values)
    known = np.concatenate(([0], np.cumsum(seen)))  # the series' own returns before each row
    origins = roll.origins(len(values))
    whole = known[origins + roll.days] - known[origins] == roll.days
    places = np.flatnonzero(whole & (known[origins] >= roll.window))
    out = Rolled.empty(len(roll.levels), len(origins))
    own = values[seen]
    own.setflags(write=False)
    walk = _Walk(method, own, known[origins[places]], places, roll, out)
    began = time.perf_counter()
    at = 0
    while at < len(places):
        stop = walk.next_refit(at)
        try:
            at = walk.forecast(at, stop)
        except Unfit as error:
            if roll.failures == "error":
                raise InputError(
                    f"{method.name}: series {name!r}, forecasts from {day_text(dates[origins[places[at]]])} on: "
                    f'{error}; failures="nan" leaves such days without a forecast'
                ) from error
            out.failed[places[at:stop]] = True
            out.note(f"no forecast: {error}")
            at = stop
        except Exception as error:
            error.add_note(f"{method.name}: series {name!r}, at {day_text(dates[origins[places[at]]])}")
            raise
    out.seconds = time.perf_counter() - began
    return out


@dataclass(eq=False)
class _Walk:
    """One method on its way through the days of one series."""

    method: Forecaster
    own: Floats
    ends: Integers  # of each forecast: the returns that it knows
    places: Integers  # of each forecast: its day on the grid
    roll: Roll
    out: Rolled
    fit: Fit | None = None
    at_once: bool = True

    def next_refit(self, at: int) -> int:
        """The first forecast that knows ``refit_every`` returns more than the one ``at``."""
        return int(np.searchsorted(self.ends, self.ends[at] + self.roll.refit_every))

    def forecast(self, at: int, stop: int) -> int:
        """Fit where it is time to, forecast from ``at`` on, and say which day is next."""
        method, roll = self.method, self.roll
        if method.estimated or self.fit is None:
            self.out.refitted[self.places[at]] = True
            end = int(self.ends[at])
            begin = end - roll.window if roll.scheme == "rolling" else 0
            self.fit = fitted(method, self.own[begin:end], levels=roll.levels, days=roll.days)
            for text in self.fit.notes:
                self.out.note(text)
        if not method.estimated and self.at_once:
            try:
                return self._fill(self.fit, at, len(self.ends))
            except Unfit:
                self.at_once = False  # from here on stretch by stretch, so that only those fail that must
        return self._fill(self.fit, at, stop)

    def _fill(self, fit: Fit, at: int, stop: int) -> int:
        roll, out = self.roll, self.out
        ends, places = self.ends[at:stop], self.places[at:stop]
        window = roll.window if roll.scheme == "rolling" else None
        found = said(fit, self.method.name, self.own, ends, window=window, levels=roll.levels)
        out.note(FALLBACK, found.fallbacks)
        out.value_at_risk[:, places] = found.value_at_risk
        out.expected_shortfall[:, places] = found.expected_shortfall
        out.value_at_risk_error[:, places] = found.value_at_risk_error
        out.expected_shortfall_error[:, places] = found.expected_shortfall_error
        came = losses_ahead(self.own[ends[0] : ends[-1] + roll.days], days=roll.days)[ends - ends[0]]
        out.breach[:, places] = came > found.value_at_risk
        if found.probability is not None:
            out.probability[places] = found.probability(came)
        return stop
