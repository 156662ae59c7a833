"""Benchmarks: riskops against NumPy, dask.array, JAX and zarr, in one process, on the same cores, for equal outputs."""

from __future__ import annotations

from riskops.bench.rows import Row, Target, bench_table
from riskops.bench.suites import SUITES, run_suites

__all__ = ["SUITES", "Row", "Target", "bench_table", "run_suites"]
