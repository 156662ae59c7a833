"""Validation of a stabilised token's model: does it return to its peg, stand extreme states, react as it should?

Every check states its figure, its Monte-Carlo error where it has one, what was expected and whether it passed. It is
eager and small: blocks of paths are drawn directly, without a graph.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special

from riskops.checks import check_integer, check_positive
from riskops.errors import InputError
from riskops.models import PeggedAsset
from riskops.models.pegged_rules import DECAY_PER_HOUR, LIQUIDITY_SCALE, LOW_FIAT, SMALLEST_DEPTH, SUPPORT_PER_HOUR
from riskops.rng import tile_counters
from riskops.simulation import SimulationSpec, path_job

__all__ = ["PegCheck", "PegValidation", "validate_peg"]

Floats = npt.NDArray[np.float64]

YEAR, MONTH = 365, 30
#: How far a figure may be from what is expected, in standard errors.
ERRORS = 4.0
#: The start, and the distance from the peg, of the published claim, and the share of paths that it claims.
START, NEAR, CLAIM = 0.05, 0.01, 0.95
_BLOCK = 8192
_STILL = {"liquidity_volatility": 0.0, "health_volatility": 0.0, "fiat_volatility": 0.0}


@dataclass(frozen=True)
class PegCheck:
    """One figure of one token: ``passed`` is None where the figure is stated and not judged."""

    group: str
    name: str
    asset: str
    figure: float
    standard_error: float | None
    expected: float | None
    passed: bool | None
    meaning: str


@dataclass(frozen=True)
class PegValidation:
    """The checks of a model, of every group."""

    checks: tuple[PegCheck, ...]
    paths: int
    seed: int
    step_days: float

    @property
    def passed(self) -> bool:
        """Whether every check that judges passed."""
        return all(check.passed is not False for check in self.checks)

    @property
    def failures(self) -> tuple[PegCheck, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if check.passed is False)

    def to_frame(self) -> pd.DataFrame:
        """A row for every check."""
        return pd.DataFrame([vars(check) for check in self.checks])

    def to_table(self) -> str:
        """The checks as aligned text, one a line."""
        verdict = {True: "pass", False: "FAIL", None: "-"}
        lines = []
        for c in self.checks:
            error = "" if c.standard_error is None else f" ± {c.standard_error:.2g}"
            against = "" if c.expected is None else f"expected {c.expected:.6g}"
            figure = f"{c.figure:.6g}{error}"
            lines.append(f"{verdict[c.passed]:4} {c.group:11} {c.asset:8} {c.name:38} {figure:24} {against}".rstrip())
        return "\n".join(lines)


def validate_peg(model: PeggedAsset, *, paths: int = 16_384, seed: int = 0, step_days: float = 1.0) -> PegValidation:
    """Validate a stabilised token: convergence to the peg, extreme states, sensitivities, boundary conditions.

    Parameters
    ----------
    model
        The model to judge.
    paths
        Paths of each simulation, at least 1024.
    seed
        The seed, the same in all simulations: sensitivities compare paths of equal draws.
    step_days
        Length of a step in days; a month of 30 and a year of 365 days must hold a whole number of them.

    Returns
    -------
    PegValidation
        Frozen: every check with its figure, error, expectation and verdict.

    Raises
    ------
    InputError
        When paths, seed or the step are out of range.

    Notes
    -----
    *Convergence*, from +5 % over a year of 365 days. With pressure and jumps off the price is an Ornstein-Uhlenbeck
    process, whose share of paths within 1 % of the peg is known; with jumps its mean and deviation are. The whole
    model must have forgotten its start: mean prices from +5 % and from -5 % agree. The published claim is a share of
    95 %; a pull of 0.5 a day with noise of 0.02 a root day gives 38 %, and the same numbers read per year, as published
    steps in years do, 9.5 %. Both readings are stated beside the claim; neither is near it. What the length of the step
    does to the mean price is stated too.
    *Stability*: prices at the floor and at 100 with pools empty and huge, health and fiat activity at 0 and 1, steps of
    an hour, a day and a month: nothing but finite prices from the floor on, and none above the start by more than
    ten stationary deviations.
    *Sensitivities* to a relative change of each parameter over 30 days, by central differences of 10 % with common
    random numbers: of the mean price and of the mean distance from the peg. A sign against what the parameter does is a
    failure where it is beyond four standard errors.
    *Boundaries*: no pressure at the edges of the band and inside, exactly; the published rate an hour outside; a fall
    beyond the floor ends on it.

    Examples
    --------
    >>> report = validate_peg(PeggedAsset(("USDX",)), paths=2048, seed=1)
    >>> report.passed, sorted({check.group for check in report.checks})
    (True, ['boundary', 'convergence', 'sensitivity', 'stability'])
    """
    check_integer("paths", paths, at_least=1024)
    for days in (YEAR, MONTH):
        if not math.isclose(days / check_positive("step_days", step_days) % 1.0, 0.0, abs_tol=1e-9):
            raise InputError(f"step_days: {days} days hold no whole number of steps of {step_days:g} days")
    setting = _Setting(paths, seed, step_days)
    groups = (_convergence, _stability, _sensitivity, _boundary)
    checks = tuple(check for group in groups for check in group(model, setting))
    return PegValidation(checks, paths, seed, float(step_days))


@dataclass(frozen=True)
class _Setting:
    paths: int
    seed: int
    step_days: float

    def prices(self, model: PeggedAsset, days: float, *, paths: int | None = None) -> Floats:
        """Prices ``(asset, path)`` after ``days``, over the peg."""
        kept = [
            block[0, -1] for block in self.blocks(model, self.step_days, round(days / self.step_days), paths, last=True)
        ]
        return model.price[:, None] * np.exp(np.concatenate(kept, axis=1))

    def blocks(
        self, model: PeggedAsset, step_days: float, steps: int, paths: int | None, *, last: bool
    ) -> Iterator[Floats]:
        n = self.paths if paths is None else paths
        spec = SimulationSpec(
            model, paths=n, steps=steps, step_days=step_days, seed=self.seed, dtype="float64",
            days_per_year=model.days_per_year,
        )  # fmt: skip
        job = path_job(spec, times=[spec.times[-1]] if last else None)
        for first in range(0, n, _BLOCK):
            size = min(_BLOCK, n - first)
            yield job.block(tile_counters(first, size), size)


def _still(model: PeggedAsset, **changes: Any) -> PeggedAsset:
    """The model with its states held where they are."""
    held = {"liquidity_level": model.liquidity, "health_level": model.network_health, "fiat_level": model.fiat_activity}
    own = {name.replace("_level", ""): changes.pop(name) for name in held if name in changes}
    for name, value in own.items():
        target = {"liquidity": "liquidity", "health": "network_health", "fiat": "fiat_activity"}[name]
        held |= {f"{name}_level": value}
        changes[target] = value
    return replace(model, **(held | _STILL | changes))


def _convergence(model: PeggedAsset, setting: _Setting) -> Iterator[PegCheck]:
    free = _still(model, price=1.0 + START, beta=0.0, gamma=0.0)
    diffusion = replace(free, jump_intensity=0.0)
    year = model.days_per_year
    yearly = replace(diffusion, alpha=model.alpha / year, sigma_base=model.sigma_base / math.sqrt(year))
    for name, given, meaning in (
        ("share within 1 %, no pressure or jumps", diffusion, "rates a day, as the model reads them"),
        ("the same, rates read per year", yearly, "the reading of published steps in years"),
    ):
        prices = setting.prices(given, YEAR)
        mean, deviation = given.free_moments(YEAR)
        for a, asset in enumerate(model.assets):
            expected = _within(mean[a] - 1.0, deviation[a])
            found = float(np.mean(np.abs(prices[a] - 1.0) < NEAR))
            error = math.sqrt(max(expected * (1.0 - expected), 1.0 / setting.paths) / setting.paths)
            yield _judged("convergence", name, asset, found, error, expected, meaning)
    prices = setting.prices(free, YEAR)
    mean, deviation = free.free_moments(YEAR)
    whole = setting.prices(replace(model, price=1.0 + START), YEAR)
    below = setting.prices(replace(model, price=1.0 - START), YEAR)
    fine = replace(setting, step_days=setting.step_days / 24.0)
    coarse, finer = setting.prices(model, MONTH), fine.prices(model, MONTH)
    root = math.sqrt(setting.paths)
    for a, asset in enumerate(model.assets):
        centred = prices[a] - prices[a].mean()
        spread = float(centred.std(ddof=1))
        spread_error = math.sqrt(max(float(np.mean(centred**4)) - spread**4, 0.0)) / (2.0 * spread * root)
        text = "closed form with jumps, pressure off"
        yield _judged("convergence", "mean price", asset, prices[a].mean(), spread / root, mean[a], text)
        yield _judged("convergence", "deviation of the price", asset, spread, spread_error, deviation[a], text)
        near = float(np.mean(np.abs(whole[a] - 1.0) < NEAR))
        error = math.sqrt(near * (1.0 - near)) / root
        yield PegCheck(
            "convergence", "share within 1 %, whole model", asset, near, error, None, None, "what the model says"
        )
        yield PegCheck("convergence", "share within 1 %, published claim", asset, CLAIM, None, None, None, "a claim")
        gap = float(coarse[a].mean() - finer[a].mean())
        error = math.hypot(coarse[a].std(ddof=1), finer[a].std(ddof=1)) / root
        text = "mean price after 30 days less that with 24 times as many steps"
        yield PegCheck("convergence", "error of the step length", asset, gap, error, None, None, text)
        apart = whole[a] - below[a]
        error = float(apart.std(ddof=1)) / root
        memory = float(apart.mean())
        passed = abs(memory) <= ERRORS * error + 1e-3 * 2.0 * START
        text = "mean price from +5 % less that from -5 %, equal draws"
        yield PegCheck("convergence", "memory of the start", asset, memory, error, 0.0, passed, text)


def _within(mean: float, deviation: float) -> float:
    """The probability that a normal is within 1 % of zero."""
    if deviation == 0.0:
        return float(abs(mean) < NEAR)
    return float(special.ndtr((NEAR - mean) / deviation) - special.ndtr((-NEAR - mean) / deviation))


def _judged(
    group: str, name: str, asset: str, figure: float, error: float, expected: float, meaning: str
) -> PegCheck:  # fmt: skip
    passed = bool(abs(figure - expected) <= ERRORS * error)
    return PegCheck(group, name, asset, float(figure), float(error), float(expected), passed, meaning)


def _stability(model: PeggedAsset, setting: _Setting) -> Iterator[PegCheck]:
    grid = list(itertools.product((model.floor, 100.0), (0.0, 1e12), (0.0, 1.0), (0.0, 1.0)))
    for hours, paths in ((1.0, 256), (24.0, 256), (720.0, 256)):
        lowest, highest, finite = np.inf, -np.inf, True
        for price, pool, health, fiat in grid:
            extreme = _still(model, price=price, liquidity_level=pool, health_level=health, fiat_level=fiat)
            for block in setting.blocks(extreme, hours / 24.0, 30, paths, last=False):
                prices = price * np.exp(block)
                finite &= bool(np.all(np.isfinite(prices)))
                lowest, highest = min(lowest, float(prices.min())), max(highest, float(prices.max()))
        states = f"{len(grid)} extreme states, 30 steps of {hours:g} h"
        low = finite and lowest >= model.floor * (1.0 - 1e-9)
        high = finite and highest <= 100.0 + 10.0 * float(
            replace(extreme, network_health=0.0).free_moments(YEAR)[1].max()
        )
        every = ", ".join(model.assets)
        yield PegCheck(
            "stability", f"lowest price, steps of {hours:g} h", every, lowest, None, model.floor, low, states
        )
        yield PegCheck("stability", f"highest price, steps of {hours:g} h", every, highest, None, None, high, states)


def _sensitivity(model: PeggedAsset, setting: _Setting) -> Iterator[PegCheck]:
    """Derivatives by the logarithm of each parameter; the sign that the parameter must have, where it must have one."""
    jump = np.sign(model.jump_mean)
    none, up = np.zeros(len(model.assets)), np.ones(len(model.assets))
    signs = {
        "alpha": (none, -up),
        "beta": (-up, none),
        "gamma": (up, none),
        "sigma_base": (none, up),
        "jump_intensity": (jump, none),
        "jump_mean": (jump, none),
        "jump_deviation": (none, up),
    }
    for name, expected in signs.items():
        value = getattr(model, name)
        above, below = (setting.prices(replace(model, **{name: value * factor}), MONTH) for factor in (1.1, 0.9))
        slopes = (above - below) / 0.2, (np.abs(above - 1.0) - np.abs(below - 1.0)) / 0.2
        for what, slope, sign in zip(("mean price", "mean distance"), slopes, expected, strict=True):
            for a, asset in enumerate(model.assets):
                figure, error = float(slope[a].mean()), float(slope[a].std(ddof=1)) / math.sqrt(setting.paths)
                passed = None if sign[a] == 0.0 else bool(sign[a] * figure >= -ERRORS * error)
                text = f"of the {what} after 30 days by the logarithm of {name}"
                yield PegCheck("sensitivity", f"{what} by {name}", asset, figure, error, None, passed, text)


def _boundary(model: PeggedAsset, setting: _Setting) -> Iterator[PegCheck]:
    hour = 1.0 / 24.0
    for label, price in (
        ("pressure at the upper edge", model.upper_band),
        ("pressure inside", 0.5 * (model.upper_band + 1.0)),
        ("pressure at the peg", 1.0),
        ("pressure at the lower edge", model.lower_band),
    ):
        for asset, rate in zip(model.assets, _rate(model, price, hour), strict=True):
            yield PegCheck("boundary", label, asset, float(rate), None, 0.0, bool(rate == 0.0), "peg an hour, exactly")
    # far enough outside that an hour does not reach the band
    for label, price, rates in (
        ("pressure above the band", model.upper_band + 1.0, -_selling(model)),
        ("pressure below the band", 0.5 * (model.floor + model.lower_band), _backing(model)),
    ):
        for asset, rate, expected in zip(model.assets, _rate(model, price, hour), rates.tolist(), strict=True):
            passed = math.isclose(rate, expected, rel_tol=1e-9, abs_tol=1e-12)
            yield PegCheck("boundary", label, asset, float(rate), None, expected, passed, "peg an hour")
    for asset, price in zip(model.assets, _one_step(_still(model), hour, shock=-1e3), strict=True):
        passed = math.isclose(price, model.floor, rel_tol=1e-12)
        text = "where a fall beyond the floor ends"
        yield PegCheck("boundary", "floor", asset, float(price), None, model.floor, passed, text)


def _one_step(model: PeggedAsset, days: float, *, shock: float = 0.0) -> Floats:
    """The price ``(asset,)`` after a step without noise, or with one given move of the diffusion."""
    tables, assets = model.tables(days / model.days_per_year), len(model.assets)
    state = {name: np.array(value, dtype=np.float64)[:, None] for name, value in model.start().items()}
    shocks: dict[str, Any] = {s.name: np.zeros((assets, 1)) for s in model.shocks}
    shocks["jumps"] = np.zeros((assets, 1), np.int32)
    shocks["diffusion"][:] = shock
    model.advance(state, shocks, tables)
    return model.price * np.exp(state["log_growth"][:, 0])


def _rate(model: PeggedAsset, price: float, days: float) -> Floats:
    """The pressure ``(asset,)`` in peg units an hour that one step from ``price`` shows against a step without it."""
    pressed = _still(model, price=price, holding_age=model.grace_hours)
    lever = pressed.tables(days / model.days_per_year)["own"][:, 4]
    return (_one_step(pressed, days) - _one_step(replace(pressed, beta=0.0, gamma=0.0), days)) / (24.0 * lever)


def _selling(model: PeggedAsset) -> Floats:
    """The published decay an hour, and the levy on turnover, written down once more and apart from the model."""
    factor = np.where(model.fiat_activity > model.fiat_threshold, 1.0 - model.fiat_discount, 1.0)
    factor = factor * np.where(model.fiat_activity < LOW_FIAT, model.fiat_penalty, 1.0)
    cost = DECAY_PER_HOUR * factor / np.maximum(SMALLEST_DEPTH, model.liquidity / LIQUIDITY_SCALE)
    levy = np.where(model.velocity > model.velocity_threshold, model.speculation_penalty * model.velocity / 24.0, 0.0)
    return model.beta * (cost + levy)


def _backing(model: PeggedAsset) -> Floats:
    return model.gamma * SUPPORT_PER_HOUR * np.minimum(2.0, 2.0 * model.fiat_activity)
