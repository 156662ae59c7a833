"""The keys that say where a run is done and kept: store, report and cluster. No figure depends on any of them."""

from __future__ import annotations

from typing import Literal

from dask.utils import parse_bytes
from pydantic import field_validator, model_validator

from riskops.config.fields import Section, key
from riskops.errors import ConfigError

__all__ = ["ClusterSection", "ReportSection", "StoreSection"]


class StoreSection(Section):
    """Where runs are kept, and what of them."""

    root: str = key(
        "runs", "a folder's path", "Folder of all runs, relative to where riskops is started.", min_length=1
    )
    paths: bool = key(False, "true or false", "Keep the simulated paths (large).")
    losses: bool = key(True, "true or false", "Keep the loss of every path.")


class ReportSection(Section):
    """What is written besides the figures."""

    html: bool = key(True, "true or false", "Write report.html.")


class ClusterSection(Section):
    """Where the work is done; no figure depends on it."""

    kind: Literal["threads", "synchronous", "processes", "address"] = key(
        "threads",
        "threads, synchronous, processes or address",
        "threads: in this process; synchronous: one task at a time; processes: a local Dask cluster; address: an "
        "existing Dask scheduler.",
    )
    address: str | None = key(
        None,
        "a scheduler's address (tls://host:8786) or null",
        "The scheduler, for kind address.",
        pattern=r"^[a-z]+://\S+$",
    )
    workers: int | None = key(
        None, "an integer >= 1 or null", "Threads, or worker processes; null: one for each core.", ge=1
    )
    threads_per_worker: int | None = key(
        None, "an integer >= 1 or null", "Threads of each worker process, for kind processes.", ge=1
    )
    memory_limit: str | None = key(
        None, "a size (4GiB) or null", "Memory of each worker process, for kind processes; null: an equal share."
    )
    allow_insecure: bool = key(
        False, "true or false", "Accept a scheduler on another machine without TLS: whoever reaches it can run code."
    )
    dashboard: bool = key(False, "true or false", "Serve Dask's dashboard while the run lasts, and keep its report.")

    @field_validator("memory_limit")
    @classmethod
    def _check_memory(cls, value: str | None) -> str | None:
        try:
            good = value is None or parse_bytes(value) > 0
        except ValueError:
            good = False
        if not good:
            raise ConfigError(f"cluster.memory_limit: {value!r} is not a size (4GiB) or null")
        return value

    @model_validator(mode="after")
    def _check_address(self) -> ClusterSection:
        if self.kind == "address" and self.address is None:
            raise ConfigError("cluster.address: is missing; cluster.kind address needs a scheduler's address")
        if self.kind != "address" and self.address is not None:
            raise ConfigError(f"cluster.address: {self.address!r} is given, but cluster.kind is {self.kind}")
        return self
