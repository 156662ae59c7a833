"""The generator: every draw is a pure function of seed, path, step, factor and stream (contract C1)."""

from __future__ import annotations

from riskops.rng.fill import (
    MAX_PATHS,
    MAX_STREAM,
    TILE,
    fill_normals,
    fill_uniforms,
    fill_words,
    tile_counters,
)

__all__ = [
    "MAX_PATHS",
    "MAX_STREAM",
    "TILE",
    "fill_normals",
    "fill_uniforms",
    "fill_words",
    "tile_counters",
]
