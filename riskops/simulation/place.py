"""Where a stretch of paths is worked through: who makes its arrays, fills them with draws, and looks at whole tiles.

All the rest of a stretch, and of every arrangement of draws, is written once and runs at either place: kernels that
treat each path by itself find out from their arrays where they are (:func:`riskops.models.path_kernel`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from riskops.rng import fill_low_words, fill_normals, fill_sobol_words, fill_uniforms, fill_words, normals_of_words
from riskops.simulation.tile_kernels import match_tiles, mirror_tiles, stratify_words

__all__ = ["HOST", "Place"]


@dataclass(frozen=True)
class Place:
    """The functions that differ between a CPU and a device; each has the arguments of its name in ``HOST``."""

    #: ``empty(shape, dtype)``: an array whose numbers are not set. ``put(array)``: a NumPy array, as it is used there.
    empty: Callable[..., Any]
    put: Callable[..., Any]
    fill_words: Callable[..., None]
    fill_normals: Callable[..., None]
    fill_uniforms: Callable[..., None]
    fill_low_words: Callable[..., None]
    fill_sobol_words: Callable[..., None]
    normals_of_words: Callable[..., None]
    mirror_tiles: Callable[..., None]
    match_tiles: Callable[..., None]
    stratify_words: Callable[..., None]

    def fill(self, kind: str) -> Callable[..., None]:
        """The fill of a kind of shock."""
        return {"normal": self.fill_normals, "uniform": self.fill_uniforms}.get(kind, self.fill_words)


#: This process, with NumPy arrays.
HOST = Place(
    empty=np.empty,
    put=np.asarray,
    fill_words=fill_words,
    fill_normals=fill_normals,
    fill_uniforms=fill_uniforms,
    fill_low_words=fill_low_words,
    fill_sobol_words=fill_sobol_words,
    normals_of_words=normals_of_words,
    mirror_tiles=mirror_tiles,
    match_tiles=match_tiles,
    stratify_words=stratify_words,
)
