"""The report is one file that is complete, loads nothing, and takes every name literally."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import xarray as xr

from riskops.report import figures, write_html
from riskops.report.formatting import Money

CONFIGURATION = "simulation:\n  paths: 20000\n"
LINEAGE = {"data_sha256": "ab" * 32, "seed": 20240101, "versions": {"riskops": "0.1.0"}, "fallbacks": [], "git": None}


@pytest.fixture(scope="module")
def page(results: xr.Dataset, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("report") / "report.html"
    two = results.sel(portfolio=["equal_weight", "long_short"])
    assert write_html(two, path=path, configuration=CONFIGURATION, lineage=LINEAGE) == path
    return path.read_text(encoding="utf-8")


def without_scripts(page: str) -> str:
    return re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


def test_nothing_is_loaded_from_a_network(page: str) -> None:
    assert not re.search(r"""(src|href)\s*=\s*["'`]?\s*(https?:)?//""", page, flags=re.IGNORECASE)
    assert not re.search(r"@import|url\(", re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL))
    assert "<link" not in without_scripts(page)
    assert "default-src 'none'" in page
    assert "cdn." not in page


def test_every_section_is_there_for_every_portfolio(page: str) -> None:
    overview = page[page.index('id="overview"') : page.index('id="portfolio-1"')]
    for i in (1, 2):
        for part in ("", "-summary", "-distribution", "-fan", "-details", "-contributions", "-stress", "-replays"):
            assert page.count(f'id="portfolio-{i}{part}"') == 1
        assert page.count(f'href="#portfolio-{i}"') == 2
        assert f'href="#portfolio-{i}"' in overview
    for part in ("correlation", "method", "configuration", "lineage"):
        assert f'id="{part}"' in page
        assert f'href="#{part}"' in page
    assert len(re.findall(r'data-root-id="', page)) == 2 * 6 + 1


def test_tables_agree_with_the_figures(results: xr.Dataset, page: str) -> None:
    money = Money.fit("USD", scale=1e6)
    body = html.unescape(re.sub(r"</?span[^>]*>", "", without_scripts(page)))
    shown = ("value_at_risk", "expected_shortfall", "historical_value_at_risk", "historical_expected_shortfall")
    for record in figures(results.sel(portfolio=["equal_weight", "long_short"])):
        if record["measure"] in shown and record["scenario"] == "base":
            assert f"{money.text(record['value'])} ± {money.text(record['standard_error'])}" in body
            assert f"<td>{money.text(record['low'])} to {money.text(record['high'])}</td>" in body
        if record["measure"] in ("component_expected_shortfall", "expected_shortfall_change"):
            sign = record["measure"].endswith("_change")
            if (record["horizon"], record["level"]) == (10.0, 0.99):
                assert f"{money.text(record['value'], sign=sign)} ± {money.text(record['standard_error'])}" in body
        if record["measure"] in ("stress_drawdown", "stress_loss") and record["scenario"] != "base":
            assert f"<td>{money.text(record['value'])}</td>" in body


def test_the_headline_says_it_in_words(results: xr.Dataset, page: str) -> None:
    at = results.sel(scenario="base", portfolio="equal_weight", horizon=10.0, level=0.99)
    var, es = (f"{at[name].item():,.0f} USD" for name in ("value_at_risk", "expected_shortfall"))
    assert f"With 99 % confidence, equal_weight loses no more than {var} (" in page
    assert f"in the worst 1 % of cases it loses {es} on average" in page
    assert "Of 6 stress scenarios, equities_down_20_percent is the worst" in page


def test_one_unit_serves_all_portfolios(build_results: Callable[..., xr.Dataset], tmp_path: Path) -> None:
    results = build_results(portfolios=("small", "big"), scenarios=("base",), horizons=(1.0,), paths=2_000)
    results = results.drop_vars(["loss_histogram", "component_expected_shortfall", "correlation"])
    results["portfolio_value"][1] = 2e9
    page = write_html(results, path=tmp_path / "r.html", configuration="", lineage={}).read_text(encoding="utf-8")
    assert "1,000.00 USD thousand" in page
    assert "2,000,000 USD thousand" in page


def test_a_historical_figure_without_an_error_says_why(
    build_results: Callable[..., xr.Dataset], tmp_path: Path
) -> None:
    results = build_results(portfolios=("p",), scenarios=("base",), levels=(0.95,), paths=2_000)
    results = results.drop_vars(["loss_histogram", "component_expected_shortfall", "correlation"])

    def text() -> str:
        return write_html(results, path=tmp_path / "r.html", configuration="", lineage={}).read_text(encoding="utf-8")

    assert "too few" not in without_scripts(text())
    for suffix in ("_standard_error", "_low", "_high"):
        results["historical_value_at_risk" + suffix][:] = float("nan")
    assert "from too few observations for an interval" in text()
    assert "has too few independent observations beyond its level" in text()


def test_configuration_and_lineage_are_given(page: str) -> None:
    assert f"<pre>{CONFIGURATION}</pre>" in page
    for key, value in (("data_sha256", "ab" * 32), ("versions.riskops", "0.1.0"), ("git", "–")):
        assert f'<td class="name">{key}</td><td class="name">{value}</td>' in page
    assert "<title>Market risk of three portfolios</title>" in page


def test_hostile_names_stay_text(build_results: Callable[..., xr.Dataset], tmp_path: Path) -> None:
    attack = "<script>alert('x')</script>"
    names = {"portfolios": (attack, "$$x$$"), "scenarios": ("base", attack), "assets": (attack, "</div><b>", "$$x^2$$")}
    results = build_results(**names, paths=2_000)
    results.attrs |= {"title": attack, "model": attack, "as_of": attack, "currency": "<b>"}
    path = write_html(
        results, path=tmp_path / "r.html", configuration=f"</pre>{attack}", lineage={attack: attack}, title=attack
    )
    page = path.read_text(encoding="utf-8")
    assert attack not in page
    assert "</div><b>" not in page
    assert "</pre>&lt;script" not in page
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;" in page


@pytest.mark.parametrize(
    "missing", ["loss_histogram", "component_expected_shortfall", "correlation", "portfolio_value"]
)
def test_a_missing_measure_leaves_its_section_out(
    build_results: Callable[..., xr.Dataset], tmp_path: Path, missing: str
) -> None:
    results = build_results(portfolios=("p",), scenarios=("base",), horizons=(1.0,), levels=(0.95,), paths=2_000)
    path = write_html(results.drop_vars(missing), path=tmp_path / "r.html", configuration="", lineage={})
    page = path.read_text(encoding="utf-8")
    part = {
        "loss_histogram": "portfolio-1-distribution",
        "component_expected_shortfall": "portfolio-1-contributions",
        "correlation": "correlation",
        "portfolio_value": "portfolio-1-fan",
    }[missing]
    assert f'id="{part}"' not in page
    assert 'id="portfolio-1-stress"' not in page
    assert 'id="portfolio-1-summary"' in page


def test_a_portfolio_that_only_gains_is_said_so(build_results: Callable[..., xr.Dataset], tmp_path: Path) -> None:
    results = build_results(portfolios=("p",), scenarios=("base",), horizons=(1.0,), levels=(0.95,), paths=2_000)
    results = results.drop_vars(["loss_histogram", "component_expected_shortfall", "correlation"])
    for name in ("value_at_risk", "expected_shortfall"):
        results[name][:] = -500.0
    page = write_html(results, path=tmp_path / "r.html", configuration="", lineage={}).read_text(encoding="utf-8")
    assert "p gains at least 500 USD over 1 day; in the worst 5 % of cases it gains 500 USD on average" in page
