"""The series that are forecast: daily returns of assets or portfolios, read from a Dataset and checked.

Days that a series was not observed on are NaN. Under ``missing="error"`` the first of them is an error that names the
series and the date; under ``missing="skip"`` a series consists of its own observed days, however many and wherever
they lie, and has no forecast for the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr
from dask.base import tokenize

from riskops.checks import check_number, check_one_of, check_subset, check_unique
from riskops.errors import InputError
from riskops.history.forecasts.base import Floats
from riskops.schema import validate, variable

__all__ = ["MISSING", "Missing", "Series", "check_returns", "day_text", "portfolio_returns", "read_series"]

Missing = Literal["error", "skip"]
MISSING = ("error", "skip")

#: The variables that hold returns, each with the dim of its series.
_RETURNS = {"simple_return": "asset", "log_return": "asset", "portfolio_return": "portfolio"}


@dataclass(frozen=True, eq=False)
class Series:
    """Returns of some series: the variable they were, the dim and names of the series, the dates and the values."""

    variable: str
    dim: str
    names: tuple[str, ...]
    dates: npt.NDArray[Any]
    values: da.Array  # (observation, series): all days of a group of series are one chunk

    def rows_before(self, date: str | np.datetime64 | int) -> int:
        """The number of observations before a date."""
        if isinstance(date, str) and self.dates.dtype.kind != "M":
            raise InputError(f"start: {date!r} is a date; the observations are numbered")
        try:
            key: Any = date
            key = np.datetime64(key) if self.dates.dtype.kind == "M" else key
            return int(np.searchsorted(self.dates, np.asarray(key, self.dates.dtype)))
        except (TypeError, ValueError):
            raise InputError(f"start: {date!r} is not a date like 2020-01-31") from None


def day_text(day: Any) -> str:
    """A date as people write it, or the number of an observation."""
    if not isinstance(day, np.datetime64):
        return str(day)
    whole = day.astype("datetime64[D]")
    return str(whole if whole == day else day.astype("datetime64[s]"))


def read_series(returns: xr.Dataset, *, missing: Missing, series_per_task: int) -> Series:
    """Read the returns of a Dataset: names and dates are checked here, and the values too where they are in memory."""
    check_one_of("missing", missing, MISSING)
    held = [name for name in _RETURNS if name in returns]
    if len(held) != 1:
        expected = "simple_return, log_return or portfolio_return"
        raise InputError(f"returns: one of {expected} is needed; there is {' and '.join(held) or 'none of them'}")
    name = held[0]
    dim = _RETURNS[name]
    array = validate(returns, name)[name]
    for axis in ("observation", dim):
        if axis not in array.coords:
            raise InputError(f"returns: {name} has no coordinate {axis!r}")
    names = tuple(str(one) for one in array[dim].to_numpy())
    if not names:
        raise InputError(f"returns: there is no {dim}")
    check_unique(f"returns.{dim}", names)
    dates = check_dates(array["observation"].to_numpy())
    data = array.data
    if isinstance(data, da.Array):
        lazy = data.astype(np.float64) if data.dtype != np.float64 else data
    else:
        values = np.asarray(data, np.float64)
        check_returns(values, names, dates, missing=missing)
        token = tokenize(np.ascontiguousarray(values))
        lazy = da.from_array(values, chunks=(len(dates), series_per_task), name=f"returns-{token}")
    return Series(name, dim, names, dates, lazy.rechunk({0: -1, 1: series_per_task}))


def check_dates(dates: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return dates, or numbers of observations, that ascend without a repeat."""
    if dates.dtype.kind not in "Miuf":
        raise InputError(f"returns.observation: {dates.dtype} are neither dates nor numbers")
    if len(dates) < 2:
        raise InputError(f"returns: {len(dates)} observations are too few")
    wrong = np.flatnonzero(~(dates[1:] > dates[:-1]))
    if len(wrong):
        before, after = day_text(dates[wrong[0]]), day_text(dates[wrong[0] + 1])
        raise InputError(f"returns.observation: {after} follows {before}; dates must ascend and be given once")
    return dates


def check_returns(values: Floats, names: Sequence[str], dates: npt.NDArray[Any], *, missing: Missing) -> None:
    """Refuse an infinite return, and a missing one unless missing days are skipped; say which series and date it is."""
    bad = np.isinf(values) if missing == "skip" else ~np.isfinite(values)
    if not bad.any():
        return
    column = int(np.flatnonzero(bad.any(axis=0))[0])
    row = int(np.flatnonzero(bad[:, column])[0])
    hint = "" if np.isinf(values[row, column]) else '; missing="skip" forecasts from the days that were observed'
    value = float(values[row, column])
    raise InputError(f"returns: {names[column]!r} on {day_text(dates[row])} is {value!r}, not finite{hint}")


def portfolio_returns(
    returns: xr.Dataset,
    *,
    weights: Mapping[str, Mapping[str, float] | Literal["equal"]] | None = None,
    book: xr.Dataset | None = None,
    missing: Missing = "error",
) -> xr.Dataset:
    """Simple returns of portfolios of fixed weights, brought back to those weights every day.

    ``r(t) = sum over assets of weight * r_asset(t)``, summed in the order of the assets; what the weights leave of one
    is cash and earns nothing.

    Parameters
    ----------
    returns
        ``simple_return`` (observation, asset); a weighted sum of logarithmic returns is no return of a portfolio.
    weights
        Each portfolio's weights by asset, shares of its value (negative: short), or ``"equal"`` for all assets alike.
    book
        ``exposure`` (portfolio, asset) and ``portfolio_value``, as :func:`riskops.book` gives them, in place of
        ``weights``: exposures over the portfolio's value.
    missing
        What a NaN in the return of an asset that is held means: ``"error"``, or ``"skip"``, the portfolio has no return
        on that day (NaN).

    Returns
    -------
    Dataset
        ``portfolio_return`` (observation, portfolio), dimensionless; lazy where ``returns`` is.

    Raises
    ------
    InputError
        Both or none of ``weights`` and ``book``; an asset without returns; a weight that is not finite; a portfolio
        value that is not above zero; and by the NaN rule a missing return.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> days = np.array(["2020-01-01", "2020-01-02"], "datetime64[ns]")
    >>> moves = [[0.01, 0.03], [-0.02, 0.0]]
    >>> coords = {"observation": days, "asset": ["A", "B"]}
    >>> returns = xr.Dataset({"simple_return": (("observation", "asset"), moves)}, coords=coords)
    >>> both = portfolio_returns(returns, weights={"half": "equal", "short": {"B": -1.0}})
    >>> both["portfolio_return"].values.round(4).tolist()
    [[0.02, -0.03], [-0.01, 0.0]]
    """
    if (weights is None) == (book is None):
        raise InputError("weights: give either weights or book")
    if "simple_return" not in returns:
        raise InputError("returns: portfolios are made of simple_return, which is missing")
    series = read_series(returns[["simple_return"]], missing="skip", series_per_task=max(returns.sizes["asset"], 1))
    check_one_of("missing", missing, MISSING)
    given = _of_book(book) if book is not None else dict(weights or {})
    if not given:
        raise InputError("weights: at least one portfolio is needed")
    table = np.zeros((len(given), len(series.names)))
    for p, (portfolio, held) in enumerate(given.items()):
        if held == "equal":
            table[p] = 1.0 / len(series.names)
            continue
        if not isinstance(held, Mapping):
            raise InputError(f"weights.{portfolio}: {held!r} is neither a mapping of assets to weights nor 'equal'")
        check_subset(f"weights.{portfolio}", held, series.names)
        for asset, weight in held.items():
            table[p, series.names.index(asset)] = check_number(f"weights.{portfolio}.{asset}", weight)
    options: dict[str, Any] = {"weights": table, "names": series.names, "missing": missing}
    source = returns["simple_return"].data
    if isinstance(source, da.Array):
        dates = da.from_array(series.dates, chunks=-1)
        data: Any = da.blockwise(
            _weighted,
            "op",
            series.values,
            "oa",
            dates,
            "o",
            new_axes={"p": len(given)},
            concatenate=True,
            dtype=np.float64,
            meta=np.empty((0, 0)),
            name=f"portfolio-return-{tokenize(series.values.name, table, missing)}",
            **options,
        )
    else:
        data = _weighted(np.asarray(source, np.float64), series.dates, **options)
    coords = {"observation": series.dates, "portfolio": list(given)}
    made = variable("portfolio_return", ("observation", "portfolio"), data, coords=coords)
    return xr.Dataset({"portfolio_return": made}, attrs=dict(returns.attrs))


def _of_book(book: xr.Dataset) -> dict[str, Mapping[str, float]]:
    validate(book, "exposure", "portfolio_value")
    assets = [str(name) for name in book["asset"].to_numpy()]
    found: dict[str, Mapping[str, float]] = {}
    for p, name in enumerate(str(one) for one in book["portfolio"].to_numpy()):
        worth = float(book["portfolio_value"].to_numpy()[p])
        if not worth > 0.0:
            raise InputError(f"book: portfolio {name!r} is worth {worth!r}; a return needs a value above zero")
        found[name] = dict(zip(assets, (book["exposure"].to_numpy()[p] / worth).tolist(), strict=True))
    return found


def _weighted(
    values: Floats, dates: npt.NDArray[Any], *, weights: Floats, names: tuple[str, ...], missing: Missing
) -> Floats:
    """One product and one sum an asset, in order: the same bits everywhere. An asset that is not held is not read."""
    used = np.flatnonzero((weights != 0.0).any(axis=0))
    check_returns(values[:, used], [names[a] for a in used], dates, missing=missing)
    out = np.zeros((len(values), len(weights)))
    for p, row in enumerate(weights):
        for a in np.flatnonzero(row):
            out[:, p] += row[a] * values[:, a]
    return out
