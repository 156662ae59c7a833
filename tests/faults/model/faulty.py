"""A model with a fault in one chunk, as a package outside riskops: geometric Brownian motion until that chunk comes.

What happens there is told by the environment, which worker processes inherit: ``FAULT`` is ``raise``, ``die``,
``memory`` or ``sleep``, ``FAULT_PATH`` the first path of the chunk, and ``FAULT_SIZE`` the bytes or the seconds.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from riskops.models import GeometricBrownianMotion, register


def _first_path() -> int | None:
    """Global number of the first path of the chunk that is worked on: the engine's block knows it."""
    frame: Any = sys._getframe()
    while frame is not None:
        info = frame.f_locals.get("block_info")
        if info is not None:
            return int(info[None]["array-location"][-1][0])
        frame = frame.f_back
    return None


def _fail(fault: str, size: float) -> None:
    if fault == "raise":
        raise ZeroDivisionError("the model's own mistake")
    if fault == "die":
        os._exit(11)
    if fault == "memory":
        held = np.ones(int(size) // 8)  # touched, so that it is resident
        time.sleep(2.0)  # longer than the nanny's look at the worker's memory
        del held
    if fault == "sleep":
        time.sleep(size)


@register
@dataclass(frozen=True, eq=False)
class Faulty(GeometricBrownianMotion):
    """Geometric Brownian motion with a fault in one chunk."""

    kind: ClassVar[str] = "faulty"

    @staticmethod
    def advance(
        state: Mapping[str, npt.NDArray[Any]],
        shocks: Mapping[str, npt.NDArray[Any]],
        tables: Mapping[str, npt.NDArray[Any]],
    ) -> None:
        """Add one step's growth, or fail."""
        where = os.environ.get("FAULT_PATH")
        if where is not None and _first_path() == int(where):
            _fail(os.environ["FAULT"], float(os.environ.get("FAULT_SIZE", "0")))
        GeometricBrownianMotion.advance(state, shocks, tables)
