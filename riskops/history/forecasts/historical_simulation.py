"""Historical simulation: the losses of the window are what tomorrow's may be; plain, or by age, or by volatility."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from riskops.checks import check_integer, check_levels, check_number
from riskops.errors import InputError
from riskops.history.forecasts.base import (
    Floats,
    Integers,
    Prediction,
    check_sample,
    losses_ahead,
    window_starts,
)
from riskops.history.forecasts.resampled import resampled_sums
from riskops.history.forecasts.simulated import SEED, uniforms
from riskops.history.forecasts.simulated_days import (
    DAILY_PATHS,
    check_simulation,
    few_beyond,
    predict_samples,
    simulation_name,
)
from riskops.history.forecasts.weighted_windows import weighted_window_tails, window_probabilities
from riskops.history.forecasts.windows import (
    rescaled_losses,
    rescaled_window_probabilities,
    rescaled_window_tails,
    window_tails,
)

__all__ = ["AgeWeighted", "Historical", "RescaledFit", "VolatilityWeighted", "WindowFit"]


@dataclass(frozen=True)
class Historical:
    """Historical simulation: every loss of the window counts the same.

    Of the ``n`` losses sorted ascending, and with ``k = ceil(n level)``: ``VaR = x(k)`` and ``ES = x(k) + sum_{j>k}
    (x(j) - x(k)) / (n (1 - level))``, the exact average of the quantile function beyond the level. Losses over several
    days are those of all overlapping stretches of the window.

    References
    ----------
    Acerbi and Tasche (2002), On the coherence of expected shortfall, J. Banking and Finance 26.

    Examples
    --------
    >>> returns = np.array([0.01, -0.03, 0.02, -0.01, 0.0])
    >>> fit = Historical().fit(returns, levels=(0.6,), days=1)
    >>> told = fit.predict(returns, np.array([5]), window=None)
    >>> told.value_at_risk.tolist(), told.expected_shortfall.tolist()
    ([[0.0]], [[0.02]])
    """

    @property
    def name(self) -> str:
        """The method's name in results."""
        return "historical"

    @property
    def estimated(self) -> bool:
        """Nothing is."""
        return False

    @property
    def least(self) -> int:
        """The fewest returns."""
        return 2

    def horizon_rule(self, days: int) -> str:
        """How the loss over several days is reached."""
        return _overlapping(days)

    def fit(self, returns: Floats, *, levels: Sequence[float], days: int) -> WindowFit:
        """Check the sample; nothing is estimated."""
        return _window_fit("historical", returns, levels, days, decay=1.0)

    def record(self) -> dict[str, Any]:
        """The kind and all settings."""
        return {"kind": "historical"}


@dataclass(frozen=True)
class AgeWeighted:
    """Historical simulation where a loss counts the less the older it is (Boudoukh, Richardson and Whitelaw).

    The loss of ``i`` days ago weighs ``decay^(i-1) (1 - decay) / (1 - decay^n)``, ``i = 1`` being the last. VaR is the
    smallest loss above which the weights are at most ``1 - level``, ES the exact average beyond the level of the
    weighted quantile function. Nothing is interpolated, as the authors do between neighbouring losses. A loss over
    several days is as old as its last day.

    Parameters
    ----------
    decay
        Between 0 and 1; the authors take 0.97 and 0.99, 0.98 in their example.

    References
    ----------
    Boudoukh, Richardson and Whitelaw (1998), The best of both worlds, Risk 11(5).

    Examples
    --------
    >>> returns = np.array([0.01, -0.03, 0.02, -0.01, 0.0])
    >>> fit = AgeWeighted(decay=0.5).fit(returns, levels=(0.6,), days=1)
    >>> fit.predict(returns, np.array([5]), window=None).value_at_risk.tolist()
    [[0.0]]
    """

    decay: float = 0.98

    def __post_init__(self) -> None:
        _check_decay(self.decay)

    @property
    def name(self) -> str:
        """The method's name in results."""
        return "age_weighted" + _decay_name(self.decay, 0.98)

    @property
    def estimated(self) -> bool:
        """Nothing is: the decay is given."""
        return False

    @property
    def least(self) -> int:
        """The fewest returns."""
        return 2

    def horizon_rule(self, days: int) -> str:
        """How the loss over several days is reached."""
        return _overlapping(days)

    def fit(self, returns: Floats, *, levels: Sequence[float], days: int) -> WindowFit:
        """Check the sample; nothing is estimated."""
        return _window_fit("age_weighted", returns, levels, days, decay=self.decay)

    def record(self) -> dict[str, Any]:
        """The kind and all settings."""
        return {"kind": "age_weighted"} | asdict(self)


@dataclass(frozen=True)
class VolatilityWeighted:
    """Historical simulation of losses rescaled from their day's volatility to today's (Hull and White).

    A loss ``l(i)`` of the window counts as ``l(i) v(today) / v(i)``. The variance ``v(i)^2`` of a day is the weighted
    mean of the squared returns before it, those of the day itself and later never: each weighs ``decay`` times as much
    as the one after it. It begins with the first return of the window and presumes nothing before it, so that a
    forecast depends on its window alone; the first ``warm_up`` days have too little before them and only feed it, and
    so do days before which all returns of the window are zero.

    Losses over several days are sums of independent rescaled losses of the window, simulated, with the volatility held
    at today's: overlapping stretches of rescaled losses would carry the order of volatilities that was taken out.

    Parameters
    ----------
    decay
        Of the volatility, between 0 and 1.
    warm_up
        Days of the window that are not used as losses.
    paths, seed
        Of the simulation of several days.

    References
    ----------
    Hull and White (1998), Incorporating volatility updating into the historical simulation method for value-at-risk, J.
    Risk 1(1).

    Examples
    --------
    >>> returns = np.array([0.01, -0.01, 0.02, -0.02, 0.04, -0.04])
    >>> fit = VolatilityWeighted(warm_up=2).fit(returns, levels=(0.5,), days=1)
    >>> fit.predict(returns, np.array([6]), window=None).expected_shortfall.round(4).tolist()
    [[0.0425]]
    """

    decay: float = 0.94
    warm_up: int = 20
    paths: int = DAILY_PATHS
    seed: int = SEED

    def __post_init__(self) -> None:
        _check_decay(self.decay)
        check_integer("warm_up", self.warm_up, at_least=1)
        check_simulation(self.paths, self.seed)

    @property
    def name(self) -> str:
        """The method's name in results."""
        warm_up = f"_warm_up_{self.warm_up}" if self.warm_up != 20 else ""
        return "volatility_weighted" + _decay_name(self.decay, 0.94) + warm_up + simulation_name(self.paths, self.seed)

    @property
    def estimated(self) -> bool:
        """Nothing is: the decay is given."""
        return False

    @property
    def least(self) -> int:
        """The fewest returns."""
        return self.warm_up + 2

    def horizon_rule(self, days: int) -> str:
        """How the loss over several days is reached."""
        check_integer("days", days, at_least=1)
        return "one day ahead" if days == 1 else "simulation of independent rescaled days at today's volatility"

    def fit(self, returns: Floats, *, levels: Sequence[float], days: int) -> RescaledFit:
        """Check the sample; nothing is estimated."""
        check_sample("volatility_weighted", returns, least=self.least)
        check_integer("days", days, at_least=1)
        losses, _ = rescaled_losses(returns, decay=self.decay, skip=self.warm_up)
        without = len(returns) - self.warm_up - len(losses)
        # of one day the losses are the sample; of several they are simulated, and as many as there are paths
        notes = few_beyond(check_levels("levels", levels), len(losses) if days == 1 else self.paths)
        if without:
            notes += (f"{without} losses have only returns of zero before them, so no volatility, and are left out",)
        return RescaledFit(self, tuple(levels), days, notes)

    def record(self) -> dict[str, Any]:
        """The kind and all settings."""
        return {"kind": "volatility_weighted"} | asdict(self)


@dataclass(frozen=True)
class WindowFit:
    """The settings of plain and age-weighted simulation; a day's forecast is read off its window."""

    method: str
    levels: tuple[float, ...]
    days: int
    decay: float
    notes: tuple[str, ...]

    @property
    def parameters(self) -> Mapping[str, float]:
        """None."""
        return {}

    def predict(self, returns: Floats, ends: Integers, *, window: int | None) -> Prediction:
        """Forecast from the losses of each window."""
        losses = losses_ahead(returns, days=self.days) + 0.0  # a return of zero is a loss of 0.0, not of -0.0
        starts, stops = window_starts(ends, window), ends - self.days + 1
        if np.any(stops <= starts):
            shortest = int((ends - starts).min())
            raise InputError(f"{self.method}: a window of {shortest} returns holds no loss over {self.days} days")
        if self.decay == 1.0:
            tails = window_tails(losses, starts=starts, ends=stops, levels=self.levels)
        else:
            tails = weighted_window_tails(losses, starts=starts, ends=stops, levels=self.levels, decay=self.decay)

        def ranks(came: Floats) -> Floats:
            return window_probabilities(losses, came, starts=starts, ends=stops, decay=self.decay)

        return Prediction(*tails, probability=ranks)


@dataclass(frozen=True)
class RescaledFit:
    """The settings of volatility-weighted simulation; a day's forecast is read off, or drawn from, its window."""

    settings: VolatilityWeighted
    levels: tuple[float, ...]
    days: int
    notes: tuple[str, ...]

    @property
    def parameters(self) -> Mapping[str, float]:
        """None."""
        return {}

    def predict(self, returns: Floats, ends: Integers, *, window: int | None) -> Prediction:
        """Forecast from the rescaled losses of each window."""
        starts = window_starts(ends, window)
        shortest = int((ends - starts).min())
        if shortest <= self.settings.warm_up:
            raise InputError(
                f"volatility_weighted: a window of {shortest} returns is no longer than the warm-up of "
                f"{self.settings.warm_up}; lengthen the window or shorten warm_up"
            )
        decay, skip = self.settings.decay, self.settings.warm_up
        if self.days == 1:

            def ranks(came: Floats) -> Floats:
                return rescaled_window_probabilities(returns, came, starts=starts, ends=ends, decay=decay, skip=skip)

            tails = rescaled_window_tails(returns, starts=starts, ends=ends, levels=self.levels, decay=decay, skip=skip)
            return Prediction(*tails, probability=ranks)
        draws = uniforms(paths=self.settings.paths, days=self.days, seed=self.settings.seed)

        def draw(i: int) -> Floats:
            losses, today = rescaled_losses(np.ascontiguousarray(returns[starts[i] : ends[i]]), decay=decay, skip=skip)
            return today * resampled_sums(losses, draws)

        return predict_samples(draw, len(ends), levels=self.levels)


def _window_fit(method: str, returns: Floats, levels: Sequence[float], days: int, *, decay: float) -> WindowFit:
    check_integer("days", days, at_least=1)
    check_sample(method, returns, least=max(2, days))
    losses = len(returns) - days + 1
    check_levels("levels", levels)
    if decay == 1.0:
        notes = few_beyond(levels, losses)
    else:
        newest = (1.0 - decay) / -np.expm1(losses * np.log(decay))
        notes = tuple(
            f"the newest loss weighs {newest:.3g}, more than the tail beyond {level:g}: it alone can be all of it"
            for level in levels
            if newest > 1.0 - level
        )
    if days > 1:
        notes += (f"{losses} losses over {days} days overlap; they tell about as much as {losses / days:.0f} apart",)
    return WindowFit(method, tuple(levels), days, decay, notes)


def _overlapping(days: int) -> str:
    check_integer("days", days, at_least=1)
    return "one day ahead" if days == 1 else "overlapping windows of the sample"


def _check_decay(decay: float) -> None:
    if not 0.0 < check_number("decay", decay) < 1.0:
        raise InputError(f"decay: {decay!r} is not between 0 and 1")


def _decay_name(decay: float, usual: float) -> str:
    return "" if decay == usual else f"_{decay:g}"
