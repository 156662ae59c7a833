"""CAViaR: the quantile itself follows an autoregression, fitted by the tick loss; no distribution is assumed.

With ``v`` the value at risk of a day and ``y`` the return of the day before it:

- ``symmetric`` (symmetric absolute value): ``v' = b0 + b1 v + b2 |y|``;
- ``asymmetric`` (asymmetric slope): ``v' = b0 + b1 v + b2 max(y, 0) + b3 max(-y, 0)``;
- ``indirect_garch``: ``v'^2 = b0 + b1 v^2 + b2 y^2``.

The coefficients are those at which the mean tick loss ``(l - v) (level - 1{l < v})`` of the losses ``l = -y`` is least.
That loss has kinks and many local minima, so the search is Engle and Manganelli's: the loss at many random
coefficients, the best of them improved by a simplex that starts anew until nothing is gained. All coefficients are
held at zero or above, and ``b1`` below one: so a value at risk is positive whatever comes, and what it began from is
forgotten. The recursion begins at the sample quantile of the first 300 losses that it was fitted to.

The expected shortfall is a multiple of the value at risk, ``ES = (1 + exp(g)) v`` (Taylor 2019). Given the values at
risk the multiple that makes the Fissler-Ziegel score least is ``1 + mean(max(l / v - 1, 0)) / (1 - level)``: never
below one. Levels are fitted one by one, so that a level's fit does not depend on which others are asked for. A forecast
at several levels is the monotone rearrangement of theirs (Chernozhukov, Fernandez-Val and Galichon 2010): sorted by
level, which moves nothing unless they cross, and the values at risk and the expected shortfalls are sorted alike. A
note says so when they cross in the sample.

A loss over several days follows the same recursion from sum to sum of returns that do not overlap.

References
----------
Engle and Manganelli (2004), CAViaR: conditional autoregressive value at risk by regression quantiles. Taylor (2019),
Forecasting value at risk and expected shortfall using a semiparametric approach based on the asymmetric Laplace
distribution. Chernozhukov, Fernandez-Val and Galichon (2010), Quantile and probability curves without crossing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from riskops.checks import check_integer, check_one_of, exact_level
from riskops.errors import InputError
from riskops.history.forecasts.base import Floats, Integers, Prediction, check_sample, losses_ahead, window_starts
from riskops.history.forecasts.caviar_search import best_coefficients, quantile_paths, run_recursion
from riskops.history.forecasts.simulated import SEED
from riskops.reductions import order_index

__all__ = ["DYNAMICS", "Caviar"]

#: The coefficients of each recursion, by name; the persistence is the second.
DYNAMICS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "symmetric": ("intercept", "persistence", "reaction"),
        "asymmetric": ("intercept", "persistence", "reaction_to_gain", "reaction_to_loss"),
        "indirect_garch": ("intercept", "persistence", "reaction"),
    }
)

#: The fewest losses, over the horizon, that a recursion is fitted to.
LEAST = 250
#: Losses whose quantile the recursion begins at.
_BEGINNING = 300
#: Fewer losses beyond the level than this say little about how it moves.
_FEW_BEYOND = 5
#: A share of losses beyond the fitted quantiles that lies further from its mass, in standard deviations, is no fit.
_FAR = 3.0
#: Coefficients of less than this, of the typical value at risk, are at their bound.
_AT_BOUND = 1e-6


@dataclass(frozen=True)
class Caviar:
    """CAViaR of Engle and Manganelli: the quantile follows its own recursion, fitted by the tick loss.

    Parameters
    ----------
    dynamics
        ``"symmetric"``, ``"asymmetric"`` or ``"indirect_garch"``.
    seed
        Of the random coefficients that the search begins with.
    """

    dynamics: str = "symmetric"
    seed: int = SEED

    def __post_init__(self) -> None:
        check_one_of("dynamics", self.dynamics, tuple(DYNAMICS))
        check_integer("seed", self.seed, at_least=0, below=2**64)

    @property
    def name(self) -> str:
        """The method's name in results."""
        return f"caviar_{self.dynamics}" + (f"_seed_{self.seed}" if self.seed != SEED else "")

    @property
    def estimated(self) -> bool:
        """Coefficients and multiple are held fixed between fits; the quantile is not."""
        return True

    @property
    def least(self) -> int:
        """The fewest returns; over several days, as many sums."""
        return LEAST

    def horizon_rule(self, days: int) -> str:
        """One day ahead, or from sum to sum of days that do not overlap."""
        check_integer("days", days, at_least=1)
        return "one day ahead" if days == 1 else "sums of days that do not overlap"

    def fit(self, returns: Floats, *, levels: Sequence[float], days: int) -> CaviarFit:
        """Fit the recursion of each level by the tick loss, and the multiple of its shortfall."""
        check_sample(self.name, returns, least=LEAST)
        sums = _sums(returns, days)
        if len(sums) < LEAST:
            raise InputError(
                f"{self.name}: {len(returns)} returns hold {len(sums)} sums of {days} days that do not overlap; "
                f"at least {LEAST} are needed, so {LEAST * days} returns"
            )
        check_sample(self.name, sums, least=LEAST)
        root = self.dynamics == "indirect_garch"
        scale = float(np.std(sums))
        gains, falls = _moves(sums / scale, root)
        losses = -sums / scale
        rows = [_fit_level(self, gains, falls, losses, level=level, root=root) for level in levels]
        coefficients, start = np.stack([row.coefficients for row in rows]), np.array([row.start for row in rows])
        paths = quantile_paths(gains, falls, coefficients, start, root)
        notes = [note for row in rows for note in row.notes]
        ranked = np.argsort(np.asarray(levels), kind="stable")
        if np.any(np.diff(paths[ranked], axis=0) < 0.0):
            notes.append("quantiles of different levels cross in the sample; they are sorted")
        return CaviarFit(
            dynamics=self.dynamics,
            levels=tuple(levels),
            days=days,
            scale=scale,
            coefficients=coefficients,
            start=start,
            multiple=np.array([row.multiple for row in rows]),
            notes=tuple(notes),
        )

    def record(self) -> dict[str, Any]:
        """The kind and all settings."""
        return {"kind": f"caviar_{self.dynamics}", "seed": self.seed}


@dataclass(frozen=True, eq=False)
class CaviarFit:
    """The recursion of every level, in units of the sample's deviation ``scale``.

    ``coefficients`` are ``(level, 4)``: intercept, persistence, reaction to a gain and to a fall, of the value at risk
    or, for ``indirect_garch``, of its square; ``start`` ``(level,)`` is the value, or square, that it begins at.
    """

    dynamics: str
    levels: tuple[float, ...]
    days: int
    scale: float
    coefficients: Floats
    start: Floats
    multiple: Floats
    notes: tuple[str, ...]

    @property
    def parameters(self) -> Mapping[str, float]:
        """Coefficients and multiple of each level, in the units of the returns."""
        power = 2 if self.dynamics == "indirect_garch" else 1
        named: dict[str, float] = {}
        for level, values, multiple in zip(self.levels, self.coefficients.tolist(), self.multiple, strict=True):
            # a symmetric recursion has the same reaction twice
            for name, value in zip(DYNAMICS[self.dynamics], values, strict=False):
                named[f"{name}_{level!r}"] = value * (self.scale**power if name == "intercept" else 1.0)
            named[f"shortfall_multiple_{level!r}"] = float(multiple)
        return named

    def predict(self, returns: Floats, ends: Integers, *, window: int | None) -> Prediction:
        """Each forecast runs the recursion over its own window, in sums of ``days`` that end where it ends."""
        root = self.dynamics == "indirect_garch"
        states = np.empty((len(self.levels), len(ends)))
        scaled = returns / self.scale
        starts = window_starts(ends, window)
        if self.days == 1:
            gains, falls = _moves(scaled, root)
            run_recursion(gains, falls, self.coefficients, self.start, starts, ends, states)
        else:
            for i, (first, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
                gains, falls = _moves(_sums(scaled[first:end], self.days), root)
                whole = np.array([0, len(gains)])
                run_recursion(gains, falls, self.coefficients, self.start, whole[:1], whole[1:], states[:, i : i + 1])
        value_at_risk = (np.sqrt(states) if root else states) * self.scale
        shortfall = value_at_risk * self.multiple[:, None]
        # each level's place in the ascending order, so that the order in which levels were asked for is kept
        place = np.argsort(np.argsort(np.asarray(self.levels), kind="stable"), kind="stable")
        return Prediction(np.sort(value_at_risk, axis=0)[place], np.sort(shortfall, axis=0)[place])


@dataclass(frozen=True, eq=False)
class _Row:
    """What is found for one level."""

    coefficients: Floats
    start: float
    multiple: float
    notes: tuple[str, ...]


def _fit_level(method: Caviar, gains: Floats, falls: Floats, losses: Floats, *, level: float, root: bool) -> _Row:
    """Coefficients, beginning and multiple of one level, of losses in units of their deviation."""
    mass = float(1 - exact_level(level))
    n = len(losses)
    beyond = n * mass
    if beyond < 1.0:
        raise InputError(f"{method.name}: {n} losses are too few for level {level!r}; {math.ceil(1 / mass)} are needed")
    opening = np.sort(losses[:_BEGINNING])
    begin = float(opening[order_index(level, len(opening)) - 1])
    typical = float(np.sort(losses)[order_index(level, n) - 1])
    if min(begin, typical) <= 0.0:
        raise InputError(
            f"{method.name}: the sample quantile at level {level!r} is no loss; ask for a level further out"
        )
    start, target = (begin * begin, typical * typical) if root else (begin, typical)
    coefficients, settled = best_coefficients(
        gains, falls, losses, start, target, mass, root, asymmetric=method.dynamics == "asymmetric", seed=method.seed
    )
    path = quantile_paths(gains, falls, coefficients[None], np.array([start]), root)[0]
    notes = []
    if beyond < _FEW_BEYOND:
        notes.append(f"level {level!r}: about {beyond:.1f} of {n} losses lie beyond it; the recursion rests on those")
    if not settled:
        notes.append(f"level {level!r}: the search had not come to rest when it was ended")
    share = float(np.mean(losses > path))
    if abs(share - mass) > _FAR * math.sqrt(mass * (1.0 - mass) / n):
        notes.append(f"level {level!r}: the share of losses beyond the fitted quantiles is far from {mass:.4g}")
    if coefficients[2] + coefficients[3] < _AT_BOUND * target:
        notes.append(f"level {level!r}: no reaction to returns was found; the quantile does not move with them")
    multiple = 1.0 + float(np.mean(np.maximum(losses / path - 1.0, 0.0))) / mass
    return _Row(coefficients, start, multiple, tuple(notes))


def _sums(returns: Floats, days: int) -> Floats:
    """Sums of ``days`` returns that do not overlap, the last of which ends where the returns end."""
    if days == 1:
        return returns
    return -losses_ahead(returns, days=days)[len(returns) % days :: days]


def _moves(returns: Floats, root: bool) -> tuple[Floats, Floats]:
    """What the recursion reacts to: gains and falls, both positive, or their squares."""
    gains, falls = np.maximum(returns, 0.0), np.maximum(-returns, 0.0)
    return (gains * gains, falls * falls) if root else (gains, falls)
