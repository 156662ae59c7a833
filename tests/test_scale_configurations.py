"""The configurations of configs/scale: the bundled books are those that their script makes, and all of them load."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from riskops.config import load_config
from riskops.market import load_prices
from riskops.run import prepare

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
