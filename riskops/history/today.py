"""The ensemble's forecast after the last observation: the members weighed by how they did on the days before.

The last days of every series are forecast once more, as they would have been then: each member is fitted to what came
before them. The scores of those forecasts, all of them out of sample, make the weights of today.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from riskops.errors import InputError
from riskops.history.ensemble import ensemble
from riskops.history.fitting import Failures
from riskops.history.forecasts.base import Forecaster
from riskops.history.rolling import rolling_forecasts
from riskops.history.series import Missing
from riskops.schema import variable

__all__ = ["ENSEMBLE", "LEAST", "TAILS", "Judgement", "ensemble_today", "with_today"]

ENSEMBLE = "ensemble"

#: The scores that weights need; with fewer of them they are equal.
LEAST = 50

#: What a forecast consists of.
TAILS = ("forecast_value_at_risk", "forecast_expected_shortfall")


@dataclass(frozen=True)
class Judgement:
    """How members are judged: on the last ``days``, from a window of so many returns before each, or from all."""

    days: int
    window: int | None
    missing: Missing
    failures: Failures
    series_per_task: int


def ensemble_today(
    returns: xr.Dataset, latest: xr.Dataset, members: Sequence[Forecaster], how: Judgement
) -> xr.Dataset:
    """The ensemble of the forecasts ``latest`` (method, series, horizon, level), and its weights and scores."""
    observations = returns.sizes["observation"]
    first = observations - how.days
    most = max(how.window or 0, *(one.least for one in members))
    if first < most:
        raise InputError(
            f"ensemble_days: {how.days} of the {observations} returns leave {first} before them, fewer than the {most} "
            "that the members look back to"
        )
    levels = latest["level"].to_numpy().tolist()
    parts, seconds = [], []
    notes: dict[str, int] = {}
    for days in latest["horizon"].to_numpy().astype(int).tolist():
        start = first + how.days % days  # so that the last of the losses ends on the last day
        past = rolling_forecasts(
            returns,
            methods=members,
            level=levels,
            horizon=days,
            window=most if how.window is None else how.window,
            refit_every=how.days,
            scheme="expanding" if how.window is None else "rolling",
            start=returns["observation"].to_numpy()[start],
            missing=how.missing,
            failures=how.failures,
            series_per_task=how.series_per_task,
        )
        count = past.sizes["observation"]
        if count < LEAST:
            notes[f"horizon {days}: equal weights; {count} forecasts of the past are fewer than {LEAST}"] = 1
        seconds.append(past["fit_seconds"].sum("method"))
        held = with_today(past, latest.sel({"horizon": float(days)}, drop=True))
        found = ensemble(held, minimum_history=LEAST)
        parts.append(found.isel(observation=-1).drop_vars("breach").expand_dims(horizon=[float(days)]))
    both = xr.concat(parts, "horizon", join="exact")
    return _finished(both, latest, notes, sum(seconds[1:], seconds[0]))


def with_today(past: xr.Dataset, latest: xr.Dataset) -> xr.Dataset:
    """The forecasts of the past and that of today behind them, whose loss is not known."""
    known = past[[*TAILS, "realised_loss"]].drop_vars("observation")
    unknown = latest[list(TAILS)].expand_dims("observation", axis=-1)
    losses = xr.full_like(known["realised_loss"].isel(observation=slice(0, 1)), np.nan)
    return xr.concat(
        [known, unknown.assign(realised_loss=losses)], "observation", join="exact", coords="minimal", compat="override"
    )


def _finished(both: xr.Dataset, latest: xr.Dataset, notes: dict[str, int], seconds: xr.DataArray) -> xr.Dataset:
    """The ensemble with all that the forecasts of a method have, and its weights and scores beside it."""
    result: dict[str, Any] = {}
    for name in (*TAILS, "ensemble_weight", "member_score"):
        leading, series = "method" if name in TAILS else "member", str(latest["fit_seconds"].dims[1])
        dims = (leading, series, "horizon", "level")
        shaped = both[name].transpose(*dims)
        result[name] = variable(name, dims, shaped.data, coords={dim: both[dim].to_numpy() for dim in dims})
    for name in TAILS:  # the errors of members come from common draws and are not independent: no figure for the mean
        error = f"{name}_standard_error"
        result[error] = variable(
            error,
            tuple(map(str, result[name].dims)),
            xr.full_like(result[name], np.nan).data,
            coords=result[name].coords,
        )
    where: dict[str, Any] = {"method": [ENSEMBLE], series: both[series].to_numpy()}
    text = np.full((1, len(where[series])), json.dumps(notes, sort_keys=True), object)
    result["forecast_notes"] = variable(
        "forecast_notes", ("method", series), da.from_array(text, chunks=(1, -1)), coords=where
    )
    result["fit_seconds"] = variable(
        "fit_seconds", ("method", series), seconds.expand_dims("method").data, coords=where
    )
    rules = [["weighted mean of the members"] * both.sizes["horizon"]]
    return xr.Dataset(result).assign_coords(horizon_rule=(("method", "horizon"), rules))
