"""Reports of more portfolios than anybody looks at one by one: the largest are shown, the others are a line each."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from riskops.report import as_text, figures, summary_table, write_html

COUNT = 230


@pytest.fixture
def many(results: xr.Dataset) -> xr.Dataset:
    """The first portfolio of the example again and again, each larger than the one before."""
    copies = results.isel(portfolio=[0] * COUNT).assign_coords(portfolio=[f"book_{k:03d}" for k in range(COUNT)])
    larger = xr.DataArray(1.0 + 0.01 * np.arange(COUNT), dims="portfolio")
    grown = {
        name: (copies[name] * larger).transpose(*copies[name].dims).assign_attrs(copies[name].attrs)
        for name in copies.data_vars
        if "portfolio" in copies[name].dims and name != "loss_histogram"
    }
    return copies.assign(grown).assign_attrs(results.attrs)


def test_page_shows_the_largest_and_lists_the_others(many: xr.Dataset, tmp_path: Path) -> None:
    page = write_html(many, path=tmp_path / "report.html", configuration="", lineage={}).read_text("utf-8")
    sections = re.findall(r'<section class="portfolio" id="portfolio-\d+">\s*<h2>(.*?)</h2>', page)
    assert sections == [f"book_{k:03d}" for k in range(COUNT - 1, COUNT - 21, -1)]
    overview = page[page.index('id="overview"') : page.index('<section class="portfolio"')]
    listed = re.findall(r"book_\d{3}", overview)
    assert listed == [f"book_{k:03d}" for k in range(COUNT - 1, -1, -1)]
    assert overview.count("<details>") == 2
    assert "Portfolios 201 to 230" in overview
    assert f"every figure of the other {COUNT - 20} is in figures.csv" in overview
    assert overview.count('href="#portfolio-') == 20


def test_few_portfolios_stay_in_their_order(results: xr.Dataset, tmp_path: Path) -> None:
    page = write_html(results, path=tmp_path / "report.html", configuration="", lineage={}).read_text("utf-8")
    names = [str(name) for name in results["portfolio"].values]
    assert re.findall(r'<section class="portfolio" id="portfolio-\d+">\s*<h2>(.*?)</h2>', page) == names
    assert "<details>" not in page


def test_terminal_shows_the_largest_and_counts_the_others(many: xr.Dataset) -> None:
    text = as_text(summary_table(many))
    assert len(re.findall(r"^book_\d{3}", text, re.MULTILINE)) == 20
    assert f"{COUNT - 20} more portfolios are in the report and in figures.csv" in text


def test_every_figure_of_every_portfolio_is_listed(many: xr.Dataset) -> None:
    found = {record["portfolio"] for record in figures(many) if record["measure"] == "value_at_risk"}
    assert len(found) == COUNT
