"""Portfolios: what is held, what it is worth today, and what it loses on every path."""

from __future__ import annotations

from riskops.portfolio.book import book
from riskops.portfolio.files import load_portfolios
from riskops.portfolio.loss import portfolio_loss
from riskops.portfolio.positions import Portfolio, Position

__all__ = ["Portfolio", "Position", "book", "load_portfolios", "portfolio_loss"]
