"""The configuration's keys as a table, and a commented configuration to begin with, both made from the sections."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import xarray as xr
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined, to_jsonable_python

from riskops.cluster.options import OPTIONS
from riskops.config.fields import section_of
from riskops.config.options import describe_options
from riskops.config.sections import Config, Whole
from riskops.errors import InputError
from riskops.models import list_models
from riskops.scenarios import load_library
from riskops.schema import validate

__all__ = ["ConfigKey", "config_keys", "starter_config"]

#: Daily returns in the starter's calibration window, when there are as many: four years.
_WINDOW = 1008
_WIDTH = 110
#: The scenario library of a starter configuration.
_LIBRARY = "market"


class ConfigKey(NamedTuple):
    """One key: its path, what it may hold, its default, what it means, and whether it must be given."""

    key: str
    expects: str
    default: Any
    description: str
    required: bool = False


def config_keys(kind: type[Whole] = Config) -> tuple[ConfigKey, ...]:
    """All keys in the order in which a configuration lists them; a model's options are marked with the model's kind.

    Parameters
    ----------
    kind
        The configuration of a run, or of an analysis, whose sections from the run it reads are a row each.

    Returns
    -------
    tuple of ConfigKey
        Defaults are plain data.

    Examples
    --------
    >>> [key.default for key in config_keys() if key.key == "risk.levels"]
    [[0.95, 0.99]]
    """
    keys: list[ConfigKey] = []
    for name, field in kind.model_fields.items():
        section = section_of(field)
        if section is None or name in getattr(kind, "from_run", ()):
            keys.append(_row(name, field))
            continue
        # a section that may be left out whole has no defaults of its own
        rows = _rows(name, section)
        keys += [row._replace(default="as in the run") for row in rows] if field.default is None else rows
        if name == "model":
            keys += [
                ConfigKey(f"model.{option.name}", option.expects, option.default, f"({kind}) {option.description}")
                for kind in list_models()
                for option in describe_options(kind)
            ]
        if name == "cluster":
            keys += [
                ConfigKey(
                    f"cluster.options.{option.name}",
                    option.expects,
                    option.default,
                    f"({', '.join(option.kinds)}) {option.description}",
                )
                for option in OPTIONS
            ]
    return tuple(keys)


def starter_config(prices: str | Path, dataset: xr.Dataset, *, gaps: Any = "error") -> str:
    """A configuration to begin with for prices of one's own: every key, commented, and an equally weighted portfolio.

    Parameters
    ----------
    prices
        The path, or the bundled data set's name, as it shall stand in the configuration.
    dataset
        The prices themselves: ``price`` ``(observation, asset)``.
    gaps
        The policy for gaps that they were loaded with.

    Returns
    -------
    str
        YAML text that :func:`load_config` accepts.

    Raises
    ------
    InputError
        ``dataset`` has no ``price``.

    Examples
    --------
    >>> from riskops.market import load_prices
    >>> text = starter_config("sp500", load_prices("sp500", start="2015-01-02"))
    >>> "prices: sp500" in text
    True
    """
    validate(dataset, "price")
    dates = dataset["observation"].values.astype("datetime64[D]").astype(str)
    window = _WINDOW if len(dates) > _WINDOW else None  # None: all, also when a policy leaves fewer
    values: dict[str, Any] = {
        "title": f"Market risk of {Path(prices).name.split('.')[0]}",
        "market.prices": str(prices),
        "market.gaps": gaps,
        "portfolios": [{"name": "equal_weight", "capital": 1_000_000, "weights": "equal"}],
        "model.window": window,
        "simulation.steps": 10,
        "risk.horizons": [1, 10],
        "stress.library": _LIBRARY,
    }
    head = [
        f"# {dataset.sizes['asset']} assets, {len(dates)} dates from {dates[0]} to {dates[-1]}.",
        "# `riskops plan` says what would run, `riskops run` runs it, `riskops describe config` explains the keys.",
    ]
    left_out = [name for name, applies in _scenarios(dataset) if not applies]
    if left_out:
        values["stress.scenarios"] = [name for name, applies in _scenarios(dataset) if applies]
        head += _comment(f"Scenarios of {_LIBRARY} whose dates or assets these prices lack: {', '.join(left_out)}.", "")
    return "\n".join((*head, *_lines(values))) + "\n"


def _scenarios(prices: xr.Dataset) -> Iterator[tuple[str, bool]]:
    """The scenarios of the library, and whether they apply to these prices."""
    for scenario in load_library(_LIBRARY):
        try:
            scenario.price_shock(prices)
        except InputError:
            yield scenario.name, False
        else:
            yield scenario.name, True


def _lines(values: Mapping[str, Any]) -> Iterator[str]:
    keys = {row.key: row for row in config_keys()}
    options = {f"model.{option.name}": option for option in describe_options(keys["model.kind"].default)}
    for name, field in Config.model_fields.items():
        section = section_of(field)
        yield ""
        if section is None:
            yield from _entry(name, keys[name].description, values.get(name, keys[name].default), "")
            continue
        yield from _comment(field.description or "", "")
        yield f"{name}:"
        for inner, about in section.model_fields.items():
            nested = section_of(about)
            if nested is None:
                row = keys[f"{name}.{inner}"]
                yield from _entry(inner, row.description, values.get(row.key, row.default), "  ")
                continue
            yield from _comment(about.description or "", "  ")
            yield f"  {inner}:"
            for row in _rows(f"{name}.{inner}", nested):
                yield from _entry(row.key.split(".")[-1], row.description, values.get(row.key, row.default), "    ")
        for key, option in options.items() if name == "model" else ():
            yield from _entry(option.name, option.description, values.get(key, option.default), "  ")


def _entry(name: str, description: str, value: Any, indent: str) -> Iterator[str]:
    yield from _comment(description, indent)
    flat = not (isinstance(value, list) and value and isinstance(value[0], dict))
    if isinstance(value, str):
        # JSON's quotes are YAML's, and plain words need none
        plain = yaml.safe_load(value) == value if value.replace("_", "").isalnum() else False
        yield f"{indent}{name}: {value if plain else json.dumps(value, ensure_ascii=False)}"
    elif flat:
        yield f"{indent}{name}: {json.dumps(value)}"
    else:
        yield f"{indent}{name}:"
        yield textwrap.indent(yaml.safe_dump(value, sort_keys=False), indent + "  ").rstrip()


def _comment(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")


def _rows(prefix: str, section: type[BaseModel]) -> list[ConfigKey]:
    """The keys of a section, and of the sections inside it."""
    keys: list[ConfigKey] = []
    for name, field in section.model_fields.items():
        inner = section_of(field)
        keys += [_row(f"{prefix}.{name}", field)] if inner is None else _rows(f"{prefix}.{name}", inner)
    return keys


def _row(key: str, field: FieldInfo) -> ConfigKey:
    extra = field.json_schema_extra
    expects = str(extra["expects"]) if isinstance(extra, dict) else ""
    required = field.default is PydanticUndefined
    default = None if required else to_jsonable_python(field.default)
    return ConfigKey(key, expects, default, field.description or "", required)
