"""The multivariate Student t: its fit by maximum likelihood, and the table of what makes its tails.

Location and dispersion come from EM, the degrees of freedom ``nu`` from the profile. Given ``nu``, an observation has
the weight ``(nu + d) / (nu + delta^2)`` with ``delta`` its Mahalanobis distance; location and dispersion are weighted
moments, divided by the sum of weights, which converges fastest (Kent, Tyler and Vardi 1994, *A curious likelihood
identity for the multivariate t-distribution*).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import linalg, special

from riskops.checks import check_finite
from riskops.errors import InputError
from riskops.models.sample import Sample
from riskops.tables import NormalTable, tabulate
from riskops.threads import pinned_threads

__all__ = ["StudentTFit", "check_table", "fit_student_t", "largest_likelihood", "mixing_table"]

Floats = npt.NDArray[np.float64]

#: Degrees of freedom that are searched. Above the upper end a t distribution is a normal to every sample; no variance
#: exists below two, and a likelihood that has its maximum there is refused.
LOWEST, HIGHEST = 1.0, 500.0
#: Degrees of freedom beyond which the chi-square quantiles are no longer precise enough to be a table.
LARGEST = 1e6

_MOST_ITERATIONS = 1000
_CONVERGED = 1e-12


@dataclass(frozen=True)
class StudentTFit:
    """What the sample says: location and dispersion an observation, degrees of freedom, and how well they fit."""

    location: Floats
    dispersion: Floats
    degrees_of_freedom: float
    #: From the observed information of the profile likelihood; None where the degrees of freedom were given.
    standard_error: float | None
    log_likelihood: float
    #: Steps of EM at the degrees of freedom that were chosen; 0 where the dispersion is the sample's.
    iterations: int

    def covariance(self) -> Floats:
        """Covariance an observation: the dispersion times ``nu / (nu - 2)``."""
        return self.dispersion * (self.degrees_of_freedom / (self.degrees_of_freedom - 2.0))


def fit_student_t(sample: Sample, *, degrees_of_freedom: float | None, covariance: Floats | None = None) -> StudentTFit:
    """Fit a multivariate t distribution to a sample by maximum likelihood.

    Parameters
    ----------
    sample
        The log returns of the window.
    degrees_of_freedom
        Above two, or None to fit them.
    covariance
        Covariance an observation to keep, with the sample's mean; by default location and dispersion are fitted too.

    Returns
    -------
    StudentTFit
        Estimates and log-likelihood.

    Raises
    ------
    InputError
        When there are too few observations, EM does not converge, or the likelihood has no maximum between 2 and
        500 degrees of freedom.
    """
    observations, assets = sample.values.shape
    if covariance is None and observations < assets + 2:
        raise InputError(
            f"log_return: {observations} observations are too few for the likelihood of a t distribution of {assets} "
            f"assets, which takes {assets + 2}; dispersion: sample needs fewer"
        )
    last = _Moments(sample.mean, sample.covariance)

    def at(nu: float) -> tuple[float, _Moments]:
        nonlocal last
        if covariance is None:
            last = _expectation_maximisation(sample.values, nu, last)
            return last.log_likelihood, last
        kept = _Moments(sample.mean, covariance * ((nu - 2.0) / nu))
        return _log_likelihood(sample.values, nu, kept)[0], kept

    with pinned_threads():
        error = None
        nu = degrees_of_freedom
        if nu is None:
            lowest = LOWEST if covariance is None else 2.0 + 1e-6
            nu, error = largest_likelihood(lambda value: at(value)[0], lowest=lowest, highest=HIGHEST)
            if not nu > 2.0:
                raise InputError(
                    f"degrees_of_freedom: the likelihood is largest at {nu:.3g}, where the variance is infinite; "
                    "a volatility needs more than 2"
                )
        value, found = at(nu)
    return StudentTFit(found.location, found.dispersion, nu, error, value, found.iterations)


def largest_likelihood(
    log_likelihood: Callable[[float], float], *, lowest: float, highest: float
) -> tuple[float, float]:
    """The degrees of freedom at which a log-likelihood is largest, and their standard error.

    Parameters
    ----------
    log_likelihood
        Of one argument, the degrees of freedom; a profile where there are other parameters.
    lowest, highest
        The range that is searched.

    Returns
    -------
    The maximum's place, and the inverse root of the observed information (minus the second derivative) there.

    Raises
    ------
    InputError
        When the likelihood still rises at an end of the range.
    """
    from scipy.optimize import minimize_scalar

    bounds = (float(np.log(lowest)), float(np.log(highest)))
    found = minimize_scalar(
        lambda x: -log_likelihood(float(np.exp(x))), bounds=bounds, method="bounded", options={"xatol": 1e-7}
    )
    x = float(found.x)
    if not found.success or x < bounds[0] + 1e-3:
        raise InputError(f"degrees_of_freedom: the likelihood has no maximum above {lowest:.3g}")
    if x > bounds[1] - 0.05:
        raise InputError(
            f"degrees_of_freedom: the likelihood still rises at {highest:.3g}, as that of normal returns does; give a "
            "number, or take the normal model"
        )
    nu, h = float(np.exp(x)), 0.02
    # in the logarithm the likelihood is closest to a parabola; at its maximum d2/dnu2 = d2/dx2 / nu^2
    low, mid, high = (log_likelihood(float(np.exp(x + shift))) for shift in (-h, 0.0, h))
    information = (2.0 * mid - low - high) / (h * h * nu * nu)
    if not information > 0.0:
        raise InputError(f"degrees_of_freedom: the likelihood is flat at {nu:.3g}; give a number")
    return nu, float(1.0 / np.sqrt(information))


class _Moments:
    """Location and dispersion, with the log-likelihood and the steps of EM that led there."""

    def __init__(
        self, location: Floats, dispersion: Floats, log_likelihood: float = -np.inf, iterations: int = 0
    ) -> None:
        self.location, self.dispersion = location, dispersion
        self.log_likelihood, self.iterations = log_likelihood, iterations


def _log_likelihood(values: Floats, nu: float, moments: _Moments) -> tuple[float, Floats]:
    """Log-likelihood of the sample, and squared Mahalanobis distances ``(observation,)``."""
    observations, assets = values.shape
    try:
        lower = np.linalg.cholesky(moments.dispersion)
    except np.linalg.LinAlgError:
        raise InputError("correlation: is not positive definite; some asset's returns are those of others") from None
    scores = linalg.solve_triangular(lower, (values - moments.location).T, lower=True)
    distances = np.sum(scores * scores, axis=0)
    constant = special.gammaln((nu + assets) / 2.0) - special.gammaln(nu / 2.0) - 0.5 * assets * np.log(nu * np.pi)
    constant -= float(np.sum(np.log(np.diagonal(lower))))
    total = observations * constant - 0.5 * (nu + assets) * np.sum(np.log1p(distances / nu))
    return float(total), distances


def _expectation_maximisation(values: Floats, nu: float, start: _Moments) -> _Moments:
    """Location and dispersion of the largest likelihood at the given degrees of freedom."""
    current, before = start, -np.inf
    for iteration in range(_MOST_ITERATIONS):
        likelihood, distances = _log_likelihood(values, nu, current)
        if abs(likelihood - before) <= _CONVERGED * (abs(likelihood) + len(values)):
            return _Moments(current.location, current.dispersion, likelihood, iteration)
        before = likelihood
        weights = (nu + values.shape[1]) / (nu + distances)
        weights /= np.sum(weights)
        location = weights @ values
        centred = values - location
        dispersion = (centred * weights[:, None]).T @ centred
        current = _Moments(location, (dispersion + dispersion.T) / 2.0)
    raise InputError(f"degrees_of_freedom: EM did not converge in {_MOST_ITERATIONS} steps at {nu:.4g}")


@lru_cache(maxsize=16)
def mixing_table(degrees_of_freedom: float) -> NormalTable:
    """``sqrt(nu / W)`` as a non-decreasing function of a standard normal, ``W`` chi-square with ``nu`` degrees.

    Parameters
    ----------
    degrees_of_freedom
        ``nu``, above zero and at most 1e6.

    Returns
    -------
    NormalTable
        ``sqrt(nu / Q(Phi(-z)))`` with ``Q`` the quantile function of ``W``, from the tail that holds it precisely. The
        values can't be written to: a model checks its table against them each time one is made.

    Raises
    ------
    InputError
        When the degrees of freedom are above 1e6.

    Examples
    --------
    >>> mixing_table(4.0).error < 1e-7
    True
    """
    if degrees_of_freedom > LARGEST:
        raise InputError(
            f"degrees_of_freedom: {degrees_of_freedom!r} is above {LARGEST:g}, where a t distribution is a normal one; "
            "take a model with normal returns"
        )
    half = degrees_of_freedom / 2.0

    def root(z: Floats) -> Floats:
        tail = special.ndtr(-np.abs(z))
        small, large = special.gammaincinv(half, tail), special.gammainccinv(half, tail)
        return np.sqrt(half / np.where(z > 0.0, small, large))

    table = tabulate(root)
    table.values.flags.writeable = False
    return table


def check_table(name: str, values: npt.ArrayLike | None, made: Floats) -> Floats:
    """A recorded table, or the one made now; one that differs by more than versions of SciPy do is refused."""
    if values is None:
        return made
    array = check_finite(name, values)
    if array.shape != made.shape or not np.allclose(array, made, rtol=1e-7, atol=1e-7):
        raise InputError(f"{name}: are not those of the model's parameters; leave them out")
    return array
