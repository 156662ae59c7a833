"""Small complete models that use every kind of shock the contract knows, for the tests of models and of the engine.

``TwoRegimes``: words against integer thresholds, and mixing chosen by a shared regime. ``RowBootstrap``: whole rows of
history. ``Uniform``: folded uniforms, each asset by itself. All have exact moments.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
import xarray as xr
from numba import njit

from riskops.models import Model, Shock, State, cholesky
from riskops.models.base import Array
from riskops.models.sample import sample_log_returns

__all__ = ["RowBootstrap", "TwoRegimes", "Uniform", "example_models"]

Floats = npt.NDArray[np.float64]


@njit(cache=True, nogil=True, error_model="numpy")
def _advance_regimes(log_growth, regime, drift, shock, word, leave):  # type: ignore[no-untyped-def]
    for path in range(log_growth.shape[1]):
        state = regime[0, path]
        for asset in range(log_growth.shape[0]):
            log_growth[asset, path] += drift[state, asset] + shock[asset, path]
        if np.uint64(word[0, path]) < leave[state]:
            regime[0, path] = 1 - state


@dataclass(frozen=True, eq=False)
class TwoRegimes(Model):
    """Normal log returns whose drift and volatility a day depend on a regime that all assets share.

    ``leave`` is the probability, a step, of leaving each regime; the regime before a step rules the step.
    """

    drift: Floats  # (regime, asset) a day
    volatility: Floats  # (regime, asset) a day
    correlation: Floats  # (asset, asset)
    leave: Floats  # (regime,)

    kind: ClassVar[str] = "toy_two_regimes"
    states: ClassVar[tuple[State, ...]] = (
        State("log_growth"),
        State("regime", per="shared", kind="index"),
    )
    shocks: ClassVar[tuple[Shock, ...]] = (
        Shock("diffusion", mixing="mixing", selector="regime"),
        Shock("switch", kind="word", per="shared"),
    )

    def __post_init__(self) -> None:
        for name in ("drift", "volatility", "correlation", "leave"):
            object.__setattr__(self, name, np.array(getattr(self, name), dtype=np.float64))

    @classmethod
    def fit(cls, returns: xr.Dataset, *, days_per_year: float = 252.0) -> Self:
        sample = sample_log_returns(returns)
        factor = np.array([[0.5], [2.0]])
        drift = np.tile(sample.mean, (2, 1))
        return cls(sample.assets, drift, factor * sample.volatility(), sample.correlation(), np.array([0.02, 0.1]))

    def tables(self, step_years: float) -> Mapping[str, Array]:
        lower = cholesky(self.correlation)
        return {
            "drift": self.drift,
            "mixing": np.stack([lower * row[:, None] for row in self.volatility]),
            "leave": np.floor(self.leave * 2.0**32).astype(np.uint64),
        }

    @staticmethod
    def advance(state: Mapping[str, Array], shocks: Mapping[str, Array], tables: Mapping[str, Array]) -> None:
        _advance_regimes(
            state["log_growth"],
            state["regime"],
            tables["drift"],
            shocks["diffusion"],
            shocks["switch"],
            tables["leave"],
        )

    def regime_probability(self, steps: int) -> Floats:
        """Exact probability ``(regime,)`` of each regime after ``steps``, from the first regime and the thresholds."""
        leave = np.floor(self.leave * 2.0**32) / 2.0**32
        probability = np.array([1.0, 0.0])
        for _ in range(steps):
            stay = probability * (1.0 - leave)
            probability = stay + (probability * leave)[::-1]
        return probability

    def mean_after(self, steps: int) -> Floats:
        """Exact mean ``(asset,)`` of log growth after ``steps``."""
        return sum((self.regime_probability(s) @ self.drift for s in range(steps)), np.zeros(len(self.assets)))


@njit(cache=True, nogil=True, error_model="numpy")
def _add(log_growth, shock):  # type: ignore[no-untyped-def]
    for asset in range(log_growth.shape[0]):
        for path in range(log_growth.shape[1]):
            log_growth[asset, path] += shock[asset, path]


@dataclass(frozen=True, eq=False)
class RowBootstrap(Model):
    """Whole days of history drawn with equal probability: one row serves all assets of a path."""

    history: Floats  # (row, asset) log returns of a step

    kind: ClassVar[str] = "toy_row_bootstrap"
    shocks: ClassVar[tuple[Shock, ...]] = (Shock("day", kind="rows", per="shared", table="history"),)

    def __post_init__(self) -> None:
        object.__setattr__(self, "history", np.array(self.history, dtype=np.float64))

    @classmethod
    def fit(cls, returns: xr.Dataset, *, days_per_year: float = 252.0) -> Self:
        sample = sample_log_returns(returns)
        return cls(sample.assets, sample.values)

    def tables(self, step_years: float) -> Mapping[str, Array]:
        return {"history": self.history}

    @staticmethod
    def advance(state: Mapping[str, Array], shocks: Mapping[str, Array], tables: Mapping[str, Array]) -> None:
        _add(state["log_growth"], shocks["day"])

    def mean_after(self, steps: int) -> Floats:
        """Exact mean ``(asset,)`` of log growth after ``steps``."""
        return self.history.mean(axis=0) * steps

    def covariance_after(self, steps: int) -> Floats:
        """Exact covariance ``(asset, asset)`` of log growth after ``steps``."""
        return np.cov(self.history.T, ddof=0).reshape(len(self.assets), -1) * steps


@njit(cache=True, nogil=True, error_model="numpy")
def _advance_uniform(log_growth, half_width, folded):  # type: ignore[no-untyped-def]
    one = half_width.dtype.type(1.0)
    two = half_width.dtype.type(2.0)
    for asset in range(log_growth.shape[0]):
        for path in range(log_growth.shape[1]):
            p = folded[asset, path]
            side = two * abs(p) - one  # -1 at the far end, 0 at the median
            if p < 0:
                side = -side
            log_growth[asset, path] += half_width[asset] * side


@dataclass(frozen=True, eq=False)
class Uniform(Model):
    """Independent log returns, uniform in ``[-half_width, half_width]`` a step."""

    half_width: Floats  # (asset,)

    kind: ClassVar[str] = "toy_uniform"
    shocks: ClassVar[tuple[Shock, ...]] = (Shock("quantile", kind="uniform", per="asset"),)

    def __post_init__(self) -> None:
        object.__setattr__(self, "half_width", np.array(self.half_width, dtype=np.float64))

    @classmethod
    def fit(cls, returns: xr.Dataset, *, days_per_year: float = 252.0) -> Self:
        sample = sample_log_returns(returns)
        return cls(sample.assets, sample.volatility() * np.sqrt(3.0))

    def tables(self, step_years: float) -> Mapping[str, Array]:
        return {"half_width": self.half_width}

    @staticmethod
    def advance(state: Mapping[str, Array], shocks: Mapping[str, Array], tables: Mapping[str, Array]) -> None:
        _advance_uniform(state["log_growth"], tables["half_width"], shocks["quantile"])

    def mean_after(self, steps: int) -> Floats:
        """Exact mean ``(asset,)`` of log growth after ``steps``: zero."""
        return np.zeros(len(self.assets))

    def covariance_after(self, steps: int) -> Floats:
        """Exact covariance ``(asset, asset)`` of log growth after ``steps``."""
        return np.diag(self.half_width**2 / 3.0) * steps


def example_models() -> dict[str, TwoRegimes | RowBootstrap | Uniform]:
    """One of each over the assets A and B, by kind."""
    assets = ("A", "B")
    regimes = TwoRegimes(
        assets,
        drift=np.array([[0.001, 0.0005], [-0.004, -0.002]]),
        volatility=np.array([[0.01, 0.008], [0.03, 0.02]]),
        correlation=np.array([[1.0, 0.4], [0.4, 1.0]]),
        leave=np.array([0.05, 0.2]),
    )
    history = np.array([[0.01, 0.02], [-0.03, -0.01], [0.0, 0.005], [0.015, -0.02], [-0.002, 0.001]])
    models = (regimes, RowBootstrap(assets, history), Uniform(assets, np.array([0.01, 0.03])))
    return {model.kind: model for model in models}
