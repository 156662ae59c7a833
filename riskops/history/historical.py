"""Historical simulation: today's positions under the returns that were observed, without any model.

Horizons of several days use overlapping windows. Their quantiles are taken as they are, but neighbouring windows share
days and say nearly the same thing, so the errors are those of ``n / days`` independent observations, not of ``n``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from riskops.checks import (
    check_finite,
    check_integer,
    check_levels,
    check_number,
    check_subset,
    check_unique,
)
from riskops.errors import InputError
from riskops.market import returns_over
from riskops.reductions import Z95, interval_ranks, quantile_and_shortfall, shortfall_error
from riskops.schema import ERROR_SUFFIXES, validate, variable

__all__ = ["historical_losses", "historical_value_at_risk"]


class _Estimate(NamedTuple):
    value: float
    standard_error: float
    low: float
    high: float


def historical_losses(prices: xr.Dataset, *, book: xr.Dataset, days: int, window: int | None = None) -> xr.Dataset:
    """The loss of today's positions under every observed ``days``-day return of the window.

    ``loss = -sum over assets of exposure * (p(t) / p(t-days) - 1)``, summed in the order of the book's assets; cash
    earns nothing.

    Parameters
    ----------
    prices
        ``price`` (observation, asset), daily, as :func:`riskops.market.load_prices` gives it.
    book
        ``exposure`` (portfolio, asset) of today, as :func:`riskops.portfolio.book` gives it; its assets have prices.
    days
        The number of days that each return spans; windows of more than one day overlap.
    window
        The number of the last daily returns to use, all by default; ``window - days + 1`` returns over ``days`` lie
        inside it.

    Returns
    -------
    Dataset
        ``historical_loss`` (portfolio, observation), money, float64, loss positive, dated by the end of the return.

    Raises
    ------
    InputError
        ``days`` or ``window`` is not a whole number that fits the prices, an asset of the book without prices, or a
        price that is NaN (the NaN rule), infinite, zero or negative; an exposure that is not finite.

    Examples
    --------
    >>> from riskops.market import load_prices
    >>> from riskops.portfolio import Portfolio, Position, book
    >>> prices = load_prices("sp500", assets=["AAPL"], start="2022-12-23")
    >>> held = book(Portfolio("p", (Position("AAPL", "money", 100.0),)), prices=prices)
    >>> historical_losses(prices, book=held, days=1)["historical_loss"].values.round(3).tolist()
    [[1.388, 3.068]]
    """
    validate(prices, "price")
    validate(book, "exposure")
    used = _window(prices, days, window)
    assets = [str(name) for name in book["asset"].to_numpy()]
    check_subset("book", assets, [str(name) for name in prices["asset"].to_numpy()])
    returns = returns_over(used.sel(asset=assets), days=days)
    change = returns["simple_return"].to_numpy()
    exposure = check_finite("book.exposure", book["exposure"].to_numpy())
    loss = np.zeros((len(exposure), len(change)))
    for a in range(len(assets)):  # one product and one sum an asset, in order: the same bits everywhere
        loss -= exposure[:, a, None] * change[None, :, a]
    coords = {"portfolio": book["portfolio"].to_numpy(), "observation": returns["observation"].to_numpy()}
    return xr.Dataset(
        {"historical_loss": variable("historical_loss", ("portfolio", "observation"), loss, coords=coords)},
        attrs=_window_attributes(used),
    )


def historical_value_at_risk(
    prices: xr.Dataset,
    *,
    book: xr.Dataset,
    level: float | Sequence[float] = (0.95, 0.99),
    horizons: Sequence[float] = (1,),
    window: int | None = None,
) -> xr.Dataset:
    """Historical-simulation value at risk and expected shortfall, each with its error.

    Of the ``n`` losses of a horizon, sorted ascending, and with ``k = ceil(n level)``: ``VaR = x(k)`` and
    ``ES = x(k) + sum_{j>k} (x(j) - x(k)) / (n (1 - level))`` (Acerbi and Tasche 2002), exactly as for simulated losses.
    The 95 % interval of VaR lies between two order statistics; its standard error is the interval's width over
    2 * 1.96. That of ES is asymptotic, ``sqrt((sum_{j>k} (x(j) - VaR)^2 / (n (1 - level)^2) - (ES - VaR)^2) / n)``, and
    its interval is 1.96 standard errors to either side. Both count the losses as independent from day to day.

    For a horizon of ``days`` above 1 the windows overlap and hold about ``m = n / days`` independent observations: the
    interval of VaR is that of the overlapping sample with both arms made ``sqrt(days)`` times longer, and the standard
    error of ES is multiplied by the same. Where ``m`` observations carry no interval at that level, the errors are NaN.

    Parameters
    ----------
    prices
        ``price`` (observation, asset), daily, as :func:`riskops.market.load_prices` gives it.
    book
        ``exposure`` (portfolio, asset) of today, as :func:`riskops.portfolio.book` gives it.
    level
        One or several confidence levels.
    horizons
        Whole numbers of days, each at most the window.
    window
        The number of the last daily returns to use, all by default.

    Returns
    -------
    Dataset
        ``historical_value_at_risk`` and ``historical_expected_shortfall`` (portfolio, horizon, level), money, loss
        positive, each with ``_standard_error``, ``_low`` and ``_high``. Attributes: ``window_start``, ``window_end``,
        ``window_observations``, and ``effective_observations``, a list with ``n / days`` of each horizon.

    Raises
    ------
    InputError
        A level outside (0, 1), a horizon that is no whole number of days or longer than the window, and whatever
        :func:`historical_losses` refuses (a NaN price among it: the NaN rule).

    Examples
    --------
    >>> from riskops.market import load_prices
    >>> from riskops.portfolio import Portfolio, Position, book
    >>> prices = load_prices("sp500", assets=["AAPL"])
    >>> held = book(Portfolio("p", (Position("AAPL", "money", 1.0),)), prices=prices)
    >>> risk = historical_value_at_risk(prices, book=held, level=0.95)
    >>> round(float(risk["historical_value_at_risk"].item()), 9)
    0.039568345
    """
    levels = check_levels("level", level)
    spans = _check_horizons(horizons)
    portfolios = book["portfolio"].to_numpy()
    shape = (len(portfolios), len(spans), len(levels), len(_Estimate._fields))
    value_at_risk, shortfall = np.empty(shape), np.empty(shape)
    effective = []
    for h, days in enumerate(spans):
        losses = historical_losses(prices, book=book, days=days, window=window)["historical_loss"].to_numpy()
        effective.append(losses.shape[1] / days)
        for p, row in enumerate(losses):
            descending = np.sort(row)[::-1]
            for i, one in enumerate(levels):
                value_at_risk[p, h, i], shortfall[p, h, i] = _tail(descending, one, days)
    coords = {"portfolio": portfolios, "horizon": [float(days) for days in spans], "level": list(levels)}
    found = {
        name + suffix: variable(
            name + suffix,
            ("portfolio", "horizon", "level"),
            estimates[..., part],
            coords=coords,
            attrs={} if suffix else {"effective_observations": effective},
        )
        for name, estimates in (
            ("historical_value_at_risk", value_at_risk),
            ("historical_expected_shortfall", shortfall),
        )
        for part, suffix in enumerate(("", *ERROR_SUFFIXES))
    }
    attrs = _window_attributes(_window(prices, 1, window)) | {"effective_observations": effective}
    return xr.Dataset(found, attrs=attrs)


def _check_horizons(horizons: Sequence[float]) -> list[int]:
    given = [check_number("horizons", horizon) for horizon in horizons]
    if not given:
        raise InputError("horizons: at least one is needed")
    for horizon in given:
        if horizon < 1.0 or horizon != int(horizon):
            raise InputError(f"horizons: {horizon:g} is not a whole number of days, as observed returns need")
    check_unique("horizons", given)
    return [int(horizon) for horizon in given]


def _window(prices: xr.Dataset, days: int, window: int | None) -> xr.Dataset:
    """The prices that the last ``window`` daily returns come from."""
    check_integer("days", days, at_least=1)
    available = prices.sizes["observation"] - 1
    size = available if window is None else check_integer("window", window, at_least=1)
    if size > available:
        raise InputError(f"window: {size} daily returns are more than the {available} that the prices give")
    if size < days:
        raise InputError(f"days: {days} days are longer than the window of {size} daily returns")
    return prices.isel(observation=slice(available - size, None))


def _window_attributes(used: xr.Dataset) -> dict[str, str | int]:
    dates = used["observation"].to_numpy().astype("datetime64[D]")
    return {"window_start": str(dates[0]), "window_end": str(dates[-1]), "window_observations": len(dates) - 1}


def _tail(descending: npt.NDArray[np.float64], level: float, days: int) -> tuple[_Estimate, _Estimate]:
    """Value at risk and expected shortfall of sorted losses, with the errors of ``len(descending) / days`` of them."""
    n = len(descending)
    quantile, shortfall = quantile_and_shortfall(descending, level, n)
    try:
        interval_ranks(level, max(n // days, 1))
        low_rank, high_rank = interval_ranks(level, n)
    except InputError:
        nan = math.nan
        return _Estimate(quantile, nan, nan, nan), _Estimate(shortfall, nan, nan, nan)
    stretch = math.sqrt(days)
    low = quantile - stretch * (quantile - float(descending[n - low_rank]))
    high = quantile + stretch * (float(descending[n - high_rank]) - quantile)
    error = stretch * shortfall_error(descending, level, n, quantile, shortfall)
    return (
        _Estimate(quantile, (high - low) / (2.0 * Z95), low, high),
        _Estimate(shortfall, error, shortfall - Z95 * error, shortfall + Z95 * error),
    )
