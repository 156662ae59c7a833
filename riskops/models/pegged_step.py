"""The step of a stabilised token: pressure outside a band, the exact flow of the drift, jumps, a floor; and its loop.

``x`` is the deviation of the price from the peg, ``p - 1``. ``rules`` holds what all assets share: 0 upper and 1 lower
edge of the band as deviations, 2 smallest depth of the pool, 3 threshold and 4 factor of high fiat activity, 5
threshold and 6 factor of low fiat activity, 7 grace period in hours, 8 threshold and 9 volatility factor of weak
health, 10 the floor as a deviation.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from riskops.models.elementwise import exponentials, exponentials_less_one
from riskops.models.kernel import path_kernel
from riskops.scalar import exp, fma, like, log, scalar_function, sqrt

__all__ = ["advance_pegged", "decays", "flow", "jump_left", "pressure", "revert", "share", "step"]

Floats = npt.NDArray[np.float64]


@scalar_function
def pressure(deviation, log_depth, fiat, age, decay, levy, support, rules):  # type: ignore[no-untyped-def]
    """The pressure on the price, peg units a day: down above the band, up below it, exactly zero inside."""
    zero, one, two = like(deviation, 0.0), like(deviation, 1.0), like(deviation, 2.0)
    depth = exp(log_depth)
    depth = depth if depth > rules[2] else rules[2]
    discount = rules[4] if fiat > rules[3] else one
    penalty = rules[6] if fiat < rules[5] else one
    selling = decay * discount * penalty / depth
    selling = selling + (levy if age >= rules[7] else zero)
    backing = two * fiat
    backing = (backing if backing < two else two) * support
    inside_or_below = backing if deviation < rules[1] else zero
    return -selling if deviation > rules[0] else inside_or_below


@scalar_function
def flow(deviation, rate, alpha, keep, gain, rules):  # type: ignore[no-untyped-def]
    """The deviation at the end of a step without noise: the exact solution, whose pressure ends at the band's edge.

    ``reach`` is the time left over when the edge is met, as the share ``exp(-alpha t)`` of a deviation that it leaves;
    one and more when the edge is not met.
    """
    outside = (deviation > rules[0]) | (deviation < rules[1])
    edge = rules[1] if deviation < rules[1] else rules[0]
    pull = fma(alpha, deviation, -rate)
    reach = pull * keep / fma(alpha, edge, -rate)
    return edge * reach if outside & (reach < like(deviation, 1.0)) else fma(-pull, gain, deviation)


@scalar_function
def revert(value, level, keep, noise, shock):  # type: ignore[no-untyped-def]
    """A mean-reverting state after a step: exact for the Ornstein-Uhlenbeck process."""
    return fma(noise, shock, fma(value - level, keep, level))


@scalar_function
def step(deviation, moved, health, noise, count, jump_mean, jump_deviation, size, rules):  # type: ignore[no-untyped-def]
    """The deviation after a step: where the drift ``moved`` it, plus diffusion and ``count`` jumps, floored."""
    calm = like(deviation, 1.0)
    n = like(deviation, count)
    after = fma(rules[9] if health < rules[8] else calm, noise, moved)
    after = fma(sqrt(n) * jump_deviation, size, fma(n, jump_mean, after))
    return after if after > rules[10] else rules[10]


@scalar_function
def share(value):  # type: ignore[no-untyped-def]
    """The value, clipped into [0, 1]."""
    zero, one = like(value, 0.0), like(value, 1.0)
    value = value if value > zero else zero
    return value if value < one else one


@path_kernel(tables=("own", "level", "keep", "noise", "rules"))
def advance_pegged(  # type: ignore[no-untyped-def]
    log_growth, log_depth, health, fiat, age, diffusion, jumps, jump_size, depth_shock, health_shock, fiat_shock,
    own, level, keep, noise, rules,
):  # fmt: skip
    for asset in range(log_growth.shape[0]):
        growth, depth, healthy = log_growth[asset], log_depth[asset], health[asset]
        backed, held = fiat[asset], age[asset]
        drawn, counts, sizes = diffusion[asset], jumps[asset], jump_size[asset]
        price, inverse, alpha, kept, gain = own[asset, 0], own[asset, 1], own[asset, 2], own[asset, 3], own[asset, 4]
        decay, levy, support = own[asset, 5], own[asset, 6], own[asset, 7]
        mean, spread, hours = own[asset, 8], own[asset, 9], own[asset, 10]
        one = like(price, 1.0)
        for path in range(growth.shape[0]):
            x = fma(price, exp(growth[path]), -one)
            rate = pressure(x, depth[path], backed[path], held[path], decay, levy, support, rules)
            moved = flow(x, rate, alpha, kept, gain, rules)
            x = step(x, moved, healthy[path], drawn[path], counts[path], mean, spread, sizes[path], rules)
            growth[path] = log((one + x) * inverse)
        first, second, third = depth_shock[asset], health_shock[asset], fiat_shock[asset]
        for path in range(growth.shape[0]):
            depth[path] = revert(depth[path], level[asset, 0], keep[asset, 0], noise[asset, 0], first[path])
        for path in range(growth.shape[0]):
            healthy[path] = share(revert(healthy[path], level[asset, 1], keep[asset, 1], noise[asset, 1], second[path]))
        for path in range(growth.shape[0]):
            backed[path] = share(revert(backed[path], level[asset, 2], keep[asset, 2], noise[asset, 2], third[path]))
        for path in range(growth.shape[0]):
            held[path] = held[path] + hours


def decays(rates: npt.ArrayLike) -> tuple[Floats, Floats]:
    """``exp(-rate)`` and ``1 - exp(-rate)`` of rates of any shape."""
    negative = -np.asarray(rates, dtype=np.float64)
    return exponentials(negative), -exponentials_less_one(negative)


def jump_left(alpha: Floats, mean: Floats, deviation: Floats, days: float) -> tuple[Floats, Floats]:
    """What one jump at a uniform time of a step leaves at its end: mean and standard deviation ``(asset,)``, peg.

    ``m = mu a1`` and ``s^2 = (mu^2 + delta^2) a2 - m^2``, with ``a1`` and ``a2`` the means of ``exp(-alpha u)`` and
    ``exp(-2 alpha u)`` over the step; the sum of ``n`` such jumps has mean ``n m`` and variance ``n s^2``.
    """
    once, twice = (decays(k * alpha * days)[1] / (k * alpha * days) for k in (1.0, 2.0))
    return mean * once, np.sqrt(mean * mean * np.maximum(twice - once * once, 0.0) + deviation * deviation * twice)
