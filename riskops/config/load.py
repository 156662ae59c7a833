"""From a YAML file, and what the command line sets over it, to a checked configuration, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from riskops.config.problems import config_error
from riskops.config.sections import Config, Whole
from riskops.errors import ConfigError, InputError
from riskops.textfile import parse_yaml, read_yaml

__all__ = ["config_from_mapping", "load_config", "overridden", "to_yaml", "validated"]

W = TypeVar("W", bound=Whole)


def load_config(path: str | Path, *, overrides: Sequence[str] = ()) -> Config:
    """Read a configuration file and check all of it.

    A relative path in the file (``market.prices``, ``portfolios``, ``model.factors``, ``stress.library``) is looked for
    in the folder of the configuration file first, then in the current one, and comes back absolute; ``store.root`` is
    relative to the current folder and stays so.

    Parameters
    ----------
    path
        A YAML file.
    overrides
        ``"key.path=value"``, each set over what the file says, the later over the earlier; the value is read as YAML
        (``simulation.paths=65536``, ``risk.levels=[0.95, 0.99]``, ``stress.library=null``).

    Returns
    -------
    Config
        Frozen, defaults filled in.

    Raises
    ------
    InputError
        The file cannot be read, or is not YAML.
    ConfigError
        A key is unknown or missing, or a value is not what its key expects; one line each, all of them.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder, "small.yaml")
    ...     _ = file.write_text("market: {prices: sp500}\\nportfolios: [{name: all, capital: 100, weights: equal}]")
    ...     config = load_config(file, overrides=["simulation.paths=4096"])
    >>> config.simulation.paths, config.risk.levels
    (4096, (0.95, 0.99))
    """
    data = read_yaml(path)
    if not isinstance(data, dict):
        found = "is empty" if data is None else f"holds {type(data).__name__}, not a mapping of keys"
        raise ConfigError(f"{path}: {found}; a configuration begins with market: and portfolios:")
    data = overridden(data, overrides)
    if data.get("job", "market_risk") != "market_risk":  # or every key of the other kind would be a line
        raise ConfigError(f"job: {data['job']!r} is not market_risk")
    return validated(Config, data, {"directory": str(Path(path).parent)})


def config_from_mapping(mapping: Mapping[str, Any]) -> Config:
    """Check a configuration given as plain data, such as a manifest holds; paths are taken as they stand.

    Parameters
    ----------
    mapping
        Sections by name, as :meth:`Config.resolved` gives them.

    Returns
    -------
    Config
        Frozen, defaults filled in.

    Raises
    ------
    ConfigError
        As :func:`load_config`.

    Examples
    --------
    >>> portfolio = {"name": "all", "capital": 100.0, "weights": "equal"}
    >>> config = config_from_mapping({"market": {"prices": "sp500"}, "portfolios": [portfolio]})
    >>> config_from_mapping(config.resolved()) == config
    True
    """
    return validated(Config, dict(mapping), None)


def to_yaml(config: Whole | Mapping[str, Any]) -> str:
    """The configuration as YAML text, every key with its value; :func:`load_config` reads it back as it was.

    Parameters
    ----------
    config
        A checked configuration of any kind of job, or what :meth:`Config.resolved` made of one.

    Returns
    -------
    str
        YAML, sections in the order in which ``riskops describe config`` lists them.

    Examples
    --------
    >>> config = config_from_mapping({"market": {"prices": "sp500"}, "portfolios": ["all.csv"]})
    >>> print(to_yaml(config)[:53])
    job: market_risk
    title: null
    market:
      prices: sp500
    """
    plain = config.resolved() if isinstance(config, Whole) else dict(config)
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=100)


def validated(kind: type[W], data: Mapping[Any, Any], context: Mapping[str, Any] | None) -> W:
    """A whole configuration of the kind, checked."""
    try:
        return kind.model_validate(data, context=dict(context) if context is not None else None)
    except ValidationError as error:
        raise config_error(error, kind) from None


def overridden(data: dict[Any, Any], overrides: Sequence[str]) -> dict[Any, Any]:
    """What a file says with each override set over it, the later over the earlier."""
    for override in overrides:
        data = _override(data, override)
    return data


def _override(data: dict[Any, Any], override: str) -> dict[Any, Any]:
    """A copy of ``data`` with one key set; mappings on the way are made where there are none."""
    key, equals, text = override.partition("=")
    names = key.strip().split(".")
    if not equals or not all(names):
        raise ConfigError(f"--set: {override!r} is not of the form key.path=value")
    try:
        value = parse_yaml(text, name=f"--set {key.strip()}")
    except InputError as problem:
        raise ConfigError(str(problem)) from None
    changed = dict(data)
    place = changed
    for name in names[:-1]:
        inner = place.get(name)
        place[name] = dict(inner) if isinstance(inner, dict) else {}
        place = place[name]
    place[names[-1]] = value
    return changed
