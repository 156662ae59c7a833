"""A tiny results Dataset for the examples in docstrings: one portfolio, two assets, one scenario beside the base."""

from __future__ import annotations

import numpy as np
import xarray as xr

__all__ = ["example_results"]


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
