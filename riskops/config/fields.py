"""What the sections of a configuration are made of: keys that say what they expect, and the kinds of their values."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from typing import Annotated, Any, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.fields import FieldInfo

from riskops.errors import ConfigError, InputError
from riskops.market.gaps import check_gap_policy
from riskops.portfolio import load_portfolios

__all__ = ["Date", "Names", "Numbers", "Section", "check_gaps", "inline_portfolio", "key", "listed", "section_of"]


def key(default: Any, expects: str, doc: str, *, item: str = "", **limits: Any) -> Any:
    """A key with its description, what it expects in words, and for a list what each item of it is."""
    return Field(default, description=doc, json_schema_extra={"expects": expects, "item": item}, **limits)


def listed(value: object) -> object:
    """YAML has lists only; frozen sections hold tuples."""
    return tuple(value) if isinstance(value, list) else value


def _iso_date(value: object) -> object:
    """A date may be quoted in YAML, and is text in JSON."""
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
        return datetime.date.fromisoformat(value)
    return value


def check_gaps(value: object) -> object:
    """A gap policy, as :func:`riskops.market.load_prices` takes it."""
    try:
        check_gap_policy(value)  # type: ignore[arg-type]
    except InputError as problem:
        raise ConfigError(f"market.{problem}") from None
    return value


def inline_portfolio(key: str, value: object) -> dict[str, Any]:
    """A portfolio written out in the configuration, checked as one read from a file is."""
    if not isinstance(value, Mapping):
        raise ConfigError(f"{key}: {value!r} is not a path or a mapping")
    try:
        load_portfolios(value)
    except InputError as problem:
        raise ConfigError(f"{key}: {str(problem).removeprefix('portfolios: ')}") from None
    return dict(value)


def section_of(field: FieldInfo | None) -> type[BaseModel] | None:
    """The section that a field holds, or may hold; None for a plain key."""
    kinds = () if field is None else (field.annotation, *get_args(field.annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


Names = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(listed)]
Numbers = Annotated[tuple[float, ...], BeforeValidator(listed)]
Date = Annotated[datetime.date, BeforeValidator(_iso_date)]


class Section(BaseModel):
    """A part of a configuration: no unknown keys, no conversions, no change once made."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
