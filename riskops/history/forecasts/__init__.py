"""The methods that forecast value at risk and expected shortfall from observed returns, one family a file."""

from __future__ import annotations

from riskops.history.forecasts.registry import METHODS, forecaster, list_forecasters

__all__ = ["METHODS", "forecaster", "list_forecasters"]
