"""Exact moments of growth whose normal increments follow a Markov chain of regimes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from riskops.models.elementwise import exponentials
from riskops.models.markov_chain import powers

__all__ = ["expected_growth", "log_growth", "mixture_shape"]

Floats = npt.NDArray[np.float64]


def log_growth(mean: Floats, covariance: Floats, *, chain: tuple[Floats, Floats, int]) -> tuple[Floats, Floats]:
    """Mean ``(asset,)`` and covariance ``(asset, asset)`` of the sum of the days' increments.

    Parameters
    ----------
    mean, covariance
        Moments of a day's increment by regime, ``(regime, asset)`` and ``(regime, asset, asset)``.
    chain
        Its transition matrix, the law of its first day, and the number of days, at least one.

    Notes
    -----
    The law of total covariance: the expected covariance, plus that of the means, which the chain correlates over days:
    ``E[m_s m_t'] = sum_kl p_s(k) (P^{t-s})_kl m_k m_l'``. Means are taken about their average, which spares digits.
    """
    transition, initial, days = chain
    law = powers(transition, initial, days)
    spent = law.sum(axis=0)
    total = (spent[:, None] * mean).sum(axis=0)
    about = mean - total / days
    together = np.diag(spent)
    earlier = np.zeros_like(transition)  # sum over s < t of diag(p_s) P^(t-s)
    for today in law[:-1]:
        earlier = (earlier + np.diag(today)) @ transition
        together = together + earlier + earlier.T
    between = about.T @ together @ about
    within = (spent[:, None, None] * covariance).sum(axis=0)
    return total, within + (between + between.T) / 2.0


def expected_growth(rate: Floats, *, chain: tuple[Floats, Floats, int]) -> Floats:
    """Expected product of ``exp(rate[regime of the day])`` over the days of the chain; ``rate`` is ``(regime, ...)``.

    Examples
    --------
    >>> chain = np.array([[0.5, 0.5], [0.0, 1.0]]), np.array([1.0, 0.0]), 2
    >>> expected_growth(np.log([[2.0], [3.0]]), chain=chain).round(12)
    array([5.])
    """
    transition, initial, days = chain
    factor = exponentials(rate)
    value = factor
    for _ in range(days - 1):
        value = factor * _average(transition, value)
    return _average(initial, value)


def _average(law: Floats, value: Floats) -> Floats:
    """The mean of ``value`` ``(regime, ...)`` under each law ``(..., regime)``, summed in the order of the regimes: it
    becomes a known mean of figures, which a library's product would make depend on the machine."""
    total = np.zeros((*law.shape[:-1], *value.shape[1:]))
    for regime, one in enumerate(value):
        total = total + law[..., regime].reshape(law.shape[:-1] + (1,) * one.ndim) * one
    return total


def mixture_shape(mean: Floats, covariance: Floats, probability: Floats) -> tuple[Floats, Floats]:
    """Skewness and excess kurtosis ``(asset,)`` of a mixture of normals.

    With ``d`` a regime's mean about that of all: ``m2 = E[s^2 + d^2]``, ``m3 = E[3 s^2 d + d^3]`` and
    ``m4 = E[3 s^4 + 6 s^2 d^2 + d^4]`` (McNeil, Frey and Embrechts, *Quantitative Risk Management*, chapter 6).
    """
    variance = np.diagonal(covariance, axis1=1, axis2=2)
    weight = probability[:, None]
    d = mean - (weight * mean).sum(axis=0)
    second = (weight * (variance + d**2)).sum(axis=0)
    third = (weight * (3.0 * variance * d + d**3)).sum(axis=0)
    fourth = (weight * (3.0 * variance**2 + 6.0 * variance * d**2 + d**4)).sum(axis=0)
    return third / second**1.5, fourth / second**2 - 3.0
