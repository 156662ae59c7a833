"""The tables of a backtest count what the results hold, rank by the score, and fit the terminal."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from riskops.errors import InputError
from riskops.report import as_text, assessment_records, assessment_table, backtest_table
from riskops.report.backtest.findings import findings
from riskops.report.backtest_view import FAMILIES, BacktestView, family_of
from riskops.report.example import example_assessment, example_backtest


@pytest.fixture(scope="module")
def results() -> xr.Dataset:
    return example_backtest()


def cells(text: str, name: str) -> list[list[str]]:
    """The words of the lines whose first or second word is a name."""
    return [line.split() for line in text.splitlines() if name in line.split()[:2]]


def test_every_registered_test_has_a_family() -> None:
    from riskops.history.backtests.registry import list_backtests

    assert {test for tests in FAMILIES.values() for test in tests} == set(list_backtests())
    assert family_of("of somebody else") == "other tests"


def test_breach_rates_are_breaches_over_forecasts(results: xr.Dataset) -> None:
    text = as_text(backtest_table(results))
    for method in results["method"].values.tolist():
        one = results.sel({"method": method})
        expected = [
            f"{100 * (one['breaches'] / one['forecasts']).sel(level=a).mean().item():.2f}" for a in (0.95, 0.99)
        ]
        assert cells(text, method)[0] == [method, *expected]
    assert cells(text, "expected")[0] == ["expected", "5", "1"]


def test_the_second_table_has_rejections_scores_and_sets(results: xr.Dataset) -> None:
    text = as_text(backtest_table(results, level=0.95))
    at = results.sel(level=0.95)
    score = at["score"].isel(score_name=0).mean("asset")
    for rank, method in enumerate(score["method"].values[np.argsort(score.values)].tolist(), start=1):
        one = at.sel({"method": method})
        shares = [f"{100 * one['rejected'].sel(test=test).mean().item():.0f} %" for test in results["test"].values]
        line = " ".join(cells(text, method)[1])
        everything = f"{100 * one['rejected'].mean().item():.0f} %"
        sets = f"{int(one['in_confidence_set'].sum())}/2"
        assert line == " ".join([str(rank), method, *shares, everything, f"{score.sel({'method': method}):.4f}", sets])


def test_what_has_no_p_value_is_no_test(results: xr.Dataset) -> None:
    held = results.copy(deep=True)
    for name in ("p_value", "simulated_p_value"):
        held[name].loc[{"method": "thin", "test": ["kupiec", "z2"]}] = np.nan
    held["rejected"].loc[{"method": "thin", "test": ["kupiec", "z2"]}] = False
    row = next(row for row in BacktestView(held).rows(0.99) if row.method == "thin")
    assert row.rejected == {"coverage": None, "independence": 1.0, "expected shortfall": None}
    assert (row.all_rejected, row.tests, row.right_number_on) == (1.0, 2, 0)


def test_a_method_without_a_score_is_not_ranked(results: xr.Dataset) -> None:
    held = results.copy(deep=True)
    held["score"].loc[{"method": "right", "asset": "STOCK"}] = np.nan
    rows = BacktestView(held).rows(0.99)
    assert [(row.method, row.rank) for row in rows] == [("ensemble", 1), ("thin", 2), ("right", None)]
    # a series that nobody has a score of takes no method out of the ranking
    held["score"].loc[{"asset": "STOCK"}] = np.nan
    view = BacktestView(held)
    assert view.order(0.99) == ["right", "ensemble", "thin"]
    assert view.rows(0.99)[0].score == held["score"].sel({"method": "right"}).sel(asset="INDEX", level=0.99).item()


def test_findings_are_made_from_the_figures(results: xr.Dataset) -> None:
    said = findings(BacktestView(results), 0.99)
    assert said == [
        "At 99 %, 1.20 % (right) to 4.28 % (thin) of the forecasts are breached; 1 % is expected.",
        "The number of breaches is compatible with the level (kupiec) on every one of the 2 series for right; on most "
        "series it is not for ensemble and thin.",
        "Of all tests and series right is rejected in the fewest, 0 %, and thin in the most, 100 %; a method that is "
        "right would be in about 5 %.",
        "By the Fissler-Ziegel score right is first of 3 and ensemble number 2, rejected in 67 % of its tests; right "
        "is in the confidence set of all 2 series.",
    ]
    one = results.isel(asset=[0]).isel({"method": [1]}).drop_vars(["score", "in_confidence_set"])
    assert findings(BacktestView(one), 0.99) == [
        "At 99 %, 4.33 % of the forecasts are breached; 1 % is expected.",
        "No method has a number of breaches compatible with the level (kupiec) on its series; on most series it is not "
        "for thin.",
    ]


@pytest.mark.parametrize(
    "missing",
    [
        ("score", "in_confidence_set"),
        ("in_confidence_set", "confidence_set_p_value"),
        ("p_value", "simulated_p_value", "rejected"),
        ("simulated_p_value",),
        ("ensemble_weight", "forecast_notes"),
    ],
)
def test_what_is_missing_is_left_out(results: xr.Dataset, missing: tuple[str, ...]) -> None:
    text = as_text(backtest_table(results.drop_vars(missing)))
    assert ("Score" in text) == ("score" not in missing)
    assert ("Set:" in text) == ("in_confidence_set" not in missing)
    assert len(cells(text, "thin")) == 2


def test_one_confidence_set_for_all_series(results: xr.Dataset) -> None:
    pooled = results.assign(in_confidence_set=results["in_confidence_set"].isel(asset=1, drop=True))
    text = as_text(backtest_table(pooled, level=0.99))
    assert [cells(text, method)[1][-1] for method in ("right", "ensemble", "thin")] == ["yes", "no", "no"]
    assert "Set: whether in the model confidence set" in text
    assert findings(BacktestView(pooled), 0.99)[-1].endswith("; right is in the confidence set of all series together.")


def test_many_methods_and_levels_fit_the_terminal(results: xr.Dataset) -> None:
    levels = [0.9, 0.925, 0.95, 0.96, 0.97, 0.975, 0.98, 0.99, 0.995, 0.999]
    wide = results.isel(level=[0] * 10).assign_coords(level=levels)
    names = [f"a_method_with_quite_a_long_name_{i}" for i in range(30)]
    wide = wide.drop_vars("ensemble_weight").isel({"method": [0, 1, 2] * 10}).assign_coords(method=names)
    tests = ["kupiec", "independence", "dynamic_quantile", "berkowitz", "z1", "of_ours"]
    wide = wide.isel(test=[0, 1, 2] * 2).assign_coords(test=tests)
    lines = as_text(backtest_table(wide)).splitlines()
    assert max(map(len, lines)) <= 100
    assert sum("a_method_wi…" in line for line in lines) == 60
    assert sum("Cover  Indep   Cond   Dist" in line and "Set" in line for line in lines) == 1


def test_unknown_labels_and_variables_are_named(results: xr.Dataset) -> None:
    with pytest.raises(InputError, match=r"^level: 0.9 is not among 0.95, 0.99$"):
        backtest_table(results, level=0.9)
    with pytest.raises(InputError, match=r"^results: variable 'breaches' is missing$"):
        backtest_table(results.drop_vars("breaches"))
    with pytest.raises(InputError, match=r"^asset: 'X' is not among STOCK, INDEX$"):
        BacktestView(results).one_series("X")


def test_the_usual_level() -> None:
    def chosen(*levels: float) -> float:
        return BacktestView(xr.Dataset(coords={"level": list(levels)})).level()

    assert chosen(0.95, 0.975, 0.99, 0.997) == 0.99
    assert chosen(0.9, 0.95, 0.975) == 0.95
    assert chosen(0.95) == 0.95


def test_portfolios_are_drawn_before_stocks(results: xr.Dataset) -> None:
    named = results.isel(asset=[0, 1, 0, 1]).assign_coords(asset=["A", "B", "INDEX", "equal"])
    assert BacktestView(named).main_series() == ["A", "B"]
    assert BacktestView(named.assign_attrs(weights='{"equal": {"A": 1.0}}')).main_series() == ["equal", "INDEX"]


def test_the_table_of_one_look_holds_its_records() -> None:
    found = example_assessment()
    text = as_text(assessment_table(found))
    records = assessment_records(found)
    assert [record["ensemble_weight"] for record in records] == [0.7, 0.3, None]
    for record in records:
        line = " ".join(cells(text, record["method"])[0])
        assert f"{100 * record['value_at_risk']:.3f}" in line
        assert f" {record['breaches']} {record['p_values']['kupiec']:.3f}" in line
    assert "ewma: 2 of 1000 returns are zero" in text
    assert "2 of 1000" not in as_text(assessment_table(found, notes=False))
