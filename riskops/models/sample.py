"""The window of log returns that a model is fitted to, and its sample moments with the same bits on every machine."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from numba import njit

from riskops.checks import check_finite, check_integer
from riskops.errors import InputError
from riskops.scalar import fma
from riskops.schema import validate

__all__ = ["Sample", "sample_log_returns"]


@dataclass(frozen=True)
class Sample:
    """The window of log returns that a model is fitted to, with its mean and covariance a day (ddof=1)."""

    assets: tuple[str, ...]
    values: npt.NDArray[np.float64]
    mean: npt.NDArray[np.float64]
    covariance: npt.NDArray[np.float64]
    start: str | None
    end: str | None

    @property
    def observations(self) -> int:
        return len(self.values)

    def window_report(self, days_per_year: float) -> dict[str, Any]:
        """What the report of every fit begins with: the window that it was made from."""
        return {
            "observations": self.observations,
            "window_start": self.start,
            "window_end": self.end,
            "days_per_year": float(days_per_year),
        }

    def volatility(self) -> npt.NDArray[np.float64]:
        """Standard deviation a day ``(asset,)``; an asset whose returns do not vary is an error that names it."""
        # a constant series leaves only the rounding of its own mean, which is not a volatility
        noise = np.abs(self.values).max(axis=0) * 1e-12
        deviation: npt.NDArray[np.float64] = np.sqrt(np.diagonal(self.covariance))
        for asset, value, bound in zip(self.assets, deviation, noise, strict=True):
            if value <= bound:
                raise InputError(f"log_return: the returns of {asset!r} do not vary over the window")
        return deviation

    def correlation(self) -> npt.NDArray[np.float64]:
        """Sample correlation ``(asset, asset)``: exactly symmetric, with an exact unit diagonal."""
        deviation = self.volatility()
        matrix = self.covariance / (deviation[:, None] * deviation[None, :])
        np.fill_diagonal(matrix, 1.0)
        return matrix


@njit(cache=True, nogil=True, error_model="numpy")
def _covariance(deviations, out):  # type: ignore[no-untyped-def]
    """Sum the outer products of the rows in their order; a library product would depend on CPU and threads."""
    rows, size = deviations.shape
    for row in range(rows):
        for i in range(size):
            for j in range(size):
                out[i, j] = fma(deviations[row, i], deviations[row, j], out[i, j])
    for i in range(size):
        for j in range(size):
            out[i, j] /= rows - 1


def _date(value: object) -> str:
    return str(value.astype("datetime64[D]")) if isinstance(value, np.datetime64) else str(value)


def sample_log_returns(returns: xr.Dataset, *, window: int | None = None) -> Sample:
    """Take the last ``window`` log returns (all of them by default) with their mean and covariance.

    Parameters
    ----------
    returns
        Dataset with ``log_return`` ``(observation, asset)``; NaN and infinities are errors.
    window
        Number of last observations to use; at least two, and not more than there are.

    Returns
    -------
    The sample. Its moments have the same bits on every machine: means are exactly rounded sums, products are
    added in the order of the observations.

    Raises
    ------
    InputError
        When there are fewer observations than asked for, or fewer than two, or a value is not finite.
    """
    validate(returns, "log_return")
    table = returns["log_return"]
    if "asset" not in table.coords:
        raise InputError("log_return: the asset coordinate is missing")
    assets = tuple(str(a) for a in table["asset"].values)
    values = check_finite("log_return", table.values)
    given = len(values)
    used = given if window is None else check_integer("window", window, at_least=2)
    if used > given:
        raise InputError(f"window: {used} observations were asked for and there are {given}")
    if used < 2:
        raise InputError(f"log_return: {used} observations are too few; at least 2 are needed")
    values = np.ascontiguousarray(values[given - used :])
    mean = np.array([math.fsum(column) / used for column in values.T])
    covariance = np.zeros((len(assets), len(assets)))
    _covariance(values - mean, covariance)
    dates = table["observation"].values[given - used :] if "observation" in table.coords else None
    start, end = (None, None) if dates is None else (_date(dates[0]), _date(dates[-1]))
    return Sample(assets, values, mean, covariance, start, end)
