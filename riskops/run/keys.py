"""Errors about arguments of the library, said of the keys of the configuration that they came from."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from riskops.errors import ConfigError, InputError

__all__ = ["keys_of"]


@contextmanager
def keys_of(section: str, names: Collection[str], *, otherwise: str = "") -> Iterator[None]:
    """An error about an argument becomes one about the key of the configuration that it came from."""
    try:
        yield
    except InputError as problem:
        text = str(problem)
        argument = text.partition(":")[0].partition("[")[0]
        raise ConfigError((f"{section}." if argument in names else otherwise) + text) from problem
