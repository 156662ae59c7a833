"""Simulation models: the contract, the built-in models, and the registry that finds outside ones.

A model's class is imported from here too (``from riskops.models import GeometricBrownianMotion``); its file is loaded
when it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from riskops.models.base import Model, Shock, State
from riskops.models.built_in import BUILT_IN
from riskops.models.calibration import Calibration, calibrate
from riskops.models.correlation import cholesky, is_positive_definite, nearest_correlation, push_towards_one
from riskops.models.kernel import path_kernel
from riskops.models.registry import (
    describe_models,
    fit_options,
    from_record,
    get_model,
    list_models,
    register,
)

__all__ = [
    "Bootstrap",
    "Calibration",
    "FactorStructure",
    "FilteredHistorical",
    "Garch",
    "GeometricBrownianMotion",
    "Heston",
    "KouJumpDiffusion",
    "MertonJumpDiffusion",
    "Model",
    "PeggedAsset",
    "RegimeSwitching",
    "Shock",
    "State",
    "StudentT",
    "StudentTCopula",
    "calibrate",
    "cholesky",
    "describe_models",
    "fit_options",
    "from_record",
    "get_model",
    "given_loadings",
    "is_positive_definite",
    "list_models",
    "nearest_correlation",
    "path_kernel",
    "principal_factors",
    "push_towards_one",
    "recalibration_schedule",
    "regime_probabilities",
    "register",
]

#: Where the names live that are loaded when they are asked for.
_HOME_OF = {name: kind for kind, name in BUILT_IN.items()} | {
    "FactorStructure": "factor_structure",
    "given_loadings": "factor_loadings",
    "principal_factors": "factor_analysis",
    "recalibration_schedule": "pegged_fit",
    "regime_probabilities": "regime_history",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"riskops.models.{_HOME_OF[name]}"), name)
