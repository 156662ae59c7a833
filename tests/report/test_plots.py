"""Plots build for every shape of results and draw the figures of the Dataset."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from riskops.errors import InputError
from riskops.report import (
    contribution_bars,
    correlation_map,
    exceedance_plot,
    fan_chart,
    loss_distribution,
    stress_bars,
    stress_changes,
)
from riskops.report.bins import Histogram, histogram_of, spread, whisker_segments
from riskops.report.view import View

Build = Callable[..., xr.Dataset]
TAIL: dict[str, Any] = {"portfolio": "long_short", "horizon": 10.0, "level": 0.99}


def labels(plot: Any) -> dict[str, Any]:
    from bokeh.models import Label

    return {label.text.text: label for label in plot.center if isinstance(label, Label)}


def glyphs(plot: Any, kind: str) -> list[Any]:
    return [renderer for renderer in plot.renderers if type(renderer.glyph).__name__ == kind]


def test_the_loss_distribution_marks_var_and_es_where_they_are(results: xr.Dataset) -> None:
    plot = loss_distribution(results, portfolio="long_short", horizon=10.0)
    at = results.sel(scenario="base", portfolio="long_short", horizon=10.0)
    expected = sorted(v for name in ("value_at_risk", "expected_shortfall") for v in at[name].values.tolist())
    assert sorted(label.x for label in labels(plot).values()) == expected
    heights = [label.y for label in sorted(labels(plot).values(), key=lambda label: label.x)]
    assert heights == sorted(heights, reverse=True)
    assert len(set(heights)) == 4
    (bars,) = glyphs(plot, "Quad")
    assert 99.5 < sum(bars.data_source.data["top"]) <= 100.0 + 1e-9


def test_the_exceedance_curve_falls_on_a_logarithmic_scale() -> None:
    from bokeh.models import LogScale

    from riskops.measures import quantile_curve

    losses = np.random.default_rng(0).standard_t(3, (2, 4096)) * 1e5
    curve = quantile_curve(xr.Dataset({"loss": (("portfolio", "path"), losses)}).chunk(path=1024), levels=50)
    plot = exceedance_plot(curve.isel(portfolio=1))
    (line,), (band,) = glyphs(plot, "Line"), glyphs(plot, "Patch")
    assert isinstance(plot.y_scale, LogScale)
    assert line.data_source.data["x"].tolist() == curve["loss_quantile"].values[1].tolist()
    np.testing.assert_allclose(line.data_source.data["y"], 0.99 - 0.02 * np.arange(50))
    assert len(band.data_source.data["x"]) == 100
    assert plot.yaxis[0].major_label_overrides == {0.01: "1 %", 0.1: "10 %", 1.0: "100 %"}
    with pytest.raises(InputError, match=r"^loss_quantile: dims \('portfolio', 'level'\) are not one curve"):
        exceedance_plot(curve)


def test_the_fan_starts_at_todays_value_and_widens(results: xr.Dataset) -> None:
    plot = fan_chart(results, portfolio="equal_weight")
    bands = [band.data_source.data for band in glyphs(plot, "VArea")]
    assert len(bands) == 3
    for band in bands:
        assert band["x"].tolist() == [0.0, 1.0, 10.0]
        assert band["y1"][0] == band["y2"][0] == 1_000_000.0
        assert np.all(np.diff(band["y2"] - band["y1"]) > 0)
    names = plot.right[0].major_label_overrides
    assert [text.partition(":")[0] for text in names.values()] == [
        "1 %",
        "5 %",
        "25 %",
        "median",
        "75 %",
        "95 %",
        "99 %",
    ]
    assert list(names) == sorted(names) == plot.right[0].ticker.ticks
    assert plot.xaxis[0].ticker.ticks == [0.0, 1.0, 10.0]
    assert any("histogram bins at most" in getattr(part, "text", "") for part in plot.below)


def test_contributions_are_sorted_and_the_small_ones_combined(results: xr.Dataset, build_results: Build) -> None:
    (bars,) = glyphs(contribution_bars(results, **TAIL), "HBar")
    drawn = bars.data_source.data["right"]
    given_values = results["component_expected_shortfall"].sel(TAIL).values
    assert list(drawn) == sorted(given_values.tolist(), reverse=True)
    many = build_results(assets=[f"A{i}" for i in range(40)], portfolios=("p",), paths=2_000)
    (bars,) = glyphs(contribution_bars(many, portfolio="p", horizon=10.0, level=0.99), "HBar")
    total = many["expected_shortfall"].sel(scenario="base", portfolio="p", horizon=10.0, level=0.99).item()
    assert len(bars.data_source.data["right"]) == 30
    assert sum(bars.data_source.data["right"]) == pytest.approx(total)


def test_the_correlation_map_holds_every_pair_and_its_numbers(results: xr.Dataset) -> None:
    plot = correlation_map(results, horizon=10.0)
    (cells,) = glyphs(plot, "Rect")
    data = cells.data_source.data
    first = {name: data[name][1] for name in ("one", "other", "value")}
    expected = results["correlation"].sel(horizon=10.0, asset="AAPL", other_asset="AMD").item()
    assert first == {"one": "AAPL", "other": "AMD", "value": expected}
    assert len(data["value"]) == 400
    assert len(glyphs(plot, "Text")) == 1


def test_a_large_correlation_map_keeps_the_largest_exposures(build_results: Build) -> None:
    many = build_results(assets=[f"A{i}" for i in range(45)], portfolios=("energy_tilt",), paths=2_000)
    (cells,) = glyphs(correlation_map(many, horizon=10.0), "Rect")
    assert sorted(set(cells.data_source.data["one"]), key=lambda name: int(name[1:])) == [f"A{i}" for i in range(40)]


def test_stress_plots_draw_every_scenario(results: xr.Dataset) -> None:
    at = results.sel(TAIL)
    bars = glyphs(stress_bars(results, **TAIL), "HBar")
    assert list(bars[0].data_source.data["right"]) == at["value_at_risk"].values.tolist()
    assert list(bars[1].data_source.data["right"]) == at["expected_shortfall"].values.tolist()
    points = glyphs(stress_changes(results, **TAIL), "Scatter")
    assert list(points[1].data_source.data["x"]) == at["expected_shortfall_change"].values[1:].tolist()


@pytest.mark.parametrize(
    "shape",
    [
        {"portfolios": ("one",)},
        {"horizons": (5.0,)},
        {"levels": (0.99,)},
        {"scenarios": ("base", "x")},
        {"assets": ("A",)},
        {"levels": (0.5, 0.8, 0.9, 0.95, 0.975, 0.99), "capital": 1.0},
    ],
    ids=lambda shape: next(iter(shape)),
)
def test_plots_build_for_the_smallest_of_each_dim(build_results: Build, shape: dict[str, Any]) -> None:
    small = build_results(**({"portfolios": ("p", "q"), "paths": 2_000} | shape))
    view = View(small)
    where: dict[str, Any] = {
        "portfolio": view.portfolios[0],
        "horizon": view.horizons[-1],
        "level": view.levels[-1],
    }
    assert loss_distribution(small, portfolio=where["portfolio"], horizon=where["horizon"]).renderers
    for plot in (contribution_bars, stress_bars, stress_changes):
        assert plot(small, **where).renderers
    assert fan_chart(small, portfolio=where["portfolio"]).renderers
    assert correlation_map(small, horizon=where["horizon"]).renderers


def test_results_without_a_scenario_dim_are_the_base(build_results: Build) -> None:
    plain = build_results(scenarios=("base",), paths=2_000).isel(scenario=0, drop=True)
    assert loss_distribution(plain, portfolio="long_short", horizon=1.0).renderers
    with pytest.raises(InputError, match=r"^scenario: the results hold none beside the base$"):
        stress_bars(plain, **TAIL)


def test_a_portfolio_that_cannot_lose_is_drawn(build_results: Build) -> None:
    results = build_results(portfolios=("cash",), scenarios=("base",), capital=0.0, paths=2_000)
    results["portfolio_value"][:] = 100.0
    assert loss_distribution(results, portfolio="cash", horizon=1.0).renderers
    assert fan_chart(results, portfolio="cash").renderers


@pytest.mark.parametrize(
    ("where", "message"),
    [({"portfolio": "nobody"}, "portfolio: 'nobody' is not in the results"), ({"horizon": 3.0}, "horizon: 3.0 is not")],
)
def test_an_unknown_label_is_named(results: xr.Dataset, where: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        loss_distribution(results, **({"portfolio": "long_short", "horizon": 1.0} | where))


def test_missing_variables_are_named(results: xr.Dataset) -> None:
    with pytest.raises(InputError, match="'loss_histogram' is missing"):
        fan_chart(results.drop_vars("loss_histogram"), portfolio="long_short")
    with pytest.raises(InputError, match=r"^component_expected_shortfall: the results hold none"):
        contribution_bars(results.drop_vars("component_expected_shortfall"), **TAIL)


def test_quantiles_lie_within_a_bin_of_the_exact_ones(results: xr.Dataset) -> None:
    histogram = histogram_of(View(results), portfolio="equal_weight", horizon=10.0)
    for level in (0.95, 0.99):
        exact = results["value_at_risk"].sel(TAIL | {"scenario": "base", "portfolio": "equal_weight", "level": level})
        value, width = histogram.quantile(level)
        assert abs(value - exact.item()) <= width <= abs(exact.item()) / 64


@given(st.lists(st.integers(0, 50), min_size=2, max_size=20).filter(any), st.floats(0.001, 0.999))
def test_histogram_shares_sum_to_one_and_quantiles_lie_in_filled_bins(counts: list[int], level: float) -> None:
    edges = np.linspace(-3.0, 5.0, len(counts) + 1)
    filled = np.flatnonzero(counts)
    histogram = Histogram(edges[:-1][filled], edges[1:][filled], np.array(counts)[filled])
    assert histogram.shares(np.linspace(-4.0, 6.0, 37)).sum() == pytest.approx(1.0)
    value, width = histogram.quantile(level)
    assert np.any((histogram.low <= value) & (value <= histogram.high))
    assert width == pytest.approx(8.0 / len(counts))


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8).map(sorted), st.floats(0.1, 1e5))
def test_labels_are_moved_apart(places: list[float], gap: float) -> None:
    moved = spread(np.array(places), gap=gap)
    assert np.all(np.diff(moved) >= gap * (1 - 1e-6) - 1e-9)
    assert moved.mean() == pytest.approx(np.mean(places), abs=1e-6)


def test_a_whisker_is_a_line_and_two_caps() -> None:
    strokes = np.array(whisker_segments(np.array([2.0]), np.array([1.0]), np.array([3.0])))
    assert strokes.T.tolist() == [[1.0, 2.0, 3.0, 2.0], [1.0, 1.9, 1.0, 2.1], [3.0, 1.9, 3.0, 2.1]]


def test_the_plotting_library_is_imported_only_when_a_plot_is_drawn() -> None:
    code = (
        "import sys, riskops.report; sys.exit(any(name.split('.')[0] in ('bokeh', 'jinja2') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
