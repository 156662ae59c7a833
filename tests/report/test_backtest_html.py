"""The page of a backtest is one file that is complete, loads nothing, and shows the figures of the results."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from riskops.report import write_backtest_html
from riskops.report.example import example_backtest

LINEAGE = {"Specification (sha256)": "ab" * 32, "Seed": "1"}
TIMINGS = {"seconds": 12.5, "stages": {"roll": {"tasks": 6, "seconds": 9.0}}}


@pytest.fixture(scope="module")
def results() -> xr.Dataset:
    """Four series, so that two are drawn and two are in tables only."""
    found = example_backtest()
    four = found.isel(asset=[0, 1, 0, 1]).assign_coords(asset=["A", "B", "INDEX", "equal"])
    return four.assign_attrs(weights='{"equal": {"A": 1.0}}', as_of="2022-12-28", simulations=999)


@pytest.fixture(scope="module")
def page(results: xr.Dataset, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("backtest") / "report.html"
    fitted = {"right": 1.25, "thin": 0.0, "ensemble": 0.0}
    given = {"configuration": "window: 250\n", "lineage": LINEAGE, "timings": TIMINGS, "fit_seconds": fitted}
    assert write_backtest_html(results, path=path, **given) == path
    return path.read_text(encoding="utf-8")


def written(results: xr.Dataset, folder: Path) -> str:
    return write_backtest_html(results, path=folder / "r.html", configuration="", lineage={}).read_text("utf-8")


def without_scripts(page: str) -> str:
    return re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


def tables(text: str) -> list[list[list[str]]]:
    """All rows of all tables of a part of the page, as the text of their cells."""
    return [
        [[html.unescape(re.sub("<[^>]*>", " ", cell)).strip() for cell in re.findall(r"<td.*?</td>", row, re.DOTALL)]
         for row in re.findall(r"<tr.*?</tr>", table, re.DOTALL)[1:]]
        for table in re.findall(r"<table.*?</table>", text, re.DOTALL)
    ]  # fmt: skip


def section(page: str, name: str) -> str:
    body = without_scripts(page)
    start = body.index(f'<section id="{name}">')
    return body[start : body.index("</section>", start)]


def test_nothing_is_loaded_from_a_network(page: str) -> None:
    assert not re.search(r"""(src|href)\s*=\s*["'`]?\s*(https?:)?//""", page, flags=re.IGNORECASE)
    assert not re.search(r"@import|url\(|<link", without_scripts(page))
    assert "default-src 'none'" in page
    assert "cdn." not in page


def test_plots_need_no_evaluation(page: str) -> None:
    """The page's own policy forbids code in texts: a plot with CustomJS would stay empty."""
    assert "CustomJS" not in "".join(re.findall(r'<script type="application/json".*?</script>', page, re.DOTALL))
    assert len(re.findall(r'data-root-id="', page)) == 1 + 2 * 4


def test_every_section_is_there_and_linked(page: str) -> None:
    names = ("ranking", "breaches", "traffic-lights", "tests", "ensemble", "notes", "methods", "reading")
    for name in (*names, "configuration", "timings", "lineage"):
        assert page.count(f'<section id="{name}">') == 1
        assert f'<a href="#{name}">' in page


def test_tags_are_balanced(page: str) -> None:
    class Reader(HTMLParser):
        open: list[str] = []  # noqa: RUF012
        empty = ("meta", "br", "link")

        def handle_starttag(self, tag: str, attrs: object) -> None:
            if tag not in self.empty:
                self.open.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert self.open.pop() == tag

    reader = Reader()
    reader.feed(without_scripts(page))
    assert reader.open == []


def test_p_values_of_every_level_and_series_are_on_the_page(results: xr.Dataset, page: str) -> None:
    found = tables(section(page, "tests"))
    assert len(found) == 2 * 4
    order = [(level, series) for level in (0.99, 0.95) for series in results["asset"].values.tolist()]
    for (level, series), rows in zip(order, found, strict=True):
        at = results.sel(level=level, asset=series)
        ranked = at["method"].values[np.argsort(at["score"].values[0])].tolist()
        assert [row[0] for row in rows] == ranked
        for row in rows:
            one = at.sel({"method": row[0]})
            assert row[1] == str(one["breaches"].item())
            assert row[2] == f"{one['score'].item():.4f}"
            assert row[3] == ("yes" if one["in_confidence_set"] else "no")
            both = [one[name].values.tolist() for name in ("simulated_p_value", "p_value")]
            assert [cell.split() for cell in row[4:]] == [[f"{a:.3f}", f"{b:.3f}"] for a, b in zip(*both, strict=True)]
    marked = section(page, "tests").count('<td class="rejected">')
    assert marked == int(results["rejected"].sum())


def test_the_ranking_agrees_with_the_results(results: xr.Dataset, page: str) -> None:
    found = tables(section(page, "ranking"))
    for level, rows in zip((0.99, 0.95), found, strict=True):
        at = results.sel(level=level)
        for rank, row in enumerate(rows, start=1):
            one = at.sel({"method": row[0]})
            rate = (one["breaches"] / one["forecasts"]).mean().item()
            shares = [f"{100 * share:.0f} %" for share in one["rejected"].mean("asset").values]
            everything = f"{100 * one['rejected'].mean().item():.0f} %"
            score, sets = f"{one['score'].mean().item():.4f}", int(one["in_confidence_set"].sum())
            assert row[1:] == [str(rank), f"{100 * rate:.2f} %", *shares, everything, score, f"{sets} of 4"]


def test_years_weights_notes_and_methods(results: xr.Dataset, page: str) -> None:
    yearly = tables(section(page, "traffic-lights"))
    assert len(yearly) == 2  # of the series that are not drawn
    at = results.sel(asset="B", level=0.99)
    for row in yearly[1]:
        assert row[1:] == [str(count) for count in at["yearly_breaches"].sel({"method": row[0]}).values]
    reds = int((results.sel(asset=["A", "B"], level=0.99)["traffic_light_zone"] == "red").sum())
    assert section(page, "traffic-lights").count('<td class="red">') == reds
    (weights,) = tables(section(page, "ensemble"))
    mean = results["ensemble_weight"].sel(level=0.99).mean("observation")
    for row in weights:
        assert row[1:] == [f"{100 * share:.1f} %" for share in mean.sel(member=row[0]).values]
    assert tables(section(page, "notes")) == [[["thin", "scale at its bound", "A, INDEX", "6"]]]
    (methods,) = tables(section(page, "methods"))
    assert [row[0] for row in methods] == ["right", "thin", "ensemble"]
    assert methods[1][2:] == ["scale 0.7", "one day ahead", "0.0"]
    (tests,) = tables(section(page, "reading"))
    assert tests[1] == ["independence", "independence", "They do not cluster."]


def test_findings_configuration_timings_and_lineage(page: str) -> None:
    assert "<li>By the Fissler-Ziegel score right is first of 3 and ensemble number 2" in page
    assert "<pre>window: 250\n</pre>" in page
    assert "12.5 seconds from beginning to end. The seconds of a stage are summed over the workers. No figure" in page
    assert "Paths a second" not in without_scripts(page)
    assert f'<td class="name">Specification (sha256)</td><td class="name">{"ab" * 32}</td>' in page
    assert "<title>Example of a backtest</title>" in page
    assert "come from 999 samples" in page


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    attack = "<script>alert('x')</script>"
    named = example_backtest().assign_coords(
        method=[attack, "</td><b>", "$$x$$"], asset=[attack, "</details><i>"], test=[attack, "independence", "z2"]
    )
    notes = np.array([[f'{{"{attack}": 1}}'] * 2] * 3, dtype=object)
    named["forecast_notes"] = (("method", "asset"), notes)
    named = named.assign_coords(
        null_hypothesis=("test", [attack, "b", "c"]), member=[attack, "</td><b>"], horizon_rule=("method", [attack] * 3)
    )
    named.attrs |= {"title": attack, "methods": f'[{{"kind": "{attack}", "a": "{attack}"}}, {{"kind": "b"}}]'}
    path = write_backtest_html(
        named,
        path=tmp_path / "r.html",
        configuration=f"</pre>{attack}",
        lineage={attack: attack},
        fit_seconds={attack: 1.0},
    )
    page = path.read_text(encoding="utf-8")
    assert attack not in page
    assert "</td><b>" not in page
    assert "</details><i>" not in page
    assert "</pre>&lt;script" not in page


@pytest.mark.parametrize(
    ("missing", "gone"),
    [
        (("realised_loss",), ("breaches",)),
        (("traffic_light_zone",), ("traffic-lights",)),
        (("ensemble_weight",), ("ensemble",)),
        (("forecast_notes",), ("notes",)),
        (("score", "in_confidence_set"), ()),
        (("p_value", "simulated_p_value", "rejected", "test", "null_hypothesis"), ()),
    ],
)
def test_what_is_missing_leaves_its_section_out(
    results: xr.Dataset, tmp_path: Path, missing: tuple[str, ...], gone: tuple[str, ...]
) -> None:
    page = written(results.isel(asset=[0]).drop_vars(missing), tmp_path)
    for name in ("ranking", "breaches", "traffic-lights", "tests", "ensemble", "notes", "methods"):
        assert (f'<section id="{name}">' in page) == (name not in gone)
    assert "nan" not in re.sub(r"<[^>]*>", "", without_scripts(page)).lower().split()


def test_one_confidence_set_for_all_series(results: xr.Dataset, tmp_path: Path) -> None:
    pooled = results.assign(in_confidence_set=results["in_confidence_set"].isel(asset=1, drop=True))
    page = written(pooled, tmp_path)
    assert [row[-1] for row in tables(section(page, "ranking"))[0]] == ["yes", "no", "no"]
    assert "A model confidence set of all series together holds the best method" in page
    assert "In set" not in section(page, "tests")


def test_failures_are_told(results: xr.Dataset, tmp_path: Path) -> None:
    held = results.isel(asset=[0, 1]).copy(deep=True)
    held["forecast_failed"][1, 0, :40] = True
    page = written(held, tmp_path)
    assert tables(section(page, "notes"))[0] == [["thin", "A", "40", "1,040"]]
