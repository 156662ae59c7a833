"""The keys that say where the work is done; no figure depends on any of them."""

from __future__ import annotations

from typing import Any, Literal

from dask.utils import parse_bytes
from pydantic import Field, field_validator, model_validator

from riskops.cluster.settings import check_settings
from riskops.config.fields import Section, key
from riskops.errors import ConfigError, InputError

__all__ = ["ClusterSection"]


class TlsSection(Section):
    """Certificate files for tls:// and the kinds that listen on the network; null: those of Dask's configuration."""

    ca: str | None = key(None, "a file's path or null", "The authority that every node trusts.", min_length=1)
    cert: str | None = key(None, "a file's path or null", "The certificate that this side shows.", min_length=1)
    key: str | None = key(None, "a file's path or null", "The private key of that certificate.", min_length=1)


class AdaptiveSection(Section):
    """Workers that come and go with the work: for processes, slurm, pbs, lsf and kubernetes; null: a fixed number."""

    minimum: int | None = key(None, "an integer >= 1 or null", "Workers that stay.", ge=1)
    maximum: int | None = key(None, "an integer >= 1 or null", "The most workers; the plan reckons with them.", ge=1)


class ClusterSection(Section):
    """Where the work is done; no figure depends on it."""

    kind: Literal[
        "threads", "synchronous", "processes", "address", "cuda", "ssh", "slurm", "pbs", "lsf", "kubernetes"
    ] = key(
        "threads",
        "threads, synchronous, processes, address, cuda, ssh, slurm, pbs, lsf or kubernetes",
        "threads: in this process; synchronous: one task at a time; processes: a local Dask cluster; address: an "
        "existing Dask scheduler; cuda: a worker for each GPU here; ssh: other machines; slurm, pbs, lsf: jobs of a "
        "batch system; kubernetes: pods.",
    )
    address: str | None = key(
        None,
        "a scheduler's address (tls://host:8786) or null",
        "The scheduler, for kind address.",
        pattern=r"^[a-z]+://\S+$",
    )
    workers: int | None = key(
        None, "an integer >= 1 or null", "Threads, or worker processes; null: one for each core, or one job's.", ge=1
    )
    threads_per_worker: int | None = key(
        None, "an integer >= 1 or null", "Threads of each worker process that is started; null: 1.", ge=1
    )
    memory_limit: str | None = key(
        None,
        "a size (4GiB) or null",
        "Memory of each worker; null: an equal share of the machine. Jobs and pods must be told.",
    )
    allow_insecure: bool = key(
        False, "true or false", "Accept a scheduler on the network without TLS: whoever reaches it can run code."
    )
    dashboard: bool = key(False, "true or false", "Serve Dask's dashboard while the run lasts, and keep its report.")
    tls: TlsSection = Field(default_factory=TlsSection, description=TlsSection.__doc__)
    adaptive: AdaptiveSection = Field(default_factory=AdaptiveSection, description=AdaptiveSection.__doc__)
    options: dict[str, Any] = key(
        {}, "a mapping", "What one kind alone has; `riskops describe config` lists it as cluster.options.NAME."
    )

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
    def _check_together(self) -> ClusterSection:
        if self.kind == "address" and self.address is None:
            raise ConfigError("cluster.address: is missing; cluster.kind address needs a scheduler's address")
        if self.kind != "address" and self.address is not None:
            raise ConfigError(f"cluster.address: {self.address!r} is given, but cluster.kind is {self.kind}")
        try:
            check_settings(**self.model_dump())
        except InputError as problem:
            raise ConfigError(str(problem)) from None
        return self
