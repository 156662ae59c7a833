"""The way of a backtest as one lazy graph: returns -> forecasts -> ensemble -> tests, scores and comparisons."""

from __future__ import annotations

from dataclasses import dataclass

import xarray as xr

from riskops.history import backtest, breaches_by_year, confidence_set, ensemble, scores
from riskops.history.rolled import Memory
from riskops.history.rolling import rolled
from riskops.run.backtest.job import BacktestJob
from riskops.run.backtest.prepare import method_of

__all__ = ["LazyBacktest", "forecasts_of", "var_backtest"]


#: What stands for a method that does not have a variable, by the kind of its values: flags, and notes as JSON.
_MISSING = {"b": False, "O": "{}"}


@dataclass(frozen=True)
class LazyBacktest:
    """What one call of ``compute`` has to make: the forecasts of every day, and what judges them."""

    forecasts: xr.Dataset
    judged: xr.Dataset


def var_backtest(job: BacktestJob, *, memory: Memory | None = None) -> LazyBacktest:
    """Build the graph of a backtest; nothing is computed.

    Parameters
    ----------
    job
        What to compute.
    memory
        Keeps what each task forecast, and spares what it kept before; None keeps nothing.

    Returns
    -------
    LazyBacktest
        The forecasts of all methods, the ensemble the last of them, and the tests, scores, model confidence set and
        breaches by year over them; named as in ``riskops.schema``.

    Raises
    ------
    InputError
        As :func:`riskops.rolling_forecasts`.

    Examples
    --------
    >>> from riskops.run.backtest.example import small_backtest
    >>> lazy = var_backtest(small_backtest())
    >>> lazy.forecasts["method"].values.tolist()
    ['historical', 'ewma', 'ensemble']
    """
    members = forecasts_of(job, memory=memory)
    forecasts = members
    weights = []
    if job.ensemble is not None:
        rule = job.ensemble
        joint = ensemble(
            members,
            score=rule.score,
            window=rule.window,
            learning_rate=rule.learning_rate,
            update_every=rule.update_every,
            minimum_weight=rule.minimum_weight,
            confidence_set=rule.confidence_set,
            seed=job.seed,
        )
        forecasts = with_method(members, joint)
        weights = [joint[["ensemble_weight"]]]
    said = forecasts.drop_vars("horizon_rule")  # a text that each part would cut anew, and their union would compute
    judged = [
        backtest(said, tests=job.tests, simulations=job.simulations, size=job.size, seed=job.seed),
        scores(said),
        # one set for all series: one for each would be a bootstrap of seconds for every series and level
        confidence_set(said, size=job.confidence_set, pooled=True, seed=job.seed),
        _by_year(said),
        *weights,
    ]
    return LazyBacktest(forecasts, xr.merge(judged, compat="equals", join="exact", combine_attrs="drop"))


def forecasts_of(job: BacktestJob, *, memory: Memory | None = None) -> xr.Dataset:
    """The forecasts of the methods alone, lazily."""
    return rolled(
        job.series,
        methods=[method_of(record) for record in job.methods],
        level=job.levels,
        horizon=job.horizon,
        window=job.window,
        refit_every=job.refit_every,
        scheme=job.scheme,
        start=job.first,
        failures=job.failures,
        memory=memory,
    )


def _by_year(forecasts: xr.Dataset) -> xr.Dataset:
    """Breaches and zones of each year, under names that leave those of the whole alone."""
    found = breaches_by_year(forecasts)[["forecasts", "breaches", "traffic_light_zone"]]
    return found.rename({"forecasts": "yearly_forecasts", "breaches": "yearly_breaches"})


def with_method(members: xr.Dataset, joint: xr.Dataset) -> xr.Dataset:
    """The forecasts of the members with those of one more method after them.

    What it does not have is missing: no distribution, no error of simulation, no fit that could fail, and no notes.
    """
    rules = [*members["horizon_rule"].to_numpy().tolist(), "as its members"]
    members = members.drop_vars("horizon_rule")
    found = {}
    for name, array in members.items():
        if "method" not in array.dims:
            found[name] = array
        else:
            filler = xr.full_like(array.isel(method=[0]), _MISSING.get(array.dtype.kind, float("nan")))
            one = joint[name] if name in joint else filler.assign_coords(method=joint["method"])
            found[name] = xr.concat([array, one], dim="method", coords="minimal", compat="override")
    return xr.Dataset(found, attrs=members.attrs).assign_coords(horizon_rule=("method", rules))
