"""A job small enough for examples in docstrings: two stocks, one portfolio, a second of work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from riskops.config import config_from_mapping
from riskops.run.job import RiskJob
from riskops.run.prepare import prepare

if TYPE_CHECKING:
    from riskops.config import Config

__all__ = ["small_config", "small_job"]


def small_config() -> Config:
    """Two bundled stocks in equal parts, one day, 4096 paths."""
    return config_from_mapping(
        {
            "market": {"prices": "sp500", "start": "2022-01-03", "assets": ["KO", "PEP"]},
            "portfolios": [{"name": "drinks", "capital": 1000.0, "weights": "equal"}],
            "simulation": {"paths": 4096, "seed": 1},
            "risk": {"levels": [0.95]},
        }
    )


def small_job() -> RiskJob:
    """The job of :func:`small_config`."""
    return prepare(small_config())
