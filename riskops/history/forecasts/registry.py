"""The methods by name: what ``--method`` and a configuration may say, and the forecaster that each stands for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from importlib import import_module
from typing import Any

from riskops.checks import check_one_of
from riskops.errors import InputError
from riskops.history.forecasts.base import Forecaster

__all__ = ["METHODS", "forecaster", "list_forecasters"]

#: Each method: the file and class that it is, and the settings that its name stands for.
METHODS: Mapping[str, tuple[str, str, Mapping[str, Any]]] = {
    "historical": ("historical_simulation", "Historical", {}),
    "age_weighted": ("historical_simulation", "AgeWeighted", {}),
    "volatility_weighted": ("historical_simulation", "VolatilityWeighted", {}),
    "normal": ("parametric", "Normal", {}),
    "student_t": ("parametric", "StudentT", {}),
    "skewed_t": ("parametric", "SkewedT", {}),
    "ewma": ("ewma", "Ewma", {}),
    "cornish_fisher": ("cornish_fisher", "CornishFisher", {}),
    "peaks_over_threshold": ("peaks_over_threshold", "PeaksOverThreshold", {}),
    "block_maxima": ("block_maxima", "BlockMaxima", {}),
    "garch_normal": ("garch", "GarchForecaster", {"volatility": "garch", "innovations": "normal"}),
    "garch_student_t": ("garch", "GarchForecaster", {"volatility": "garch", "innovations": "student_t"}),
    "garch_skewed_t": ("garch", "GarchForecaster", {"volatility": "garch", "innovations": "skewed_t"}),
    "gjr_normal": ("garch", "GarchForecaster", {"volatility": "gjr", "innovations": "normal"}),
    "gjr_student_t": ("garch", "GarchForecaster", {"volatility": "gjr", "innovations": "student_t"}),
    "gjr_skewed_t": ("garch", "GarchForecaster", {"volatility": "gjr", "innovations": "skewed_t"}),
    "egarch_normal": ("garch", "GarchForecaster", {"volatility": "egarch", "innovations": "normal"}),
    "egarch_student_t": ("garch", "GarchForecaster", {"volatility": "egarch", "innovations": "student_t"}),
    "egarch_skewed_t": ("garch", "GarchForecaster", {"volatility": "egarch", "innovations": "skewed_t"}),
    "filtered_historical": ("filtered", "FilteredHistorical", {}),
    "conditional_evt": ("filtered", "ConditionalExtremes", {}),
    "caviar_symmetric": ("caviar", "Caviar", {"dynamics": "symmetric"}),
    "caviar_asymmetric": ("caviar", "Caviar", {"dynamics": "asymmetric"}),
    "caviar_indirect_garch": ("caviar", "Caviar", {"dynamics": "indirect_garch"}),
}


def list_forecasters() -> dict[str, str]:
    """The names of the forecasting methods, each with a line about it.

    Returns
    -------
    dict
        Name to the first line of its documentation, in the order in which tables list them.

    Examples
    --------
    >>> list(list_forecasters())[:3]
    ['historical', 'age_weighted', 'volatility_weighted']
    """
    return {name: (_class_of(name).__doc__ or "").strip().splitlines()[0] for name in METHODS}


def forecaster(method: str | Mapping[str, Any] | Forecaster) -> Forecaster:
    """The forecaster that a name stands for, or a mapping of ``kind`` and settings; a forecaster is returned as it is.

    Raises
    ------
    InputError
        There is no such method, or it has no such setting, or the setting does not take that value.

    Examples
    --------
    >>> forecaster("historical").name
    'historical'
    """
    if not isinstance(method, str | Mapping):
        return method
    given = {"kind": method} if isinstance(method, str) else dict(method)
    kind = check_one_of("method", given.pop("kind", ""), tuple(METHODS))
    made = _class_of(kind)
    standing = dict(METHODS[kind][2])
    known = [field.name for field in fields(made) if field.init and field.name not in standing]
    unknown = [name for name in given if name not in known]
    if unknown:
        raise InputError(f"method: {kind} has no setting {unknown[0]!r}; it has {', '.join(known) or 'none'}")
    missing = [f.name for f in fields(made) if f.name in known and f.default is MISSING and f.name not in given]
    if missing:
        raise InputError(f"method: {kind} needs the setting {missing[0]!r}")
    found: Forecaster = made(**standing, **given)
    return found


def _class_of(name: str) -> Any:
    file, cls, _ = METHODS[name]
    return getattr(import_module(f"riskops.history.forecasts.{file}"), cls)
