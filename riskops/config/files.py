"""Paths in a configuration: relative ones are looked for beside the configuration file, then where riskops started."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from riskops.errors import ConfigError
from riskops.market import list_datasets
from riskops.scenarios import list_libraries

__all__ = ["library_path", "loadings_path", "portfolio_path", "prices_path"]


def _find(key: str, value: str, context: Mapping[str, Any] | None, otherwise: str = "") -> str:
    """The absolute path of an existing file or folder; without a context the value is taken as it stands."""
    if context is None or "directory" not in context:
        return value
    given = os.path.expanduser(value)
    places = dict.fromkeys((os.path.abspath(context["directory"]), os.getcwd()))
    for place in places:
        path = os.path.normpath(os.path.join(place, given))
        if os.path.exists(path):
            return path
    looked = "" if os.path.isabs(given) else f" (looked in {' and '.join(places)})"
    raise ConfigError(f"{key}: {value!r} is no file{otherwise}{looked}")


def prices_path(value: str, context: Mapping[str, Any] | None, *, key: str = "market.prices") -> str:
    """A bundled data set's name as it is; else the path of a price file."""
    if value in list_datasets():
        return value
    return _find(key, value, context, f", and no bundled data set ({', '.join(list_datasets())})")


def portfolio_path(key: str, value: str, context: Mapping[str, Any] | None) -> str:
    """The path of a portfolio file."""
    return _find(key, value, context)


def loadings_path(value: Any, context: Mapping[str, Any] | None) -> Any:
    """The path of a file of factor loadings, which the option ``factors`` of a model is where it is text."""
    return _find("model.factors", value, context) if isinstance(value, str) else value


def library_path(value: str, context: Mapping[str, Any] | None) -> str:
    """The name of a library that comes with riskops as it is; else the path of one."""
    if value in list_libraries():
        return value
    return _find("stress.library", value, context, f", and no library of riskops ({', '.join(list_libraries())})")
