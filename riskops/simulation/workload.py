"""How many numbers each path gives rise to, beyond the simulation itself: what a plan has to know of a job."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Workload"]


@dataclass(frozen=True)
class Workload:
    """Numbers a path, and what is computed and kept of them.

    Parameters
    ----------
    times, scenarios, models
        Growth is kept at these many times, in these many scenarios, which come from these many distinct models.
    portfolios, horizons, levels
        Losses are measured for each of them.
    tail_paths
        How many of the worst paths of a row the exact tail keeps.
    bracket_entries
        How many losses of a row a bounded tail holds instead, all brackets together; 0: the tail is kept whole.
    store_losses, store_paths
        What is written.
    dependence, contributions
        Whether covariances of the assets and their contributions to tail risk are computed.
    read_bytes, reads_losses
        Bytes of a path that are read of a stored run in the place of simulating, and whether those are losses, so that
        no growth is made.
    """

    times: int = 1
    scenarios: int = 1
    models: int = 1
    portfolios: int = 0
    horizons: int = 0
    levels: int = 0
    tail_paths: int = 0
    bracket_entries: int = 0
    store_losses: bool = False
    store_paths: bool = False
    dependence: bool = False
    contributions: bool = False
    read_bytes: int = 0
    reads_losses: bool = False

    @property
    def rows(self) -> int:
        """Losses a path: one for each scenario, portfolio and horizon."""
        return self.scenarios * self.portfolios * self.horizons

    def figures(self, assets: int) -> dict[str, int]:
        """How many figures come out, by the setting that asks for them."""
        changes = 2 if self.scenarios > 1 else 1
        return {
            "portfolios, stress.scenarios, risk.horizons or risk.levels": self.rows * (4 + 2 * changes * self.levels),
            "risk.dependence": assets * assets * self.horizons * self.dependence,
            "risk.contributions": 2 * self.portfolios * self.horizons * self.levels * assets * self.contributions,
        }
