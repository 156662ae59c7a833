"""What a stabilised token's parameters are when nothing is said, and what they may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from riskops.checks import check_number, check_positive
from riskops.errors import InputError
from riskops.models.correlation import check_correlation
from riskops.models.parameters import check_assets, frozen, per_asset

__all__ = ["BOUNDS", "INDEPENDENT", "LEVEL_OF", "PER_ASSET", "checked"]

Floats = npt.NDArray[np.float64]

HOURS = 24.0
#: What the published rule fixes: holding cost and support an hour, money of a pool of depth one and the depth below
#: which the decay grows no further, the fiat activity below which the penalty holds, the health below which volatility
#: doubles.
DECAY_PER_HOUR, SUPPORT_PER_HOUR = 0.001, 0.002
LIQUIDITY_SCALE, SMALLEST_DEPTH = 1e6, 0.1
LOW_FIAT, WEAK_HEALTH, WEAK_FACTOR = 0.1, 0.8, 2.0
#: Stands for the depth of an empty pool, whose logarithm must be a number; any depth below the smallest acts as that.
EMPTY = 1e-30

#: Parameters of which each asset has its own, with the default of all; a level of None is today's value.
PER_ASSET: dict[str, Any] = {
    "price": 1.0,
    "alpha": 0.5,
    "beta": 0.3,
    "gamma": 0.8,
    "sigma_base": 0.02,
    "jump_intensity": 0.1,
    "jump_mean": -0.05,
    "jump_deviation": 0.03,
    "liquidity": 1e6,
    "liquidity_level": None,
    "liquidity_reversion": 0.1,
    "liquidity_volatility": 0.0,
    "network_health": 1.0,
    "health_level": None,
    "health_reversion": 0.1,
    "health_volatility": 0.0,
    "fiat_activity": 0.5,
    "fiat_level": None,
    "fiat_reversion": 0.1,
    "fiat_volatility": 0.0,
    "velocity": 1.0,
    "holding_age": 0.0,
}
INDEPENDENT: Any = None
LEVEL_OF = {"liquidity_level": "liquidity", "health_level": "network_health", "fiat_level": "fiat_activity"}

#: Between what a fit looks for the four parameters that it estimates.
BOUNDS = {"alpha": (0.1, 1.0), "beta": (0.1, 0.8), "gamma": (0.2, 1.5), "sigma_base": (0.005, 0.05)}

_POSITIVE = ("price", "alpha", "liquidity_reversion", "health_reversion", "fiat_reversion")
_SHARES = ("network_health", "health_level", "fiat_activity", "fiat_level")


def checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters by name, arrays where they are per asset, levels filled in; what is out of range is an error."""
    values: dict[str, Any] = {"assets": check_assets(given["assets"])}
    for name in PER_ASSET:
        value = given[LEVEL_OF[name]] if given[name] is None and name in LEVEL_OF else given[name]
        values[name] = _each(name, value, values["assets"])
    size = len(values["assets"])
    matrix = np.eye(size) if given["correlation"] is None else given["correlation"]
    values["correlation"] = frozen(check_correlation("correlation", matrix, size=size))
    for name, value in given.items():
        if name not in values:
            values[name] = check_number(name, value)
    _check_rules(values)
    return values


def _each(name: str, given: npt.ArrayLike, assets: tuple[str, ...]) -> Floats:
    """One number an asset, in the range of the parameter."""
    values = per_asset(name, np.full(len(assets), given) if np.ndim(given) == 0 else given, assets)
    for asset, value in zip(assets, values.tolist(), strict=True):
        if name in _POSITIVE:
            check_positive(f"{name} of {asset!r}", value)
        elif name in _SHARES and not 0.0 <= value <= 1.0:
            raise InputError(f"{name} of {asset!r}: {value!r} is not a share in [0, 1]")
        elif value < 0.0 and name != "jump_mean":
            raise InputError(f"{name} of {asset!r}: {value!r} is below zero")
    return values


def _check_rules(values: Mapping[str, Any]) -> None:
    for name in ("floor", "days_per_year"):
        check_positive(name, values[name])
    for name in ("fiat_threshold", "fiat_penalty", "speculation_penalty", "velocity_threshold", "grace_hours"):
        if values[name] < 0.0:
            raise InputError(f"{name}: {values[name]!r} is below zero")
    if not 0.0 <= values["fiat_discount"] <= 1.0:
        raise InputError(f"fiat_discount: {values['fiat_discount']!r} is not a share in [0, 1]")
    lower, upper, floor = values["lower_band"], values["upper_band"], values["floor"]
    if not floor < lower < 1.0 < upper:
        raise InputError(
            f"lower_band, upper_band: {lower!r} and {upper!r} are not on both sides of the peg, 1, and above the "
            f"floor, {floor!r}"
        )
    for a, asset in enumerate(values["assets"]):
        price, pool, level = (float(values[name][a]) for name in ("price", "liquidity", "liquidity_level"))
        if price < floor:
            raise InputError(f"price of {asset!r}: {price!r} is below the floor, {floor!r}")
        if 0.0 in (pool, level) and (pool != level or values["liquidity_volatility"][a] > 0.0):
            raise InputError(f"liquidity of {asset!r}: a pool that is or becomes empty has no logarithm to revert")
