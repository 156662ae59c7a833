"""A stabilised token: a price pulled back to its peg, pressed from outside a band, with jumps, never below a floor.

Prices are in units of the peg, time in days of 24 hours. The drift of a step is followed exactly, so that a step may be
an hour or a year: ``dx = (-alpha x + pressure) dt`` with ``x = p - 1``, the pressure ending where the band is reached.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import xarray as xr

from riskops.checks import check_positive
from riskops.errors import InputError
from riskops.models.base import Array, Model, Shock, State
from riskops.models.calibration import Calibration
from riskops.models.correlation import cholesky, push_towards_one
from riskops.models.elementwise import logarithms
from riskops.models.parameters import set_frozen
from riskops.models.pegged_rules import (
    DECAY_PER_HOUR,
    EMPTY,
    HOURS,
    INDEPENDENT,
    LIQUIDITY_SCALE,
    LOW_FIAT,
    PER_ASSET,
    SMALLEST_DEPTH,
    SUPPORT_PER_HOUR,
    WEAK_FACTOR,
    WEAK_HEALTH,
    checked,
)
from riskops.models.pegged_step import advance_pegged, decays, jump_left
from riskops.models.registry import register
from riskops.tables import poisson_thresholds

__all__ = ["PeggedAsset"]

Floats = npt.NDArray[np.float64]


@register
@dataclass(frozen=True, eq=False)
class PeggedAsset(Model):
    """A stabilised token around its peg: mean reversion, pressure outside a band, jumps, and a floor.

    Parameters
    ----------
    assets
        Names, unique, at least one. Every parameter below up to ``holding_age`` is one number for all or one an asset.
    price, alpha, beta, gamma, sigma_base, jump_intensity, jump_mean, jump_deviation
        Today's price, the pull to the peg, the weights of decay and support, the noise and the jumps; see the table.
    liquidity, network_health, fiat_activity, velocity, holding_age
        The state of today; the first three revert to the ``_level`` of each, at its ``_reversion``, with its
        ``_volatility``: zero, the default, with the level at today's value keeps them as they are.
    liquidity_level, liquidity_reversion, liquidity_volatility, health_level, health_reversion, health_volatility
        See the table; a level of None is today's value.
    fiat_level, fiat_reversion, fiat_volatility
        See the table.
    correlation
        Of the diffusions ``(asset, asset)``, positive definite; None: independent.
    upper_band, lower_band, floor, fiat_threshold, fiat_discount, fiat_penalty
        See the table.
    speculation_penalty, velocity_threshold, grace_hours, days_per_year
        See the table.

    Raises
    ------
    InputError
        When a shape does not fit the assets, a value is not finite or out of its range, or the correlation is not
        positive definite.

    Notes
    -----
    With the deviation ``x = p - 1``, and everything but dimensionless shares in peg units and days::

        dx = (-alpha x - decay 1[p > upper] + support 1[p < lower]) dt + sigma(health) dW + dJ,   p >= floor
        decay   = 24 beta (0.001 discount penalty / max(0.1, liquidity/1e6)) + beta speculation_penalty velocity
        support = 24 gamma 0.002 min(2, 2 fiat_activity)

    ``discount`` is ``1 - fiat_discount`` where fiat activity is above ``fiat_threshold``, ``penalty`` is
    ``fiat_penalty`` where it is below 0.1, both else 1; ``sigma`` is ``sigma_base``, doubled where health is below 0.8.

    ======================  ===============  =======  ===============================================================
    parameter               unit             default  meaning
    ======================  ===============  =======  ===============================================================
    price                   peg              1        today's price, at least the floor
    alpha                   1/day            0.5      pull to the peg: half of a deviation is gone in log(2)/alpha
    beta                    1                0.3      share of the holding cost that presses the price (0.001/hour)
    gamma                   1                0.8      share of the support that lifts the price (0.002/hour)
    sigma_base              peg/sqrt(day)    0.02     standard deviation of the diffusion
    jump_intensity          1/day            0.1      expected jumps
    jump_mean               peg              -0.05    mean of a jump; a fall is negative
    jump_deviation          peg              0.03     standard deviation of a jump
    liquidity               money            1e6      today's pool, zero and more
    liquidity_reversion     1/day            0.1      of the logarithm of the pool
    liquidity_volatility    1/sqrt(day)      0        of the logarithm of the pool
    network_health          share            1        today's health in [0, 1], where its process is clipped
    health_reversion        1/day            0.1      of the health
    health_volatility       1/sqrt(day)      0        of the health
    fiat_activity           share            0.5      today's fiat-backed share of turnover in [0, 1], clipped there
    fiat_reversion          1/day            0.1      of the fiat activity
    fiat_volatility         1/sqrt(day)      0        of the fiat activity
    velocity                1/day            1        turnovers of the supply, constant
    holding_age             hours            0        grows by 24 hours a day and is never reset
    upper_band, lower_band  peg              1.02,
                                             0.98     pressure acts strictly outside
    floor                   peg              0.01     lowest price, enforced at the end of every step
    fiat_threshold          share            0.5      fiat activity strictly above takes the discount
    fiat_discount           share            0.5      taken off the holding cost
    fiat_penalty            1                2        factor on the holding cost
    speculation_penalty     1                0.02     levy on the value turned over
    velocity_threshold      1/day            5        the levy is due strictly above
    grace_hours             hours            24       no levy while the holding age is below
    days_per_year           1/year           365      turns the engine's step in years into days
    ======================  ===============  =======  ===============================================================

    Choices where the published rule is silent. *Rates:* it multiplies numbers "an hour" by steps in days, and its GPU
    twin takes steps in years. Here alpha, sigma_base and the jumps are per day, holding cost and support per hour; 24
    converts them, once, in :meth:`tables`. *Jumps* move the price by a share of the peg and are applied once, in the
    step. *The speculation penalty* of 0.02 is published as 2 % of the value of a transfer, so a token turned over
    ``v`` times a day pays ``0.02 v`` a day: that holding cost presses the price by ``beta`` as the other does. A
    factor of 0.02 would reward speculation; 0.02 an hour would be 67 times the base rate. *Holding age* is needed for
    the grace period alone.

    A step is exact in the drift, diffusion and jumps of its own: the pressure is taken with the state at its start and
    ends when the price reaches the band; jumps in a step decay from their times on, and their sum given the count is a
    normal with its exact mean and variance. What noise and jumps provoke or end within
    a step is missed: with the defaults, whose jumps are large, daily steps leave the mean price 0.003 lower and its
    deviation 0.004 higher after a month than hourly ones do (measured); without noise they agree exactly. A fit is of
    the transition over ``observation_days``, so steps of that length are what it describes.

    Examples
    --------
    >>> model = PeggedAsset(("USDX",), price=1.05)
    >>> mean, deviation = model.free_moments(2.0)
    >>> mean.round(4).tolist(), deviation.round(4).tolist()
    ([1.0121], [0.0253])
    """

    price: Floats = PER_ASSET["price"]
    alpha: Floats = PER_ASSET["alpha"]
    beta: Floats = PER_ASSET["beta"]
    gamma: Floats = PER_ASSET["gamma"]
    sigma_base: Floats = PER_ASSET["sigma_base"]
    jump_intensity: Floats = PER_ASSET["jump_intensity"]
    jump_mean: Floats = PER_ASSET["jump_mean"]
    jump_deviation: Floats = PER_ASSET["jump_deviation"]
    liquidity: Floats = PER_ASSET["liquidity"]
    liquidity_level: Floats = PER_ASSET["liquidity_level"]
    liquidity_reversion: Floats = PER_ASSET["liquidity_reversion"]
    liquidity_volatility: Floats = PER_ASSET["liquidity_volatility"]
    network_health: Floats = PER_ASSET["network_health"]
    health_level: Floats = PER_ASSET["health_level"]
    health_reversion: Floats = PER_ASSET["health_reversion"]
    health_volatility: Floats = PER_ASSET["health_volatility"]
    fiat_activity: Floats = PER_ASSET["fiat_activity"]
    fiat_level: Floats = PER_ASSET["fiat_level"]
    fiat_reversion: Floats = PER_ASSET["fiat_reversion"]
    fiat_volatility: Floats = PER_ASSET["fiat_volatility"]
    velocity: Floats = PER_ASSET["velocity"]
    holding_age: Floats = PER_ASSET["holding_age"]
    correlation: Floats = INDEPENDENT
    upper_band: float = 1.02
    lower_band: float = 0.98
    floor: float = 0.01
    fiat_threshold: float = 0.5
    fiat_discount: float = 0.5
    fiat_penalty: float = 2.0
    speculation_penalty: float = 0.02
    velocity_threshold: float = 5.0
    grace_hours: float = 24.0
    days_per_year: float = 365.0

    kind: ClassVar[str] = "pegged"
    price_enters_dynamics: ClassVar[bool] = True
    states: ClassVar[tuple[State, ...]] = (
        State("log_growth"),
        State("log_depth"),
        State("network_health"),
        State("fiat_activity"),
        State("holding_age"),
    )
    shocks: ClassVar[tuple[Shock, ...]] = (
        Shock("diffusion", mixing="mixing"),
        Shock("jumps", kind="outcome", table="jump_limits"),
        Shock("jump_size"),
        Shock("liquidity"),
        Shock("health"),
        Shock("fiat"),
    )

    def __post_init__(self) -> None:
        set_frozen(self, checked({f.name: getattr(self, f.name) for f in fields(self)}))

    def __setstate__(self, state: dict[str, Any]) -> None:
        set_frozen(self, state)

    @classmethod
    def calibrate(
        cls,
        returns: xr.Dataset,
        *,
        days_per_year: float = 252.0,
        window: int | None = None,
        last_price: float | Mapping[str, float] | None = None,
        peg: float = 1.0,
        observation_days: float = 1.0,
        regularisation: float = 1.0,
        fixed: Mapping[str, float | Mapping[str, float]] | None = None,
    ) -> Calibration[Self]:
        """Fit as :meth:`fit` does, and return the model with a report: estimates, standard errors, bounds, window."""
        from riskops.models.pegged_fit import calibrate_pegged

        return calibrate_pegged(
            cls, returns, days_per_year=days_per_year, window=window, last_price=last_price, peg=peg,
            observation_days=observation_days, regularisation=regularisation, fixed=fixed,
        )  # fmt: skip

    @classmethod
    def fit(
        cls,
        returns: xr.Dataset,
        *,
        days_per_year: float = 252.0,
        window: int | None = None,
        last_price: float | Mapping[str, float] | None = None,
        peg: float = 1.0,
        observation_days: float = 1.0,
        regularisation: float = 1.0,
        fixed: Mapping[str, float | Mapping[str, float]] | None = None,
    ) -> Self:
        """Estimate ``alpha``, ``beta``, ``gamma`` and ``sigma_base`` of each token, and the diffusions' correlation.

        Parameters
        ----------
        returns
            Dataset with ``log_return`` ``(observation, asset)`` and, where there is one, ``price`` of the same dims.
        days_per_year
            Days in a year; the model keeps it.
        window
            Number of last observations to use; None uses all.
        last_price
            Price on the last observation, one for all or by asset. None: the ``price`` of the returns, and where they
            carry none the peg itself, which the report says.
        peg
            The price that the token is kept at, in the money of the prices.
        observation_days
            Days from one observation to the next: 1/24 for hourly prices.
        regularisation
            Weight of the quadratic pull to the defaults: 1 is a normal prior whose standard deviation is the width of
            the parameter's bounds; 0 is none.
        fixed
            Any other parameter of the model by name, one for all or by asset: what the pool, the jumps, the fiat
            activity were. Those left out have their defaults.

        Returns
        -------
        PeggedAsset
            The model, with the last price.

        Raises
        ------
        InputError
            When an option is unknown or out of range, there are fewer than 30 returns, a series does not vary or
            touches the floor, or the optimiser does not converge.

        Notes
        -----
        Maximum likelihood of the exact one-step transition, a mixture of normals over the count of jumps, plus the
        pull; L-BFGS-B from five fixed starts within alpha 0.1 to 1, beta 0.1 to 0.8, gamma 0.2 to 1.5, sigma_base 0.005
        to 0.05. Nothing is simulated, so the objective has no noise. Standard errors are from the objective's Hessian
        over the parameters that are not at a bound. Prices never above the band say nothing of beta, never below it
        nothing of gamma: the estimate is then the default, and the report counts such observations.

        Examples
        --------
        >>> from riskops.schema import variable
        >>> moves = [[0.012 * (-1) ** k] for k in range(60)]
        >>> table = variable("log_return", ("observation", "asset"), moves, coords={"asset": ["USDX"]})
        >>> model = PeggedAsset.fit(table.to_dataset(), fixed={"jump_intensity": 0.0})
        >>> model.sigma_base.round(3).tolist(), model.beta.round(3).tolist()
        ([0.014], [0.3])
        """
        return cls.calibrate(
            returns, days_per_year=days_per_year, window=window, last_price=last_price, peg=peg,
            observation_days=observation_days, regularisation=regularisation, fixed=fixed,
        ).model  # fmt: skip

    def tables(self, step_years: float) -> Mapping[str, Array]:
        """What a step of ``step_years`` needs; the only place where hours, days and years meet.

        ``own`` ``(asset, 11)``, ``rules`` ``(11,)`` as :mod:`riskops.models.pegged_step` reads them; ``level``,
        ``keep`` and ``noise`` ``(asset, 3)`` of liquidity, health and fiat activity; ``mixing`` of the diffusion.
        """
        days = check_positive("step_years", step_years) * self.days_per_year
        if float(self.jump_intensity.max()) * days > 64.0:
            raise InputError(
                f"simulation.step_days: {days:g} days hold more than 64 expected jumps; a step must be shorter"
            )
        keep, lost = decays(self.alpha * days)
        own = [self.price, 1.0 / self.price, self.alpha, keep, lost / self.alpha]
        levied = self.beta * self.speculation_penalty * self.velocity * (self.velocity > self.velocity_threshold)
        own += [HOURS * DECAY_PER_HOUR * self.beta, levied, HOURS * SUPPORT_PER_HOUR * self.gamma]
        own += [
            *jump_left(self.alpha, self.jump_mean, self.jump_deviation, days),
            np.full(len(self.assets), HOURS * days),
        ]
        speeds = np.stack([self.liquidity_reversion, self.health_reversion, self.fiat_reversion], axis=1)
        wild = np.stack([self.liquidity_volatility, self.health_volatility, self.fiat_volatility], axis=1)
        rules = [
            *(self.upper_band - 1.0, self.lower_band - 1.0, SMALLEST_DEPTH),
            *(self.fiat_threshold, 1.0 - self.fiat_discount, LOW_FIAT, self.fiat_penalty),
            *(self.grace_hours, WEAK_HEALTH, WEAK_FACTOR, self.floor - 1.0),
        ]
        return {
            "own": np.stack(own, axis=1),
            "rules": np.array(rules),
            "level": np.stack([self._log_depth(self.liquidity_level), self.health_level, self.fiat_level], axis=1),
            "keep": decays(speeds * days)[0],
            "noise": wild * np.sqrt(decays(2.0 * speeds * days)[1] / (2.0 * speeds)),
            "mixing": self._mixing(days),
            "jump_limits": poisson_thresholds(self.jump_intensity * days),
        }

    def _log_depth(self, liquidity: Floats) -> Floats:
        return logarithms(np.maximum(liquidity / LIQUIDITY_SCALE, EMPTY))

    def _mixing(self, days: float) -> Floats:
        """The factor of the covariance of the deviations over a step, ``rho s_a s_b (1 - exp(-(a + b) t)) / (a + b)``.

        Unequal pulls leave less of the correlation; the quotient is a product of two positive definite matrices, term
        by term, which is positive definite.
        """
        pulls = self.alpha[:, None] + self.alpha[None, :]
        shared = decays(pulls * days)[1] / pulls
        scale = np.sqrt(np.diagonal(shared))
        return cholesky(self.correlation * (shared / (scale[:, None] * scale[None, :]))) * (
            self.sigma_base * scale
        )[:, None]  # fmt: skip

    @staticmethod
    def advance(state: Mapping[str, Array], shocks: Mapping[str, Array], tables: Mapping[str, Array]) -> None:
        """Move the price with the states as they stand, then the states, in place."""
        advance_pegged(
            *(state[s] for s in ("log_growth", "log_depth", "network_health", "fiat_activity", "holding_age")),
            *(shocks[s] for s in ("diffusion", "jumps", "jump_size", "liquidity", "health", "fiat")),
            *(tables[t] for t in ("own", "level", "keep", "noise", "rules")),
        )

    def start(self) -> Mapping[str, Floats]:
        """Today's states: zero log growth, the logarithm of the pool over 1e6, health, fiat activity, age in hours."""
        return {
            "log_growth": np.zeros(len(self.assets)),
            "log_depth": self._log_depth(self.liquidity),
            "network_health": self.network_health,
            "fiat_activity": self.fiat_activity,
            "holding_age": self.holding_age,
        }

    def shocked(self, *, volatility: float = 1.0, correlation: float = 0.0, drift: float = 0.0) -> Self:
        """The model under a scenario: ``sigma_base`` multiplied (jumps stay), correlations moved towards one.

        A drift is refused: what a pegged price expects is its pull to the peg, which an added rate does not describe.
        """
        if (volatility, correlation, drift) == (1.0, 0.0, 0.0):
            return self
        if drift != 0.0:
            raise InputError(
                f"drift shock: {drift!r}: a pegged price has no drift but its pull to the peg; move prices"
            )
        factor = check_positive("volatility shock", volatility)
        pushed = push_towards_one(self.correlation, correlation) if correlation else self.correlation
        return replace(self, sigma_base=self.sigma_base * factor, correlation=pushed)

    def free_moments(self, days: float) -> tuple[Floats, Floats]:
        """Exact mean and standard deviation ``(asset,)`` of the price after ``days``, pressure and floor left out.

        ``1 + (p - 1) exp(-alpha t) + lambda mu (1 - exp(-alpha t)) / alpha`` and the root of ``(sigma^2 + lambda
        (mu^2 + delta^2)) (1 - exp(-2 alpha t)) / (2 alpha)``: Ornstein and Uhlenbeck with jumps, at today's health.
        """
        keep, lost = decays(self.alpha * check_positive("days", days))
        mean = 1.0 + (self.price - 1.0) * keep + self.jump_intensity * self.jump_mean * lost / self.alpha
        sigma = self.sigma_base * np.where(self.network_health < WEAK_HEALTH, WEAK_FACTOR, 1.0)
        jumps = self.jump_intensity * (self.jump_mean**2 + self.jump_deviation**2)
        twice = decays(2.0 * self.alpha * days)[1] / (2.0 * self.alpha)
        return mean, np.sqrt((sigma * sigma + jumps) * twice)
