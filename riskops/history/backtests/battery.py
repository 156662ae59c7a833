"""All backtests of some forecasts at once: statistics, p-values, and what each test says of each method."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from riskops.checks import check_integer
from riskops.errors import InputError
from riskops.history.backtests.base import check_size, judge, registered
from riskops.history.backtests.registry import backtests
from riskops.history.backtests.traffic_light import outcome_flags

__all__ = ["backtest"]


def backtest(
    forecasts: xr.Dataset,
    *,
    tests: str | Sequence[str] = "all",
    simulations: int = 9_999,
    size: float = 0.05,
    seed: int = 1,
) -> xr.Dataset:
    """Judge forecasts of value at risk and expected shortfall by published tests, asymptotically and by simulation.

    A day counts where it has both a forecast and a realised loss. Every test survives any number of breaches, 0 and
    all of them included; where it has nothing to say its figures are NaN, and its documentation says when.

    Parameters
    ----------
    forecasts
        ``forecast_value_at_risk`` (method, series, level, observation) and ``realised_loss`` (series, observation), as
        :func:`riskops.history.rolling_forecasts` gives them; tests of expected shortfall and of the whole
        distribution need ``forecast_expected_shortfall`` and ``forecast_probability``.
    tests
        Names of tests (:func:`riskops.history.backtests.list_backtests`), one or several; ``"all"`` is every test
        whose variables the forecasts have.
    simulations
        How many simulations of the null a p-value stands on; 0: none. A size times one more than it should be whole.
        Those of the two regressions stand on 999 at most, as every simulation is a regression.
    size
        The size that ``rejected`` is for.
    seed
        Of the simulations.

    Returns
    -------
    Dataset
        ``statistic``, ``p_value``, ``simulated_p_value`` (where there are simulations) and ``rejected``
        (test, method, series, level); ``forecasts`` and ``breaches`` (method, series, level). ``rejected`` goes by the
        p-value by simulation where there is one, else by the asymptotic one; it is false where both are NaN. Lazy where
        the forecasts are.

    Raises
    ------
    InputError
        An unknown test, one named twice, one whose variables the forecasts lack; a size outside (0, 1).

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> losses = np.random.default_rng(7).normal(size=500)
    >>> forecasts = xr.Dataset(
    ...     {"realised_loss": (("asset", "observation"), [losses]),
    ...      "forecast_value_at_risk": (("asset", "level", "observation"), np.full((1, 1, 500), 1.0))},
    ...     coords={"asset": ["A"], "level": [0.95]})
    >>> found = backtest(forecasts, tests=["kupiec", "independence"])
    >>> int(found["breaches"].item()), found["rejected"].values.ravel().tolist()
    (59, [True, False])
    """
    check_integer("simulations", simulations, at_least=0)
    check_integer("seed", seed, at_least=0, below=2**64)
    check_size(size)
    chosen = backtests(tests)
    if tests == "all":
        chosen = tuple(test for test in chosen if all(name in forecasts for name in test.needs))
    for test in chosen:
        missing = [name for name in test.needs if name not in forecasts]
        if missing:
            raise InputError(f"tests: {test.name} needs {missing[0]}, which the forecasts do not have")
    counted, breached = outcome_flags(forecasts)
    found = judge(forecasts, tests=chosen, simulations=simulations, seed=seed)
    decisive = found["p_value"]
    if simulations:
        decisive = found["simulated_p_value"].where(np.isfinite(found["simulated_p_value"]), decisive)
    found["rejected"] = registered("rejected", decisive <= size)
    for name, flags in (("forecasts", counted), ("breaches", breached)):
        found[name] = registered(name, flags.sum("observation"))
    return found.assign_coords(null_hypothesis=("test", [test.null for test in chosen])).assign_attrs(
        simulations=simulations, size=size, seed=seed
    )
