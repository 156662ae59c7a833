"""Forecasts and backtests as people read them: tables for the terminal, and one page."""
