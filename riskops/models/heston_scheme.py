"""One step of Heston's model: Andersen's quadratic-exponential scheme with martingale correction, and its constants."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from riskops.checks import check_positive
from riskops.errors import InputError
from riskops.models.elementwise import exponentials_less_one
from riskops.models.heston_moments import SquareRootVariance
from riskops.models.kernel import path_kernel
from riskops.scalar import fma, like, log, scalar_function, sqrt

__all__ = ["coefficients", "exponential_at", "move", "step"]

#: -log(Phi(-z)) as a rational in x = z + 1 for z from -1 to 9.25, lowest power first: relative error 4.4e-10. All
#: coefficients are positive, so no term cancels.
_N0, _N1, _N2, _N3, _N4, _N5, _N6, _N7 = (
    0.17275377909909392, 0.4135425939594069, 0.44936666409879195, 0.28865091419829236, 0.11892337714774842,
    0.03152031835968576, 0.004973842331979601, 0.00033478997513093807,
)  # fmt: skip
_D1, _D2, _D3, _D4, _D5 = (
    0.7290296790683605, 0.31571364581727895, 0.07861832080114645, 0.01125277917160795, 0.0006698569392496582
)  # fmt: skip


@scalar_function
def exponential_at(z):  # type: ignore[no-untyped-def]
    """The standard exponential at the normal ``z``: ``-log(Phi(-z))`` for z >= -1, and below that its value at -1.

    The scheme asks only for what it has above ``log(5/4) = 0.223``; at -1 it is 0.173.
    """
    zero, one = like(z, 0.0), like(z, 1.0)
    x = z + one
    x = x if x > zero else zero
    upper = fma(fma(fma(like(z, _N7), x, like(z, _N6)), x, like(z, _N5)), x, like(z, _N4))
    upper = fma(fma(fma(fma(upper, x, like(z, _N3)), x, like(z, _N2)), x, like(z, _N1)), x, like(z, _N0))
    lower = fma(fma(fma(fma(like(z, _D5), x, like(z, _D4)), x, like(z, _D3)), x, like(z, _D2)), x, like(z, _D1))
    return upper / fma(lower, x, one)


@scalar_function
def step(  # type: ignore[no-untyped-def]
    log_growth, variance, returns, residual, drift, reach, theta, slope, level, rho, rest, load, weight, share
):
    """Log growth and variance after one step of QE with martingale correction.

    ``returns`` and ``residual`` are the normals W and B. Both branches are computed and one is taken, as everywhere.
    """
    zero, half, one, two = like(variance, 0.0), like(variance, 0.5), like(variance, 1.0), like(variance, 2.0)
    # (W, B) reflected into the variance's shock and the part of the return's shock that is independent of it.
    z = fma(rho, returns, rest * residual)
    own = fma(rest, returns, -(rho * residual))

    # The exact conditional mean of the next variance, and half of its squared coefficient of variation, psi / 2.
    mean = fma(reach, theta - variance, variance)
    spread = fma(slope, variance, level) / (mean * mean)
    quadratic = spread <= like(variance, 0.75)

    # Quadratic: scale (b + z)^2, where psi <= 3/2.
    near = spread if quadratic else like(variance, 0.75)
    root = one + sqrt(one - near)
    squared = fma(one / near, root, -one)
    b = sqrt(squared)
    scale = mean * near / root
    # Exponential: nothing with probability 1 - mean / tail, else exponential of mean tail; where psi > 3/2.
    tail = mean * (half + spread)
    excess = exponential_at(z) - log(half + spread)
    excess = excess if excess > zero else zero
    # Factors are chosen, not products, and fma with zero keeps their product out of the sums that it enters.
    factor = scale if quadratic else tail
    following = fma(factor, (b + z) * (b + z) if quadratic else excess, zero)
    surprise = scale * fma(z, fma(two, b, z), -one) if quadratic else fma(tail, excess, -mean)

    # log E[exp(load V')] - load mean: the second-order rest, so that nothing large cancels in single precision.
    # One logarithm log(1 - u) serves both branches; the sum after it gives back what rounding 1 - u took.
    width = two * scale if quadratic else tail
    inverse = one / fma(-load, width, one)
    left = -load if quadratic else load * mean
    right = width if quadratic else inverse
    inner = fma(left, right, one)
    logarithm = log(inner) + fma(left, right, one - inner)
    both = load * width
    curved = fma(squared * both, both * inverse, -fma(load, width, logarithm))
    correction = curved if quadratic else fma(-load, mean, logarithm)

    growth = fma(-half if quadratic else -one, correction, drift)
    growth = fma(-half * share, variance + mean, growth)
    growth = fma(sqrt(share * (variance + following)), own, fma(weight, surprise, growth))
    return log_growth + growth, following


@path_kernel(tables=("coefficients",))
def move(log_growth, variance, returns, residual, coefficients):  # type: ignore[no-untyped-def]
    """Move log growth and variance of a block of paths by one step, in place."""
    for asset in range(log_growth.shape[0]):
        growth, level, first, second = log_growth[asset], variance[asset], returns[asset], residual[asset]
        c = coefficients[asset]
        c0, c1, c2, c3, c4, c5, c6, c7, c8, c9 = c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7], c[8], c[9]
        for path in range(growth.shape[0]):
            growth[path], level[path] = step(
                growth[path], level[path], first[path], second[path], c0, c1, c2, c3, c4, c5, c6, c7, c8, c9
            )


def coefficients(model: SquareRootVariance, step_years: float) -> npt.NDArray[np.float64]:
    """The constants ``(asset, 10)`` of :func:`step` for steps of ``step_years``, in the order of its arguments."""
    check_positive("step_years", step_years)
    kappa, theta, sigma, rho = (
        model.mean_reversion, model.long_run_variance, model.volatility_of_variance, model.leverage,
    )  # fmt: skip
    reach = -exponentials_less_one(-kappa * step_years)
    share = 0.5 * step_years * (1.0 - rho * rho)
    weight = rho / sigma * (1.0 + 0.5 * kappa * step_years) - 0.25 * step_years
    load = weight + 0.5 * share
    # a conditional variance over its mean is nowhere larger than this, and the moment exists below one over it
    largest = sigma * sigma * reach / kappa
    for asset, value in zip(model.assets, (load * largest).tolist(), strict=True):
        if not value < 1.0:
            raise InputError(
                f"simulation.step_days: a step of {step_years:g} years is too long for {asset!r}, whose leverage and "
                "volatility_of_variance would leave its price no mean; take shorter steps"
            )
    slope = 0.5 * sigma * sigma * (1.0 - reach) * reach / kappa
    level = 0.25 * theta * sigma * sigma * reach * reach / kappa
    columns = (
        model.drift * step_years, reach, theta, slope, level, rho, np.sqrt(1.0 - rho * rho), load, weight, share,
    )  # fmt: skip
    return np.stack(columns, axis=1)
