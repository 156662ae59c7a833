"""Bootstrap of history: whole rows of past log returns, one by one or in blocks that keep their dependence in time.

A row holds the returns of all assets on one day, so the dependence between assets is history's own. ``iid`` draws every
row anew (historical simulation, any number of days ahead); ``circular_block`` draws blocks of ``b`` successive rows
(Politis and Romano 1992); ``stationary`` draws blocks of geometric length with mean ``b`` (Politis and Romano 1994: at
every step a new row with probability ``1/b``, else the next one). History is a circle: its first row follows its last.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import xarray as xr

from riskops.checks import check_finite, check_number, check_one_of, check_positive
from riskops.errors import InputError
from riskops.models.base import Array, Model, Shock, State
from riskops.models.bootstrap_fit import choose_block_length
from riskops.models.calibration import Calibration
from riskops.models.elementwise import exponentials
from riskops.models.kernel import path_kernel
from riskops.models.parameters import check_assets, drift_of, frozen, set_frozen
from riskops.models.registry import register
from riskops.models.sample import sample_log_returns
from riskops.scalar import scalar_function
from riskops.tables import row_of

__all__ = ["METHODS", "Bootstrap", "step"]

Floats = npt.NDArray[np.float64]

METHODS = ("iid", "circular_block", "stationary")

#: A block that ends by chance alone is never used up: simulations have fewer steps.
ENDLESS = 2**31 - 1


@scalar_function
def step(row, left, place, jump, rows, length, limit):  # type: ignore[no-untyped-def]
    """The row of the next observation, and how many of its block are left after it.

    A block begins where none is left or the word ``jump`` is below ``limit``, at the row that the word ``place`` stands
    for; otherwise the next row follows, after the last one the first.
    """
    begins = (left <= np.int32(0)) | (jump < limit)
    after = np.int32(row + np.int32(1))
    after = after if after < rows else np.int32(0)
    drawn = np.int32(row_of(place, np.uint32(rows)))
    return (drawn if begins else after), np.int32((length if begins else left) - np.int32(1))


@path_kernel(tables=("returns", "length", "limit"))
def _advance(log_growth, row, left, place, jump, returns, length, limit):  # type: ignore[no-untyped-def]
    rows, longest, bound = np.int32(returns.shape[1]), length[0], limit[0]
    at, rest, places, jumps = row[0], left[0], place[0], jump[0]
    for path in range(log_growth.shape[1]):
        at[path], rest[path] = step(at[path], rest[path], places[path], jumps[path], rows, longest, bound)
    for asset in range(log_growth.shape[0]):
        growth, history = log_growth[asset], returns[asset]
        for path in range(log_growth.shape[1]):
            growth[path] += history[np.uint32(at[path])]


@register
@dataclass(frozen=True, eq=False)
class Bootstrap(Model):
    """Bootstrap of the observed log returns: iid, circular block or stationary.

    Parameters
    ----------
    assets
        Names, unique, at least one.
    returns
        Log returns of history ``(row, asset)``, in the order of time, two rows or more; a step is one row.
    method
        ``"iid"``, ``"circular_block"`` or ``"stationary"``.
    block_length
        Rows of a block, a whole number (``circular_block``), or their mean (``stationary``), from 1 to the number of
        rows; 1 for ``iid``.
    days_per_year
        Observations in a year.

    Raises
    ------
    InputError
        When the table does not fit the assets or is not finite, the method is unknown, or the block length is out of
        range.

    Notes
    -----
    Every row is as likely as every other at every step, so ``n`` steps have ``n`` times the mean of the rows. With
    ``C(k)`` the circular autocovariance of the rows at lag ``k`` (divided by their number), the covariance of the sum
    of ``n`` rows is ``n C(0) + sum over k of w_k (C(k) + C(k)')``, where ``w_k`` is the expected number of pairs of
    steps, ``k`` apart, that lie in one block: ``(n - k) (1 - 1/b)^k`` for ``stationary`` (Politis and Romano 1994,
    lemma 1), ``floor(n/b) (b - k)+ + (n mod b - k)+`` for ``circular_block``, zero for ``iid``.

    Examples
    --------
    >>> model = Bootstrap(("A",), [[0.01], [-0.02], [0.04]], "stationary", 2.0)
    >>> model.mean_log_growth(10 / 252).round(6).tolist(), model.covariance_log_growth(10 / 252).round(6).tolist()
    ([0.1], [[0.00289]])
    """

    returns: Floats
    method: str
    block_length: float = 1.0
    days_per_year: float = 252.0

    kind: ClassVar[str] = "bootstrap"
    states: ClassVar[tuple[State, ...]] = (
        State("log_growth"),
        State("row", per="shared", kind="index"),
        State("left", per="shared", kind="index"),
    )
    shocks: ClassVar[tuple[Shock, ...]] = (
        Shock("place", kind="word", per="shared"),
        Shock("jump", kind="word", per="shared"),
    )

    def __post_init__(self) -> None:
        assets = check_assets(self.assets)
        table = check_finite("returns", self.returns)
        if table.ndim != 2 or table.shape[1] != len(assets) or not 2 <= len(table) < 2**31:
            raise InputError(f"returns: shape {table.shape} is not (rows, {len(assets)}), two rows or more")
        check_one_of("method", self.method, METHODS)
        length = check_number("block_length", self.block_length)
        if not 1.0 <= length <= len(table):
            raise InputError(f"block_length: {self.block_length!r} is not from 1 to the {len(table)} rows of history")
        if self.method == "iid" and length != 1.0:
            raise InputError(f"block_length: {self.block_length!r} has no meaning with method: iid, whose blocks are 1")
        if self.method == "circular_block" and length != int(length):
            raise InputError(f"block_length: {self.block_length!r} is not a whole number of rows")
        days = check_positive("days_per_year", self.days_per_year)
        parameters = {"assets": assets, "returns": frozen(table), "block_length": length, "days_per_year": days}
        set_frozen(self, parameters)

    def __setstate__(self, state: dict[str, Any]) -> None:
        set_frozen(self, state)

    @classmethod
    def calibrate(
        cls,
        returns: xr.Dataset,
        *,
        days_per_year: float = 252.0,
        method: str = "stationary",
        block_length: float | str | None = None,
        drift: str | Mapping[str, float] = "historical",
        window: int | None = None,
    ) -> Calibration[Self]:
        """Take the rows as :meth:`fit` does, and return the model with a report of blocks, window and recentring."""
        check_positive("days_per_year", days_per_year)
        check_one_of("method", method, METHODS)
        sample = sample_log_returns(returns, window=window)
        sample.volatility()  # refuses an asset whose returns do not vary
        rates = drift_of(drift, sample, half_variance=np.zeros(len(sample.assets)), days_per_year=days_per_year)
        kept = isinstance(drift, str) and drift == "historical"
        rows = sample.values if kept else sample.values + (rates / days_per_year - sample.mean)
        length, chosen = choose_block_length(sample, method=method, block_length=block_length)
        model = cls(sample.assets, rows, method, length, days_per_year)
        options = {
            "method": method,
            "block_length": block_length,
            "drift": drift if isinstance(drift, str) else {str(k): float(v) for k, v in drift.items()},
            "window": window,
        }
        report = {
            **sample.window_report(days_per_year),
            "options": options,
            "block_length": length,
            "block_length_by_asset": chosen,
            "recentred": None if kept else dict(zip(sample.assets, rates.tolist(), strict=True)),
        }
        return Calibration(model, report)

    @classmethod
    def fit(
        cls,
        returns: xr.Dataset,
        *,
        days_per_year: float = 252.0,
        method: str = "stationary",
        block_length: float | str | None = None,
        drift: str | Mapping[str, float] = "historical",
        window: int | None = None,
    ) -> Self:
        """Take the rows of daily log returns, and choose the length of blocks.

        Parameters
        ----------
        returns
            Dataset with ``log_return`` ``(observation, asset)``; NaN is an error that says where.
        days_per_year
            Observations in a year.
        method
            ``"iid"``, ``"circular_block"`` or ``"stationary"``.
        block_length
            Rows of a block (``stationary``: their mean), left out for ``iid``. By default, as with ``"returns"``, the
            optimal one of Politis and White (2004, corrected by Patton, Politis and White 2009) for the mean return of
            each asset, averaged over the assets, at least 1, rounded up for ``circular_block``. ``"squared_returns"``
            chooses it for the squares, whose blocks are long enough to keep clusters of volatility.
        drift
            ``"historical"`` keeps the rows; ``"zero"`` recentres them so that the mean log return of every asset is
            zero; or the mean log return a year of each asset by name, to which its rows are recentred.
        window
            Number of last observations to use; all of them by default.

        Returns
        -------
        The model.

        Raises
        ------
        InputError
            When the window is longer than the sample, an asset's returns do not vary, a drift is missing or unknown,
            the method is unknown, or there are too few observations to choose a block length.

        Examples
        --------
        >>> import xarray as xr
        >>> from riskops.schema import variable
        >>> table = variable("log_return", ("observation", "asset"), [[0.01], [-0.01], [0.03]], coords={"asset": ["A"]})
        >>> model = Bootstrap.fit(xr.Dataset({"log_return": table}), method="iid", drift="zero")
        >>> model.returns.round(4).tolist()
        [[0.0], [-0.02], [0.02]]
        """
        return cls.calibrate(
            returns, days_per_year=days_per_year, method=method, block_length=block_length, drift=drift, window=window
        ).model

    def tables(self, step_years: float) -> Mapping[str, Array]:
        """``returns`` ``(asset, row)``, the ``length`` of a block and the ``limit`` below which a word begins one.

        A step is one observation; any other length is an error.
        """
        step_days = check_positive("step_years", step_years) * self.days_per_year
        if not math.isclose(step_days, 1.0, rel_tol=1e-9):
            raise InputError(
                f"simulation.step_days: model bootstrap steps by one observation, and a step of {step_days:g} of "
                f"{self.days_per_year:g} a year was asked for"
            )
        by_chance = self._jump_limit > 0
        return {
            "returns": np.ascontiguousarray(self.returns.T),
            "length": np.array([ENDLESS if by_chance else int(self.block_length)], np.int32),
            "limit": np.array([self._jump_limit], np.uint32),
        }

    @property
    def _jump_limit(self) -> int:
        """The words below it begin a block: ``2^32 / b``, rounded; none where the length of blocks is fixed."""
        if self.method != "stationary" or self.block_length == 1.0:
            return 0
        return min(math.floor(2.0**32 / self.block_length + 0.5), 2**32 - 1)

    @staticmethod
    def advance(state: Mapping[str, Array], shocks: Mapping[str, Array], tables: Mapping[str, Array]) -> None:
        """Move to the next row, which may begin a block, and add its returns to log growth, in place."""
        _advance(
            state["log_growth"],
            state["row"],
            state["left"],
            shocks["place"],
            shocks["jump"],
            tables["returns"],
            tables["length"],
            tables["limit"],
        )

    def shocked(self, *, volatility: float = 1.0, correlation: float = 0.0, drift: float = 0.0) -> Self:
        """The model under a scenario: every row's distance from the mean row multiplied, a yearly drift added.

        The mean log return stays as it was under a volatility shock. Correlations are those of the rows: a shock of
        them is refused.
        """
        if (volatility, correlation, drift) == (1.0, 0.0, 0.0):
            return self
        if correlation != 0.0:
            raise InputError(
                "correlation shock: model bootstrap draws whole rows of history, whose dependence is not a parameter"
            )
        factor = check_positive("volatility shock", volatility)
        mean = self._mean
        rows = self.returns if factor == 1.0 else mean + factor * (self.returns - mean)
        added = check_number("drift shock", drift) / self.days_per_year
        return type(self)(self.assets, rows + added, self.method, self.block_length, self.days_per_year)

    @property
    def _mean(self) -> Floats:
        return np.array([math.fsum(column) / len(column) for column in self.returns.T])

    def _observations(self, years: float) -> int:
        exact = check_positive("years", years) * self.days_per_year
        if not math.isclose(exact, round(exact), rel_tol=1e-9):
            raise InputError(f"years: {years!r} is not a whole number of observations, {self.days_per_year:g} a year")
        return round(exact)

    def mean_log_growth(self, years: float) -> Floats:
        """Exact mean ``(asset,)`` of log growth: that of the rows times the number of observations, a whole one."""
        return self._mean * self._observations(years)

    def covariance_log_growth(self, years: float) -> Floats:
        """Exact covariance ``(asset, asset)`` of log growth after a whole number of observations; see the notes."""
        steps, rows = self._observations(years), len(self.returns)
        lags = np.arange(1, steps)
        weights = np.bincount(lags % rows, weights=self._pairs(lags, steps), minlength=rows)
        deviations = self.returns - self._mean
        # sum over k of w_k x(i+k), for every i: a circular correlation
        ahead = np.fft.irfft(np.conj(np.fft.rfft(weights))[:, None] * np.fft.rfft(deviations, axis=0), rows, axis=0)
        across = deviations.T @ ahead / rows
        at_once: Floats = steps * (deviations.T @ deviations) / rows
        return at_once + across + across.T

    def _pairs(self, lags: npt.NDArray[np.int64], steps: int) -> Floats:
        """The expected number of pairs of steps, so many apart, that lie in one block."""
        limit = self._jump_limit
        if limit > 0:
            together: Floats = (steps - lags) * (1.0 - limit / 2.0**32) ** lags
            return together
        length = int(self.block_length)
        whole, rest = divmod(steps, length)
        return np.asarray(whole * np.maximum(length - lags, 0) + np.maximum(rest - lags, 0), dtype=np.float64)

    def mean_simple_return(self, years: float) -> Floats:
        """Exact mean ``(asset,)`` of the simple return after a whole number of observations.

        With ``g_k`` the mean of ``exp`` of ``k`` successive rows and ``L`` the length of a block, blocks being
        independent: ``E_n = P(L >= n) g_n + sum over k < n of P(L = k) g_k E_(n-k)``, ``E_0 = 1``.
        """
        steps = self._observations(years)
        length = ENDLESS if self._jump_limit else int(self.block_length)
        goes_on = np.full(steps + 1, 1.0 - self._jump_limit / 2.0**32)
        goes_on[0] = 1.0
        reaches = np.where(np.arange(steps + 1) < length, np.cumprod(goes_on), 0.0)  # P(L >= k + 1)
        ends = reaches[:-1] - reaches[1:]  # P(L = k + 1)
        growth, expected = np.empty((steps, len(self.assets))), np.ones((steps + 1, len(self.assets)))
        total = np.zeros_like(self.returns)
        for n in range(1, steps + 1):
            total += np.roll(self.returns, 1 - n, axis=0)
            growth[n - 1] = exponentials(total).mean(axis=0)
            whole = ends[: n - 1, None] * growth[: n - 1] * expected[n - 1 : 0 : -1]
            expected[n] = reaches[n - 1] * growth[n - 1] + whole.sum(axis=0)
        return np.asarray(expected[steps] - 1.0)
