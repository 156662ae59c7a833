"""The forecast of today: what follows the last observation, by several methods, at several levels and horizons.

A task is one method over a group of series. For each horizon the method is fitted anew to the losses over that many
days, and how it reaches them (``horizon_rule``) stands beside the figures: no horizon is another one's figure times a
square root unless the rule says so.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from riskops.checks import check_integer, check_levels, check_unique
from riskops.errors import InputError
from riskops.history.fitting import FALLBACK, Failures, Methods, check_failures, choose_methods, fitted, said
from riskops.history.forecasts.base import Floats, Forecaster
from riskops.history.series import Missing, check_returns, day_text, read_series
from riskops.history.tasks import Picked, method_tasks, picked, series_task
from riskops.history.today import ENSEMBLE, Judgement, ensemble_today
from riskops.schema import variable
from riskops.threads import pinned_threads

__all__ = ["forecast"]

_FIGURES = (
    Picked("forecast_value_at_risk", ("horizon", "level"), np.float64, "value_at_risk"),
    Picked("forecast_expected_shortfall", ("horizon", "level"), np.float64, "expected_shortfall"),
    Picked("forecast_value_at_risk_standard_error", ("horizon", "level"), np.float64, "value_at_risk_error"),
    Picked("forecast_expected_shortfall_standard_error", ("horizon", "level"), np.float64, "expected_shortfall_error"),
    Picked("forecast_notes", (), object, "notes"),
    Picked("fit_seconds", (), np.float64, "seconds"),
)


@dataclass(frozen=True)
class Question:
    """What all tasks share."""

    levels: tuple[float, ...]
    horizons: tuple[int, ...]
    window: int | None
    missing: Missing
    failures: Failures


@dataclass(eq=False)
class Latest:
    """What one task found for one series, ``(horizon, level)``."""

    value_at_risk: Floats
    expected_shortfall: Floats
    value_at_risk_error: Floats
    expected_shortfall_error: Floats
    notes: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    def note(self, text: str) -> None:
        """Count a note."""
        self.notes[text] = self.notes.get(text, 0) + 1


def forecast(
    returns: xr.Dataset,
    *,
    method: Methods = "historical",
    level: float | Sequence[float] = (0.95, 0.99),
    horizon: int | Sequence[int] = 1,
    window: int | None = None,
    ensemble_days: int = 250,
    missing: Missing = "error",
    failures: Failures = "error",
    series_per_task: int = 1,
) -> xr.Dataset:
    """Forecast value at risk and expected shortfall of the days that follow the last observation.

    Each method is fitted to the last ``window`` returns of each series, once for every horizon, and forecasts the loss
    over that many days: minus the sum of their returns, per unit of today's value.

    Parameters
    ----------
    returns
        ``simple_return`` or ``log_return`` (observation, asset), or ``portfolio_return`` (observation, portfolio), in
        memory or lazy.
    method
        The name of a method, a mapping of ``kind`` and settings, a forecaster, several of them, or ``"all"``. With
        ``"ensemble"`` among them, the last one is the weighted mean of the others, or of all methods where it is the
        only one (:func:`riskops.history.ensemble`, with its defaults).
    level
        One or several confidence levels.
    horizon
        One or several numbers of days.
    window
        The number of the last returns to use, all by default.
    ensemble_days
        The last days, on which the members of an ensemble are judged out of sample: fitted to the returns before them,
        and not again.
    missing
        ``"error"``: a NaN return is an error. ``"skip"``: a series consists of its own observed days, of which the last
        ``window`` are used; one that was not observed on the last day has no forecast (NaN, and a note).
    failures
        ``"error"``: a method that has no way to a horizon, can't be fitted, or whose forecast is no finite number, is
        an error. ``"nan"``: its figures are NaN, and a note says why.
    series_per_task
        The number of series that one task goes through.

    Returns
    -------
    Dataset
        Lazy, one task a method and group of series; loss positive, per unit of value:

        - ``forecast_value_at_risk`` and ``forecast_expected_shortfall`` (method, series, horizon, level), each with its
          Monte-Carlo ``_standard_error``, NaN where nothing was simulated;
        - ``forecast_notes`` (method, series): JSON of each note and the number of fits that it was said of, for
          :func:`forecast_notes`;
        - ``fit_seconds`` (method, series): the time that it took, no figure of the risk;
        - ``window_observations`` (series): the returns that were used;
        - with an ensemble ``ensemble_weight`` and ``member_score`` (member, series, horizon, level).

        The coordinate ``horizon_rule`` (method, horizon) says how each horizon is reached. Attributes: ``window_end``,
        the last observation, and under ``missing="error"`` ``window_start``, the first that was used; ``missing``,
        ``failures``, ``returns``.

    Raises
    ------
    InputError
        An unknown method or setting, two methods of one name, an ensemble of fewer than two or without the days to
        judge them on, a horizon that is no whole number of days or that a
        method has no way to, a window longer than the series or shorter than a method needs, dates that do not ascend,
        an infinite return, and by the NaN rule a missing one.

    Examples
    --------
    >>> from riskops.market import load_prices, simple_returns
    >>> returns = simple_returns(load_prices("sp500", assets=["AAPL"]))
    >>> found = forecast(returns, method="historical", level=0.95)
    >>> round(float(found["forecast_value_at_risk"].compute().item()), 9)
    0.039568345
    """
    listed = [method] if isinstance(method, str | Mapping) or not isinstance(method, Sequence) else list(method)
    members = [one for one in listed if not (isinstance(one, str) and one == ENSEMBLE)]
    if len(members) < len(listed) - 1:
        raise InputError(f"method: {ENSEMBLE!r} is given twice")
    chosen = choose_methods(members if members and members != ["all"] else "all")
    levels = check_levels("level", level)
    horizons = _check_horizons(horizon)
    check_failures(failures)
    check_integer("series_per_task", series_per_task, at_least=1)
    series = read_series(returns, missing=missing, series_per_task=series_per_task)
    used = len(series.dates) if window is None else check_integer("window", window, at_least=2)
    if used > len(series.dates):
        raise InputError(f"window: {used} returns are more than the {len(series.dates)} that there are")
    question = Question(levels, horizons, window, missing, failures)
    rules = [[_rule(one, days, failures) for days in horizons] for one in chosen]
    if failures == "error":
        for one in chosen:
            if one.least > used:
                raise InputError(f"window: {used} returns are fewer than the {one.least} that {one.name} needs")
    results = method_tasks(_latest_block, series, chosen, question, stage="latest")
    counts = series_task(_count_block, series, question, stage="window", dtype=np.int64)
    coords = {
        "method": [one.name for one in chosen],
        series.dim: list(series.names),
        "horizon": [float(days) for days in horizons],
        "level": list(levels),
    }
    found = picked(
        results, _FIGURES, dim=series.dim, coords=coords, sizes={"horizon": len(horizons), "level": len(levels)}
    )
    name = "window_observations"
    found[name] = variable(name, (series.dim,), counts, coords={series.dim: coords[series.dim]})
    attrs: dict[str, Any] = {"window_end": day_text(series.dates[-1])}
    if missing == "error":
        attrs["window_start"] = day_text(series.dates[-used])
    attrs |= {"missing": missing, "failures": failures, "returns": series.variable}
    latest = xr.Dataset(found, attrs=attrs).assign_coords(horizon_rule=(("method", "horizon"), rules))
    if len(members) == len(listed):
        return latest
    how = Judgement(
        check_integer("ensemble_days", ensemble_days, at_least=1), window, missing, failures, series_per_task
    )
    both = ensemble_today(returns, latest, chosen, how)
    shared = [str(name) for name in latest if name != "window_observations"]
    joined = xr.concat([latest[shared], both[shared]], "method", join="exact")
    if not members:
        joined = joined.isel(method=slice(-1, None))
    others = both[["ensemble_weight", "member_score"]].assign(window_observations=latest["window_observations"])
    return joined.merge(others, join="exact").assign_attrs(attrs)


def _check_horizons(horizon: int | Sequence[int]) -> tuple[int, ...]:
    given = tuple(horizon) if isinstance(horizon, Sequence | np.ndarray) else (horizon,)
    if not given:
        raise InputError("horizon: at least one is needed")
    horizons = tuple(check_integer("horizon", days, at_least=1) for days in given)
    check_unique("horizon", horizons)
    return tuple(sorted(horizons))


def _rule(method: Forecaster, days: int, failures: Failures) -> str:
    try:
        return method.horizon_rule(days)
    except InputError as error:
        if failures == "error":
            raise
        return f"none: {error}"


def _count_block(values: Floats, *, settings: Question) -> npt.NDArray[np.int64]:
    seen = np.isfinite(values)
    used = seen.sum(axis=0)
    if settings.window is not None:
        used = np.where(used < settings.window, 0, settings.window)
    counted: npt.NDArray[np.int64] = np.where(seen[-1], used, 0)
    return counted


def _latest_block(
    methods: npt.NDArray[Any], values: Floats, names: npt.NDArray[Any], dates: npt.NDArray[Any], *, settings: Question
) -> npt.NDArray[Any]:
    check_returns(values, [str(name) for name in names], dates, missing=settings.missing)
    out = np.empty((len(methods), values.shape[1]), object)
    with pinned_threads():
        for m, s in np.ndindex(out.shape):
            method: Any = methods[m]
            out[m, s] = latest(method, np.array(values[:, s]), settings, name=str(names[s]))
    return out


def latest(method: Forecaster, values: Floats, question: Question, *, name: str) -> Latest:
    """What one method forecasts for one series after its last day."""
    shape = (len(question.horizons), len(question.levels))
    first, second, third, fourth = (np.full(shape, np.nan) for _ in range(4))
    out = Latest(first, second, third, fourth)
    if not np.isfinite(values[-1]):
        out.note("no forecast: the series has no return on the last day")
        return out
    own = values[np.isfinite(values)]
    own.setflags(write=False)
    if question.window is not None and len(own) < question.window:
        out.note(f"no forecast: the series has {len(own)} returns, fewer than the window of {question.window}")
        return out
    sample = own[-question.window :] if question.window else own
    ends = np.array([len(own)])
    began = time.perf_counter()
    for h, days in enumerate(question.horizons):
        try:
            method.horizon_rule(days)
            fit = fitted(method, sample, levels=question.levels, days=days)
            found = said(fit, method.name, own, ends, window=question.window, levels=question.levels)
        except InputError as error:
            if question.failures == "error":
                raise InputError(
                    f'{method.name}: series {name!r}, horizon {days}: {error}; failures="nan" leaves such figures out'
                ) from error
            out.note(f"no forecast at horizon {days}: {error}")
            continue
        except Exception as error:
            error.add_note(f"{method.name}: series {name!r}, horizon {days}")
            raise
        for text in (*fit.notes, *[FALLBACK] * found.fallbacks):
            out.note(text)
        out.value_at_risk[h] = found.value_at_risk[:, 0]
        out.expected_shortfall[h] = found.expected_shortfall[:, 0]
        out.value_at_risk_error[h] = found.value_at_risk_error[:, 0]
        out.expected_shortfall_error[h] = found.expected_shortfall_error[:, 0]
    out.seconds = time.perf_counter() - began
    return out
