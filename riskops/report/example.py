"""Tiny results for the examples in docstrings: a run of simulated risk, a look at one series, and a backtest."""

from __future__ import annotations

import numpy as np
import xarray as xr

__all__ = ["example_assessment", "example_backtest", "example_results"]


def example_results() -> xr.Dataset:
    """Make results with every variable that some view needs, from round numbers.

    Examples
    --------
    >>> float(example_results()["value_at_risk"].sel(scenario="crash").item())
    30.0
    """
    tail, loss = ("scenario", "portfolio", "horizon", "level"), ("scenario", "portfolio", "horizon", "bin")
    part, pair = ("portfolio", "horizon", "level", "asset"), ("horizon", "asset", "other_asset")
    ones = np.ones((2, 1, 1, 1))
    steps = np.array([[10.0], [30.0]]).reshape(2, 1, 1, 1)
    return xr.Dataset(
        {
            "value_at_risk": (tail, steps),
            "expected_shortfall": (tail, 1.2 * steps),
            "value_at_risk_change": (tail, steps - 10.0),
            "expected_shortfall_change": (tail, 1.2 * steps - 12.0),
            "value_at_risk_standard_error": (tail, 0.5 * ones),
            "component_value_at_risk": (part, [[[[6.0, 4.0]]]]),
            "component_expected_shortfall": (part, [[[[7.0, 5.0]]]]),
            "correlation": (pair, [[[1.0, 0.25], [0.25, 1.0]]]),
            "loss_histogram": (loss, np.array([5, 40, 45, 10]) * ones.astype(np.int64)),
            "exposure": (("portfolio", "asset"), [[600.0, 400.0]]),
            "portfolio_value": ("portfolio", [1000.0]),
        },
        {
            "scenario": ["base", "crash"],
            "portfolio": ["growth"],
            "horizon": [1.0],
            "level": [0.95],
            "asset": ["A", "B"],
            "other_asset": ["A", "B"],
            "bin_low": ("bin", [-20.0, -10.0, 0.0, 10.0]),
            "bin_high": ("bin", [-10.0, 0.0, 10.0, 20.0]),
        },
        {"as_of": "2024-12-31", "currency": "USD", "paths": 100, "model": "geometric_brownian_motion"},
    )


def example_assessment() -> xr.Dataset:
    """What :func:`riskops.assess` finds of one series, in round numbers: two methods and their ensemble.

    Examples
    --------
    >>> example_assessment()["forecast_value_at_risk"].values.ravel().tolist()
    [0.018, 0.022, 0.02]
    """
    of, judged = ("method", "asset", "level"), ("test", "method", "asset", "level")
    p_values = np.array([[0.52, 0.04, 0.31], [0.78, 0.66, 0.71]]).reshape(2, 3, 1, 1)
    return xr.Dataset(
        {
            "forecast_value_at_risk": (of, np.reshape([0.018, 0.022, 0.020], (3, 1, 1))),
            "forecast_expected_shortfall": (of, np.reshape([0.026, 0.025, 0.024], (3, 1, 1))),
            "forecast_value_at_risk_standard_error": (of, np.reshape([0.001, np.nan, np.nan], (3, 1, 1))),
            "forecasts": (of, np.full((3, 1, 1), 250)),
            "breaches": (of, np.reshape([3, 7, 4], (3, 1, 1))),
            "simulated_p_value": (judged, p_values),
            "ensemble_weight": (("member", "asset", "level"), np.reshape([0.7, 0.3], (2, 1, 1))),
            "forecast_notes": (("method", "asset"), [["{}"], ['{"2 of 1000 returns are zero": 1}'], ["{}"]]),
        },
        {
            "method": ["historical", "ewma", "ensemble"],
            "member": ["historical", "ewma"],
            "test": ["kupiec", "independence"],
            "asset": ["INDEX"],
            "level": [0.99],
            "horizon_rule": ("method", ["one day ahead", "one day ahead", "as its members"]),
        },
        {"horizon": 1, "judged": 250, "window": 1000},
    )


def example_backtest() -> xr.Dataset:
    """Results of a backtest over four years: a right method, one whose tail is too thin, and an ensemble.

    Examples
    --------
    >>> example_backtest()["breaches"].sel(asset="INDEX", level=0.95).values.tolist()
    [55, 121, 69]
    """
    days = np.arange("2019-01-01", "2023-01-01", dtype="datetime64[D]")
    days = days[np.is_busday(days)][:1040]
    n, factors, levels = len(days), np.array([1.0, 0.7, 0.9]), np.array([0.95, 0.99])
    series, methods = ["STOCK", "INDEX"], ["right", "thin", "ensemble"]
    # normal scores of the fractions of 1, 2, ... times the golden ratio: as even as a sample can be, and no generator
    share = (np.outer([1, 3], np.arange(1, n + 1)) * 0.6180339887498949) % 1.0
    losses = 0.01 * np.log(share / (1.0 - share)) / 1.702
    quantiles, shortfalls = 0.01 * np.array([1.73, 2.70]), 0.01 * np.array([2.33, 3.29])
    daily = np.ones((2, 1, n)) * (1.0 + 0.2 * np.sin(np.arange(n) / 60.0))
    risk, shortfall = (factors[:, None, None, None] * (tail[:, None] * daily) for tail in (quantiles, shortfalls))
    breach = losses[:, None, :] > risk
    year = days.astype("datetime64[Y]").astype(int) + 1970
    years = np.unique(year)
    by_year = np.stack([breach[..., year == one].sum(axis=-1) for one in years], axis=-1)
    breaches = breach.sum(axis=-1)
    z = (breaches - n * (1 - levels)) / np.sqrt(n * levels * (1 - levels))
    p_value = np.exp(-0.5 * z**2 - 0.7 * np.abs(z))
    p_values = np.stack([p_value, np.sqrt(p_value), p_value**1.5])
    weight = np.stack([0.5 + 0.3 * np.sin(np.arange(n) / 200.0), 0.5 - 0.3 * np.sin(np.arange(n) / 200.0)])
    excess = np.maximum(losses[:, None, :] - risk, 0.0) / (1.0 - levels)[:, None]
    score = (excess / shortfall + risk / shortfall + np.log(shortfall) - 1.0).mean(axis=-1)
    of, daily_dims, judged = ("method", "asset", "level"), ("method", "asset", "level", "observation"), ("test",)
    zones = np.where(by_year > 30, "red", np.where(by_year > 15, "yellow", "green"))
    return xr.Dataset(
        {
            "forecast_value_at_risk": (daily_dims, risk),
            "forecast_expected_shortfall": (daily_dims, shortfall),
            "realised_loss": (("asset", "observation"), losses),
            "breach": (daily_dims, breach),
            "forecasts": (of, np.full(breaches.shape, n)),
            "breaches": (of, breaches),
            "p_value": ((*judged, *of), p_values**1.1),
            "simulated_p_value": ((*judged, *of), p_values),
            "rejected": ((*judged, *of), p_values < 0.05),
            "yearly_breaches": ((*of, "year"), by_year),
            "yearly_forecasts": ((*of, "year"), np.full(by_year.shape, 260)),
            "traffic_light_zone": ((*of, "year"), zones),
            "score": (("score_name", *of), score[None]),
            "in_confidence_set": (of, score <= score.min(axis=0) + 0.02),
            "confidence_set_p_value": (of, np.exp(-40.0 * (score - score.min(axis=0)))),
            "ensemble_weight": (
                ("member", "asset", "level", "observation"),
                weight[:, None, None] * np.ones((2, 2, 1)),
            ),
            "forecast_notes": (("method", "asset"), [["{}"] * 2, ['{"scale at its bound": 3}', "{}"], ["{}"] * 2]),
            "forecast_failed": (("method", "asset", "observation"), np.zeros((3, 2, n), bool)),
        },
        {
            "method": methods,
            "asset": series,
            "level": levels,
            "observation": days.astype("datetime64[ns]"),
            "test": ["kupiec", "independence", "z2"],
            "null_hypothesis": ("test", ["Breaches are as many as expected.", "They do not cluster.", "ES is right."]),
            "year": years,
            "score_name": ["fissler_ziegel"],
            "member": methods[:2],
            "horizon_rule": ("method", ["one day ahead", "one day ahead", "as its members"]),
        },
        {
            "title": "Example of a backtest",
            "window": 250,
            "scheme": "rolling",
            "refit_every": 20,
            "horizon": 1,
            "size": 0.05,
            "confidence_set": 0.25,
            "methods": '[{"kind": "right"}, {"kind": "thin", "scale": 0.7}]',
            "weights": "{}",
        },
    )
