"""Portfolios: what is held, what it is worth today, and what it loses on every path."""

from __future__ import annotations

from riskops.portfolio.files import load_portfolios
from riskops.portfolio.loss import portfolio_loss
from riskops.portfolio.positions import Portfolio, Position
from riskops.portfolio.resolve import book

__all__ = ["Portfolio", "Position", "book", "load_portfolios", "portfolio_loss"]
