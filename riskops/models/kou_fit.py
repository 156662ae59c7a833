"""The likelihood of Kou's jump diffusion: the density of a day's log return by a fast Fourier transform."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from scipy import fft

from riskops.models.jump_likelihood import JumpLikelihood

__all__ = ["KouLikelihood", "common_exponential_jumps"]

Floats = npt.NDArray[np.float64]

#: Grid of the density in units of the sample's deviation: the smallest deviation of the diffusion is three spacings
#: wide and more, and jumps die out over the margin before they come round again.
_SPACING = 0.03
_MARGIN = 60.0
_NODES = np.arange(-2, 4)
#: Densities below are lost in the rounding of the transform; no return at a maximum is as unlikely.
_SMALLEST = 1e-13


class KouLikelihood(JumpLikelihood):
    """A day's density in ``theta = (b, log sigma, log l_up, log up, log l_down, log down)``."""

    labels: ClassVar[tuple[str, ...]] = (
        "mean", "volatility", "up_intensity", "up_mean", "down_intensity", "down_mean",
    )  # fmt: skip
    names: ClassVar[tuple[str, ...]] = ("volatility", "intensity", "up_probability", "up_mean", "down_mean")

    def __init__(self, x: Floats, largest: float) -> None:
        super().__init__(x, largest)
        size = fft.next_fast_len(int(2.0 * (np.abs(x).max() + _MARGIN) / _SPACING), real=True)
        size += size % 2
        first = -0.5 * size * _SPACING
        self._u = 2.0 * np.pi * np.arange(size // 2 + 1) / (size * _SPACING)
        self._shift = np.exp(1j * self._u * first) / _SPACING
        self._size = size
        place = (x - first) / _SPACING
        index = np.floor(place).astype(np.int64)
        self._index = index[:, None] + _NODES
        self._weights = _lagrange(place - index)

    def starts(self) -> Sequence[Floats]:
        """Rare, occasional and frequent jumps, as many up as down, that give the sample its excess kurtosis ``24 l
        m^4``, with at most eight tenths of its variance."""
        out = []
        for share in (0.02, 0.1, 0.5):
            intensity = min(share, self.largest)
            mean = min((self.kurtosis / (24.0 * intensity)) ** 0.25, np.sqrt(0.4 / intensity))
            diffusion = np.sqrt(max(1.0 - 2.0 * intensity * mean**2, 0.1))
            half = np.log(0.5 * intensity)
            out.append(np.array([0.0, np.log(diffusion), half, np.log(mean), half, np.log(mean)]))
        return out

    def bounds(self) -> Sequence[tuple[float, float]]:
        """In units of the sample's deviation, and of a day."""
        intensity, mean = (np.log(0.5 / len(self.x)), np.log(0.5 * self.largest)), (np.log(0.1), np.log(8.0))
        return [(-2.0, 2.0), (np.log(0.1), np.log(2.0)), intensity, mean, intensity, mean]

    def log_density(self, theta: Floats) -> tuple[Floats, Floats, Floats]:
        """The density and its derivatives are transforms of the characteristic function times polynomials in it."""
        b = float(theta[0])
        deviation, up_intensity, up, down_intensity, down = (float(t) for t in np.exp(theta[1:]))
        iu = 1j * self._u
        ups, downs = 1.0 / (1.0 - iu * up), 1.0 / (1.0 + iu * down)
        spread = (deviation * self._u) ** 2
        characteristic = np.exp(iu * b - 0.5 * spread + up_intensity * (ups - 1.0) + down_intensity * (downs - 1.0))
        factors = np.stack(
            [
                np.ones_like(iu),
                iu,
                -spread,
                up_intensity * (ups - 1.0),
                (up_intensity * up) * iu * ups * ups,
                down_intensity * (downs - 1.0),
                (-down_intensity * down) * iu * downs * downs,
            ]
        )
        on_grid = fft.irfft(np.conj(characteristic * factors) * self._shift, n=self._size, axis=1)
        found = np.einsum("kij,ij->ki", on_grid[:, self._index], self._weights)
        density = np.maximum(found[0], _SMALLEST)
        relative = np.where(found[0] > _SMALLEST, found[1:] / density, 0.0)
        return np.log(density), relative.mean(axis=1), -relative[0]

    @staticmethod
    def natural(theta: Floats, deviation: float, days_per_year: float) -> Floats:
        """Volatility, intensity, probability of a jump up, mean jumps up and down."""
        up, down = np.exp(theta[2]), np.exp(theta[4])
        return np.array(
            [
                np.exp(theta[1]) * deviation * np.sqrt(days_per_year),
                (up + down) * days_per_year,
                up / (up + down),
                np.exp(theta[3]) * deviation,
                np.exp(theta[5]) * deviation,
            ]
        )


def _lagrange(place: Floats) -> Floats:
    """The weights ``(x, node)`` of the polynomial through the nodes, at places in [0, 1) between the middle two."""
    weights = np.ones((len(place), len(_NODES)))
    for k, node in enumerate(_NODES):
        for other in _NODES:
            if other != node:
                weights[:, k] *= (place - other) / (node - other)
    return weights


def common_exponential_jumps(moves: Floats, direction: Floats, usual: Floats) -> Mapping[str, Any]:
    """Common exponential jumps: the share of their days that went up, and the mean sizes on those days and on the
    others. An asset that moved against the others on average gets the smallest size, a tenth of its deviation."""
    ups = direction > 0.0
    smallest = 0.1 * np.sqrt(np.diagonal(usual))
    up = np.maximum(moves[ups].mean(axis=0), smallest) if ups.any() else smallest
    down = np.maximum(-moves[~ups].mean(axis=0), smallest) if not ups.all() else smallest
    return {
        "common_up_probability": float(np.mean(ups)),
        "common_up_mean": up,
        "common_down_mean": down,
    }
