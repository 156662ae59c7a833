"""The built-in models: each kind is the name of its file in this folder, and each file holds one class."""

from __future__ import annotations

__all__ = ["BUILT_IN"]

BUILT_IN = {
    "bootstrap": "Bootstrap",
    "filtered_historical": "FilteredHistorical",
    "garch": "Garch",
    "geometric_brownian": "GeometricBrownianMotion",
    "heston": "Heston",
    "kou": "KouJumpDiffusion",
    "merton": "MertonJumpDiffusion",
    "pegged": "PeggedAsset",
    "regime_switching": "RegimeSwitching",
    "student_t": "StudentT",
    "student_t_copula": "StudentTCopula",
}
