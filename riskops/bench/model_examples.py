"""A model of every built-in kind at realistic size: five correlated assets, parameters of daily equity returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from riskops.models import (
    Bootstrap,
    FilteredHistorical,
    Garch,
    GeometricBrownianMotion,
    Heston,
    KouJumpDiffusion,
    MertonJumpDiffusion,
    Model,
    PeggedAsset,
    RegimeSwitching,
    StudentT,
    StudentTCopula,
)

__all__ = ["EXAMPLES"]

Floats = npt.NDArray[np.float64]

ASSETS = ("A", "B", "C", "D", "E")
SIZE = len(ASSETS)
#: Days of history that the models which draw from it hold: four years.
HISTORY = 1008
DRIFT = np.linspace(0.03, 0.09, SIZE)
VOLATILITY = np.linspace(0.15, 0.35, SIZE)
_DISTANCE = np.abs(np.subtract.outer(np.arange(SIZE), np.arange(SIZE)))
CORRELATION = 0.25 + 0.75 * 0.7**_DISTANCE


def _history() -> Floats:
    """Standardised days ``(day, asset)``: multivariate Student t with five degrees of freedom."""
    rng = np.random.default_rng(20_221_228)
    normals = rng.standard_normal((HISTORY, SIZE)) @ np.linalg.cholesky(CORRELATION).T
    days = normals / np.sqrt(rng.chisquare(5.0, (HISTORY, 1)))
    standardised: Floats = (days - days.mean(axis=0)) / days.std(axis=0)
    return standardised


def _garch() -> dict[str, Floats]:
    """Variances that return slowly to those of :data:`VOLATILITY`, from one and a half times that."""
    alpha, gamma, beta = np.full(SIZE, 0.03), np.full(SIZE, 0.08), np.linspace(0.88, 0.91, SIZE)
    daily = VOLATILITY**2 / 252.0
    omega = daily * (1.0 - alpha - 0.5 * gamma - beta)
    mean = DRIFT / 252.0
    return {"mean": mean, "omega": omega, "alpha": alpha, "gamma": gamma, "beta": beta, "variance": 1.5 * daily}


def _bootstrap() -> Model:
    rows = DRIFT / 252.0 + _history() * VOLATILITY / np.sqrt(252.0)
    return Bootstrap(ASSETS, rows, "stationary", 8.0)


def _brownian() -> Model:
    return GeometricBrownianMotion(ASSETS, DRIFT, VOLATILITY, CORRELATION)


def _filtered() -> Model:
    return FilteredHistorical(assets=ASSETS, **_garch(), days_per_year=252.0, residuals=_history())


def _garch_student() -> Model:
    degrees = np.full(SIZE, 6.0)
    return Garch(assets=ASSETS, **_garch(), days_per_year=252.0, correlation=CORRELATION, degrees_of_freedom=degrees)


def _heston() -> Model:
    """Three assets keep Feller's condition and two break it."""
    return Heston(
        ASSETS,
        drift=DRIFT,
        initial_variance=VOLATILITY**2,
        mean_reversion=np.full(SIZE, 3.0),
        long_run_variance=VOLATILITY**2,
        volatility_of_variance=np.array([0.5, 0.5, 0.5, 0.6, 0.7]),
        leverage=np.full(SIZE, -0.6),
        correlation=CORRELATION,
    )


def _kou() -> Model:
    return KouJumpDiffusion(
        ASSETS,
        DRIFT,
        0.8 * VOLATILITY,
        CORRELATION,
        np.full(SIZE, 6.0),
        np.full(SIZE, 0.4),
        np.full(SIZE, 0.02),
        np.full(SIZE, 0.03),
        common_intensity=2.0,
        common_up_probability=0.3,
        common_up_mean=np.full(SIZE, 0.02),
        common_down_mean=np.full(SIZE, 0.04),
    )


def _merton() -> Model:
    return MertonJumpDiffusion(
        ASSETS,
        DRIFT,
        0.8 * VOLATILITY,
        CORRELATION,
        np.full(SIZE, 6.0),
        np.full(SIZE, -0.01),
        np.full(SIZE, 0.03),
        common_intensity=2.0,
        common_jump_mean=np.full(SIZE, -0.03),
        common_jump_deviation=np.full(SIZE, 0.03),
        common_jump_correlation=0.5,
    )


def _pegged() -> Model:
    """States that move, prices on both sides of the band."""
    return PeggedAsset(
        ASSETS,
        price=np.array([1.03, 1.0, 0.97, 1.01, 0.99]),
        alpha=np.linspace(0.2, 0.6, SIZE),
        sigma_base=np.full(SIZE, 0.01),
        liquidity=np.linspace(5e5, 2e6, SIZE),
        liquidity_volatility=np.full(SIZE, 0.1),
        network_health=np.full(SIZE, 0.85),
        health_volatility=np.full(SIZE, 0.05),
        fiat_activity=np.linspace(0.3, 0.6, SIZE),
        fiat_volatility=np.full(SIZE, 0.1),
        velocity=np.array([6.0, 1.0, 1.0, 6.0, 1.0]),
        correlation=CORRELATION,
    )


def _regimes() -> Model:
    calm, crisis = CORRELATION, 0.5 + 0.5 * CORRELATION
    return RegimeSwitching(
        ASSETS,
        drift=np.stack([DRIFT + 0.05, DRIFT - 0.3]),
        volatility=np.stack([0.8 * VOLATILITY, 2.0 * VOLATILITY]),
        correlation=np.stack([calm, crisis]),
        transition=np.array([[0.98, 0.02], [0.06, 0.94]]),
        initial_probability=np.array([0.75, 0.25]),
    )


def _student() -> Model:
    return StudentT(ASSETS, DRIFT, VOLATILITY, CORRELATION, 5.0)


def _copula() -> Model:
    """Three skewed margins, one symmetric and one normal."""
    return StudentTCopula(
        assets=ASSETS,
        location=DRIFT / 252.0,
        scale=VOLATILITY / np.sqrt(252.0),
        margin_degrees_of_freedom=(4.5, 5.0, 6.0, 8.0, None),
        skewness=np.array([-0.1, -0.05, 0.05, 0.0, 0.0]),
        degrees_of_freedom=5.0,
        correlation=CORRELATION,
    )


#: What makes the model of each kind.
EXAMPLES: Mapping[str, Callable[[], Model]] = {
    "bootstrap": _bootstrap,
    "filtered_historical": _filtered,
    "garch": _garch_student,
    "geometric_brownian": _brownian,
    "heston": _heston,
    "kou": _kou,
    "merton": _merton,
    "pegged": _pegged,
    "regime_switching": _regimes,
    "student_t": _student,
    "student_t_copula": _copula,
}
