"""Stress scenarios: values that map the model or the prices to new ones, libraries of them, and replayed losses."""

from __future__ import annotations

from riskops.scenarios.events import Condition, Event
from riskops.scenarios.library import list_libraries, load_library
from riskops.scenarios.replay import replay_path, stress_losses
from riskops.scenarios.scenario import BASE, Scenario

__all__ = ["BASE", "Condition", "Event", "Scenario", "list_libraries", "load_library", "replay_path", "stress_losses"]
