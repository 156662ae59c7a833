"""The terminal's tables hold the figures, fit 100 columns and take names literally."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
import xarray as xr

from riskops.errors import InputError
from riskops.report import as_text, compare_table, plan_table, summary_table, terminal
from riskops.report.formatting import Money
from riskops.report.tables import size_text


def test_summary_holds_every_figure_of_the_base(results: xr.Dataset) -> None:
    text = as_text(summary_table(results))
    money = Money.fit("USD", scale=1e6)
    for portfolio in results["portfolio"].values:
        assert f"{portfolio}  worth 1,000,000 USD on 2022-12-28" in text
    for name in ("value_at_risk", "expected_shortfall"):
        for suffix in ("", "_standard_error"):
            for value in results[name + suffix].sel(scenario="base").values.ravel():
                assert money.text(value) in text
        for value in results["historical_" + name].values.ravel():
            assert money.text(value) in text
        for value in results[name].sel(level=0.99, horizon=10.0).values.ravel():
            assert money.text(value) in text
    for value in results["expected_shortfall_change"].sel(level=0.99, horizon=10.0).values[1:].ravel():
        assert money.text(value, sign=True) in text


def test_summary_says_from_what_it_was_made(results: xr.Dataset) -> None:
    text = as_text(summary_table(results))
    for said in ("1990-01-02 to 2022-12-28 (8,312 observations)", "geometric_brownian_motion", "20,000 (seed 20240101"):
        assert said in text


@pytest.mark.parametrize("capital", [1.0, 1e4, 1e6, 9.9e6, 2.9e7, 9e8, 5e9, 1e12])
def test_summary_fits_a_hundred_columns(build_results: Callable[..., xr.Dataset], capital: float) -> None:
    results = build_results(capital=capital, paths=2_000, horizons=(1.0, 10.0, 252.0), portfolios=("p",))
    text = as_text(summary_table(results))
    assert max(map(len, text.splitlines())) <= 100
    words, money = set(text.split()), Money.fit("USD", scale=capital)
    for name in ("value_at_risk", "value_at_risk_standard_error", "expected_shortfall"):
        assert {money.text(value) for value in results[name].sel(scenario="base").values.ravel()} <= words


@pytest.mark.parametrize(("capital", "told"), [(1e6, True), (9e8, False)])
def test_historical_errors_stand_where_they_fit(
    build_results: Callable[..., xr.Dataset], capital: float, told: bool
) -> None:
    results = build_results(capital=capital, paths=2_000, horizons=(1.0,), levels=(0.95,), portfolios=("p",))
    text = as_text(summary_table(results))
    money = Money.fit("USD", scale=capital)
    error = money.text(results["historical_value_at_risk_standard_error"].item())
    assert (f"{money.text(results['historical_value_at_risk'].item())} ± {error}" in text) == told
    assert "*" not in text
    results["historical_value_at_risk_standard_error"][:] = float("nan")
    text = as_text(summary_table(results))
    assert f"{money.text(results['historical_value_at_risk'].item())} *" in text
    assert "* Too few independent observations" in text


def test_no_stress_no_stress_table(build_results: Callable[..., xr.Dataset]) -> None:
    results = build_results(scenarios=("base",), horizons=(1.0,), levels=(0.95,), paths=2_000)
    assert "Stress" not in as_text(summary_table(results))


def test_names_are_not_markup(build_results: Callable[..., xr.Dataset]) -> None:
    results = build_results(portfolios=("[red]hot[/red]",), scenarios=("base", "[/b]x"), paths=2_000)
    text = as_text(summary_table(results))
    assert "[red]hot[/red]  worth" in text
    assert "[/b]x" in text


def test_output_that_is_no_terminal_is_plain(results: xr.Dataset) -> None:
    file = io.StringIO()
    terminal(file).print(summary_table(results))
    assert "\x1b" not in file.getvalue()


def test_a_missing_measure_is_named(results: xr.Dataset) -> None:
    with pytest.raises(InputError, match="'expected_shortfall' is missing"):
        summary_table(results.drop_vars("expected_shortfall"))


def test_compare_table_shows_what_differs() -> None:
    records = [{"measure": "mean_loss", "asset": None, "left": i + 0.1, "right": None} for i in range(45)]
    text = as_text(compare_table(records))
    assert "mean_loss" in text
    assert "44.1" not in text
    assert "and 5 more" in text
    assert "asset" not in text
    assert "44.1" in as_text(compare_table(records, most=45))


def test_plan_table_writes_sizes_and_nests() -> None:
    text = as_text(plan_table({"chunks": 1_024, "disk_bytes": 5 * 2**30, "worker": {"tasks": [1, 2], "gpu": None}}))
    assert [line.split(maxsplit=1) for line in text.splitlines()] == [
        ["chunks", "1,024"],
        ["disk", "bytes  5.0 GiB"],
        ["worker"],
        ["tasks", "1, 2"],
        ["gpu", "–"],
    ]


def test_sizes_take_the_largest_unit_they_fill() -> None:
    assert [size_text(n) for n in (0, 1023, 1024, 3 * 2**40, 2**52)] == [
        "0 B",
        "1,023 B",
        "1.0 KiB",
        "3.0 TiB",
        "4,096.0 TiB",
    ]
