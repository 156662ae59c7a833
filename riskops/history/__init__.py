"""Risk from observed returns: forecasts by many methods, rolled through time, and historical simulation."""

from __future__ import annotations

from riskops.history.forecast import forecast
from riskops.history.historical import historical_losses, historical_value_at_risk
from riskops.history.notes import forecast_notes
from riskops.history.rolling import rolling_forecasts
from riskops.history.series import portfolio_returns

__all__ = [
    "forecast",
    "forecast_notes",
    "historical_losses",
    "historical_value_at_risk",
    "portfolio_returns",
    "rolling_forecasts",
]
