"""One look at some series: what every method says of the days ahead, and how well each has done of late."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from riskops.checks import check_integer
from riskops.errors import InputError
from riskops.history.backtests.battery import backtest
from riskops.history.ensemble import ensemble
from riskops.history.fitting import Methods
from riskops.history.forecast import forecast
from riskops.history.rolling import rolling_forecasts
from riskops.history.series import Missing
from riskops.history.today import ENSEMBLE, LEAST, TAILS, with_today

__all__ = ["assess"]

#: The tests that a short stretch of days can carry.
_TESTS = ("kupiec", "independence")


def assess(
    returns: xr.Dataset,
    *,
    methods: Methods = "all",
    level: float | Sequence[float] = 0.99,
    horizon: int = 1,
    window: int = 1000,
    judged: int = 250,
    missing: Missing = "error",
    simulations: int = 999,
    seed: int = 1,
) -> xr.Dataset:
    """Forecast the days after the last observation by several methods, and judge each by the days before it.

    Every method forecasts the last ``judged`` days as well, fitted once, to the ``window`` returns before them: out of
    sample, as the methods would have stood then. From those days come its breaches, their tests, and its weight in the
    ensemble, which is forecast beside the methods where there are two or more of them.

    Parameters
    ----------
    returns
        ``simple_return`` or ``log_return`` (observation, asset), or ``portfolio_return`` (observation, portfolio).
    methods
        As for :func:`riskops.forecast`.
    level
        One or several confidence levels.
    horizon
        The number of days that a loss spans; forecasts of the past are made every so many days.
    window
        The number of returns that a method is fitted to; ``window + judged`` are needed.
    judged
        Days to judge the methods by, no fewer than the horizon.
    missing
        As for :func:`riskops.forecast`.
    simulations, seed
        Of the p-values, for so short a stretch has none that are asymptotic.

    Returns
    -------
    Dataset
        Lazy: ``forecast_value_at_risk`` and ``forecast_expected_shortfall`` (method, series, level), loss positive, per
        unit of value, the ensemble the last of the methods; their Monte-Carlo ``_standard_error`` and
        ``forecast_notes`` of the methods themselves; ``forecasts``, ``breaches`` (method, series, level) and
        ``statistic``, ``p_value``, ``simulated_p_value``, ``rejected`` (test, method, series, level) of the judged
        days; ``ensemble_weight`` (member, series, level) of the days ahead. The coordinate ``horizon_rule`` (method).

    Raises
    ------
    InputError
        Fewer than ``window + judged`` returns, and whatever :func:`riskops.forecast` refuses. A method that can't be
        fitted has no figures (NaN) and a note that says why; what was said of the judged days alone begins with
        ``judged days:``.

    Examples
    --------
    >>> from riskops.market import load_prices, simple_returns
    >>> returns = simple_returns(load_prices("sp500_index", start="2015-01-02"))
    >>> found = assess(returns, methods=["historical", "ewma"], level=0.95)
    >>> found["method"].values.tolist()
    ['historical', 'ewma', 'ensemble']
    """
    check_integer("judged", judged, at_least=20)
    if check_integer("horizon", horizon, at_least=1) > judged:
        raise InputError(f"judged: {judged} days hold no loss over {horizon} days; take {horizon} or more")
    days = returns.sizes["observation"]
    if days < window + judged:
        raise InputError(
            f"window: {window} returns, and {judged} days to judge by, are more than the {days} that there are; "
            "take a shorter window"
        )
    past = rolling_forecasts(
        returns,
        methods=methods,
        horizon=horizon,
        refit_every=judged,
        start=returns["observation"].to_numpy()[days - judged + judged % horizon],  # the last loss ends on the last day
        level=level,
        window=window,
        missing=missing,
        failures="nan",
    )
    every = forecast(
        returns, method=methods, horizon=horizon, level=level, window=window, missing=missing, failures="nan"
    )
    latest = every.squeeze("horizon", drop=True)
    figures = past.drop_vars("horizon_rule")
    if past.sizes["method"] > 1:
        figures, latest = _with_ensemble(figures, latest)
    tests = backtest(figures, tests=_TESTS, simulations=simulations, seed=seed)
    told = xr.apply_ufunc(
        _told,
        latest["forecast_notes"],
        past["forecast_notes"].reindex({"method": latest["method"]}, fill_value="{}"),
        vectorize=True,
        dask="parallelized",
        output_dtypes=[object],
        keep_attrs=True,
    )
    found = latest.drop_vars("fit_seconds").assign(tests.data_vars).assign(forecast_notes=told)
    return found.assign_attrs({"horizon": horizon, "judged": judged, "window": window, **latest.attrs})


def _with_ensemble(past: xr.Dataset, latest: xr.Dataset) -> tuple[xr.Dataset, xr.Dataset]:
    """Both with the ensemble as one more method: the days ahead are one more day, whose loss nobody knows."""
    bare = latest.drop_vars("horizon_rule")
    joint = ensemble(with_today(past, bare), name=ENSEMBLE)
    before, now = joint.isel(observation=slice(None, -1)), joint.isel(observation=-1)
    names = [*TAILS, "breach"]
    judged = _joined(past[names], before[names]).assign(realised_loss=past["realised_loss"])
    both = _joined(bare[list(TAILS)], now[list(TAILS)])
    count, notes = past.sizes["observation"], {}
    if count < LEAST:
        notes[f"equal weights; {count} forecasts of the judged days are fewer than {LEAST}"] = 1
    of_methods = bare.drop_vars(TAILS).reindex(
        {"method": both["method"]},  # by name, "method" is a rule of filling
        fill_value={str(name): np.nan for name in bare} | {"forecast_notes": json.dumps(notes)},
    )
    whole = of_methods.assign(both.data_vars).assign(ensemble_weight=now["ensemble_weight"])
    rules = [*latest["horizon_rule"].to_numpy().tolist(), "as its members"]
    return judged, whole.assign_coords(horizon_rule=("method", rules))


def _joined(one: xr.Dataset, two: xr.Dataset) -> xr.Dataset:
    """The methods of two datasets, one after the other."""
    return xr.concat([one, two], dim="method", coords="minimal", compat="override")


def _told(latest: str, past: str) -> str:
    """The notes of the forecasts ahead, and those that only the judged days have."""
    notes: dict[str, Any] = json.loads(latest)
    said = {text: times for text, times in json.loads(past).items() if text not in notes}
    return json.dumps(notes | {f"judged days: {text}": times for text, times in said.items()}, sort_keys=True)
