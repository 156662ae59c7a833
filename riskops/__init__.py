"""riskops: financial risk from simulated paths, on Dask, xarray and Zarr; every figure with its error, and replayable.

The way of the data: prices -> calibrated model -> simulated paths -> portfolio loss -> measures -> report. Each arrow
is one of the functions named here, and each is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

#: Where each public name lives (PEP 562): ``import riskops`` itself imports nothing else.
_HOMES = {
    "riskops.errors": (
        "ClusterError",
        "ConfigError",
        "InputError",
        "MissingExtraError",
        "PlanError",
        "RiskopsError",
        "StoreError",
    ),
    "riskops.market": ("load_prices", "log_returns", "returns_over", "simple_returns"),
    "riskops.models": ("GeometricBrownianMotion", "calibrate", "list_models"),
    "riskops.simulation": ("Sampling", "SimulationSpec", "path_job", "plan", "simulate"),
    "riskops.portfolio": ("Portfolio", "Position", "book", "load_portfolios", "portfolio_loss"),
    "riskops.scenarios": ("BASE", "Scenario", "load_library", "stress_losses"),
    "riskops.measures": (
        "approximate_quantiles",
        "arrange",
        "exceedance_curve",
        "expected_shortfall",
        "loss_histogram",
        "loss_moments",
        "quantile_curve",
        "return_dependence",
        "tail_contributions",
        "tail_risk",
        "validate_peg",
        "value_at_risk",
    ),
    "riskops.history": (
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
    ),
    "riskops.report": (
        "assessment_table",
        "backtest_lines",
        "backtest_table",
        "contribution_bars",
        "correlation_map",
        "exceedance_plot",
        "fan_chart",
        "figures",
        "loss_distribution",
        "p_value_map",
        "plan_table",
        "score_ranking",
        "stress_bars",
        "stress_changes",
        "summary_table",
        "traffic_light_grid",
        "weight_areas",
        "write_backtest_html",
        "write_html",
    ),
    "riskops.config": ("load_analysis", "load_backtest", "load_config"),
    "riskops.cluster": ("open_cluster",),
    "riskops.progress": ("Progress",),
    "riskops.run": (
        "RunDirectory",
        "analyse",
        "execute",
        "market_risk",
        "new_run_id",
        "open_run",
        "open_stored",
        "plan_job",
        "prepare",
        "replay",
        "resume",
        "var_backtest",
        "verify",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["__version__", *sorted(_HOME_OF)]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'riskops' has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
