"""The example of filtered historical simulation: 150 days of dependent, skewed residuals."""

import numpy as np

from riskops.models import FilteredHistorical

_RNG = np.random.default_rng(12)
_COMMON = 1.0 - _RNG.exponential(size=(150, 1))

MODEL = FilteredHistorical(
    assets=("A", "B"),
    mean=[3e-4, -1e-4],
    omega=[2e-6, 4e-6],
    alpha=[0.03, 0.08],
    gamma=[0.1, -0.02],
    beta=[0.9, 0.88],
    variance=[4e-4, 1.5e-4],
    days_per_year=252.0,
    residuals=0.8 * _COMMON + 0.6 * _RNG.standard_normal((150, 2)),
)
