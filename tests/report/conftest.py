"""A realistic results Dataset as a run hands it to the report, made without any engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import xarray as xr

from riskops import schema

ASSETS = (
    *("AAPL", "AMD", "BAC", "BBY", "CVX", "GE", "HD", "JNJ", "JPM", "KO"),
    *("LLY", "MRK", "MSFT", "PEP", "PFE", "PG", "RRC", "UNH", "WMT", "XOM"),
)
PORTFOLIOS = ("equal_weight", "energy_tilt", "long_short")
SCENARIOS = (
    "base",
    "black_monday_replay",
    "global_financial_crisis_2007_2009",
    "covid_2020_q1",
    "double_volatility",
    "correlations_to_one",
    "equities_down_20_percent",
)
PATHS = 20_000


def float_bins(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Codes, lower and upper edges of the bins that share sign, exponent and six mantissa bits of a float64."""
    bits = np.abs(values).view(np.uint64) >> np.uint64(46)
    code = np.where(values < 0, -bits.astype(np.int64) - 1, bits.astype(np.int64))
    used = np.unique(code)
    magnitude = np.where(used < 0, -used - 1, used).astype(np.uint64)
    near = (magnitude << np.uint64(46)).view(np.float64)
    far = ((magnitude + np.uint64(1)) << np.uint64(46)).view(np.float64)
    return code, np.where(used < 0, -far, near), np.where(used < 0, -near, far)


def build(
    *,
    portfolios: Sequence[str] = PORTFOLIOS,
    scenarios: Sequence[str] = SCENARIOS,
    horizons: Sequence[float] = (1.0, 10.0),
    levels: Sequence[float] = (0.95, 0.99),
    assets: Sequence[str] = ASSETS,
    capital: float = 1_000_000.0,
    paths: int = PATHS,
) -> xr.Dataset:
    """Simulate a few thousand normal paths and derive every measure of the registry from them."""
    rng = np.random.default_rng(11)
    n, scale = len(assets), np.sqrt(np.asarray(horizons))
    volatility = rng.uniform(0.012, 0.035, n)
    beta = rng.uniform(0.25, 0.85, n)
    correlation = np.outer(beta, beta) + np.diag(1 - beta**2)
    covariance = correlation * np.outer(volatility, volatility)
    returns = rng.standard_normal((paths, n)) @ np.linalg.cholesky(covariance).T
    weights = np.stack([_weights(name, n) for name in portfolios])
    exposure = capital * weights
    coords = {
        "portfolio": list(portfolios),
        "scenario": list(scenarios),
        "horizon": list(map(float, horizons)),
        "level": list(levels),
        "asset": list(assets),
        "other_asset": list(assets),
    }
    data: dict[str, xr.DataArray] = {}

    def put(name: str, values: np.ndarray, *, error: float | None = None, attrs: dict | None = None) -> None:
        dims = schema.describe(name).dims
        data[name] = schema.variable(name, dims, values, attrs=attrs)
        if error is not None:
            wide = np.abs(values) * error
            for suffix, numbers in zip(
                schema.ERROR_SUFFIXES, (wide, values - 1.96 * wide, values + 1.96 * wide), strict=True
            ):
                data[name + suffix] = schema.variable(name + suffix, dims, numbers)

    shock = np.linspace(0.0, 0.22, len(scenarios))
    factor = np.linspace(1.0, 2.0, len(scenarios))
    unit = -np.einsum("pa,na->pn", exposure, np.expm1(returns))
    loss = (
        factor[:, None, None, None] * scale[None, None, :, None] * unit[None, :, None, :]
        + (shock[:, None] * exposure.sum(axis=1)[None, :])[:, :, None, None]
    )
    ordered = np.sort(loss, axis=-1)
    k = [int(np.ceil(paths * level)) for level in levels]
    var = np.stack([ordered[..., i - 1] for i in k], axis=-1)
    es = np.stack([ordered[..., i - 1 :].mean(axis=-1) for i in k], axis=-1)
    put("value_at_risk", var, error=0.009)
    put("expected_shortfall", es, error=0.007)
    put("value_at_risk_change", var - var[:1], error=0.004)
    put("expected_shortfall_change", es - es[:1], error=0.003)
    put("mean_loss", loss.mean(axis=-1), error=0.02)
    put("loss_standard_deviation", loss.std(axis=-1, ddof=1), error=0.003)
    put("loss_skewness", np.full(loss.shape[:-1], -0.12), error=0.05)
    put("loss_excess_kurtosis", np.full(loss.shape[:-1], 0.31), error=0.1)
    share = np.einsum("pa,ab,pb->pa", exposure, covariance, exposure)
    total = share.sum(axis=1, keepdims=True)
    share = share / np.where(total == 0.0, 1.0, total)
    put("component_value_at_risk", share[:, None, None, :] * var[0][..., None], error=0.05)
    put("component_value_at_risk_scale", np.full(var.shape[1:], 1.003))
    put("component_expected_shortfall", share[:, None, None, :] * es[0][..., None], error=0.03)
    put("covariance", covariance * np.asarray(horizons)[:, None, None], error=0.01)
    put("correlation", np.broadcast_to(correlation, (len(horizons), n, n)).copy(), error=0.01)
    effective = {"effective_observations": [8312.0 / h for h in horizons]}
    put("historical_value_at_risk", var[0] * 0.96, error=0.06, attrs=effective)
    put("historical_expected_shortfall", es[0] * 1.21, error=0.08, attrs=effective)
    stress_loss = shock[:, None] * exposure.sum(axis=1)[None, :]
    put("stress_loss", stress_loss)
    replay = np.array([any(word in name for word in ("replay", "crisis", "covid")) for name in scenarios])
    put("stress_drawdown", np.where(replay[:, None], 1.3 * np.abs(stress_loss), np.nan))
    code, low, high = float_bins(loss)
    used = np.unique(code)
    counts = np.zeros((*loss.shape[:-1], len(used)), dtype=np.int64)
    for at in np.ndindex(loss.shape[:-1]):
        np.add.at(counts[at], np.searchsorted(used, code[at]), 1)
    put("loss_histogram", counts)
    put("exposure", exposure)
    put("portfolio_value", np.full(len(portfolios), capital))
    results = xr.Dataset(data, coords=coords)
    results = results.assign_coords(bin_low=("bin", low), bin_high=("bin", high))
    results.attrs.update(
        as_of="2022-12-28",
        window_start="1990-01-02",
        window_end="2022-12-28",
        window_observations=8312,
        currency="USD",
        paths=paths,
        steps=10,
        step_days=1.0,
        seed=20240101,
        dtype="float32",
        model="geometric_brownian_motion",
        spec_hash="3f9a" * 16,
        title="Market risk of three portfolios",
    )
    return results


def _weights(name: str, n: int) -> np.ndarray:
    if name == "long_short":
        return np.where(np.arange(n) % 2, -0.6, 1.0) * 2.0 / n
    if name == "energy_tilt":
        return np.linspace(2.0, 0.05, n) / np.linspace(2.0, 0.05, n).sum()
    return np.full(n, 1.0 / n)


@pytest.fixture(scope="session")
def build_results() -> Callable[..., xr.Dataset]:
    """The builder, for results of another shape."""
    return build


@pytest.fixture(scope="session")
def results() -> xr.Dataset:
    """Three portfolios, six scenarios beside the base, two horizons, two levels, twenty assets."""
    return build()
