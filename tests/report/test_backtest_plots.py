"""The plots of a backtest draw the figures of the results."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from riskops.errors import InputError
from riskops.report import backtest_lines, p_value_map, score_ranking, traffic_light_grid, weight_areas
from riskops.report.example import example_backtest
from riskops.report.plots.traffic_lights import ZONE_COLOURS

AT: dict[str, Any] = {"series": "INDEX", "level": 0.95}


@pytest.fixture(scope="module")
def results() -> xr.Dataset:
    return example_backtest()


def glyphs(plot: Any, kind: str) -> list[Any]:
    return [renderer for renderer in plot.renderers if type(renderer.glyph).__name__ == kind]


def data(plot: Any, kind: str) -> dict[str, Any]:
    return glyphs(plot, kind)[0].data_source.data


def key(plot: Any) -> list[str]:
    return [item.label.value for item in plot.above[-1].items if item.label] or [
        item.label.value for legend in plot.legend for item in legend.items
    ]


def longer(results: xr.Dataset, times: int) -> xr.Dataset:
    """Many more days, so that not all can be drawn."""
    n = results.sizes["observation"] * times
    days = np.arange("1980-01-01", "2022-01-01", dtype="datetime64[D]")[:n].astype("datetime64[ns]")
    return results.isel(observation=np.arange(n) % results.sizes["observation"]).assign_coords(observation=days)


def test_lines_and_breaches_are_those_of_the_results(results: xr.Dataset) -> None:
    plot = backtest_lines(results, methods=["thin", "right"], **AT)
    at = results.sel(asset="INDEX", level=0.95)
    lines = data(plot, "Line")
    np.testing.assert_allclose(lines["loss"], 100 * np.maximum(at["realised_loss"], 0.0), rtol=1e-6)
    ticks = glyphs(plot, "Segment")[1:]
    for i, name in enumerate(["thin", "right"]):
        one = at.sel({"method": name})
        np.testing.assert_allclose(lines[f"line-{i}"], 100 * one["forecast_value_at_risk"], rtol=1e-6)
        breached = one["observation"].values[one["breach"].values]
        assert ticks[i].data_source.data["day"].tolist() == breached.tolist()
        assert key(plot)[i] == f"{name} ({int(one['breaches'])})"
    assert plot.yaxis[0].ticker.ticks[0] == 0.0


def test_of_many_days_the_largest_losses_and_all_breaches_are_drawn(results: xr.Dataset) -> None:
    held = longer(results, 12)
    plot = backtest_lines(held, methods=["right"], **AT)
    drawn = data(plot, "Line")
    loss = 100 * held["realised_loss"].sel(asset="INDEX")
    breached = held["breach"].sel({"method": "right"}).sel(asset="INDEX", level=0.95)
    assert 1_500 <= len(drawn["day"]) <= 1_500 + int(breached.sum()) < len(loss)
    assert set(held["observation"].values[breached.values].tolist()) <= set(drawn["day"].tolist())
    assert drawn["loss"].max() == pytest.approx(loss.max().item())
    first = loss.isel(observation=slice(0, len(loss) // 1_500)).max().item()
    assert np.isclose(drawn["loss"][:3], first).any()


def test_methods_of_the_lines(results: xr.Dataset) -> None:
    assert [text.split()[0] for text in key(backtest_lines(results, **AT))] == ["right", "ensemble", "thin"]
    with pytest.raises(InputError, match=r"^methods: 0 of them; from one to 5"):
        backtest_lines(results, methods=[])
    with pytest.raises(InputError, match=r"^method: 'x' is not among right, thin, ensemble$"):
        backtest_lines(results, methods=["x"])


def test_lines_need_neither_scores_nor_an_ensemble(results: xr.Dataset) -> None:
    few = results[["realised_loss", "forecast_value_at_risk"]].drop_vars(["member", "score_name"], errors="ignore")
    assert [text.split()[0] for text in key(backtest_lines(few, **AT))] == ["right", "thin", "ensemble"]


def test_the_grid_counts_the_breaches_of_each_year(results: xr.Dataset) -> None:
    cells = data(traffic_light_grid(results, **AT), "Rect")
    at = results.sel(asset="INDEX", level=0.95)
    assert cells["text"] == [str(count) for count in at["yearly_breaches"].values.ravel()]
    zones = at["traffic_light_zone"].values.ravel().tolist()
    assert {"green", "yellow", "red"} == set(zones)
    assert cells["fill"] == [ZONE_COLOURS[zone][0] for zone in zones]
    i = cells["method"].index("thin") + 2
    assert (cells["method"][i], cells["year"][i], cells["y"][i]) == ("thin", "2021", 1)


def test_the_grid_takes_what_counts_by_year() -> None:
    from riskops.history import breaches_by_year
    from riskops.history.backtests.example import small_forecasts

    days = np.arange("2020-01-01", "2021-05-15", dtype="datetime64[D]").astype("datetime64[ns]")
    found = breaches_by_year(small_forecasts().assign_coords(observation=days[:500]))
    cells = data(traffic_light_grid(found, level=0.95), "Rect")
    assert cells["text"] == [str(count) for count in found["breaches"].sel(level=0.95).values.ravel()]
    with pytest.raises(InputError, match=r"^traffic_light_zone: the results do not have it by year$"):
        traffic_light_grid(found.isel(year=0, drop=True), level=0.95)


def test_areas_add_up_to_one_and_the_small_ones_are_summed(results: xr.Dataset) -> None:
    areas = [area.data_source.data for area in glyphs(weight_areas(results, **AT), "VArea")]
    assert [area["y1"][0] for area in areas] == [0.0, areas[0]["y2"][0]]
    np.testing.assert_allclose(areas[-1]["y2"], 1.0, rtol=1e-6)
    weight = results["ensemble_weight"].sel(asset="INDEX", level=0.95)
    np.testing.assert_allclose(areas[0]["y2"], weight.sel(member="right"), rtol=1e-6)
    members = xr.concat([results["ensemble_weight"] / 4] * 4, dim="member").assign_coords(member=list("abcdefgh"))
    held = results.drop_vars(["ensemble_weight", "member"]).assign(ensemble_weight=members)
    plot = weight_areas(longer(held, 12), most=3, **AT)
    areas = [area.data_source.data for area in glyphs(plot, "VArea")]
    assert len(areas) == 4
    assert len(areas[0]["x"]) < 1_600
    assert key(plot)[-1].startswith("5 others, ")
    np.testing.assert_allclose(areas[-1]["y2"], 1.0, rtol=1e-6)


def test_days_without_weights_are_left_out(results: xr.Dataset) -> None:
    held = results.copy(deep=True)
    held["ensemble_weight"][..., :30] = np.nan
    (first, _) = [area.data_source.data for area in glyphs(weight_areas(held, **AT), "VArea")]
    assert first["x"][0] == results["observation"].values[30]
    held["ensemble_weight"][:] = np.nan
    with pytest.raises(InputError, match=r"^ensemble_weight: no day of INDEX has weights$"):
        weight_areas(held, **AT)


def test_the_ranking_is_by_the_score_and_marks_the_set(results: xr.Dataset) -> None:
    dots = data(score_ranking(results, level=0.99), "Scatter")
    score = results["score"].isel(score_name=0).sel(level=0.99).mean("asset")
    assert dots["method"] == ["right", "ensemble", "thin"]
    np.testing.assert_allclose(dots["x"], np.sort(score.values) - score.min().item())
    sets = results["in_confidence_set"].sel(level=0.99).sum("asset").sel({"method": dots["method"]}).values
    assert dots["sets"] == [f"{count} of 2" for count in sets]
    assert [fill != "white" for fill in dots["fill"]] == (sets == 2).tolist() == [True, False, False]
    one = data(score_ranking(results, **AT), "Scatter")
    np.testing.assert_allclose(one["score"], np.sort(results["score"].sel(asset="INDEX", level=0.95).values[0]))
    pooled = results.assign(in_confidence_set=results["in_confidence_set"].isel(asset=1, drop=True))
    assert data(score_ranking(pooled, level=0.99), "Scatter")["sets"] == ["1 of 1", "0 of 1", "0 of 1"]
    bare = score_ranking(results.drop_vars("in_confidence_set"), level=0.99)
    assert data(bare, "Scatter")["sets"] == ["", "", ""]
    with pytest.raises(InputError, match=r"^score_name: 'tick' is not among fissler_ziegel$"):
        score_ranking(results, score="tick")


def test_the_map_holds_every_p_value(results: xr.Dataset) -> None:
    held = results.copy(deep=True)
    held["simulated_p_value"].loc[{"test": "z2", "method": "thin"}] = np.nan
    held["p_value"].loc[{"test": "z2", "method": "thin"}] = 0.02
    cells = data(p_value_map(held, **AT), "Rect")
    best = held["simulated_p_value"].fillna(held["p_value"]).sel(asset="INDEX", level=0.95)
    assert cells["p"] == [f"{value:.3f}" for value in best.transpose("method", "test").values.ravel()]
    i = next(i for i, name in enumerate(cells["method"]) if name == "thin" and cells["test"][i] == "z2")
    assert (cells["text"][i], cells["null"][i], cells["fill"][i]) == (".02", "ES is right.", "#F5B98C")
    assert data(p_value_map(held, kind="simulated", **AT), "Rect")["text"][i] == ""
    assert data(p_value_map(held, kind="asymptotic", **AT), "Rect")["p"][i] == "0.020"
    with pytest.raises(InputError, match="kind"):
        p_value_map(held, kind="other")  # type: ignore[arg-type]


def test_names_are_drawn_as_plain_text(results: xr.Dataset) -> None:
    from bokeh.models import PlainText

    named = results.assign_coords(method=["$$x$$", "<b>", "ensemble"], asset=["$$A$$", "B"])
    for draw in (backtest_lines, traffic_light_grid, p_value_map, weight_areas):
        plot = draw(named, series="$$A$$", level=0.95)
        assert isinstance(plot.title.text, PlainText)
    labels = traffic_light_grid(named).yaxis[0].major_label_overrides.values()
    assert all(isinstance(label, PlainText) for label in labels)
