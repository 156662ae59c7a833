"""Risk from observed returns: historical simulation."""

from __future__ import annotations

from riskops.history.historical import historical_losses, historical_value_at_risk

__all__ = ["historical_losses", "historical_value_at_risk"]
