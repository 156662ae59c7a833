"""The built-in models: each kind is the name of its file in this folder, and each file holds one class."""

from __future__ import annotations

__all__ = ["BUILT_IN"]

BUILT_IN = {
    "geometric_brownian": "GeometricBrownianMotion",
}
