"""Every arrangement of the draws that serves a model, small: what the tests of devices run through."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from riskops.models import Model, Shock
from riskops.simulation import Sampling

__all__ = ["samplings"]


def samplings(model: Model) -> Iterator[Sampling]:
    """Plain and antithetic draws, and those that need normals or counts where the model draws them."""
    normals = [shock for shock in model.shocks if shock.kind == "normal"]
    counts = [shock for shock in model.shocks if shock.kind == "outcome"]

    def factors(shock: Shock) -> int:
        return shock.count(len(model.assets))

    yield Sampling()
    yield Sampling("antithetic")
    if normals or counts:
        tilt = {}
        for shock in counts:
            outcomes = model.tables(1 / 252)[str(shock.table)].shape[-1] + 1
            row = [1.0 - 1e-4 * (outcomes - 1), *(1e-4,) * (outcomes - 1)]
            tilt[shock.name] = tuple(row * factors(shock))
        shift = {shock.name: tuple(0.1 * (f + 1) for f in range(factors(shock))) for shock in normals[:1]}
        yield Sampling("importance", shift=shift, tilt=tilt)
    if not normals:
        return
    yield Sampling("moment_matching")
    first = normals[0]
    direction = np.arange(1, factors(first) + 1.0)
    along = tuple((direction / np.sqrt(np.sum(direction * direction))).tolist())
    yield Sampling("stratified", steps=2, direction={first.name: along})
    rotation = {first.name: (0.6, 0.8, -0.8, 0.6)} if factors(first) == 2 else {}
    yield Sampling("sobol", replicates=2, dimensions=3, steps=3, rotation=rotation)
