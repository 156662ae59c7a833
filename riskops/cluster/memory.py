"""How much memory there is: of a machine or its control group, and as a setting says it."""

from __future__ import annotations

import os
from pathlib import Path

from dask.utils import parse_bytes

from riskops.checks import check_integer
from riskops.errors import InputError

__all__ = ["parse_memory", "total_memory"]


def total_memory() -> int:
    """Return the bytes of memory that this process may use: the machine's, or its control group's if that is less."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            limits.append(int(Path("/sys/fs/cgroup", name).read_text(encoding="ascii")))
        except (OSError, ValueError):
            # No control group of this version, or one without a limit (it then says "max").
            continue
    return min(limits)


def parse_memory(size: int | str | None, *, name: str = "cluster.memory_limit") -> int | None:
    """Return a size in bytes, given as such or with a unit (``"4GiB"``); None stays None."""
    if size is None:
        return None
    if isinstance(size, str):
        try:
            size = parse_bytes(size)
        except ValueError as error:
            raise InputError(f"{name}: {size!r} is not a number of bytes such as 4GiB") from error
    return check_integer(name, size, at_least=1)
