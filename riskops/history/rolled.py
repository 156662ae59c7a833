"""What one task of the rolling engine finds, and where it may be kept: plain arrays of one method and one series."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from riskops.history.forecasts.base import Floats

__all__ = ["Memory", "Rolled"]


@dataclass(eq=False)
class Rolled:
    """What one task found for one series; the days of all arrays are the forecasts of the grid."""

    value_at_risk: Floats
    expected_shortfall: Floats
    value_at_risk_error: Floats
    expected_shortfall_error: Floats
    breach: npt.NDArray[np.bool_]
    probability: Floats
    refitted: npt.NDArray[np.bool_]
    failed: npt.NDArray[np.bool_]
    notes: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    @classmethod
    def empty(cls, levels: int, days: int) -> Rolled:
        """No forecast on any day."""
        first, second, third, fourth = (np.full((levels, days), np.nan) for _ in range(4))
        no = np.zeros(days, np.bool_)
        breach = np.zeros((levels, days), np.bool_)
        return cls(first, second, third, fourth, breach, np.full(days, np.nan), no, no.copy())

    def note(self, text: str, times: int = 1) -> None:
        """Count a note; of no times there is none."""
        if times:
            self.notes[text] = self.notes.get(text, 0) + times


class Memory(Protocol):
    """Where what a task found is kept, by method and series, and found again by the same work begun anew."""

    def recall(self, key: str) -> Rolled | None:
        """What was kept under a key; None where nothing was."""
        ...

    def keep(self, key: str, found: Rolled) -> None:
        """Keep what was found."""
        ...
