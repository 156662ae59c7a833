"""The likelihood of Merton's jump diffusion: a day's log return is a Poisson mixture of normals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from riskops.models.jump_likelihood import JumpLikelihood

__all__ = ["MertonLikelihood", "common_normal_jumps"]

Floats = npt.NDArray[np.float64]

#: Counts whose probability beyond is smaller do not enter the mixture.
_TAIL = 1e-14


class MertonLikelihood(JumpLikelihood):
    """``sum_n P(n; l) N(b + n m, sigma^2 + n s^2)``, in ``theta = (b, log sigma, log l, m, log s)``."""

    labels: ClassVar[tuple[str, ...]] = ("mean", "volatility", "intensity", "jump_mean", "jump_deviation")
    names: ClassVar[tuple[str, ...]] = ("volatility", "intensity", "jump_mean", "jump_deviation")

    def starts(self) -> Sequence[Floats]:
        """Rare, occasional and frequent jumps that give the sample its excess kurtosis ``3 l s^4`` and skewness ``3 l m
        s^2``, with at most nine tenths of its variance."""
        out = []
        for share in (0.01, 0.05, 0.25):
            intensity = min(share, self.largest)
            size = min((self.kurtosis / (3.0 * intensity)) ** 0.25, np.sqrt(0.9 / intensity))
            mean = float(np.clip(self.skewness / (3.0 * intensity * size**2), -size / 2.0, size / 2.0))
            diffusion = np.sqrt(max(1.0 - intensity * (size**2 + mean**2), 0.1))
            out.append(np.array([-intensity * mean, np.log(diffusion), np.log(intensity), mean, np.log(size)]))
        return out

    def bounds(self) -> Sequence[tuple[float, float]]:
        """In units of the sample's deviation, and of a day."""
        return [
            (-2.0, 2.0),
            (np.log(0.1), np.log(2.0)),
            (np.log(0.5 / len(self.x)), np.log(self.largest)),
            (-20.0, 20.0),
            (np.log(0.1), np.log(20.0)),
        ]

    def log_density(self, theta: Floats) -> tuple[Floats, Floats, Floats]:
        """By the probability of each count given the return, which the gradient takes the mean over."""
        b, log_deviation, log_intensity, m, log_size = (float(t) for t in theta)
        v, intensity, q = np.exp(2.0 * log_deviation), np.exp(log_intensity), np.exp(2.0 * log_size)
        n = np.arange(int(stats.poisson.isf(_TAIL, intensity)) + 2.0)[:, None]
        variance = v + n * q
        apart = self.x - (b + n * m)
        weight = n * log_intensity - intensity - special.gammaln(n + 1.0) - 0.5 * np.log(2.0 * np.pi * variance)
        terms = weight - apart * apart * (0.5 / variance)
        highest = terms.max(axis=0)
        share = np.exp(terms - highest)
        total = share.sum(axis=0)
        share /= total
        pull = share * apart / variance
        spread = 0.5 * (pull * apart - share) / variance
        slope = pull.sum(axis=0)
        counts, pulls, spreads = share.mean(axis=1), pull.mean(axis=1), spread.mean(axis=1)
        k = n[:, 0]
        gradient = np.array(
            [
                pulls.sum(),
                2.0 * v * spreads.sum(),
                (k * counts).sum() - intensity,
                (k * pulls).sum(),
                2.0 * q * (k * spreads).sum(),
            ]
        )
        return highest + np.log(total), gradient, -slope

    @staticmethod
    def natural(theta: Floats, deviation: float, days_per_year: float) -> Floats:
        """Volatility, intensity, mean and deviation of a jump."""
        return np.array(
            [
                np.exp(theta[1]) * deviation * np.sqrt(days_per_year),
                np.exp(theta[2]) * days_per_year,
                theta[3] * deviation,
                np.exp(theta[4]) * deviation,
            ]
        )


def common_normal_jumps(moves: Floats, direction: Floats, usual: Floats) -> Mapping[str, Any]:
    """Common lognormal jumps with the means of the returns on their days, and the deviations and the average
    correlation that are left when an ordinary day's covariance is taken off; at least a tenth of its deviation."""
    covariance = np.cov(moves.T)
    ordinary = np.diagonal(usual)
    deviation = np.sqrt(np.maximum(np.diagonal(covariance) - ordinary, 0.01 * ordinary))
    pairs = np.tril_indices(len(usual), -1)
    shared = np.mean(((covariance - usual) / (deviation[:, None] * deviation[None, :]))[pairs])
    return {
        "common_jump_mean": moves.mean(axis=0),
        "common_jump_deviation": deviation,
        "common_jump_correlation": float(np.clip(shared, 0.0, 1.0)),
    }
