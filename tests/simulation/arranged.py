"""Draws in every arrangement, for the tests of sampling: shocks of every kind, and the arrays that a step fills."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from riskops.models import Shock
from riskops.rng import tile_counters
from riskops.simulation import Sampling
from riskops.simulation.draws import Draws
from riskops.simulation.stretch import _DRAWS
from riskops.tables import poisson_thresholds

__all__ = ["ASSETS", "SAMPLINGS", "SEED", "SHOCKS", "STEPS", "TABLES", "counters_of", "drawn"]

ASSETS, STEPS, SEED = 3, 4, 2**63 + 77
SHOCKS = (
    Shock("own", mixing="mixing"),
    Shock("side", kind="uniform"),
    Shock("count", kind="outcome", table="limits"),
    Shock("common", per="shared"),
    Shock("day", kind="rows", per="shared", table="history"),
    Shock("word", kind="word"),
)
#: Rows of different lengths: the second asset jumps more often, the third never.
TABLES: dict[str, npt.NDArray[Any]] = {"limits": poisson_thresholds([0.1, 1.5, 0.0])}
OUTCOMES = TABLES["limits"].shape[1] + 1


def _tilt() -> tuple[float, ...]:
    """Half of every asset's counts as they are, half spread over the first three."""
    ends = np.concatenate([np.zeros((ASSETS, 1)), TABLES["limits"] / 2.0**32, np.ones((ASSETS, 1))], axis=1)
    spread = np.zeros((ASSETS, OUTCOMES))
    spread[:, :3] = 1 / 3
    return tuple((0.5 * np.diff(ends, axis=1) + 0.5 * spread).reshape(-1).tolist())


def _rotation() -> tuple[float, ...]:
    orthogonal, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(ASSETS, ASSETS)))
    return tuple(orthogonal.reshape(-1).tolist())


DIRECTION = {"own": (0.36, -0.48, 0.48), "common": (0.64,)}
SHIFT = {"own": (0.5, -0.4, 0.0), "common": (0.3,)}

#: Every arrangement with everything that it takes.
SAMPLINGS = {
    "plain": Sampling(),
    "antithetic": Sampling("antithetic"),
    "control_variate": Sampling("control_variate"),
    "importance": Sampling("importance", shift=SHIFT, tilt={"count": _tilt()}),
    "moment_matching": Sampling("moment_matching"),
    "sobol": Sampling("sobol", replicates=2, dimensions=9, steps=STEPS - 1, rotation={"own": _rotation()}),
    "stratified": Sampling("stratified", steps=STEPS - 1, direction=DIRECTION),
}


def counters_of(tiles: Sequence[int]) -> npt.NDArray[np.uint32]:
    """The counters of these tiles, one after the other."""
    return np.concatenate([tile_counters(1024 * tile, 1024) for tile in tiles])


def drawn(
    sampling: Sampling,
    counters: npt.NDArray[np.uint32],
    *,
    dtype: str = "float64",
    shocks: Sequence[Shock] = SHOCKS,
    assets: int = ASSETS,
    steps: int = STEPS,
    seed: int = SEED,
    tables: dict[str, npt.NDArray[Any]] = TABLES,
) -> dict[str, npt.NDArray[Any]]:
    """The draws ``(step, factor, path)`` of every shock, from step 1 on, and the weights ``(step, path)``."""
    n = 4 * len(counters)
    kind: type[Draws] = _DRAWS[sampling.method]
    draws = kind(shocks, sampling, seed=seed, n=n, assets=assets, dtype=np.dtype(dtype), tables=tables)
    draws.start(counters)
    kept: dict[str, list[npt.NDArray[Any]]] = {shock.name: [] for shock in shocks}
    weights = []
    for step in range(1, steps + 1):
        draws.draw(step)
        for shock, array in zip(shocks, draws.arrays, strict=True):
            kept[shock.name].append(array.copy())
        weights.append(np.ones(n) if draws.weights is None else draws.weights.reshape(n).astype(np.float64))
    return {name: np.stack(arrays) for name, arrays in kept.items()} | {"weights": np.stack(weights)}
