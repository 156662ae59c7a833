"""A backtest of a second, for examples and tests: two methods over one index, one year of forecasts."""

from __future__ import annotations

from riskops.config.backtest import backtest_from_mapping
from riskops.run.backtest.job import BacktestJob
from riskops.run.backtest.prepare import prepare_backtest

__all__ = ["small_backtest"]


def small_backtest() -> BacktestJob:
    """Historical simulation and EWMA over the index, 2020 to 2022.

    Examples
    --------
    >>> small_backtest().series.sizes["asset"]
    1
    """
    asked = {
        "market": {"prices": "sp500_index", "start": "2020-01-02"},
        "backtest": {"methods": ["historical", "ewma"], "levels": [0.95, 0.99], "window": 250},
        "ensemble": {"window": 60},
        "tests": {"simulations": 99},
    }
    return prepare_backtest(backtest_from_mapping(asked))
