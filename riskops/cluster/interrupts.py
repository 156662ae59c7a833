"""Ctrl-C around a cluster: it ends the computation, and neither cuts the closing short nor reaches the workers."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing import resource_tracker

__all__ = ["children_deaf_to_interrupts", "interrupts_deferred", "undisturbed"]


@contextmanager
def undisturbed() -> Iterator[ExitStack]:
    """A stack whose unwinding Ctrl-C does not cut short: that would leave processes to be waited for at exit."""
    with ExitStack() as stack:
        # What befalls the client is raised as an error; its log would say it again, as a traceback.
        for name in ("asyncio", "distributed.client"):
            notices = logging.getLogger(name)
            notices.addFilter(_is_worth_reading)
            stack.callback(notices.removeFilter, _is_worth_reading)
        try:
            yield stack
        finally:
            with interrupts_deferred():
                stack.close()


@contextmanager
def interrupts_deferred() -> Iterator[None]:
    """Let a Ctrl-C that comes inside the block take effect at its end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, _frame: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if came and callable(handler):
        handler(came[0], None)


@contextmanager
def children_deaf_to_interrupts() -> Iterator[None]:
    """Make processes that are started inside the block, and by threads that are, not hear Ctrl-C.

    A terminal sends it to them as well, but it is this process that ends them, in order. What a thread blocks is handed
    down to the threads and processes that it starts.
    """
    # Python's own helper of child processes would lift the block, were it started later.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _is_worth_reading(record: logging.LogRecord) -> bool:
    """Whether a notice is; those on lost connections, and on waits that an interrupted computation gave up, are not."""
    kind = record.exc_info[0] if record.exc_info else None
    return record.levelno < logging.ERROR or (record.name == "asyncio" and (kind is None or kind.__name__ != "AllExit"))
