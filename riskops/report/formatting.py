"""How numbers are written for people: one way for money, levels, horizons and errors, shared by terminal and report."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

import numpy as np

__all__ = ["DASH", "Figure", "Money", "count_text", "horizon_text", "level_text", "percent_text", "short_name"]

#: What stands where a figure does not apply.
DASH = "–"


class Figure(NamedTuple):
    """One figure with its error; what does not apply is None."""

    value: float | None
    standard_error: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Money:
    """Money written in one unit and with one number of decimals throughout a portfolio's tables and plots."""

    currency: str
    divisor: float
    decimals: int

    @classmethod
    def fit(cls, currency: str, *, scale: float, largest: float | None = None) -> Money:
        """Choose how to write amounts up to ``scale``: in whole units up to 1e9, in thousands or millions beyond.

        The unit is that of the ``largest`` amount of a report, so that all its portfolios share it; amounts below
        100,000 of the unit have decimals.
        """
        divisor = next((unit for unit in (1.0, 1e3) if max(scale, largest or 0.0) <= 1e9 * unit), 1e6)
        scaled = scale / divisor
        decimals = min(max(5 - math.floor(math.log10(scaled)), 0), 12) if scaled > 0.0 else 2
        # One decimal looks unlike money, and three like thousands where the comma is a decimal point.
        return cls(currency, divisor, decimals + 1 if decimals in (1, 3) else decimals)

    @property
    def unit(self) -> str:
        """The unit as a table's head states it."""
        return self.currency + {1.0: "", 1e3: " thousand", 1e6: " million"}[self.divisor]

    @property
    def tick_format(self) -> str:
        """The same decimals as a numeral format for the ticks of an axis, trailing zeros left out."""
        return "0,0" + (f"[.]{'0' * self.decimals}" if self.decimals else "")

    def text(self, value: float | None, *, sign: bool = False) -> str:
        """Write an amount without its unit; ``sign`` writes the plus of a change too."""
        if value is None:
            return DASH
        return f"{value / self.divisor:{'+' if sign else ''}z,.{self.decimals}f}"

    def with_unit(self, value: float | None) -> str:
        """Write an amount followed by its unit."""
        return DASH if value is None else f"{self.text(value)} {self.unit}"

    def with_error(self, figure: Figure, *, sign: bool = False) -> str:
        """Write ``value ± standard error``."""
        text = self.text(figure.value, sign=sign)
        return text if figure.standard_error is None else f"{text} ± {self.text(figure.standard_error)}"

    def interval(self, figure: Figure, *, sign: bool = False) -> str:
        """Write the 95 % interval as ``low to high``."""
        if figure.low is None or figure.high is None:
            return DASH
        return f"{self.text(figure.low, sign=sign)} to {self.text(figure.high, sign=sign)}"


def level_text(level: float) -> str:
    """Write a confidence level as the percentage that its decimal means.

    Examples
    --------
    >>> level_text(0.975)
    '97.5 %'
    """
    return f"{(Decimal(repr(float(level))) * 100).normalize():f} %"


def horizon_text(days: float) -> str:
    """Write a horizon in trading days.

    Examples
    --------
    >>> horizon_text(10.0)
    '10 days'
    """
    return f"{days:g} day{'' if days == 1 else 's'}"


def percent_text(share: float | None, *, digits: int = 1) -> str:
    """Write a share as a percentage."""
    return DASH if share is None else f"{100 * share:z.{digits}f} %"


def count_text(value: object) -> str:
    """Write a whole number with separators of thousands, anything else as it is."""
    return f"{int(value):,}" if isinstance(value, (int, np.integer)) and not isinstance(value, bool) else str(value)


def short_name(text: str, *, longest: int = 36) -> str:
    """Leave out the middle of a long name.

    Examples
    --------
    >>> short_name("global_financial_crisis", longest=11)
    'globa…risis'
    """
    half = (longest - 1) // 2
    return text if len(text) <= longest else f"{text[:half]}…{text[-half:]}"
