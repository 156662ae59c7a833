"""``python -m riskops`` is the command ``riskops``."""

from __future__ import annotations

from riskops.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
