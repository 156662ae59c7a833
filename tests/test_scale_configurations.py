"""The big configurations: the bundled books are those that their script makes, and all of them are prepared."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from riskops.cluster import open_cluster
from riskops.config import load_backtest, load_config
from riskops.history.backtests import list_backtests
from riskops.history.forecasts import METHODS
from riskops.market import load_prices
from riskops.run import prepare
from riskops.run.backtest.plan import plan_backtest

FOLDER = Path(__file__).parents[1] / "configs" / "scale"


def test_books_are_those_of_their_script() -> None:
    table = runpy.run_path(str(FOLDER / "make_books.py"))["table"]
    assets = [str(name) for name in load_prices("sp500")["asset"].values]
    assert (FOLDER / "books.csv").read_text("utf-8") == table(assets)
    assert (FOLDER / "books.csv").stat().st_size <= 400_000


@pytest.mark.parametrize(("name", "rows"), [("portfolios_1000", 1000), ("64m_paths", 6)])
def test_configurations_are_whole(name: str, rows: int) -> None:
    job = prepare(load_config(FOLDER / f"{name}.yaml"))
    assert job.workload.rows == rows
    assert job.workload.bracket_entries > 0  # their tails are not kept whole


def test_the_backtest_has_every_method_series_and_day(tmp_path: Path) -> None:
    job = prepare(load_backtest(FOLDER.parent / "var_backtest.yaml"))
    assert len(job.methods) == len(METHODS)
    assert list(job.tests) == list(list_backtests())
    assert len(job.assets) == 21  # the stocks and the index
    assert job.series["asset"].values.tolist() == [*job.assets, *job.weights]
    assert [str(job.prices["observation"].values[k])[:10] for k in (0, -1)] == ["1990-01-02", "2022-12-28"]
    with open_cluster("threads", workers=2) as cluster:
        planned = plan_backtest(job, cluster=cluster, place=tmp_path)
    assert (planned.series, planned.days, planned.tasks) == (22, 8312 - 1000, 22 * len(METHODS))
