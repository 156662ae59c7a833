"""RiskMetrics: a normal law whose variance is an exponentially weighted mean of squared returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from riskops.checks import check_integer, check_number
from riskops.errors import InputError
from riskops.history.forecasts.base import Floats, Integers, Prediction, check_sample, located, window_starts
from riskops.history.forecasts.laws import NormalLaw

__all__ = ["Ewma", "EwmaFit", "ewma_variance"]


@njit(cache=True, nogil=True, error_model="numpy")
def _variances(returns, starts, ends, decay, out):  # type: ignore[no-untyped-def]
    total, last_start, last_end = 0.0, np.int64(-1), np.int64(0)
    for i in range(ends.shape[0]):
        start, end = starts[i], ends[i]
        if start != last_start or end < last_end:  # another window: its own returns alone, so that nothing drifts
            total, last_end = 0.0, start
        for t in range(last_end, end):
            total = decay * total + returns[t] * returns[t]
        last_start, last_end = start, end
        out[i] = total * (1.0 - decay) / -np.expm1((end - start) * np.log(decay))


def ewma_variance(returns: Floats, ends: Integers, *, decay: float, window: int | None) -> Floats:
    """The exponentially weighted variance ``(n,)`` that is forecast for the day after each end.

    ``(1 - decay) / (1 - decay^m) * sum_{i<m} decay^i r(t-i)^2`` over the ``m`` returns of the window: weights that add
    up to one, so that it begins with the first squared return and presumes nothing before it. As ``m`` grows it is the
    recursion ``v(t+1) = decay v(t) + (1 - decay) r(t)^2``. The mean of returns counts as zero.

    Raises
    ------
    InputError
        A window that holds no return.
    """
    starts = window_starts(ends, window)
    if np.any(ends <= starts):
        raise InputError("returns: a variance needs at least one")
    out = np.empty(len(ends))
    _variances(np.ascontiguousarray(returns), starts, ends, decay, out)
    return out


@dataclass(frozen=True)
class Ewma:
    """RiskMetrics: normal losses of mean zero, with an exponentially weighted variance.

    The weights of the window's squared returns fall by ``decay`` a day back and add up to one (:func:`ewma_variance`).

    Parameters
    ----------
    decay
        Between 0 and 1; 0.94 is RiskMetrics' for daily returns.

    References
    ----------
    J.P. Morgan and Reuters (1996), RiskMetrics technical document, 4th edition, 5.2-5.3.

    Examples
    --------
    >>> fit = Ewma().fit(np.array([0.01, -0.02, 0.015]), levels=(0.99,), days=1)
    >>> told = fit.predict(np.array([0.01, -0.02, 0.015]), np.array([3]), window=None)
    >>> told.value_at_risk.round(6).tolist()
    [[0.036349]]
    """

    decay: float = 0.94

    def __post_init__(self) -> None:
        if not 0.0 < check_number("decay", self.decay) < 1.0:
            raise InputError(f"decay: {self.decay!r} is not between 0 and 1; RiskMetrics takes 0.94 for daily returns")

    @property
    def name(self) -> str:
        """The method's name in results."""
        return "ewma" if self.decay == 0.94 else f"ewma_{self.decay:g}"

    @property
    def estimated(self) -> bool:
        """Nothing is: the decay is given."""
        return False

    @property
    def least(self) -> int:
        """The fewest returns."""
        return 2

    def horizon_rule(self, days: int) -> str:
        """RiskMetrics' own: the variance forecast for tomorrow holds for every day ahead, so it is multiplied."""
        check_integer("days", days, at_least=1)
        return "one day ahead" if days == 1 else "RiskMetrics: the variance times the days"

    def fit(self, returns: Floats, *, levels: Sequence[float], days: int) -> EwmaFit:
        """Check the sample; nothing is estimated."""
        check_sample("ewma", returns, least=self.least)
        return EwmaFit(self.decay, tuple(levels), check_integer("days", days, at_least=1))

    def record(self) -> dict[str, Any]:
        """The kind and all settings."""
        return {"kind": "ewma", "decay": self.decay}


@dataclass(frozen=True)
class EwmaFit:
    """The settings; what a day's forecast needs is read from the returns before it."""

    decay: float
    levels: tuple[float, ...]
    days: int

    @property
    def parameters(self) -> dict[str, float]:
        """None."""
        return {}

    @property
    def notes(self) -> tuple[str, ...]:
        """None."""
        return ()

    def predict(self, returns: Floats, ends: Integers, *, window: int | None) -> Prediction:
        """Forecast from the variance of each day; where all returns of a window are zero, so is the forecast."""
        scale = np.sqrt(self.days * ewma_variance(returns, ends, decay=self.decay, window=window))
        return located(NormalLaw(), np.zeros_like(scale), scale, levels=self.levels)
