"""What a report says of arranged draws: a note on the method, effective paths, quantiles of weighted histograms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from riskops.report import figures, write_html
from riskops.report.bins import Histogram
from riskops.report.example import example_results
from riskops.report.sampling import SAMPLING_NOTES
from riskops.report.view import View
from riskops.simulation import METHODS


def test_every_arrangement_has_its_note() -> None:
    assert set(SAMPLING_NOTES) == set(METHODS) - {"plain"}


@pytest.mark.parametrize("method", ["plain", "sobol"])
def test_the_note_stands_in_the_report_of_arranged_draws_only(tmp_path: Path, method: str) -> None:
    results = example_results().assign_attrs(sampling=method)
    page = write_html(results, path=tmp_path / "report.html", configuration="", lineage={}, title="T").read_text(
        "utf-8"
    )
    assert ("Scrambled Sobol points" in page) == (method == "sobol")
    assert (("Sampling", "sobol") in View(results).facts()) == (method == "sobol")


def test_a_target_says_whether_it_was_met() -> None:
    target = {"measure": "expected_shortfall", "level": 0.99, "relative_error": 0.005, "reached": 0.0061, "met": False}
    facts = dict(View(example_results().assign_attrs(target=target, paths=4096)).facts())
    assert (
        facts["Target"] == "relative error of expected shortfall at 99 % within 0.005: NOT met, 0.0061 at 4,096 paths"
    )
    unknown = dict(View(example_results().assign_attrs(target=target | {"reached": None}, paths=4096)).facts())
    assert "NOT met, without an error" in unknown["Target"]


def test_effective_paths_and_their_ratio_stand_beside_the_figures_they_belong_to() -> None:
    results = example_results().assign_attrs(paths=1000)
    size = results["expected_shortfall"].copy(data=np.full(results["expected_shortfall"].shape, 2500.0))
    rows = figures(results.assign(effective_sample_size=size))
    assert {(r["effective_paths"], r["variance_reduction"]) for r in rows if r["measure"] == "expected_shortfall"} == {
        (2500.0, 2.5)
    }
    assert {r["variance_reduction"] for r in rows if r["measure"] == "value_at_risk"} == {None}


def test_quantiles_of_a_weighted_histogram_are_those_of_its_weights() -> None:
    low = np.arange(4.0)
    whole = Histogram(low, low + 1.0, np.array([10, 20, 30, 40]))
    weights = Histogram(low, low + 1.0, np.array([0.1, 0.2, 0.3, 0.4]))
    assert weights.total == pytest.approx(1.0)
    for probability in (0.05, 0.3, 0.5, 0.95):
        assert weights.quantile(probability)[0] == pytest.approx(whole.quantile(probability)[0], abs=0.06)
    edges = np.array([0.0, 1.5, 4.0])
    np.testing.assert_allclose(weights.shares(edges), whole.shares(edges))
