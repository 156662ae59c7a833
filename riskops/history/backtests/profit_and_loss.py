"""FRTB's profit and loss attribution test: does the risk model explain the profit that the desk's prices make?"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import xarray as xr

from riskops.checks import check_integer
from riskops.errors import InputError
from riskops.history.backtests.base import registered
from riskops.history.forecasts.base import Floats
from riskops.schema import validate

__all__ = ["profit_and_loss_attribution"]

#: MAR32: green needs a rank correlation above .80 and a distance below .09; below .70 or above .12 is red.
_GREEN_CORRELATION, _RED_CORRELATION = 0.80, 0.70
_GREEN_DISTANCE, _RED_DISTANCE = 0.09, 0.12


def profit_and_loss_attribution(profits: xr.Dataset, *, days: int = 250) -> xr.Dataset:
    """The two statistics and the zone of the profit and loss attribution test, by desk.

    Over the last ``days`` days: Spearman's correlation of hypothetical and risk-theoretical profit, equal profits
    ranked at the average of their ranks, and the Kolmogorov-Smirnov statistic, the largest distance of their empirical
    distribution functions. Green: correlation above 0.80 and distance below 0.09. Red: correlation below 0.70 or
    distance above 0.12. Amber: everything between.

    Parameters
    ----------
    profits
        ``hypothetical_profit`` and ``risk_theoretical_profit`` ([portfolio,] observation), gains positive; a portfolio
        is a trading desk.
    days
        The number of the last days to judge; the rules say 250.

    Returns
    -------
    Dataset
        ``spearman_correlation``, ``kolmogorov_smirnov`` and ``attribution_zone`` ([portfolio]); lazy where the profits
        are. A profit that never changes has no ranks: its correlation is NaN, and its zone red.

    Raises
    ------
    InputError
        Fewer days than asked for, or (when computed) a profit that is not finite: the NaN rule.

    References
    ----------
    Basel framework, MAR32, profit and loss attribution test requirements.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> profit = np.random.default_rng(1).normal(size=250)
    >>> seen = profit + 0.1 * np.random.default_rng(2).normal(size=250)
    >>> found = profit_and_loss_attribution(xr.Dataset(
    ...     {"hypothetical_profit": ("observation", profit), "risk_theoretical_profit": ("observation", seen)}))
    >>> found["attribution_zone"].item(), round(found["kolmogorov_smirnov"].item(), 3)
    ('green', 0.04)
    """
    validate(profits, "hypothetical_profit", "risk_theoretical_profit")
    check_integer("days", days, at_least=2)
    available = profits.sizes["observation"]
    if available < days:
        raise InputError(f"days: {days} days are more than the {available} that the profits have")
    used = profits.isel(observation=slice(available - days, None))
    pair = [used[name] for name in ("hypothetical_profit", "risk_theoretical_profit")]
    figures = xr.apply_ufunc(
        _attribution,
        *(array.chunk(observation=-1) if array.chunks else array for array in pair),
        input_core_dims=[["observation"], ["observation"]],
        output_core_dims=[[], [], []],
        dask="parallelized",
        output_dtypes=[np.float64, np.float64, np.dtype("<U5")],
    )
    names = ("spearman_correlation", "kolmogorov_smirnov", "attribution_zone")
    found = {name: registered(name, figure) for name, figure in zip(names, figures, strict=True)}
    return xr.Dataset(found, attrs={"days": days})


def _attribution(hypothetical: Floats, theoretical: Floats) -> tuple[Floats, Floats, npt.NDArray[np.str_]]:
    for name, values in (("hypothetical_profit", hypothetical), ("risk_theoretical_profit", theoretical)):
        bad = np.argwhere(~np.isfinite(values))
        if len(bad):
            where = tuple(int(i) for i in bad[0])
            raise InputError(f"{name}: {values[where]!r} at index {where} of the days judged is not finite")
    lead = np.broadcast_shapes(hypothetical.shape[:-1], theoretical.shape[:-1])
    n = hypothetical.shape[-1]
    first, second = np.broadcast_to(hypothetical, (*lead, n)), np.broadcast_to(theoretical, (*lead, n))
    correlation, distance, zone = np.empty(lead), np.empty(lead), np.empty(lead, "<U5")
    for case in np.ndindex(lead):
        correlation[case] = _spearman(first[case], second[case])
        distance[case] = _distance(first[case], second[case])
        zone[case] = attribution_zone(float(correlation[case]), float(distance[case]))
    return correlation, distance, zone


def attribution_zone(correlation: float, distance: float) -> str:
    """The zone of a rank correlation and a distance; a NaN correlation is red."""
    if not correlation >= _RED_CORRELATION or distance > _RED_DISTANCE:
        return "red"
    return "green" if correlation > _GREEN_CORRELATION and distance < _GREEN_DISTANCE else "amber"


def _spearman(first: Floats, second: Floats) -> float:
    from scipy.stats import rankdata

    a, b = (rankdata(values) - 0.5 * (len(values) + 1) for values in (first, second))
    return float(np.sum(a * b) / np.sqrt(np.sum(a * a) * np.sum(b * b))) if a.any() and b.any() else float("nan")


def _distance(first: Floats, second: Floats) -> float:
    every = np.sort(np.concatenate([first, second]))
    below = [np.searchsorted(np.sort(values), every, side="right") for values in (first, second)]
    return float(np.max(np.abs(below[0] - below[1])) / len(first))
