"""risk.dependence and risk.contributions: what is left out is not computed, and the other figures stay as they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from riskops.cluster import open_cluster
from riskops.config import load_config
from riskops.run import RunDirectory, market_risk, prepare, replay, verify
from tests.small_job import make_run

PAIRWISE = {"covariance", "correlation"}
PARTS = {"component_value_at_risk", "component_expected_shortfall", "component_value_at_risk_scale"}
OFF = ("risk.dependence=false", "risk.contributions=false")


def results(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "results.json").read_text("utf-8"))
    return found


def test_switches_leave_out_their_figures_and_change_no_other(small_configuration: Path, tmp_path: Path) -> None:
    whole = results(make_run(small_configuration, tmp_path / "whole", "report.html=false"))
    run = make_run(small_configuration, tmp_path / "part", *OFF)
    part = results(run)
    assert part["figures"] == [one for one in whole["figures"] if one["measure"] not in PAIRWISE | PARTS]
    assert {one["measure"] for one in whole["figures"]} >= PAIRWISE | PARTS
    assert (whole["left_out"], part["left_out"]) == ([], ["dependence", "contributions"])
    page = (run / "report.html").read_text("utf-8")
    assert "correlations of returns (risk.dependence: false)" in page
    assert "contributions of the assets (risk.contributions: false)" in page
    assert "Euler allocation" not in page
    assert 'id="correlation"' not in page
    what = RunDirectory(run).manifest()["what"]
    assert (what["dependence"], what["contributions"]) == (False, False)
    assert verify(RunDirectory(run)) == []
    with open_cluster("synchronous") as cluster:
        assert replay(RunDirectory(run), cluster=cluster).identical


@pytest.mark.parametrize(("switch", "stage"), [("dependence", "reduce-returns"), ("contributions", "attribute")])
def test_what_is_left_out_is_no_task(small_configuration: Path, switch: str, stage: str) -> None:
    def stages(*overrides: str) -> set[str]:
        lazy = market_risk(prepare(load_config(small_configuration, overrides=overrides)))
        layers = {name for array in lazy.measures.values() for name in array.data.dask.layers}
        return {name.rpartition("-")[0] for name in layers}

    assert stage in stages()
    assert stage not in stages(f"risk.{switch}=false")
