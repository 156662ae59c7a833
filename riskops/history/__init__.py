"""Risk from observed returns: forecasts by many methods, rolled through time and judged, and historical simulation."""

from __future__ import annotations

from riskops.history.assessment import assess
from riskops.history.backtests.battery import backtest
from riskops.history.backtests.comparison import compare_forecasts, confidence_set
from riskops.history.backtests.profit_and_loss import profit_and_loss_attribution
from riskops.history.backtests.registry import list_backtests
from riskops.history.backtests.scores import scores
from riskops.history.backtests.traffic_light import breaches_by_year, traffic_light
from riskops.history.ensemble import ensemble
from riskops.history.forecast import forecast
from riskops.history.forecasts import list_forecasters
from riskops.history.forecasts.base import Prediction
from riskops.history.forecasts.extreme_value import fit_extreme_value
from riskops.history.forecasts.pareto import fit_pareto
from riskops.history.forecasts.pareto_intervals import tail_intervals
from riskops.history.forecasts.tail_diagnostics import hill_shape, mean_excess, threshold_stability
from riskops.history.historical import historical_losses, historical_value_at_risk
from riskops.history.intervals import bootstrap_interval
from riskops.history.notes import forecast_notes
from riskops.history.recommendation import recommend
from riskops.history.rolling import rolling_forecasts
from riskops.history.series import portfolio_returns

__all__ = [
    "Prediction",
    "assess",
    "backtest",
    "bootstrap_interval",
    "breaches_by_year",
    "compare_forecasts",
    "confidence_set",
    "ensemble",
    "fit_extreme_value",
    "fit_pareto",
    "forecast",
    "forecast_notes",
    "hill_shape",
    "historical_losses",
    "historical_value_at_risk",
    "list_backtests",
    "list_forecasters",
    "mean_excess",
    "portfolio_returns",
    "profit_and_loss_attribution",
    "recommend",
    "rolling_forecasts",
    "scores",
    "tail_intervals",
    "threshold_stability",
    "traffic_light",
]
