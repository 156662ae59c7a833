"""Simulation models: the contract, the built-in models, and the registry that finds outside ones."""

from __future__ import annotations

from riskops.models.base import Model, Shock, State
from riskops.models.calibration import Calibration, calibrate
from riskops.models.correlation import cholesky, is_positive_definite, nearest_correlation, push_towards_one
from riskops.models.geometric_brownian import GeometricBrownianMotion
from riskops.models.registry import (
    describe_models,
    fit_options,
    from_record,
    get_model,
    list_models,
    register,
)

__all__ = [
    "Calibration",
    "GeometricBrownianMotion",
    "Model",
    "Shock",
    "State",
    "calibrate",
    "cholesky",
    "describe_models",
    "fit_options",
    "from_record",
    "get_model",
    "is_positive_definite",
    "list_models",
    "nearest_correlation",
    "push_towards_one",
    "register",
]
