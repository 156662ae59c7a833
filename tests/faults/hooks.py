"""A process that kills itself before its n-th operation on a file in a run, or counts them."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["watch_operations"]

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_EVENTS = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.truncate", "shutil.rmtree"}


def watch_operations(environment: Mapping[str, str]) -> Callable[[], None]:
    """As ``FAULT_OPERATION`` or ``FAULT_COUNT`` in the environment of a command asks; nothing without them.

    What is returned writes the count, at the command's end.

    Python announces each operation before it makes it, so the process dies with the (n-1)-th done and the n-th not.
    """
    target = int(environment.get("FAULT_OPERATION", "0"))
    count_file = environment.get("FAULT_COUNT")
    if not target and count_file is None:
        return lambda: None
    seen = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        if event == "open":
            path, _, flags = arguments
            if not isinstance(flags, int) or not flags & _WRITING or "__pycache__" in str(path):
                return
        elif event not in _EVENTS or "__pycache__" in str(arguments[0]):
            return
        if ".partial" not in str(arguments):
            return
        seen += 1
        if seen == target:
            os.kill(os.getpid(), signal.SIGKILL)

    def write_count() -> None:
        if count_file is not None:
            Path(count_file).write_text(str(seen), "ascii")

    sys.addaudithook(hook)
    return write_count
