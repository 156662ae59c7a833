"""What happens to a run, as log records: an event with its facts, under the loggers ``riskops.*``.

Nothing here configures logging: who wants the records adds a handler, as ``riskops run --log-json`` does.
"""

from __future__ import annotations

import logging
from typing import Any

__all__ = ["FACTS", "is_heard", "tell"]

#: The attribute of a log record that holds its facts, the event's name first.
FACTS = "riskops_facts"

_log = logging.getLogger("riskops.run")
# Without any handler Python would write warnings to standard error, across the progress bar.
logging.getLogger("riskops").addHandler(logging.NullHandler())


def is_heard() -> bool:
    """Whether anybody listens to ordinary events; counting for nobody can be left out."""
    return _log.isEnabledFor(logging.INFO)


def tell(event: str, *, level: int = logging.INFO, **facts: Any) -> None:
    """Log an event with its facts; those that are None are left out.

    Parameters
    ----------
    event
        What happened, one word: ``begun``, ``progress``, ``complete``.
    level
        A level of ``logging``.
    facts
        What a program may want to know of it: numbers, texts, lists and mappings of such.

    Examples
    --------
    >>> handler = logging.StreamHandler(__import__("sys").stdout)
    >>> log = logging.getLogger("riskops.run")
    >>> log.addHandler(handler)
    >>> tell("lost", level=logging.WARNING, worker="tcp://127.0.0.1:41001", stage=None)
    lost: worker=tcp://127.0.0.1:41001
    >>> log.removeHandler(handler)
    """
    if _log.isEnabledFor(level):
        given = {name: value for name, value in facts.items() if value is not None}
        text = ", ".join(f"{name}={value}" for name, value in given.items())
        _log.log(level, "%s", f"{event}: {text}" if text else event, extra={FACTS: {"event": event, **given}})
