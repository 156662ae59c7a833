"""The t copula of a sample: correlation from Kendall's tau, degrees of freedom by maximum likelihood on the ranks.

The ranks of each asset's returns over ``n + 1`` stand for its distribution function (pseudo-observations), so that the
copula is fitted without any margin. For every elliptical distribution ``tau = 2/pi asin(rho)``; inverted pair by pair
that gives the correlation, and the degrees of freedom are those of the largest likelihood given it (McNeil, Frey and
Embrechts, *Quantitative Risk Management*, 2015, 7.5; Demarta and McNeil 2005, *The t copula and related copulas*).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import linalg, special

from riskops.errors import InputError
from riskops.models.correlation import check_correlation
from riskops.models.factor_option import Factors, estimate_correlation
from riskops.models.factor_structure import Correlation, FactorStructure, correlation_matrix
from riskops.models.margins import FittedMargin, fit_margin
from riskops.models.sample import Sample
from riskops.models.student_t_fit import largest_likelihood
from riskops.threads import pinned_threads

__all__ = ["CopulaFit", "fit_margins", "fit_t_copula", "kendall_tau"]

Floats = npt.NDArray[np.float64]

#: Degrees of freedom that are searched; above the upper end the copula is a normal's to every sample.
LOWEST, HIGHEST = 1.0, 200.0

#: Fewer observations leave too little in the tails to say anything of them.
FEWEST = 50


@dataclass(frozen=True)
class CopulaFit:
    """The copula that the ranks of the sample say; ``standard_error`` is None where ``nu`` was given."""

    correlation: Correlation
    degrees_of_freedom: float
    #: From the observed information, the correlation and the ranks taken as known.
    standard_error: float | None
    log_likelihood: float
    #: What the report says of the correlation: ``nearest_correlation`` and ``factors``.
    replaced: dict[str, Any]


def kendall_tau(values: Floats) -> Floats:
    """Kendall's rank correlation ``(asset, asset)`` of observations ``(observation, asset)``, ties counted as tau-b."""
    from scipy.stats import kendalltau

    assets = values.shape[1]
    matrix = np.eye(assets)
    for i in range(assets):
        for j in range(i):
            matrix[i, j] = matrix[j, i] = kendalltau(values[:, i], values[:, j]).statistic
    return matrix


def fit_t_copula(
    sample: Sample, *, degrees_of_freedom: float | None, nearest: bool, factors: Factors = None
) -> CopulaFit:
    """Fit a t copula to the ranks of a sample.

    Parameters
    ----------
    sample
        The log returns of the window.
    degrees_of_freedom
        At least one, or None to fit them.
    nearest
        Replace a correlation that is not positive definite by the nearest one that is.
    factors
        A number of factors, or given loadings, in the place of the full correlation.

    Returns
    -------
    CopulaFit
        Correlation, degrees of freedom and log-likelihood.

    Raises
    ------
    InputError
        When there are fewer than 50 observations, the correlation is not positive definite, or the likelihood has no
        maximum between 1 and 200 degrees of freedom.
    """
    if sample.observations < FEWEST:
        raise InputError(
            f"log_return: {sample.observations} observations are too few for a copula; {FEWEST} are needed"
        )
    sample.volatility()  # names an asset whose returns do not vary
    estimate = np.sin(0.5 * np.pi * kendall_tau(sample.values))
    np.fill_diagonal(estimate, 1.0)
    correlation, replaced = estimate_correlation(estimate, assets=sample.assets, nearest=nearest, factors=factors)
    if not isinstance(correlation, FactorStructure):
        check_correlation("correlation", correlation, size=len(sample.assets))
    with pinned_threads():
        likelihood = _Likelihood(sample.values, correlation_matrix(correlation))
        nu, error = degrees_of_freedom, None
        if nu is None:
            nu, error = largest_likelihood(likelihood.at, lowest=LOWEST, highest=HIGHEST)
        return CopulaFit(correlation, nu, error, likelihood.at(nu), replaced)


class _Likelihood:
    """The log-likelihood of the pseudo-observations as a function of the degrees of freedom.

    A rank is a multiple of one half, so that of all assets together there are no more than ``2n`` different ones: a t
    quantile is computed for each of these, not for each observation.
    """

    def __init__(self, values: Floats, correlation: Floats) -> None:
        from scipy.stats import rankdata

        twice = np.rint(2.0 * rankdata(values, axis=0)).astype(np.int64)
        ranks, place = np.unique(twice, return_inverse=True)
        self._probability = ranks / (2.0 * (len(values) + 1))
        self._place: npt.NDArray[np.intp] = place.reshape(len(values), -1)
        self._lower = np.linalg.cholesky(correlation)

    def at(self, nu: float) -> float:
        observations, assets = self._place.shape
        quantile = special.stdtrit(nu, self._probability)
        margin = (special.gammaln((nu + 1.0) / 2.0) - special.gammaln(nu / 2.0)) - 0.5 * (nu + 1.0) * np.log1p(
            quantile * quantile / nu
        )
        scores = linalg.solve_triangular(self._lower, quantile[self._place].T, lower=True)
        joint = special.gammaln((nu + assets) / 2.0) - special.gammaln(nu / 2.0)
        joint -= float(np.sum(np.log(np.diagonal(self._lower))))
        distances = np.sum(scores * scores, axis=0)
        total = observations * joint - 0.5 * (nu + assets) * np.sum(np.log1p(distances / nu))
        return float(total - np.sum(margin[self._place]))


def fit_margins(sample: Sample, names: dict[str, str]) -> list[FittedMargin]:
    """Fit the distribution of each asset, by the name it is to have."""
    deviation = sample.volatility()
    return [
        fit_margin(asset, names[asset], sample.values[:, a], mean=float(sample.mean[a]), deviation=float(deviation[a]))
        for a, asset in enumerate(sample.assets)
    ]
