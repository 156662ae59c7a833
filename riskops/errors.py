"""What can go wrong, in one small family: every error is a ``RiskopsError`` and also the built-in kind it resembles.

The text of each is one line that names the thing at fault, the value it had and what was expected. The command line
prints that line and exits with status 2; library users may catch either name.
"""

from __future__ import annotations

__all__ = [
    "ClusterError",
    "ConfigError",
    "InputError",
    "MissingExtraError",
    "PlanError",
    "RiskopsError",
    "StoreError",
]


class RiskopsError(Exception):
    """The root of the family; never raised itself."""


class InputError(RiskopsError, ValueError):
    """An argument, a table or a file holds what it must not."""


class ConfigError(InputError):
    """A configuration is wrong; the text begins with the key's path (``simulation.paths: ...``)."""


class PlanError(InputError):
    """What was asked for does not fit (memory, disk, number of paths); the text names the setting to change."""


class StoreError(RiskopsError, OSError):
    """A run directory is incomplete, damaged, foreign, or stands where a new one was to be made."""


class ClusterError(RiskopsError, ConnectionError):
    """A scheduler does not answer, or may not be used as it was asked for."""


class MissingExtraError(RiskopsError, ImportError):
    """An optional package is absent; the text names the extra to install."""
