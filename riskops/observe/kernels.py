"""Timers on the kernels for the length of a block, put on from outside: a run that nobody profiles has none.

Each kernel is timed by itself: what it spends in another timed kernel counts there.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from riskops.models import Model
from riskops.reductions import Reduction

__all__ = ["KernelTimers"]

#: What is timed, beside the models and the reductions: a name for people, the module, and the function or method in it.
TIMED = (
    ("mix shocks", "riskops.simulation.shocks", "MixedShocks.of"),
    ("begin a stretch", "riskops.simulation.stretch", "set_rows"),
    ("keep growth", "riskops.simulation.stretch", "keep_rows"),
    ("keep weights", "riskops.simulation.stretch", "copy_rows"),
    ("apply events", "riskops.simulation.stretch", "apply_events"),
    ("price the books", "riskops.portfolio.loss", "_loss"),
    ("write a chunk", "riskops.simulation.chunkfile", "StoredArray.write"),
    ("read a chunk", "riskops.simulation.chunkfile", "StoredArray.read"),
    ("digest tiles", "riskops.simulation.store", "tile_digests"),
    ("record digests", "riskops.simulation.records", "Records.write"),
)
#: Reductions that only hand on to others.
NESTED = ("Fused",)


class KernelTimers:
    """Seconds and calls by stage and kernel; not for several threads at once."""

    def __init__(self) -> None:
        self.seconds: dict[tuple[str, str], float] = {}
        self.calls: dict[tuple[str, str], int] = {}
        self._stage = ""
        self._inner = [0.0]

    def enter(self, stage: str) -> None:
        """What is timed from now on belongs to this stage."""
        self._stage = stage

    def of(self, stage: str) -> list[dict[str, Any]]:
        """The kernels of a stage, the longest first."""
        found = [(name, seconds) for (where, name), seconds in self.seconds.items() if where == stage]
        return [
            {"kernel": name, "calls": self.calls[stage, name], "bare_seconds": seconds}
            for name, seconds in sorted(found, key=lambda row: -row[1])
        ]

    @contextmanager
    def on(self, models: Iterable[Model]) -> Iterator[None]:
        """Time the kernels of everything that runs in the block, of these models among them."""
        with ExitStack() as stack:
            for name, place, attribute in self._places(models):
                original = place.__dict__[attribute]
                stack.callback(setattr, place, attribute, original)
                static = isinstance(original, staticmethod)
                timed = self._timed(name, original.__func__ if static else original)
                setattr(place, attribute, staticmethod(timed) if static else timed)
            yield

    def _timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self._inner.append(0.0)
            began = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                took = time.perf_counter() - began
                own = took - self._inner.pop()
                self._inner[-1] += took
                key = (self._stage, name)
                self.seconds[key] = self.seconds.get(key, 0.0) + own
                self.calls[key] = self.calls.get(key, 0) + 1

        return call

    @staticmethod
    def _places(models: Iterable[Model]) -> Iterator[tuple[str, Any, str]]:
        """Name, owner and attribute of everything to time."""
        for name, module, path in TIMED:
            owner: Any = importlib.import_module(module)
            *classes, attribute = path.split(".")
            for part in classes:
                owner = getattr(owner, part)
            yield name, owner, attribute
        draws = importlib.import_module("riskops.simulation.draws").Draws
        for kind in (draws, *_below(draws)):
            for attribute in ("start", "draw"):
                if attribute in kind.__dict__:
                    yield "draw numbers", kind, attribute
        steps = {
            (kind, attribute)
            for model in models
            for kind in type(model).__mro__
            for attribute in ("begin", "advance")
            if attribute in kind.__dict__ and not getattr(kind.__dict__[attribute], "__isabstractmethod__", False)
        }
        for kind, attribute in steps:
            yield "advance the model" if attribute == "advance" else "begin the model", kind, attribute
        for kind in _below(Reduction):
            for attribute in ("chunk", "combine", "finalize"):
                if attribute in kind.__dict__ and kind.__name__ not in NESTED:
                    yield f"{kind.__name__}.{attribute}", kind, attribute


def _below(kind: type) -> Iterator[type]:
    children: list[type] = kind.__subclasses__()
    for child in children:
        yield child
        yield from _below(child)
