"""The benchmark of VaR from history: rows that agree, and texts that say what was compared."""

from __future__ import annotations

import json

import pytest

from riskops.bench import history as suite
from riskops.bench import run_suites
from riskops.bench.timing import Setting
from riskops.cluster import open_cluster
from riskops.errors import StoreError
from riskops.market import load_prices, returns_over


@pytest.mark.long
def test_suite_gives_rows_that_agree() -> None:
    rows = run_suites(["history"], say=lambda line: None, scale=0.01)
    assert [row.name for row in rows] == [
        "one window",
        "one window, forecast()",
        "correlation",
        "rolling",
        "rolling, four levels",
        "rolling, the engine",
        "refits",
        "memory",
    ]
    for row in rows:
        assert row.agrees, row
        assert row.ours_s > 0.0
        assert row.baseline_s > 0.0
        assert json.loads(json.dumps(row.record(), allow_nan=False)) == row.record()
    assert [row.unit for row in rows] == ["s"] * 7 + ["B"]
    assert [row.name for row in rows if row.target] == ["one window", "correlation", "rolling", "refits", "memory"]


def test_kernels_agree_with_pandas_and_numpy() -> None:
    returns = returns_over(load_prices("sp500"), days=1)[["simple_return"]].isel(observation=slice(-300, None))
    rows = [*suite._rolling(returns), suite._correlation(returns["simple_return"].to_numpy())]
    assert all(row.agrees for row in rows)


def test_refits_are_the_fits_of_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same comparison with Dask inside this process: the workers would import everything first."""
    monkeypatch.setattr(suite, "open_cluster", lambda kind, workers: open_cluster("synchronous"))
    returns = returns_over(load_prices("sp500"), days=1)[["simple_return"]]
    row = suite._refits(returns, Setting(lambda line: None, scale=0.01))
    assert row.agrees
    assert row.work.startswith("4 GARCH fits to 1,000 returns of 2 series")


def test_a_process_that_fails_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "MANY", "raise SystemExit(3)")
    with pytest.raises(StoreError, match="bench: the forecasts of 4 series did not run; the process ended with 3"):
        suite._memory(Setting(lambda line: None, scale=0.001))
