"""The models with jumps, stochastic variance or a peg in NumPy: see :mod:`riskops.bench.models_peer`.

Jumps are counted path by path; only where there are any, which is rare in a day, are their sizes drawn. The sparse
peers go further: the number of jumps in the whole block is one Poisson number, and each falls on any path, so that no
path without a jump costs anything. That is exact too, and as quick as jumps get in NumPy.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from riskops.bench.models_peer import (
    BootstrapPeer,
    CopulaPeer,
    Diffusion,
    FilteredPeer,
    GarchPeer,
    Generator,
    Peer,
    RegimePeer,
    StudentPeer,
    column,
    normals,
)
from riskops.bench.numpy_peer import Single
from riskops.models import Heston, KouJumpDiffusion, MertonJumpDiffusion, PeggedAsset

__all__ = ["PEERS", "SPARSE_PEERS"]

Places = npt.NDArray[np.intp]
Counts = npt.NDArray[np.integer[Any]]


class _Jumps(Diffusion):
    """A diffusion with jumps; how many of them and of what size is the model's own."""

    sparse = False

    def step_constants(self) -> tuple[Single, Single]:
        model = self.model
        years = self.step_years
        lower = np.linalg.cholesky(model.correlation) * (model.volatility * math.sqrt(years))[:, None]
        tables = model.tables(years)
        return lower.astype(np.float32), column(tables["drift"])

    def counts(self, rng: Generator, mean: float) -> tuple[Places, Counts]:
        """The paths that jump in a step, and how often; several entries of one path add up."""
        if self.sparse:
            places = rng.integers(self.block, size=rng.poisson(mean * self.block))
            return places, np.ones(len(places), np.int64)
        drawn = rng.poisson(mean, self.block)
        places = np.flatnonzero(drawn)
        return places, drawn[places]

    def add(self, row: Single, places: Places, jumps: npt.NDArray[np.floating[Any]]) -> None:
        """Add jumps to the paths that they fall on."""
        if self.sparse:
            np.add.at(row, places, jumps.astype(np.float32))
        else:
            row[places] += jumps


class MertonPeer(_Jumps):
    """Merton's jump diffusion."""

    def advance(self, rng: Generator) -> None:
        super().advance(rng)
        model: MertonJumpDiffusion = self.model
        for asset in range(self.assets):
            places, n = self.counts(rng, float(model.intensity[asset]) * self.step_years)
            size = rng.standard_normal(len(places)) * np.sqrt(n) * model.jump_deviation[asset]
            self.add(self.growth[asset], places, size + n * model.jump_mean[asset])
        places, n = self.counts(rng, model.common_intensity * self.step_years)
        shared = math.sqrt(model.common_jump_correlation) * rng.standard_normal(len(places))
        own = math.sqrt(1.0 - model.common_jump_correlation) * rng.standard_normal((self.assets, len(places)))
        own += shared
        own *= np.sqrt(n)
        for asset in range(self.assets):
            size = own[asset] * model.common_jump_deviation[asset]
            self.add(self.growth[asset], places, size + n * model.common_jump_mean[asset])


class SparseMertonPeer(MertonPeer):
    """Merton's, with the jumps of a whole block counted at once."""

    sparse = True


class KouPeer(_Jumps):
    """Kou's jump diffusion: the sum of ``n`` exponential jumps is a gamma variable."""

    def advance(self, rng: Generator) -> None:
        super().advance(rng)
        model: KouJumpDiffusion = self.model
        for asset in range(self.assets):
            intensity, up = float(model.intensity[asset]) * self.step_years, float(model.up_probability[asset])
            for share, mean in ((up, model.up_mean[asset]), (1.0 - up, -model.down_mean[asset])):
                places, n = self.counts(rng, intensity * share)
                self.add(self.growth[asset], places, mean * rng.standard_gamma(n))
        intensity, up = model.common_intensity * self.step_years, model.common_up_probability
        for share, means in ((up, model.common_up_mean), (1.0 - up, -model.common_down_mean)):
            places, n = self.counts(rng, intensity * share)
            for asset in range(self.assets):
                self.add(self.growth[asset], places, means[asset] * rng.standard_gamma(n))


class SparseKouPeer(KouPeer):
    """Kou's, with the jumps of a whole block counted at once."""

    sparse = True


class HestonPeer(Peer):
    """Heston's model by Andersen's QE scheme with martingale correction.

    The quadratic branch is taken for every path, and the exponential one only for those that need it.
    """

    def __init__(self, model: Heston, step_years: float, block: int) -> None:
        super().__init__(model, step_years, block)
        years = step_years
        kappa, theta, sigma = model.mean_reversion, model.long_run_variance, model.volatility_of_variance
        rho = model.leverage
        decay = np.exp(-kappa * years)
        self.theta, self.decay = column(theta), column(decay)
        self.slope = column(sigma**2 * decay * (1.0 - decay) / kappa)
        self.level = column(0.5 * theta * sigma**2 * (1.0 - decay) ** 2 / kappa)
        self.rho, self.rest = column(rho), column(np.sqrt(1.0 - rho**2))
        half = 0.5 * years * (kappa * rho / sigma - 0.5)
        self.share = column(0.5 * years * (1.0 - rho**2))
        self.before, self.after = column(half - rho / sigma), column(half + rho / sigma)
        self.load = self.after + 0.5 * self.share
        self.drift, self.initial = column(model.drift * years), column(model.initial_variance)
        residual = model.correlation if model.variance_correlation is None else model.variance_correlation
        self.mixing = np.linalg.cholesky(model.correlation).astype(np.float32)
        self.residual_mixing = np.linalg.cholesky(residual).astype(np.float32)
        names = ("drawn", "returns", "residual", "z", "mean", "psi", "root", "scale", "next", "spare")
        self.a: dict[str, Single] = {name: self.array() for name in names}
        self.variance = self.array()

    def begin(self, rng: Generator) -> None:
        super().begin(rng)
        self.variance[:] = self.initial

    def advance(self, rng: Generator) -> None:
        a, one, two = self.a, np.float32(1.0), np.float32(2.0)
        v, mean, psi, root, scale, spare, z = (
            self.variance, a["mean"], a["psi"], a["root"], a["scale"], a["spare"], a["z"]
        )  # fmt: skip
        returns = np.matmul(self.mixing, normals(rng, a["drawn"]), out=a["returns"])
        residual = np.matmul(self.residual_mixing, normals(rng, a["drawn"]), out=a["residual"])
        np.multiply(returns, self.rho, out=z)
        np.multiply(residual, self.rest, out=spare)
        z += spare
        returns *= self.rest
        residual *= self.rho
        returns -= residual  # the part that is independent of the variance's shock
        np.subtract(v, self.theta, out=mean)
        mean *= self.decay
        mean += self.theta
        np.multiply(v, self.slope, out=psi)
        psi += self.level
        psi /= mean
        psi /= mean
        rare = np.nonzero(psi > np.float32(1.5))
        np.minimum(psi, np.float32(1.5), out=scale)
        np.divide(two, scale, out=spare)  # 2 / psi
        np.subtract(spare, one, out=scale)
        np.multiply(spare, scale, out=root)
        np.sqrt(root, out=root)
        root += scale  # b^2
        np.add(root, one, out=spare)
        np.divide(mean, spare, out=scale)  # a
        np.sqrt(root, out=a["next"])
        a["next"] += z
        np.square(a["next"], out=a["next"])
        a["next"] *= scale
        # the correction: -A b^2 a / (1 - 2 A a) + log(1 - 2 A a) / 2
        root *= scale
        root *= self.load
        np.multiply(scale, two * self.load, out=spare)
        np.subtract(one, spare, out=spare)
        root /= spare
        np.log(spare, out=spare)
        spare *= np.float32(0.5)
        spare -= root
        if len(rare[0]):
            self._exponential(rare, spare)
        growth = self.growth
        growth += spare
        np.multiply(v, -np.float32(0.5) * self.share, out=spare)
        growth += spare
        np.multiply(a["next"], self.after, out=spare)
        growth += spare
        # K1 v - (K1 + K3 / 2) v leaves -K3 / 2 v; what is left is the noise
        v += a["next"]
        v *= self.share
        np.sqrt(v, out=v)
        v *= returns
        growth += v
        v[:] = a["next"]

    def _exponential(self, rare: tuple[Places, ...], correction: Single) -> None:
        psi, mean = self.a["psi"][rare], self.a["mean"][rare]
        nothing = (psi - np.float32(1.0)) / (psi + np.float32(1.0))
        rate = (np.float32(1.0) - nothing) / mean
        upper = special.ndtr(-self.a["z"][rare])
        excess = np.maximum(np.log((np.float32(1.0) - nothing) / upper), np.float32(0.0))
        self.a["next"][rare] = excess / rate
        load = self.load[rare[0], 0]
        correction[rare] = -np.log(nothing + rate * (np.float32(1.0) - nothing) / (rate - load))

    def finish(self, steps: int) -> None:
        self.growth += steps * self.drift


class PeggedPeer(Peer):
    """The stabilised token: the rules of pressure by masks, the jumps where there are any."""

    def __init__(self, model: PeggedAsset, step_years: float, block: int) -> None:
        super().__init__(model, step_years, block)
        tables = model.tables(step_years)
        own = [column(values) for values in tables["own"].T]
        self.price, _, self.alpha, self.keep, self.gain, self.decay, self.levy, self.support = own[:8]
        self.jump_mean, self.jump_deviation, self.hours = tables["own"][:, 8], tables["own"][:, 9], own[10]
        self.rules = [np.float32(value) for value in tables["rules"].tolist()]
        self.mixing = tables["mixing"].astype(np.float32)
        self.reverting = [tuple(column(tables[name][:, k]) for name in ("level", "keep", "noise")) for k in range(3)]
        start = model.start()
        self.initial = [column(start[name]) for name in ("log_depth", "network_health", "fiat_activity")]
        self.states = [self.array() for _ in range(3)]
        self.age, self.first_age = 0.0, float(model.holding_age.max())
        self.jumps = model.jump_intensity * step_years * model.days_per_year
        self.x, self.drawn, self.mixed, self.rate = self.array(), self.array(), self.array(), self.array()
        self.moved = self.array()

    def begin(self, rng: Generator) -> None:
        """The price over the peg less one is the state; growth is made of it at the end of every step."""
        super().begin(rng)
        self.x[:] = self.price - np.float32(1.0)
        self.age = self.first_age
        for state, value in zip(self.states, self.initial, strict=True):
            state[:] = value

    def _pressure(self) -> None:
        upper, lower, depth_floor, high, discount, low, penalty, grace = self.rules[:8]
        depth, _, fiat = self.states
        one = np.float32(1.0)
        selling = np.exp(depth, out=self.rate)
        np.maximum(selling, depth_floor, out=selling)
        np.divide(self.decay, selling, out=selling)
        np.multiply(selling, discount, out=selling, where=fiat > high)
        np.multiply(selling, penalty, out=selling, where=fiat < low)
        if self.age >= grace:
            selling += self.levy
        backing = np.multiply(fiat, np.float32(2.0), out=self.moved)
        np.minimum(backing, np.float32(2.0), out=backing)
        backing *= self.support
        backing *= self.x < lower
        selling *= self.x > upper
        np.subtract(backing, selling, out=self.rate)
        # where the pressure ends at the edge of the band, the rest of the step is free
        np.multiply(self.x, self.alpha, out=self.moved)
        self.moved -= self.rate
        outside = np.nonzero((self.x > upper) | (self.x < lower))
        pull, rate = self.moved[outside], self.rate[outside]
        self.moved *= -self.gain
        self.moved += self.x
        edge = np.where(self.x[outside] < lower, lower, upper)
        alpha, keep = self.alpha[outside[0], 0], self.keep[outside[0], 0]
        reach = pull * keep / (alpha * edge - rate)
        self.moved[outside] = np.where(reach < one, edge * reach, self.moved[outside])

    def advance(self, rng: Generator) -> None:
        self._pressure()
        np.matmul(self.mixing, normals(rng, self.drawn), out=self.mixed)
        np.multiply(self.mixed, self.rules[9], out=self.mixed, where=self.states[1] < self.rules[8])
        np.add(self.moved, self.mixed, out=self.x)
        for asset in range(self.assets):
            drawn = rng.poisson(float(self.jumps[asset]), self.block)
            places = np.flatnonzero(drawn)
            n = drawn[places]
            noise = self.jump_deviation[asset] * np.sqrt(n) * rng.standard_normal(len(places))
            self.x[asset, places] += n * self.jump_mean[asset] + noise
        np.maximum(self.x, self.rules[10], out=self.x)
        np.add(self.x, np.float32(1.0), out=self.growth)
        self.growth /= self.price
        np.log(self.growth, out=self.growth)
        for k, (state, (level, keep, noise)) in enumerate(zip(self.states, self.reverting, strict=True)):
            state -= level
            state *= keep
            state += level
            normals(rng, self.drawn)
            self.drawn *= noise
            state += self.drawn
            if k > 0:
                np.clip(state, np.float32(0.0), np.float32(1.0), out=state)
        self.age += float(self.hours[0, 0])


#: The peer of each kind.
PEERS: dict[str, type[Peer]] = {
    "bootstrap": BootstrapPeer,
    "filtered_historical": FilteredPeer,
    "garch": GarchPeer,
    "geometric_brownian": Diffusion,
    "heston": HestonPeer,
    "kou": KouPeer,
    "merton": MertonPeer,
    "pegged": PeggedPeer,
    "regime_switching": RegimePeer,
    "student_t": StudentPeer,
    "student_t_copula": CopulaPeer,
}

#: Those whose jumps are counted by the block.
SPARSE_PEERS: dict[str, type[Peer]] = {"kou": SparseKouPeer, "merton": SparseMertonPeer}
