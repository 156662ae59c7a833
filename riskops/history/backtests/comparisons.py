"""What a comparison of methods stands on: the days of one series and level that all of them forecast.

Scores rank like with like only over the same days, so every comparison begins here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from riskops.errors import InputError
from riskops.history.backtests.base import Bools
from riskops.history.forecasts.base import Floats, Integers
from riskops.schema import validate

__all__ = ["Case", "each_comparison", "shared_case"]


@dataclass(frozen=True, eq=False)
class Case:
    """The shared days of one series and level.

    A day is shared where its loss is known and every method that takes part has forecast both figures. A method without
    any forecast takes no part; its rows are NaN.

    Parameters
    ----------
    days
        ``(n,)``, the places of the shared days among all observations, ascending.
    losses
        ``(n,)``, finite.
    value_at_risk, expected_shortfall
        ``(method, n)``.
    level
        The confidence level.
    """

    days: Integers
    losses: Floats
    value_at_risk: Floats
    expected_shortfall: Floats
    level: float

    @property
    def taking_part(self) -> Bools:
        """``(method,)``, the methods that have forecasts."""
        return np.asarray(np.isfinite(self.value_at_risk).all(axis=1) & (len(self.losses) > 0))

    @property
    def undefined(self) -> Integers:
        """``(method,)``, on how many days the expected shortfall is not above zero."""
        return np.asarray((self.expected_shortfall <= 0.0).sum(axis=1), np.int64)


def each_comparison(
    forecasts: xr.Dataset,
    function: Callable[[Sequence[Case]], Floats],
    dims: tuple[str, ...],
    *,
    sizes: Mapping[str, int],
    pooled: bool = False,
) -> xr.DataArray:
    """Apply a function to the case of every series and level, or to those of all series at once; lazy where they are.

    Parameters
    ----------
    forecasts
        ``forecast_value_at_risk``, ``forecast_expected_shortfall`` and ``realised_loss``.
    function
        Takes the cases, one a series where they are pooled and else one alone, and gives an array of ``dims``.
    dims
        The dims of what the function gives; ``method`` may be one.
    sizes
        The sizes of those dims other than ``method``.
    pooled
        Whether the series are taken together.

    Returns
    -------
    DataArray
        ``dims`` first, then series (unless pooled), horizon and level in the order of the forecasts.
    """
    names = ("realised_loss", "forecast_value_at_risk", "forecast_expected_shortfall")
    validate(forecasts, *names)
    quantile = forecasts["forecast_value_at_risk"]
    for name, missing in (("method", "method" not in quantile.dims), ("level", "level" not in quantile.coords)):
        if missing:
            raise InputError(f"forecast_value_at_risk: {name!r} is missing; a comparison needs it")
    series = [dim for dim in ("portfolio", "asset") if pooled and dim in quantile.dims]
    level = quantile["level"]
    given = [
        array.drop_vars([] if "level" in array.dims else "level", errors="ignore")
        for array in (forecasts[name] for name in names)
    ]
    core = [[dim for dim in ("method", *series, "observation") if dim in array.dims] for array in given]
    whole = [
        array.chunk(dict.fromkeys(inner, -1)) if array.chunks else array
        for array, inner in zip(given, core, strict=True)
    ]
    found = xr.apply_ufunc(
        _apply,
        *whole,
        level.drop_vars([name for name in level.coords if name not in level.dims]),
        input_core_dims=[*core, []],
        output_core_dims=[list(dims)],
        kwargs={"function": function, "pooled": bool(series)},
        dask="parallelized",
        output_dtypes=[np.float64],
        dask_gufunc_kwargs={"output_sizes": dict(sizes)},
        keep_attrs=False,
    )
    left = [str(dim) for dim in quantile.dims if dim not in ("method", "observation", *series)]
    ordered = found.transpose(*dims, *left)
    return ordered if "level" in ordered.dims else ordered.assign_coords(level=level.item())


def _apply(
    losses: Floats,
    value_at_risk: Floats,
    expected_shortfall: Floats,
    level: Floats,
    *,
    function: Callable[[Sequence[Case]], Floats],
    pooled: bool,
) -> Floats:
    """The function of each case: leading axes broadcast, the last ones are (method, days) or (method, series, days)."""
    if not pooled:
        losses, value_at_risk, expected_shortfall = (
            losses[..., None, :],
            *_with_series(value_at_risk, expected_shortfall),
        )
    lead = np.broadcast_shapes(losses.shape[:-2], value_at_risk.shape[:-3], expected_shortfall.shape[:-3], level.shape)
    loss = np.broadcast_to(losses, (*lead, *losses.shape[-2:]))
    risk = np.broadcast_to(value_at_risk, (*lead, *value_at_risk.shape[-3:]))
    shortfall = np.broadcast_to(expected_shortfall, (*lead, *expected_shortfall.shape[-3:]))
    levels = np.broadcast_to(level, lead)
    found = [
        function(
            [
                shared_case(loss[at][s], risk[at][:, s], shortfall[at][:, s], float(levels[at]))
                for s in range(loss.shape[-2])
            ]
        )
        for at in np.ndindex(lead)
    ]
    return np.array(found, np.float64).reshape(*lead, *np.shape(found[0])) if found else np.empty(lead)


def _with_series(*arrays: Floats) -> list[Floats]:
    return [array[..., None, :] for array in arrays]


def shared_case(losses: Floats, value_at_risk: Floats, expected_shortfall: Floats, level: float) -> Case:
    """The case of one series: losses ``(day,)`` and forecasts ``(method, day)``, NaN where there is none."""
    forecast = np.isfinite(value_at_risk) & np.isfinite(expected_shortfall)
    known = np.isfinite(losses)
    part: Bools = np.asarray((forecast & known).any(axis=1))
    days = np.flatnonzero(known & forecast[part].all(axis=0)) if part.any() else np.empty(0, np.int64)
    risk, shortfall = value_at_risk[:, days], expected_shortfall[:, days]
    out = ~part[:, None]
    return Case(days, losses[days], np.where(out, np.nan, risk), np.where(out, np.nan, shortfall), level)
