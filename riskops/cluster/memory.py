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


def parse_memory(memory_limit: int | str | None) -> int | None:
    """Return a limit of memory in bytes, given as such or with a unit (``"4GiB"``); None stays None."""
    if memory_limit is None:
        return None
    if isinstance(memory_limit, str):
        try:
            memory_limit = parse_bytes(memory_limit)
        except ValueError as error:
            raise InputError(f"cluster.memory_limit: {memory_limit!r} is not a number of bytes such as 4GiB") from error
    return check_integer("cluster.memory_limit", memory_limit, at_least=1)
