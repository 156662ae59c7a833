"""What a backtest is: it looks at what came on the days that were forecast, and gives a statistic and a p-value.

A backtest is first a plain function on the arrays of one method, series and level. A ``Backtest`` names it, says its
null hypothesis in a line and what it needs, and knows how its null is simulated where it can be; ``judge`` runs any
number of them over everything that a Dataset of forecasts holds, lazily.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from riskops.checks import check_number, exact_level
from riskops.errors import InputError
from riskops.history.forecasts.base import Floats, Integers
from riskops.schema import validate, variable

__all__ = ["Backtest", "BacktestResult", "Bools", "Outcomes", "check_size", "judge", "registered", "tail_probability"]

Bools = npt.NDArray[np.bool_]

#: The variables of forecasts that a test can look at, in the order in which :func:`judge` passes them on.
_LOOKED_AT = ("realised_loss", "forecast_value_at_risk", "forecast_expected_shortfall", "forecast_probability")


@cache
def tail_probability(level: float) -> float:
    """The probability of a breach, ``1 - level`` for the decimal that the level prints as (contract C4)."""
    return float(1 - exact_level(level))


def check_size(size: float) -> float:
    """Return the size of a test when it lies between 0 and 1."""
    if not 0.0 < check_number("size", size) < 1.0:
        raise InputError(f"size: {size!r} is not between 0 and 1; 0.05 rejects one true hypothesis in twenty")
    return float(size)


class BacktestResult(NamedTuple):
    """What a backtest found: NaN and NaN where the sample can't carry it, as its documentation says."""

    statistic: float
    p_value: float


@dataclass(frozen=True, eq=False)
class Outcomes:
    """The days of one method, series and level that have both a forecast VaR and a realised loss, in time order.

    Days without either are left out, and those around them count as neighbours.

    Parameters
    ----------
    losses, value_at_risk
        ``(n,)``, loss positive; finite.
    expected_shortfall, probability
        ``(n,)``; NaN where the method gave none.
    level
        The confidence level of the forecasts.
    """

    losses: Floats
    value_at_risk: Floats
    expected_shortfall: Floats
    probability: Floats
    level: float

    @cached_property
    def breaches(self) -> Bools:
        """Whether each day's loss was above its VaR."""
        return self.losses > self.value_at_risk

    @cached_property
    def positions(self) -> Integers:
        """The days, from 0, on which VaR was breached, ascending."""
        return np.flatnonzero(self.breaches).astype(np.int64)


@dataclass(frozen=True)
class Backtest:
    """A test by name.

    Parameters
    ----------
    name
        As in results, lower case with underscores.
    null
        The null hypothesis, one sentence.
    run
        The test: statistic and asymptotic (or exact) p-value. It survives 0, 1 and n breaches: what it can't say is
        NaN.
    simulate
        ``(outcomes, statistic, simulations, seed)`` to the p-value by simulation of the null, deterministic in its
        arguments; None where the null can't be simulated from what a forecast says.
    needs
        The variables that it looks at beyond the losses; without them it can't be run.
    """

    name: str
    null: str
    run: Callable[[Outcomes], BacktestResult]
    simulate: Callable[[Outcomes, float, int, int], float] | None = None
    needs: tuple[str, ...] = ("forecast_value_at_risk",)


def registered(name: str, array: xr.DataArray) -> xr.DataArray:
    """An array as a registered variable, with its own coordinates."""
    coords = {str(key): coord for key, coord in array.coords.items()}
    return variable(name, tuple(map(str, array.dims)), array.data, coords=coords)


def judge(forecasts: xr.Dataset, *, tests: Sequence[Backtest], simulations: int, seed: int) -> xr.Dataset:
    """Run tests over every method, series, horizon and level of some forecasts; lazy where the forecasts are.

    Parameters
    ----------
    forecasts
        ``forecast_value_at_risk`` and ``realised_loss``, and what else the tests need, as the rolling engine gives
        them; any dims beside ``observation``.
    tests
        The tests, each of another name.
    simulations
        How many simulations of the null a p-value stands on; 0: none are done.
    seed
        Of the simulations.

    Returns
    -------
    Dataset
        ``statistic``, ``p_value`` and, where there are simulations, ``simulated_p_value``, all (test, ...).
    """
    validate(forecasts, "realised_loss", *dict.fromkeys(name for test in tests for name in test.needs))
    given = [forecasts[name] if name in forecasts else xr.DataArray(np.nan) for name in _LOOKED_AT]
    coords = forecasts["forecast_value_at_risk"].coords
    if "level" not in coords:
        raise InputError("forecast_value_at_risk: coordinate 'level' is missing")
    level = coords["level"]
    core = [["observation"] if "observation" in array.dims else [] for array in given]
    arrays = [array.chunk(observation=-1) if array.chunks else array for array in given]
    found = xr.apply_ufunc(
        _judge_arrays,
        *(array.drop_vars("level", errors="ignore") if "level" not in array.dims else array for array in arrays),
        level.drop_vars([name for name in level.coords if name not in level.dims]),
        input_core_dims=[*core, []],
        output_core_dims=[["test", "figure"]],
        kwargs={"tests": tuple(tests), "simulations": simulations, "seed": seed},
        dask="parallelized",
        output_dtypes=[np.float64],
        dask_gufunc_kwargs={"output_sizes": {"test": len(tests), "figure": 3}},
        keep_attrs=False,
    )
    dims: list[Hashable] = [dim for dim in forecasts["forecast_value_at_risk"].dims if dim != "observation"]
    ordered = found.transpose("figure", "test", *dims).assign_coords(test=[test.name for test in tests])
    if "level" not in dims:
        ordered = ordered.assign_coords(level=level.item())
    names = ("statistic", "p_value", "simulated_p_value")[: 3 if simulations else 2]
    return xr.Dataset({name: registered(name, ordered[i]) for i, name in enumerate(names)})


def _judge_arrays(
    losses: Floats,
    value_at_risk: Floats,
    expected_shortfall: Floats,
    probability: Floats,
    level: Floats,
    *,
    tests: Sequence[Backtest],
    simulations: int,
    seed: int,
) -> Floats:
    """The figures ``(..., test, 3)`` of arrays whose last axis is the days; the leading ones broadcast."""
    n = value_at_risk.shape[-1]
    shortfall, chance = (a if a.ndim else np.full(n, np.nan) for a in (expected_shortfall, probability))
    lead = np.broadcast_shapes(losses.shape[:-1], value_at_risk.shape[:-1], np.shape(level))
    days = [np.broadcast_to(array, (*lead, n)) for array in (losses, value_at_risk, shortfall, chance)]
    levels = np.broadcast_to(level, lead)
    found = np.full((*lead, len(tests), 3), np.nan)
    for case in np.ndindex(lead):
        valid = np.isfinite(days[0][case]) & np.isfinite(days[1][case])
        if not valid.any():
            continue
        kept = [array[case][valid] for array in days]
        outcomes = Outcomes(kept[0], kept[1], kept[2], kept[3], float(levels[case]))
        for i, test in enumerate(tests):
            result = test.run(outcomes)
            found[case][i, :2] = result
            if simulations and test.simulate is not None and not np.isnan(result.statistic):
                found[case][i, 2] = test.simulate(outcomes, result.statistic, simulations, seed)
    return found
