"""Market data: load and validate prices, make returns of them."""

from __future__ import annotations

from riskops.market.datasets import list_datasets
from riskops.market.gaps import GapPolicy
from riskops.market.prices import load_prices, prices_checksum
from riskops.market.returns import log_returns, returns_over, simple_returns

__all__ = [
    "GapPolicy",
    "list_datasets",
    "load_prices",
    "log_returns",
    "prices_checksum",
    "returns_over",
    "simple_returns",
]
