"""Tables made once on the host and read inside kernels: thresholds for discrete draws, monotone functions of a
normal."""

from riskops.tables.discrete import outcome, poisson_thresholds, row_of, thresholds
from riskops.tables.monotone import NormalTable, cubics, tabulate, value_at

__all__ = ["NormalTable", "cubics", "outcome", "poisson_thresholds", "row_of", "tabulate", "thresholds", "value_at"]
