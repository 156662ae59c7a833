"""The benchmark of the sampling methods: variances measured over replications, with their own errors."""

from __future__ import annotations

import json

import numpy as np
import pytest

from riskops.bench import run_suites
from riskops.bench.problem import book, market_model
from riskops.bench.replications import MEASURES, Problem, Replications, replicate, variance_factor
from riskops.measures import arrange
from riskops.measures.tail_risk import tail_risk
from riskops.models import GeometricBrownianMotion
from riskops.portfolio import portfolio_loss
from riskops.simulation import METHODS, SimulationSpec, simulate


def _problem(paths: int = 32_768, steps: int = 1) -> Problem:
    model = GeometricBrownianMotion(("A", "B"), [0.05, 0.0], [0.2, 0.3], [[1.0, 0.5], [0.5, 1.0]])
    return Problem("two", SimulationSpec(model, paths=paths, steps=steps, seed=1), book(("A", "B")))


def _made(spread: float, count: int = 200, seed: int = 1) -> Replications:
    values = 10.0 + spread * np.random.default_rng(seed).standard_normal((count, 1))
    figures = dict.fromkeys(MEASURES, values) | {f"{m}_standard_error": np.full((count, 1), 1.0) for m in MEASURES}
    bounds = {f"{m}{end}": values + 1.96 * sign for m in MEASURES for end, sign in (("_low", -1.0), ("_high", 1.0))}
    return Replications("made", 1024, figures | bounds | {"effective_sample_size": np.full((count, 1), 512.0)}, 1.0)


@pytest.mark.parametrize("method", [m for m in METHODS if m != "control_variate"])
def test_a_replication_is_a_run_of_the_pipeline(method: str) -> None:
    problem = _problem()
    found = replicate(problem, [method], count=1, levels=(0.95, 0.99, 0.997), seed=9)[method]
    spec = arrange(SimulationSpec(problem.spec.model, paths=32_768, steps=1, seed=9), book=problem.book, method=method)
    lazy = tail_risk(portfolio_loss(simulate(spec, times=[1]), book=problem.book), level=(0.95, 0.99, 0.997)).compute()
    for measure in MEASURES:
        for name in (measure, f"{measure}_standard_error", f"{measure}_low", f"{measure}_high"):
            assert np.array_equal(found.figures[name][0], lazy[name].to_numpy().reshape(-1)), name


def test_figures_of_replications() -> None:
    plain, better = _made(2.0), _made(1.0, seed=2)
    (factor,) = variance_factor(plain, better, "value_at_risk")
    assert factor.low < 4.0 < factor.high
    assert factor.low < factor.value < factor.high
    assert factor.high / factor.low == pytest.approx(1.745, abs=0.01)  # F(199, 199) from 2.5 to 97.5 %
    assert better.stated_over_real("value_at_risk")[0] == pytest.approx(1.0, abs=0.15)
    assert plain.stated_over_real("value_at_risk")[0] == pytest.approx(0.5, abs=0.08)
    assert better.effective_share().tolist() == [0.5]
    assert better.coverage("value_at_risk", np.array([10.0]))[0] == pytest.approx(0.95, abs=0.04)
    assert plain.coverage("value_at_risk", np.array([10.0]))[0] < 0.8
    mean, error = better.mean("value_at_risk")
    assert abs(mean[0] - 10.0) < 4.0 * error[0]


def test_linear_losses_have_the_exact_mean() -> None:
    problem = Problem(
        "linear",
        SimulationSpec(market_model(), paths=32_768, steps=2, seed=1),
        book(market_model().assets),
        linear=True,
    )
    found = replicate(problem, ["control_variate"], count=2, levels=(0.95,), pilots=2)["control_variate"]
    years, model = 2 / 252, market_model()
    exposure = np.full(20, 100.0)
    mean = -float(exposure @ model.mean_log_growth(years))
    deviation = float(np.sqrt(exposure @ model.covariance_log_growth(years) @ exposure))
    assert problem.mean_loss() == pytest.approx(mean)
    expected = mean + 1.6448536 * deviation
    assert np.all(np.abs(found.figures["value_at_risk"] - expected) < 0.05 * deviation)


def test_suite_gives_a_row_a_method_with_factors_that_are_known() -> None:
    rows = run_suites(["sampling"], say=lambda line: None, scale=0.01)
    names = [row.name for row in rows]
    assert names[:6] == [f"{method}, normal" for method in METHODS if method != "plain"]
    assert [name for name in names if name.startswith("importance")] == [
        "importance, normal", "importance, Student t", "importance, Merton"
    ]  # fmt: skip
    for row in rows:
        assert row.agrees, row
        assert len(row.notes) == 3
        record = row.record()
        assert json.loads(json.dumps(record, allow_nan=False)) == record
        headline = next(
            f for f in record["details"]["figures"] if f["measure"] == "expected_shortfall" and f["level"] == 0.99
        )
        assert headline["efficiency"] == pytest.approx(row.ratio)
        assert headline["variance_reduction_low"] < headline["variance_reduction"] < headline["variance_reduction_high"]
    shifted = next(row for row in rows if row.name == "importance, normal")
    assert all(figure["variance_reduction_low"] > 1.0 for figure in shifted.record()["details"]["figures"])
