"""What a jump diffusion brings to its fit: the likelihood of a day's log return, and the parameters of common jumps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

__all__ = ["CommonJumps", "JumpLikelihood"]

Floats = npt.NDArray[np.float64]

#: From the returns on the days of common jumps less an ordinary day's mean ``(day, asset)``, the median of each day's
#: standardised returns ``(day,)``, and an ordinary day's covariance: the parameters of the common jumps.
CommonJumps = Callable[[Floats, Floats, Floats], Mapping[str, Any]]


class JumpLikelihood(ABC):
    """The likelihood of one asset's daily log returns in units of their standard deviation, around their mean.

    Its arguments ``theta`` are the mean of the diffusion, the logarithm of its deviation, and the jumps' parameters.
    """

    #: What ``theta`` is called in reports, and the parameters of the model that ``natural`` makes of it.
    labels: ClassVar[tuple[str, ...]]
    names: ClassVar[tuple[str, ...]]

    def __init__(self, x: Floats, largest: float) -> None:
        self.x = x
        #: The largest intensity a day.
        self.largest = largest
        #: Heavier than normal by at least a little, for the starts.
        self.skewness = float(np.mean(x**3))
        self.kurtosis = max(float(np.mean(x**4)) - 3.0, 0.1)

    @abstractmethod
    def starts(self) -> Sequence[Floats]:
        """Where to start from, by the moments of the sample."""

    @abstractmethod
    def bounds(self) -> Sequence[tuple[float, float]]:
        """The range of each of ``theta``."""

    @abstractmethod
    def log_density(self, theta: Floats) -> tuple[Floats, Floats, Floats]:
        """The log density of every return, its mean gradient in ``theta``, and its slope in the return."""

    @staticmethod
    @abstractmethod
    def natural(theta: Floats, deviation: float, days_per_year: float) -> Floats:
        """The parameters ``names`` of the model a year, for returns that were divided by ``deviation``."""
