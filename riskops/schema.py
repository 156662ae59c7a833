"""The registry of variables: what each name means, which dims it has, its unit and its sign.

Every array that a public function returns is made by :func:`variable`, which checks the dims and writes ``units`` and
``description`` into the attributes; results are read back by these names and by nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import xarray as xr

from riskops.errors import InputError

__all__ = ["ERROR_SUFFIXES", "MEASURES", "REGISTRY", "VariableSpec", "describe", "validate", "variable"]

MONEY = "money"  # the unit of the prices: USD for the bundled data
ONE = "1"

#: A measure ``m`` is accompanied by ``m_standard_error``, ``m_low`` and ``m_high`` (95 % interval), of the same dims.
ERROR_SUFFIXES = ("_standard_error", "_low", "_high")


@dataclass(frozen=True)
class VariableSpec:
    """What a variable is: dims in order (those in ``optional`` may be absent), unit, sign and a line about it."""

    name: str
    dims: tuple[str, ...]
    unit: str
    doc: str
    sign: str = ""
    optional: tuple[str, ...] = ()
    measure: bool = False


_TAIL = ("scenario", "portfolio", "horizon", "level")
_LOSS = ("scenario", "portfolio", "horizon")
_LEADING = ("scenario", "portfolio", "horizon")

_SPECS = (
    # market
    VariableSpec("price", ("observation", "asset"), MONEY, "Observed price of one share or unit."),
    VariableSpec("simple_return", ("observation", "asset"), ONE, "Price over the previous price, less one."),
    VariableSpec("log_return", ("observation", "asset"), ONE, "Logarithm of price over the previous price."),
    # models
    VariableSpec(
        "filtered_regime_probability",
        ("observation", "state"),
        ONE,
        "Probability of the regime on the day, given the returns up to that day.",
    ),
    VariableSpec(
        "smoothed_regime_probability",
        ("observation", "state"),
        ONE,
        "Probability of the regime on the day, given all returns of the history.",
    ),
    # scenarios
    VariableSpec(
        "replayed_return",
        ("observation", "asset"),
        ONE,
        "Price along a replayed window over its price at the start of the window, less one.",
    ),
    # simulation
    VariableSpec(
        "log_growth",
        ("scenario", "time", "asset", "path"),
        ONE,
        "Logarithm of the simulated price over today's unshocked price.",
        optional=("scenario",),
    ),
    VariableSpec(
        "likelihood_ratio",
        ("time", "path"),
        ONE,
        "Density of a path up to a time under the model over that under the sampling.",
    ),
    # portfolios
    VariableSpec("exposure", ("portfolio", "asset"), MONEY, "Today's money value of a position; short is negative."),
    VariableSpec("portfolio_value", ("portfolio",), MONEY, "Today's value of all positions and cash."),
    VariableSpec(
        "loss",
        ("scenario", "portfolio", "horizon", "path"),
        MONEY,
        "Today's unshocked value less the value at the horizon.",
        sign="loss positive",
        optional=_LEADING,
    ),
    VariableSpec("loss_weight", ("horizon", "path"), ONE, "Weight of a path's losses: its likelihood ratio then."),
    VariableSpec(
        "historical_loss",
        ("portfolio", "observation"),
        MONEY,
        "Loss of today's positions under the asset returns that ended on the date of the observation.",
        sign="loss positive",
    ),
    VariableSpec(
        "loss_histogram",
        ("scenario", "portfolio", "horizon", "bin"),
        "paths",
        "Number of paths whose loss lies in [bin_low, bin_high), or the sum of their weights.",
        optional=_LEADING,
    ),
    VariableSpec(
        "effective_sample_size",
        _TAIL,
        "paths",
        "Plain paths that would estimate the expected shortfall with the same error, as the errors in this sample say.",
        optional=_LEADING,
    ),
    VariableSpec(
        "value_at_risk_effective_sample_size",
        _TAIL,
        "paths",
        "Plain paths that would estimate the value at risk with the same error, as the errors in this sample say.",
        optional=_LEADING,
    ),
)

_MEASURES = (
    VariableSpec("value_at_risk", _TAIL, MONEY, "Loss not exceeded with probability `level`: x(k), k = ceil(n level)."),
    VariableSpec("expected_shortfall", _TAIL, MONEY, "Average of the quantile function of the loss beyond `level`."),
    VariableSpec("value_at_risk_change", _TAIL, MONEY, "Value at risk under the scenario less that of the base."),
    VariableSpec(
        "expected_shortfall_change", _TAIL, MONEY, "Expected shortfall under the scenario less that of the base."
    ),
    VariableSpec("mean_loss", _LOSS, MONEY, "Mean loss."),
    VariableSpec("loss_standard_deviation", _LOSS, MONEY, "Sample standard deviation of the loss (ddof=1)."),
    VariableSpec("loss_skewness", _LOSS, ONE, "Skewness of the loss, m3 / m2^1.5."),
    VariableSpec("loss_excess_kurtosis", _LOSS, ONE, "Excess kurtosis of the loss, m4 / m2^2 - 3."),
    VariableSpec(
        "component_value_at_risk",
        ("portfolio", "horizon", "level", "asset"),
        MONEY,
        "Euler contribution of the asset to value at risk; the contributions sum to it.",
    ),
    VariableSpec(
        "component_value_at_risk_scale",
        ("portfolio", "horizon", "level"),
        ONE,
        "Factor by which the raw contributions were scaled to sum to value at risk.",
    ),
    VariableSpec(
        "component_expected_shortfall",
        ("portfolio", "horizon", "level", "asset"),
        MONEY,
        "Euler contribution of the asset to expected shortfall; the contributions sum to it.",
    ),
    VariableSpec(
        "covariance", ("horizon", "asset", "other_asset"), ONE, "Covariance of simulated simple returns (ddof=1)."
    ),
    VariableSpec("correlation", ("horizon", "asset", "other_asset"), ONE, "Correlation of simulated simple returns."),
    VariableSpec(
        "historical_value_at_risk",
        ("portfolio", "horizon", "level"),
        MONEY,
        "Value at risk of today's portfolio over the returns of the calibration window.",
    ),
    VariableSpec(
        "historical_expected_shortfall",
        ("portfolio", "horizon", "level"),
        MONEY,
        "Expected shortfall of today's portfolio over the returns of the calibration window.",
    ),
    VariableSpec(
        "stress_loss", ("scenario", "portfolio"), MONEY, "Loss from the scenario's instant price moves alone."
    ),
    VariableSpec(
        "stress_drawdown",
        ("scenario", "portfolio"),
        MONEY,
        "Largest fall from a running peak of the portfolio's value along the replayed window.",
    ),
)

#: Figures at any number of levels or thresholds, with errors like those of measures; no run reports them.
_CURVES = (
    VariableSpec("loss_quantile", _TAIL, MONEY, "Loss not exceeded with probability `level`: x(k), k = ceil(n level)."),
    VariableSpec(
        "exceedance_probability",
        ("scenario", "portfolio", "horizon", "threshold"),
        ONE,
        "Probability that the loss exceeds `threshold`.",
    ),
    VariableSpec(
        "approximate_loss_quantile",
        _TAIL,
        MONEY,
        "Approximate loss not exceeded with probability `level`: within the attribute `relative_error` of x(k).",
    ),
)


#: Forecasts from observed returns and their backtests; a series is an asset or a portfolio.
_SERIES = ("portfolio", "asset")
_FORECAST = ("method", *_SERIES, "horizon", "level", "observation")
_JUDGED = ("test", "method", *_SERIES, "horizon", "level")
_COMPARED = ("method", "other_method", *_SERIES, "horizon", "level")
#: Breaches are counted over all forecasts or by year, and the table of zones is by their number alone.
_COUNTED = (*_JUDGED[1:], "year", "number")
_PROFIT = ("portfolio", "observation")
_FORECAST_LOSS = "loss positive"

_HISTORY = (
    VariableSpec(
        "portfolio_return", ("observation", "portfolio"), ONE, "Simple return of a portfolio of fixed weights."
    ),
    VariableSpec(
        "forecast_value_at_risk",
        _FORECAST,
        ONE,
        "Loss over the horizon that is not exceeded with probability `level`, forecast before it, per unit of value.",
        _FORECAST_LOSS,
    ),
    VariableSpec(
        "forecast_expected_shortfall",
        _FORECAST,
        ONE,
        "Average of the forecast quantile function of the loss beyond `level`, per unit of value.",
        _FORECAST_LOSS,
    ),
    VariableSpec(
        "forecast_value_at_risk_standard_error",
        _FORECAST,
        ONE,
        "Monte-Carlo standard error of the forecast value at risk; NaN where it was not simulated.",
    ),
    VariableSpec(
        "forecast_expected_shortfall_standard_error",
        _FORECAST,
        ONE,
        "Monte-Carlo standard error of the forecast expected shortfall; NaN where it was not simulated.",
    ),
    VariableSpec(
        "forecast_probability",
        ("method", *_SERIES, "horizon", "observation"),
        ONE,
        "Forecast probability of a loss no larger than the one that came; NaN where no distribution is forecast.",
    ),
    VariableSpec(
        "realised_loss",
        (*_SERIES, "horizon", "observation"),
        ONE,
        "Loss that came over the horizon that begins after the observation before: minus the sum of its returns.",
        _FORECAST_LOSS,
    ),
    VariableSpec(
        "breach",
        _FORECAST,
        ONE,
        "Whether the realised loss is above the forecast value at risk; false where there is no forecast.",
    ),
    VariableSpec("refitted", ("method", *_SERIES, "observation"), ONE, "Whether the method was fitted anew that day."),
    VariableSpec("forecast_failed", ("method", *_SERIES, "observation"), ONE, "Whether the method had no forecast."),
    VariableSpec(
        "forecast_notes", ("method", *_SERIES), ONE, "JSON of each note and the number of fits that it was said of."
    ),
    VariableSpec("fit_seconds", ("method", *_SERIES), "seconds", "Time that fitting and forecasting took."),
    *(
        VariableSpec(f"forecast_{name}_{side}", _FORECAST, ONE, f"{end} end of its bootstrap interval.")
        for name in ("value_at_risk", "expected_shortfall")
        for side, end in (("low", "Lower"), ("high", "Upper"))
    ),
    VariableSpec("bootstrap_block", ("method", *_SERIES), "days", "Mean length of the blocks of days; 1: one by one."),
    VariableSpec("bootstrap_replications", ("method", *_SERIES), ONE, "Bootstrap samples that could be fitted."),
    VariableSpec("recommendation", _SERIES, "text", "Which methods suit the series, and the numbers behind it."),
    VariableSpec("recommendation_rank", ("method", *_SERIES), ONE, "1: first choice; NaN: not recommended."),
    VariableSpec("series_statistic", ("statistic_name", *_SERIES), ONE, "Number that a recommendation rests on."),
    VariableSpec("window_observations", _SERIES, "days", "Returns that the forecasts look back to."),
    VariableSpec("ensemble_weight", ("member", *_FORECAST[1:]), ONE, "Weight of a method in the ensemble's forecast."),
    VariableSpec(
        "member_score",
        ("member", *_FORECAST[1:]),
        ONE,
        "Mean score of a method over the window that the day's weights rest on; lower is better.",
    ),
    VariableSpec("statistic", _JUDGED, ONE, "Statistic of a backtest."),
    VariableSpec("p_value", _JUDGED, ONE, "Asymptotic p-value of a backtest; NaN where it has none."),
    VariableSpec("simulated_p_value", _JUDGED, ONE, "P-value of a backtest by simulation of its null hypothesis."),
    VariableSpec("rejected", _JUDGED, ONE, "Whether a backtest rejects its null hypothesis at the size asked for."),
    VariableSpec("forecasts", _COUNTED, "days", "Forecasts that have a realised loss."),
    VariableSpec("breaches", _COUNTED, "days", "Forecasts whose value at risk was exceeded."),
    VariableSpec("breach_probability", _COUNTED, ONE, "Probability of at most so many breaches, at the level's rate."),
    VariableSpec("traffic_light_zone", _COUNTED, "name", "Basel zone: green, yellow or red; none without forecasts."),
    VariableSpec("multiplier", _COUNTED, ONE, "Multiplier of the capital requirement, as in force (MAR99)."),
    VariableSpec("multiplier_1996", _COUNTED, ONE, "Multiplier of the capital requirement of 1996."),
    VariableSpec("hypothetical_profit", _PROFIT, MONEY, "Profit of the positions held at the end of the day before."),
    VariableSpec("risk_theoretical_profit", _PROFIT, MONEY, "The same day's profit as the risk model explains it."),
    VariableSpec("spearman_correlation", ("portfolio",), ONE, "Rank correlation of the two profits."),
    VariableSpec("kolmogorov_smirnov", ("portfolio",), ONE, "Largest distance of the two profits' distributions."),
    VariableSpec("attribution_zone", ("portfolio",), "name", "Zone of profit and loss attribution: green, amber, red."),
    VariableSpec("score", ("score_name", *_JUDGED[1:]), ONE, "Mean score of the forecasts; lower is better."),
    VariableSpec("score_difference", _COMPARED, ONE, "Mean score of `method` less that of `other_method`."),
    VariableSpec("diebold_mariano", _COMPARED, ONE, "Statistic of equal scores; negative where `method` is better."),
    VariableSpec("diebold_mariano_p_value", _COMPARED, ONE, "P-value of equal scores, two-sided."),
    VariableSpec(
        "confidence_set_p_value", _JUDGED[1:], ONE, "P-value of a method in the model confidence set of its score."
    ),
    VariableSpec("in_confidence_set", _JUDGED[1:], ONE, "Whether a method may be the best by its score."),
    VariableSpec("shared_days", _JUDGED[2:], "days", "Days of the series that every method compared has forecast."),
    VariableSpec(
        "undefined_scores",
        _JUDGED[1:],
        "days",
        "Shared days whose forecast expected shortfall is not above zero, so that joint scores are not defined.",
    ),
    VariableSpec(
        "tail_threshold",
        ("exceedances", *_SERIES),
        ONE,
        "Loss above which so many of the largest losses lie.",
        _FORECAST_LOSS,
    ),
)
#: The tail of observed losses by how many of the largest make it; with errors like those of measures.
_EXTREMES = tuple(
    VariableSpec(name, ("exceedances", *_SERIES), ONE, doc, optional=_SERIES)
    for name, doc in (
        ("mean_excess", "Mean of the losses above the threshold, less the threshold."),
        ("hill_shape", "Shape of the tail by Hill's estimator: one over the tail index."),
        ("pareto_shape", "Shape of the generalised Pareto distribution of the excesses; positive for a heavy tail."),
        ("pareto_scale", "Scale of the generalised Pareto distribution of the excesses."),
    )
)
#: Dims that an array of forecasts may lack: one method, one level, one horizon; and it has one of the two series dims.
_HISTORY_OPTIONAL = ("test", "method", "member", "score_name", *_SERIES, "horizon", "level", "year", "number")


def _build() -> dict[str, VariableSpec]:
    specs = {spec.name: spec for spec in _SPECS}
    for spec in _HISTORY:
        # a forecast of the day after the last observation has no date
        absent = {*_HISTORY_OPTIONAL, *(["observation"] if "level" in spec.dims else [])}
        specs[spec.name] = replace(spec, optional=tuple(dim for dim in spec.dims if dim in absent))
    paths = (
        replace(spec, sign="loss positive" if spec.unit == MONEY else "", optional=_LEADING, measure=True)
        for spec in (*_MEASURES, *_CURVES)
    )
    for spec in (*paths, *_EXTREMES):
        specs[spec.name] = spec
        for suffix, what in zip(
            ERROR_SUFFIXES, ("Standard error of", "Lower 95 % bound of", "Upper 95 % bound of"), strict=True
        ):
            name = spec.name + suffix
            specs[name] = VariableSpec(name, spec.dims, spec.unit, f"{what} {spec.name}.", optional=spec.optional)
    return specs


REGISTRY: dict[str, VariableSpec] = _build()

#: The names of all measures, in the order in which reports list them.
MEASURES: tuple[str, ...] = tuple(spec.name for spec in _MEASURES)


def describe(name: str) -> VariableSpec:
    """Return the spec of a variable; an unknown name is an error."""
    if name not in REGISTRY:
        raise InputError(f"variable: {name!r} is not registered in riskops.schema")
    return REGISTRY[name]


def _check_dims(spec: VariableSpec, dims: tuple[Any, ...]) -> None:
    present = tuple(d for d in spec.dims if d in dims or d not in spec.optional)
    if tuple(dims) != present:
        raise InputError(f"{spec.name}: dims {tuple(dims)} are not {spec.dims}")


def variable(
    name: str,
    dims: tuple[str, ...],
    data: Any,
    *,
    coords: Mapping[str, Any] | None = None,
    attrs: Mapping[str, Any] | None = None,
) -> xr.DataArray:
    """Make the array of a registered variable: dims checked, unit, sign and description written to its attributes."""
    spec = describe(name)
    _check_dims(spec, dims)
    about = {"units": spec.unit, "description": spec.doc} | ({"sign": spec.sign} if spec.sign else {})
    return xr.DataArray(data, dims=dims, coords=coords, name=name, attrs=about | dict(attrs or {}))


def validate(ds: xr.Dataset, *names: str) -> xr.Dataset:
    """Return ``ds`` when it holds every named variable with its registered dims."""
    for name in names:
        spec = describe(name)
        if name not in ds:
            raise InputError(f"dataset: variable {name!r} is missing; it has {', '.join(map(str, ds)) or 'none'}")
        _check_dims(spec, tuple(ds[name].dims))
    return ds
