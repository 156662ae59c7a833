"""What the tests of the jump diffusions share: paths from the engine, samples of daily returns, checks of moments."""

from __future__ import annotations

import numpy as np
import xarray as xr

from riskops.models import Model
from riskops.rng import tile_counters
from riskops.schema import variable
from riskops.simulation import SimulationSpec, path_job

__all__ = ["check_moments", "daily_returns", "log_returns", "terminal"]


def terminal(
    model: Model, *, paths: int, years: float, steps: int = 1, seed: int = 7, dtype: str = "float64"
) -> np.ndarray:
    """Log growth ``(asset, path)`` after ``years``, drawn by the engine in ``steps`` equal steps."""
    step_days = years * 252.0 / steps
    spec = SimulationSpec(model, paths=paths, steps=steps, step_days=step_days, seed=seed, dtype=dtype)
    job = path_job(spec)
    return job.block(tile_counters(0, paths), paths)[0, -1]


def log_returns(values: np.ndarray, assets: tuple[str, ...]) -> xr.Dataset:
    days = np.datetime64("1990-01-01", "ns") + np.arange(len(values)) * np.timedelta64(1, "D")
    coords = {"observation": days, "asset": list(assets)}
    return variable("log_return", ("observation", "asset"), np.asarray(values), coords=coords).to_dataset()


def daily_returns(model: Model, *, days: int, seed: int) -> xr.Dataset:
    """Independent daily log returns of the model."""
    return log_returns(terminal(model, paths=days, years=1 / 252, seed=seed).T, model.assets)


def check_moments(model: Model, *, years: float, steps: int, paths: int = 400_000) -> None:
    """Means, covariances, third and fourth cumulants and the mean simple return, within four standard errors."""
    growth = terminal(model, paths=paths, years=years, steps=steps)
    mean, cumulants = model.mean_log_growth(years), model.cumulants_log_growth(years)
    centred = growth - mean[:, None]
    covariance = model.covariance_log_growth(years)
    np.testing.assert_allclose(cumulants[0], mean, rtol=1e-14)
    np.testing.assert_allclose(cumulants[1], np.diagonal(covariance), rtol=1e-14)
    for a in range(len(model.assets)):
        expected = {1: 0.0, 2: cumulants[1, a], 3: cumulants[2, a], 4: cumulants[3, a] + 3.0 * cumulants[1, a] ** 2}
        for power, value in expected.items():
            sample = centred[a] ** power
            assert abs(sample.mean() - value) < 4.0 * sample.std() / np.sqrt(paths), (a, power)
        simple = np.expm1(growth[a])
        error = simple.std() / np.sqrt(paths)
        assert abs(simple.mean() - model.mean_simple_return(years)[a]) < 4.0 * error
        for b in range(a):
            product = centred[a] * centred[b]
            assert abs(product.mean() - covariance[a, b]) < 4.0 * product.std() / np.sqrt(paths)
