"""The generator: every draw is a pure function of seed, path, step, factor and stream (contract C1)."""

from __future__ import annotations

from riskops.rng.convert import fill_low_words, normals_of_words, uniforms_of_words
from riskops.rng.fill import (
    MAX_PATHS,
    MAX_STREAM,
    TILE,
    fill_normals,
    fill_uniforms,
    fill_words,
    tile_counters,
)
from riskops.rng.ordering import bridge_intervals, bridge_matrix, dimension_order
from riskops.rng.sobol import MAX_DIMENSIONS, MAX_REPLICATES, fill_sobol_words, sobol_directions

__all__ = [
    "MAX_DIMENSIONS",
    "MAX_PATHS",
    "MAX_REPLICATES",
    "MAX_STREAM",
    "TILE",
    "bridge_intervals",
    "bridge_matrix",
    "dimension_order",
    "fill_low_words",
    "fill_normals",
    "fill_sobol_words",
    "fill_uniforms",
    "fill_words",
    "normals_of_words",
    "sobol_directions",
    "tile_counters",
    "uniforms_of_words",
]
