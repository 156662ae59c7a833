"""The settings of a cluster, checked: what each kind has, what it needs, and what has no meaning for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from riskops.checks import check_integer, check_one_of
from riskops.cluster.memory import parse_memory
from riskops.cluster.options import cluster_options
from riskops.errors import InputError

__all__ = ["INSIDE", "KINDS", "Adaptive", "Settings", "Tls", "check_settings", "has_meaning"]

INSIDE = ("threads", "synchronous")
"""The kinds that compute inside this process."""

_BATCH = ("slurm", "pbs", "lsf")

KINDS = (*INSIDE, "processes", "address", "cuda", "ssh", *_BATCH, "kubernetes")
"""Every kind of cluster."""

#: The kinds for which a setting means something; ``kind`` and ``dashboard`` do for all.
_MEANING = {
    "address": ("address",),
    "workers": (*INSIDE, "processes", "address", *_BATCH, "kubernetes"),
    "threads_per_worker": ("processes", "ssh", *_BATCH, "kubernetes"),
    "memory_limit": (*INSIDE, "processes", "cuda", "ssh", *_BATCH, "kubernetes"),
    "allow_insecure": ("address", "ssh", *_BATCH, "kubernetes"),
    "tls": ("address", "ssh", *_BATCH),
    "adaptive": ("processes", *_BATCH, "kubernetes"),
    "options": ("cuda", "ssh", *_BATCH, "kubernetes"),
}


@dataclass(frozen=True)
class Tls:
    """The certificate files of one party: the authority that all trust, its own certificate, and the key to that."""

    ca: str
    cert: str
    key: str


@dataclass(frozen=True)
class Adaptive:
    """The bounds between which the number of workers follows the work."""

    minimum: int
    maximum: int


@dataclass(frozen=True)
class Settings:
    """The settings of one cluster; what was not given is None, options are complete."""

    kind: str
    address: str | None = None
    workers: int | None = None
    threads_per_worker: int | None = None
    memory_limit: int | None = None
    dashboard: bool = False
    allow_insecure: bool = False
    tls: Tls | None = None
    adaptive: Adaptive | None = None
    options: Mapping[str, Any] | None = None


def has_meaning(setting: str, kind: str) -> bool:
    """Return whether a setting means something for a kind of cluster.

    Examples
    --------
    >>> has_meaning("memory_limit", "processes"), has_meaning("tls", "processes")
    (True, False)
    """
    return kind in _MEANING.get(setting, KINDS)


def check_settings(
    kind: str = "threads",
    *,
    address: str | None = None,
    workers: int | None = None,
    threads_per_worker: int | None = None,
    memory_limit: int | str | None = None,
    dashboard: bool = False,
    allow_insecure: bool = False,
    tls: Mapping[str, str | None] | None = None,
    adaptive: Mapping[str, int | None] | None = None,
    options: Mapping[str, Any] | None = None,
) -> Settings:
    """Check the settings of a cluster; see :func:`riskops.cluster.open_cluster` for what they mean.

    Raises
    ------
    InputError
        A setting is out of range, missing, or has no meaning for this kind: no setting is ignored in silence.
    """
    check_one_of("cluster.kind", kind, KINDS)
    if workers is not None:
        check_integer("cluster.workers", workers, at_least=1)
    if threads_per_worker is not None:
        check_integer("cluster.threads_per_worker", threads_per_worker, at_least=1)
    limit = parse_memory(memory_limit)
    files, bounds = _tls(tls), _adaptive(adaptive)
    given = {
        "address": address,
        "threads_per_worker": threads_per_worker,
        "memory_limit": memory_limit,
        "allow_insecure": allow_insecure or None,
        "tls": None if files is None else dict(tls or {}),
        "adaptive": None if bounds is None else dict(adaptive or {}),
        "workers": None if kind == "synchronous" and workers == 1 else workers,
    }
    for name, value in given.items():
        idle = not has_meaning(name, kind) or (name == "workers" and kind == "synchronous")
        if value is not None and idle:
            raise InputError(f"cluster.{name}: {value!r} has no meaning with cluster.kind: {kind}")
    if bounds is not None and workers is not None:
        raise InputError(f"cluster.workers: {workers} has no meaning with cluster.adaptive, which bounds them")
    if limit is None and kind in (*_BATCH, "kubernetes"):
        raise InputError(f"cluster.memory_limit: is missing; kind {kind} asks for that much for each worker")
    if files is not None and address is not None and not address.startswith("tls://"):
        raise InputError(f"cluster.tls: has no meaning with {address}; certificates are for tls://")
    checked = cluster_options(kind, options)
    return Settings(
        kind, address, workers, threads_per_worker, limit, dashboard, allow_insecure, files, bounds, checked
    )


def _tls(given: Mapping[str, str | None] | None) -> Tls | None:
    """The certificate files; all three or none."""
    files = {name: path for name, path in (given or {}).items() if path is not None}
    if not files:
        return None
    for name in files:
        check_one_of("cluster.tls", name, ("ca", "cert", "key"))
    for name in ("ca", "cert", "key"):
        if name not in files:
            raise InputError(f"cluster.tls.{name}: is missing; TLS needs ca, cert and key")
    return Tls(**{name: str(Path(path).expanduser().absolute()) for name, path in files.items()})


def _adaptive(given: Mapping[str, int | None] | None) -> Adaptive | None:
    """The bounds of the number of workers; both or none."""
    bounds = {name: value for name, value in (given or {}).items() if value is not None}
    if not bounds:
        return None
    for name in bounds:
        check_one_of("cluster.adaptive", name, ("minimum", "maximum"))
    for name in ("minimum", "maximum"):
        if name not in bounds:
            raise InputError(f"cluster.adaptive.{name}: is missing; adaptive scaling needs minimum and maximum")
    # One worker at least: what its versions and its memory are has to be known before the work starts.
    minimum = check_integer("cluster.adaptive.minimum", bounds["minimum"], at_least=1)
    return Adaptive(minimum, check_integer("cluster.adaptive.maximum", bounds["maximum"], at_least=minimum))
