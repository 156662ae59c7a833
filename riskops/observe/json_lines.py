"""Log records as JSON, one object a line: for those who collect logs, not for people."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TextIO

from riskops.progress import FACTS

__all__ = ["JsonLines", "json_lines"]


class JsonLines(logging.Formatter):
    """Formats a record as one JSON object: ``time`` (UTC), ``level``, ``event``, ``run``, then the event's facts.

    A record that is no event of riskops gets the event ``warning`` or ``notice`` with its ``message``. Once a run was
    named, lines that name none belong to it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._run: str | None = None

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        facts: dict[str, Any] = getattr(record, FACTS, None) or {
            "event": "warning" if record.levelno >= logging.WARNING else "notice",
            "message": record.getMessage(),
            "logger": record.name,
        }
        self._run = facts.get("run") or self._run
        head = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": facts["event"],
        }
        if self._run is not None:
            head["run"] = self._run
        return json.dumps(head | {k: v for k, v in facts.items() if k not in head}, default=str, ensure_ascii=False)


@contextmanager
def json_lines(stream: TextIO) -> Iterator[None]:
    """Write what is logged inside the block to a stream, as JSON lines.

    Events of riskops from ``INFO`` on are written, of everything else, warnings of Python included, what is logged
    as a ``WARNING`` or worse. What loggers had before comes back at the end.

    Parameters
    ----------
    stream
        Where to; every line is flushed.

    Examples
    --------
    >>> import io, json
    >>> from riskops.progress import tell
    >>> stream = io.StringIO()
    >>> with json_lines(stream):
    ...     tell("begun", run="first", paths=4096)
    >>> {name: value for name, value in json.loads(stream.getvalue()).items() if name != "time"}
    {'level': 'info', 'event': 'begun', 'run': 'first', 'paths': 4096}
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    own, root = logging.getLogger("riskops"), logging.getLogger()
    # distributed has handlers of its own, which would write plain lines in between
    others = [log for log in (logging.getLogger("distributed"), logging.getLogger("asyncio")) if log.handlers]
    before = [(log, list(log.handlers), log.propagate) for log in others]
    level = own.level
    own.setLevel(logging.INFO)
    root.addHandler(handler)
    for log in others:
        log.handlers, log.propagate = [], True
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        for log, handlers, propagate in before:
            log.handlers, log.propagate = handlers, propagate
        root.removeHandler(handler)
        own.setLevel(level)
