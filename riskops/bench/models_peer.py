"""The built-in models in NumPy, as its experts write them: blocks of paths that stay in the cache, single precision,
every operation over all assets and paths of a block at once and in place, correlations by BLAS.

A peer draws with NumPy's generator from the same distributions, by whatever exact way is quickest there. Here are the
models of normals, Student t and history; those with jumps or an own variance are in :mod:`riskops.bench.jumps_peer`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from riskops.bench.numpy_peer import Single, generator
from riskops.models import (
    Bootstrap,
    FilteredHistorical,
    Garch,
    GeometricBrownianMotion,
    Model,
    RegimeSwitching,
    StudentT,
    StudentTCopula,
)
from riskops.models.margins import margin_quantile

__all__ = ["BLOCKS", "Peer", "column", "terminal_growth"]

#: Paths in a block: the arrays of five assets stay in the second-level cache, or calls cost less.
BLOCKS = (4096, 16_384)
Generator = np.random.Generator


def column(values: npt.ArrayLike) -> Single:
    """Numbers, one an asset, as a column of single precision."""
    return np.asarray(values, np.float32).reshape(-1, 1)


class Peer(ABC):
    """A model over one block of paths: its states, and the arrays that every step uses again."""

    def __init__(self, model: Any, step_years: float, block: int) -> None:
        self.model, self.step_years, self.block = model, step_years, block
        self.assets = len(model.assets)
        self.growth = self.array()

    def array(self) -> Single:
        """An array ``(asset, path)``."""
        return np.empty((self.assets, self.block), np.float32)

    def row(self) -> Single:
        """An array ``(path,)``."""
        return np.empty(self.block, np.float32)

    def begin(self, rng: Generator) -> None:
        """Set the states to what they are today."""
        self.growth[:] = 0.0

    @abstractmethod
    def advance(self, rng: Generator) -> None:
        """Move all states by one step."""

    def finish(self, steps: int) -> None:
        """Add what is the same for every path and step: nothing, unless a model says so."""
        return


def normals(rng: Generator, out: Single) -> Single:
    """Fill an array with standard normals."""
    rng.standard_normal(out=out, dtype=np.float32)
    return out


class Diffusion(Peer):
    """Correlated normals with a drift: geometric Brownian motion, and what others begin with."""

    def __init__(self, model: Any, step_years: float, block: int) -> None:
        super().__init__(model, step_years, block)
        self.drawn, self.mixed = self.array(), self.array()
        self.mixing, self.drift = self.step_constants()

    def step_constants(self) -> tuple[Single, Single]:
        """The mixing matrix and the drift of log growth of a step."""
        model: GeometricBrownianMotion = self.model
        lower = np.linalg.cholesky(model.correlation) * (model.volatility * math.sqrt(self.step_years))[:, None]
        return lower.astype(np.float32), column(model.mean_log_growth(self.step_years))

    def mix(self, rng: Generator) -> Single:
        """The correlated normals of a step."""
        return np.matmul(self.mixing, normals(rng, self.drawn), out=self.mixed)

    def advance(self, rng: Generator) -> None:
        self.growth += self.mix(rng)

    def finish(self, steps: int) -> None:
        self.growth += steps * self.drift


class _Mixture:
    """``sqrt(nu / W)`` ``(path,)``, ``W`` chi-square with ``nu`` degrees of freedom: a gamma variable, halved."""

    def __init__(self, degrees_of_freedom: float, block: int) -> None:
        self.half, self.out = 0.5 * degrees_of_freedom, np.empty(block, np.float32)

    def draw(self, rng: Generator) -> Single:
        rng.standard_gamma(self.half, dtype=np.float32, out=self.out)
        np.divide(np.float32(self.half), self.out, out=self.out)
        return np.sqrt(self.out, out=self.out)


class StudentPeer(Diffusion):
    """Multivariate Student t."""

    def __init__(self, model: StudentT, step_years: float, block: int) -> None:
        super().__init__(model, step_years, block)
        self.root = _Mixture(model.degrees_of_freedom, block)

    def step_constants(self) -> tuple[Single, Single]:
        model: StudentT = self.model
        nu = model.degrees_of_freedom
        scale = model.volatility * math.sqrt(self.step_years * (nu - 2.0) / nu)
        lower = np.linalg.cholesky(model.correlation) * scale[:, None]
        return lower.astype(np.float32), column(model.log_drift * self.step_years)

    def advance(self, rng: Generator) -> None:
        mixed = self.mix(rng)
        mixed *= self.root.draw(rng)
        self.growth += mixed


class CopulaPeer(Diffusion):
    """Student t copula: the quantiles of the margins from tables at equal distances, read between their knots."""

    REACH, KNOTS = 50.0, 2**16

    def __init__(self, model: StudentTCopula, step_years: float, block: int) -> None:
        super().__init__(model, step_years, block)
        nu = model.degrees_of_freedom
        self.root = _Mixture(nu, block)
        x = np.linspace(-self.REACH, self.REACH, self.KNOTS)
        lower, upper = special.stdtr(nu, x), special.stdtr(nu, -x)
        margins = zip(model.margin_degrees_of_freedom, model.skewness.tolist(), strict=True)
        values = [margin_quantile(lower, upper, degrees, skewness) for degrees, skewness in margins]
        tables = np.stack(values) * model.scale[:, None]
        self.tables = tables.astype(np.float32)
        self.slopes = np.diff(tables, axis=1, append=tables[:, -1:]).astype(np.float32)
        self.places = np.empty((self.assets, block), np.int32)
        self.taken = self.row()

    def step_constants(self) -> tuple[Single, Single]:
        model: StudentTCopula = self.model
        return np.linalg.cholesky(model.correlation).astype(np.float32), column(model.location)

    def advance(self, rng: Generator) -> None:
        x = self.mix(rng)
        x *= self.root.draw(rng)
        x *= np.float32((self.KNOTS - 1) / (2.0 * self.REACH))
        x += np.float32((self.KNOTS - 1) / 2.0)
        np.clip(x, np.float32(0.0), np.float32(self.KNOTS - 1), out=x)
        np.copyto(self.places, x, casting="unsafe")
        x -= self.places
        for asset in range(self.assets):
            np.take(self.slopes[asset], self.places[asset], out=self.taken, mode="clip")
            x[asset] *= self.taken
            np.take(self.tables[asset], self.places[asset], out=self.taken, mode="clip")
            x[asset] += self.taken
        self.growth += x


class _Variance:
    """The GARCH variance of every asset and path."""

    def __init__(self, model: Garch | FilteredHistorical, block: int) -> None:
        self.start, self.omega, self.beta = column(model.variance), column(model.omega), column(model.beta)
        self.alpha, self.gamma = column(model.alpha), column(model.gamma)
        self.variance = np.empty((len(model.assets), block), np.float32)
        self.spare, self.below = np.empty_like(self.variance), np.empty(self.variance.shape, np.bool_)
        self.news = np.empty_like(self.variance)

    def begin(self) -> None:
        self.variance[:] = self.start

    def shocks(self, innovations: Single) -> Single:
        """The shocks ``e``, in place of the innovations; the variance moves on."""
        np.sqrt(self.variance, out=self.spare)
        innovations *= self.spare
        np.less(innovations, np.float32(0.0), out=self.below)
        np.multiply(self.below, self.gamma, out=self.news)
        self.news += self.alpha
        self.news *= innovations
        self.news *= innovations
        self.variance *= self.beta
        self.variance += self.omega
        self.variance += self.news
        return innovations


class GarchPeer(Diffusion):
    """GARCH with innovations that are multivariate Student t: equal degrees of freedom."""

    def __init__(self, model: Garch, step_years: float, block: int) -> None:
        super().__init__(model, step_years, block)
        self.variance = _Variance(model, block)
        self.root = _Mixture(self.degrees, block)

    @property
    def degrees(self) -> float:
        """The degrees of freedom of all innovations."""
        model: Garch = self.model
        assert model.degrees_of_freedom is not None
        (degrees,) = set(model.degrees_of_freedom.tolist())
        return float(degrees)

    def step_constants(self) -> tuple[Single, Single]:
        model: Garch = self.model
        lower = np.linalg.cholesky(model.correlation) * math.sqrt((self.degrees - 2.0) / self.degrees)
        return lower.astype(np.float32), column(model.mean)

    def begin(self, rng: Generator) -> None:
        super().begin(rng)
        self.variance.begin()

    def advance(self, rng: Generator) -> None:
        mixed = self.mix(rng)
        mixed *= self.root.draw(rng)
        self.growth += self.variance.shocks(mixed)


class FilteredPeer(Peer):
    """Filtered historical simulation."""

    def __init__(self, model: FilteredHistorical, step_years: float, block: int) -> None:
        super().__init__(model, step_years, block)
        self.variance = _Variance(model, block)
        self.residuals = np.ascontiguousarray(model.residuals.T, np.float32)
        self.drawn, self.mean = self.array(), column(model.mean)

    def begin(self, rng: Generator) -> None:
        super().begin(rng)
        self.variance.begin()

    def advance(self, rng: Generator) -> None:
        rows = rng.integers(self.residuals.shape[1], size=self.block, dtype=np.int32)
        np.take(self.residuals, rows, axis=1, out=self.drawn, mode="clip")
        self.growth += self.variance.shocks(self.drawn)

    def finish(self, steps: int) -> None:
        self.growth += steps * self.mean


class BootstrapPeer(Peer):
    """Stationary bootstrap."""

    def __init__(self, model: Bootstrap, step_years: float, block: int) -> None:
        super().__init__(model, step_years, block)
        self.history = np.ascontiguousarray(model.returns.T, np.float32)
        self.chance = np.float32(1.0 / model.block_length)
        self.taken, self.uniforms = self.array(), self.row()
        self.rows = np.empty(block, np.int32)

    def _draw(self, rng: Generator) -> npt.NDArray[np.int32]:
        return rng.integers(self.history.shape[1], size=self.block, dtype=np.int32)

    def begin(self, rng: Generator) -> None:
        super().begin(rng)
        self.rows[:] = self._draw(rng)

    def advance(self, rng: Generator) -> None:
        np.take(self.history, self.rows, axis=1, out=self.taken, mode="clip")
        self.growth += self.taken
        self.rows += 1
        self.rows[self.rows == self.history.shape[1]] = 0
        rng.random(out=self.uniforms, dtype=np.float32)
        np.copyto(self.rows, self._draw(rng), where=self.uniforms < self.chance)


class RegimePeer(Peer):
    """Two regimes: the normals mixed by both matrices, and the one of the path's regime taken."""

    def __init__(self, model: RegimeSwitching, step_years: float, block: int) -> None:
        super().__init__(model, step_years, block)
        means, covariances = model.daily_moments()
        self.mixings = [np.linalg.cholesky(matrix).astype(np.float32) for matrix in covariances]
        self.drifts = [column(mean) for mean in means]
        self.drawn, self.mixed, self.other = self.array(), self.array(), self.array()
        self.uniforms = self.row()
        self.leave = np.array([model.transition[0, 1], model.transition[1, 0]], np.float32)
        self.first = np.float32(model.initial_probability[1])
        self.crisis = np.empty(block, np.bool_)
        self.limits = self.row()

    def begin(self, rng: Generator) -> None:
        super().begin(rng)
        rng.random(out=self.uniforms, dtype=np.float32)
        np.less(self.uniforms, self.first, out=self.crisis)

    def advance(self, rng: Generator) -> None:
        normals(rng, self.drawn)
        np.matmul(self.mixings[0], self.drawn, out=self.mixed)
        self.mixed += self.drifts[0]
        np.matmul(self.mixings[1], self.drawn, out=self.other)
        self.other += self.drifts[1]
        np.copyto(self.mixed, self.other, where=self.crisis)
        self.growth += self.mixed
        rng.random(out=self.uniforms, dtype=np.float32)
        np.take(self.leave, self.crisis.view(np.int8), out=self.limits, mode="clip")
        self.crisis ^= self.uniforms < self.limits


def terminal_growth(
    kind: type[Peer],
    model: Model,
    *,
    paths: int,
    steps: int,
    step_years: float,
    seed: int,
    bits: str = "SFC64",
    block: int = BLOCKS[0],
) -> Single:
    """Log growth ``(asset, path)`` after all steps, one block of paths after the other.

    The paths are whole blocks, of ``block`` paths or of the largest common divisor of both.
    """
    rng, block = generator(bits, seed=seed), math.gcd(paths, block)
    peer = kind(model, step_years, block)
    out = np.empty((len(model.assets), paths), np.float32)
    for first in range(0, paths, block):
        peer.begin(rng)
        for _ in range(steps):
            peer.advance(rng)
        peer.finish(steps)
        out[:, first : first + block] = peer.growth
    return out
