"""The keys that say where a run is kept and what of it: store and report. No figure depends on any of them."""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import field_validator, model_validator

from riskops.checks import check_positive, check_unique
from riskops.config.fields import Section, key, listed
from riskops.errors import ConfigError

__all__ = ["ReportSection", "StoreSection"]

#: The kinds of stores that ``store.url`` may name.
SCHEMES = ("s3", "gs", "az", "file", "memory")


class StoreSection(Section):
    """Where runs are kept, and what of them."""

    root: str = key(
        "runs", "a folder's path", "Folder of all runs, relative to where riskops is started.", min_length=1
    )
    paths: bool = key(False, "true or false", "Keep the simulated paths (large).")
    times: Literal["horizons", "all"] | tuple[float, ...] = key(
        "horizons",
        "horizons, all or a list of numbers of days",
        "The times at which paths are kept, with store.paths: the horizons, the end of every step, or these days and "
        "the horizons.",
    )
    losses: bool = key(True, "true or false", "Keep the loss of every path.")
    url: str | None = key(
        None,
        "null or a URL such as s3://bucket/folder",
        "Where the arrays over paths go, below the run's name, instead of the run's folder: s3://, gs://, az://, "
        "file:// or memory://. Credentials come from the environment.",
    )

    @field_validator("url")
    @classmethod
    def _check_url(cls, value: str | None) -> str | None:
        if value is None:
            return value
        parts = urlsplit(value)
        if parts.scheme not in SCHEMES or not parts.netloc + parts.path.strip("/"):
            raise ConfigError(f"store.url: {value!r} is not a URL of {', '.join(SCHEMES)}, such as s3://bucket/folder")
        if parts.scheme == "file" and parts.netloc not in ("", "localhost"):
            raise ConfigError(f"store.url: {value!r} names the host {parts.netloc!r}; a folder here is file:///folder")
        if parts.scheme in ("s3", "gs", "az") and not parts.netloc:
            raise ConfigError(f"store.url: {value!r} names no bucket; write {parts.scheme}://bucket/folder")
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise ConfigError("store.url: credentials and options come from the environment, not from the URL")
        return value.rstrip("/")

    @field_validator("times", mode="wrap")
    @classmethod
    def _check_times(cls, value: Any, _: Any) -> Any:
        if value in ("horizons", "all"):
            return value
        days = listed(value)
        if not isinstance(days, tuple) or not days or not all(type(day) in (int, float) for day in days):
            raise ConfigError(f"store.times: {value!r} is not horizons, all or a list of numbers of days")
        for i, day in enumerate(days):
            check_positive(f"store.times[{i}]", day)
        check_unique("store.times", days)
        return tuple(sorted(float(day) for day in days))

    @model_validator(mode="after")
    def _check_kept(self) -> StoreSection:
        if self.times != "horizons" and not self.paths:
            raise ConfigError("store.times: means nothing without store.paths")
        return self


class ReportSection(Section):
    """What is written besides the figures."""

    html: bool = key(True, "true or false", "Write report.html.")
