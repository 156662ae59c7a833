"""Run by the tests in a process of its own: fills without the compiler, on the CPU or in CUDA's simulator, saved to a
file."""

from __future__ import annotations

import importlib
import sys

import numpy as np

from riskops import scalar

SIZES = {"words": (np.uint32,), "normals": (np.float32, np.float64), "uniforms": (np.float32, np.float64)}
KEYS = {"seed": 2**63 + 5, "step": 3, "stream": 2, "first_factor": 1}
PATHS = 301


def fills(module: str) -> dict[str, np.ndarray]:
    """Every fill of a module for one short tile, by name and dtype."""
    fill = importlib.import_module(module)
    counters = importlib.import_module("riskops.rng").tile_counters(5 * 1024, PATHS)
    out = {}
    for name, dtypes in SIZES.items():
        for dtype in dtypes:
            block = np.zeros((2, PATHS), dtype)
            getattr(fill, f"fill_{name}")(block, counters, **KEYS)
            out[f"{name}_{np.dtype(dtype)}"] = block
    return out


def functions() -> dict[str, np.ndarray]:
    """exp, expm1, log and the quantile on a few hundred points with all the special ones, as scalars."""
    rng = np.random.default_rng(3)
    points = np.concatenate([rng.normal(0, 1, 60), rng.uniform(-110, 100, 60), [0.0, np.inf, -np.inf, np.nan, 1e-40]])
    out = {}
    for name in ("exp", "expm1", "log"):
        for bits, kind in (("f32", np.float32), ("f64", np.float64)):
            function = getattr(scalar, f"{name}_{bits}")
            with np.errstate(all="ignore"):  # overflow and invalid are meant here; no wrapping of integers is
                out[f"{name}_{bits}"] = np.array([function(kind(x)) for x in points], dtype=kind)
    return out


if __name__ == "__main__":
    results = fills(sys.argv[1])
    if sys.argv[1] == "riskops.rng":
        results |= functions()
    np.savez(sys.argv[2], **results)
