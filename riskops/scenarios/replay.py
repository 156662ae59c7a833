"""What a scenario's price moves alone do to portfolios: the instant loss, and the fall along a replayed window."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import xarray as xr

from riskops.checks import check_finite, check_unique
from riskops.errors import InputError
from riskops.scenarios.scenario import Scenario
from riskops.scenarios.window import cumulated_returns, observed_assets
from riskops.schema import validate, variable

__all__ = ["replay_path", "stress_losses"]


def replay_path(prices: xr.Dataset, *, scenario: Scenario) -> xr.Dataset:
    """How the prices moved along a scenario's replayed window.

    Parameters
    ----------
    prices
        Dataset with ``price`` ``(observation, asset)``; NaN inside the window is an error that names the asset.
    scenario
        A scenario with a replay. Its other price moves do not enter.

    Returns
    -------
    ``replayed_return`` ``(observation, asset)``, without unit: simple returns since the window's start. The first
    row, that of the last price on or before the first date, is zero.

    Raises
    ------
    InputError
        When the scenario is no replay, or the prices do not cover its window.

    Examples
    --------
    >>> from riskops.market import load_prices
    >>> monday = Scenario("monday", replay=("2020-03-13", "2020-03-16"))
    >>> replay_path(load_prices("sp500_index"), scenario=monday)["replayed_return"].values.round(4).tolist()
    [[0.0], [-0.1198]]
    """
    if scenario.replay is None:
        raise InputError(f"scenario {scenario.name}: has no replay")
    dates, returns = _along(prices, scenario)
    coords = {"observation": dates, "asset": list(observed_assets(prices))}
    return variable("replayed_return", ("observation", "asset"), returns, coords=coords).to_dataset()


def _along(prices: xr.Dataset, scenario: Scenario) -> tuple[npt.NDArray[np.datetime64], npt.NDArray[np.float64]]:
    assert scenario.replay is not None
    try:
        return cumulated_returns(prices, scenario.replay)
    except InputError as error:
        raise InputError(f"scenario {scenario.name}: {error}") from None


def _weigh(exposure: npt.NDArray[np.float64], moves: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """``sum over assets of exposure * moves``: ``(portfolio, asset)`` with ``(..., asset)`` to ``(portfolio, ...)``.

    The assets are added in their order, because a product of matrices would depend on the machine.
    """
    gain = np.zeros(exposure.shape[:1] + moves.shape[:-1])
    for position in range(exposure.shape[1]):
        gain += np.multiply.outer(exposure[:, position], moves[..., position])
    return gain


def stress_losses(book: xr.Dataset, *, scenarios: Sequence[Scenario], prices: xr.Dataset) -> xr.Dataset:
    """The loss of every portfolio from a scenario's instant price moves, and its fall along a replayed window.

    Parameters
    ----------
    book
        Dataset, in memory, with ``exposure`` ``(portfolio, asset)`` and ``portfolio_value`` ``(portfolio,)`` in money.
    scenarios
        The scenarios, with unique names, in the order of the result.
    prices
        Dataset with ``price`` ``(observation, asset)`` of the same assets in the same order.

    Returns
    -------
    ``stress_loss`` and ``stress_drawdown`` ``(scenario, portfolio)`` in money, loss positive. The drawdown is NaN for a
    scenario that is no replay.

    Raises
    ------
    InputError
        When the assets of book and prices differ, an exposure is not finite, or a scenario does not fit the prices.

    Notes
    -----
    ``stress_loss = -sum over assets of exposure * move``, the moves being all those of the scenario.
    ``stress_drawdown`` is the largest fall of ``portfolio_value + sum of exposure * (return since the start)`` from its
    running peak along the replayed window, today's value being the first peak: positions and cash are held as they are
    today.

    Examples
    --------
    >>> from riskops.market import load_prices
    >>> prices = load_prices("sp500_index")
    >>> book = xr.Dataset({
    ...     "exposure": variable("exposure", ("portfolio", "asset"), [[100.0]],
    ...                          coords={"portfolio": ["index"], "asset": ["SP500"]}),
    ...     "portfolio_value": variable("portfolio_value", ("portfolio",), [150.0], coords={"portfolio": ["index"]}),
    ... })
    >>> covid = Scenario("covid", replay=("2020-02-19", "2020-03-23"), all_prices=-0.1)
    >>> losses = stress_losses(book, scenarios=[covid], prices=prices)
    >>> losses["stress_loss"].values.round(2).tolist(), losses["stress_drawdown"].values.round(2).tolist()
    ([[40.53]], [[33.92]])
    """
    validate(book, "exposure", "portfolio_value")
    assets = observed_assets(prices)
    held = tuple(str(asset) for asset in book["asset"].to_numpy())
    if held != assets:
        raise InputError(f"book: assets {', '.join(held)} are not those of the prices, {', '.join(assets)}")
    names = [scenario.name for scenario in scenarios]
    check_unique("scenarios", names)
    exposure = check_finite("exposure", book["exposure"].to_numpy())
    value = check_finite("portfolio_value", book["portfolio_value"].to_numpy())
    loss = np.zeros((len(names), len(value)))
    drawdown = np.full((len(names), len(value)), np.nan)
    for row, scenario in enumerate(scenarios):
        loss[row] -= _weigh(exposure, scenario.price_shock(prices))
        if scenario.replay is not None:
            along = value[:, None] + _weigh(exposure, _along(prices, scenario)[1])
            drawdown[row] = np.max(np.maximum.accumulate(along, axis=1) - along, axis=1)
    coords = {"scenario": names, "portfolio": book["portfolio"].to_numpy()}
    dims = ("scenario", "portfolio")
    return xr.Dataset(
        {
            "stress_loss": variable("stress_loss", dims, loss, coords=coords),
            "stress_drawdown": variable("stress_drawdown", dims, drawdown, coords=coords),
        }
    )
