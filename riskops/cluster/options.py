"""What ``cluster.options`` may hold: the settings that one kind of cluster has and the others have not."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from riskops.checks import check_integer, check_positive
from riskops.cluster.memory import parse_memory
from riskops.errors import InputError

__all__ = ["OPTIONS", "ClusterOption", "cluster_options", "options_of"]

_BATCH = ("slurm", "pbs", "lsf")


@dataclass(frozen=True)
class ClusterOption:
    """One setting: the kinds that have it, what it may hold, its default, and what it means."""

    name: str
    kinds: tuple[str, ...]
    expects: str
    description: str
    check: Callable[[str, Any], Any]
    """Takes the setting's full name and a value; returns the value or raises an ``InputError``."""
    default: Any = None
    required: bool = False


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or "\n" in value:
        raise InputError(f"{name}: {value!r} is not a text of one line")
    return value


def _texts(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not value:
        raise InputError(f"{name}: {value!r} is not a list of texts")
    return tuple(_text(f"{name}[{i}]", item) for i, item in enumerate(value))


def _hosts(name: str, value: Any) -> tuple[str, ...]:
    hosts = _texts(name, value)
    for i, host in enumerate(hosts):
        if any(c.isspace() for c in host) or "@" in host or host.startswith("-"):
            raise InputError(f"{name}[{i}]: {host!r} is not a host's name or address; the user is cluster.options.user")
    return hosts


def _at_least_one(name: str, value: Any) -> int:
    return check_integer(name, value, at_least=1)


def _port(name: str, value: Any) -> int:
    return check_integer(name, value, at_least=1, below=65536)


def _devices(name: str, value: Any) -> tuple[int, ...]:
    if not isinstance(value, list | tuple) or not value:
        raise InputError(f"{name}: {value!r} is not a list of device numbers")
    return tuple(check_integer(f"{name}[{i}]", item, at_least=0) for i, item in enumerate(value))


def _size(name: str, value: Any) -> int:
    size = parse_memory(value, name=name)
    if size is None:
        raise InputError(f"{name}: None is not a number of bytes such as 4GiB")
    return size


#: Every option, in the order in which they are listed. None: not given, the kind's own default holds.
OPTIONS = (
    ClusterOption(
        "hosts",
        ("ssh",),
        "a list of host names",
        "The machines, needed: each runs workers, the first one the scheduler too.",
        _hosts,
        required=True,
    ),
    ClusterOption("user", ("ssh",), "a name or null", "The user there; null: the same name as here.", _text),
    ClusterOption("port", ("ssh",), "an integer or null", "The port of the SSH server; null: 22.", _port),
    ClusterOption("key", ("ssh",), "a file's path or null", "The private key; null: those of ~/.ssh.", _text),
    ClusterOption(
        "known_hosts",
        ("ssh",),
        "a file's path or null",
        "The host keys that are trusted; null: ~/.ssh/known_hosts.",
        _text,
    ),
    ClusterOption(
        "workers_per_host", ("ssh",), "an integer >= 1", "Worker processes on each machine.", _at_least_one, default=1
    ),
    ClusterOption("queue", _BATCH, "a name or null", "The queue or partition; null: the site's default.", _text),
    ClusterOption("account", _BATCH, "a name or null", "The account or project that is charged.", _text),
    ClusterOption(
        "walltime", _BATCH, "a time (02:00:00) or null", "How long a job may last, as the batch system has it.", _text
    ),
    ClusterOption(
        "workers_per_job", _BATCH, "an integer >= 1", "Worker processes in each job.", _at_least_one, default=1
    ),
    ClusterOption(
        "interface",
        _BATCH,
        "a network interface (ib0) or null",
        "Where the scheduler, on this machine, and the workers listen; null: on every interface.",
        _text,
    ),
    ClusterOption(
        "prologue", _BATCH, "a list of shell lines or null", "Run in the job before the workers start.", _texts
    ),
    ClusterOption(
        "directives", _BATCH, "a list of texts or null", "Further lines of the job script's head (--exclusive).", _texts
    ),
    ClusterOption(
        "python",
        ("ssh", *_BATCH),
        "a path or null",
        "Python there; null: the same path as this one.",
        _text,
    ),
    ClusterOption(
        "image",
        ("kubernetes",),
        "a container image",
        "The image of scheduler and workers, needed: with riskops and the versions of this process.",
        _text,
        required=True,
    ),
    ClusterOption(
        "name", ("kubernetes",), "a name", "The cluster's name in Kubernetes.", _text, default="riskops-{uuid}"
    ),
    ClusterOption(
        "namespace", ("kubernetes",), "a name or null", "The namespace; null: that of the current context.", _text
    ),
    ClusterOption(
        "devices",
        ("cuda",),
        "a list of numbers or null",
        "The GPUs, a worker each; null: all that are seen.",
        _devices,
    ),
    ClusterOption(
        "rmm_pool_size",
        ("cuda",),
        "a size (4GiB) or null",
        "Device memory that each worker takes at once and hands out itself (RMM); null: CuPy's own pool.",
        _size,
    ),
    ClusterOption(
        "wait",
        ("ssh", *_BATCH, "kubernetes"),
        "seconds",
        "How long to wait for the workers; jobs may have to queue.",
        check_positive,
        default=600.0,
    ),
)


def options_of(kind: str) -> dict[str, ClusterOption]:
    """Return the options that a kind has, by name."""
    return {option.name: option for option in OPTIONS if kind in option.kinds}


def cluster_options(kind: str, given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the options given, checked, over the kind's defaults.

    Parameters
    ----------
    kind
        A kind of cluster.
    given
        What ``cluster.options`` holds; None for nothing. An option that is None counts as not given.

    Returns
    -------
    dict
        A value for each option of the kind.

    Raises
    ------
    InputError
        An option is unknown, has no meaning for this kind, is missing, or has a wrong value.

    Examples
    --------
    >>> cluster_options("cuda", {"devices": [0, 1]})
    {'devices': (0, 1), 'rmm_pool_size': None}
    """
    known = options_of(kind)
    for name in given or {}:
        if name not in known:
            raise InputError(_unknown(kind, str(name), known))
    values = {name: value for name, value in (given or {}).items() if value is not None}
    for name, option in known.items():
        if option.required and name not in values:
            raise InputError(f"cluster.options.{name}: is missing; kind {kind} needs {option.expects}")
    return {
        name: option.check(f"cluster.options.{name}", values[name]) if name in values else option.default
        for name, option in known.items()
    }


def _unknown(kind: str, name: str, known: Mapping[str, ClusterOption]) -> str:
    path = f"cluster.options.{name}"
    elsewhere = [option for option in OPTIONS if option.name == name]
    if elsewhere:
        return f"{path}: has no meaning with cluster.kind: {kind}; it is an option of {', '.join(elsewhere[0].kinds)}"
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}" if known else "it has none"
    return f"{path}: unknown option of kind {kind}; {hint}"
