"""Figures corrected by known means: the means are right, the figures unbiased and surer, and nothing is assumed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy.stats import norm

from riskops.errors import InputError
from riskops.measures import controlled_tail_risk, tail_reduction, tail_risk
from riskops.measures.control_variates import check_controlled, controlled_figures, expected_loss
from riskops.models import GeometricBrownianMotion
from riskops.portfolio import portfolio_loss
from riskops.reductions import Moments, Tail, fuse, needed_tail, reduce_paths
from riskops.scenarios import BASE, Event, Scenario
from riskops.simulation import PathJob, Sampling, path_job, paths_of
from tests.measures.samples import coverage
from tests.models.toy_models import example_models
from tests.simulation.examples import Pegged, book_of, prices_of, spec_of

LEVELS = (0.9, 0.95)
BOOK = book_of([[1e3, 500.0, -800.0], [0.0, 250.0, 250.0]])
SCENARIOS = (BASE, Scenario("crash", all_prices=-0.2), Scenario("drifting", volatility=2.0))


def job_of(**options: Any) -> PathJob:
    spec = spec_of(sampling=Sampling("control_variate"), **({"steps": 2, "step_days": 20} | options))
    return path_job(spec, times=[20, 40], scenarios=SCENARIOS, prices=prices_of())


def controlled(job: PathJob, *, book: xr.Dataset = BOOK, level: tuple[float, ...] = LEVELS) -> xr.Dataset:
    losses = portfolio_loss(paths_of(job), book=book)
    parts = fuse(tail=tail_reduction(losses, level=level, controlled=True), moments=Moments())
    summary = reduce_paths(losses, parts)
    return controlled_tail_risk(summary, losses, job=job, book=book, level=level)


def test_known_means_are_those_of_the_simulated_losses() -> None:
    job = job_of(paths=64 * 1024)
    losses = portfolio_loss(paths_of(job), book=BOOK)["loss"].values
    exposure = BOOK["exposure"].values
    for s, m in enumerate(job.model_of):
        for h, days in enumerate((20, 40)):
            returns = job.models[m].mean_simple_return(days / 252)
            expected = expected_loss(exposure, returns, job.output_shift[s])
            sample = losses[s, :, h]
            error = sample.std(axis=-1, ddof=1) / np.sqrt(sample.shape[-1])
            assert np.all(np.abs(sample.mean(axis=-1) - expected) < 4.5 * error)
            assert np.all(error < 0.02 * np.abs(exposure).sum(axis=1))
    assert np.abs(job.output_shift[1]).min() > 0.2  # of the crash, which comes before the growth


def test_shapes_names_and_every_cut() -> None:
    found = controlled(job_of()).compute(scheduler="synchronous")
    measures = ("value_at_risk", "expected_shortfall")
    names = [m + s for m in measures for s in ("", "_standard_error", "_low", "_high")]
    assert set(names) | {"effective_sample_size", "value_at_risk_effective_sample_size"} == set(found)
    for name in found:
        assert found[name].dims == ("scenario", "portfolio", "horizon", "level")
        assert np.all(np.isfinite(found[name]))
    for chunk in (2048, 4096):
        again = controlled(job_of(chunk_paths=chunk)).compute(scheduler="synchronous")
        xr.testing.assert_identical(again, found)
    for m in measures:
        assert np.all(found[f"{m}_low"] <= found[m])
        assert np.all(found[m] <= found[f"{m}_high"])
    assert np.all(found["expected_shortfall"] > found["value_at_risk"])


def test_figures_agree_with_plain_ones_and_say_that_they_are_surer() -> None:
    job = job_of(paths=32 * 1024)
    found = controlled(job).compute(scheduler="synchronous")
    plain = tail_risk(portfolio_loss(paths_of(job), book=BOOK), level=LEVELS).compute(scheduler="synchronous")
    for m in ("value_at_risk", "expected_shortfall"):
        error = plain[f"{m}_standard_error"]
        assert np.all(np.abs(found[m] - plain[m]) < 4 * error)
        assert np.all(found[f"{m}_standard_error"] < (1.05 if m == "value_at_risk" else 1.0) * error)
    assert np.all(found["effective_sample_size"] > 32 * 1024)
    assert np.all(found["value_at_risk_effective_sample_size"] > 32 * 1024)


# Many small replications of a normal loss with known mean: bias, errors and the reduction of the variance

REPLICATIONS, PATHS = 240, 4096


@pytest.fixture(scope="module")
def replications() -> dict[str, np.ndarray]:
    """Controlled and plain figures ``(replication, level)`` of standard normal losses around a mean of 0.3."""
    rng = np.random.default_rng(8)
    pilot_losses = 0.3 + rng.normal(size=65_536)

    def summary_of(losses: np.ndarray, keep: int) -> dict[str, Any]:
        reduction = fuse(tail=Tail(keep=keep), moments=Moments())
        return reduction.finalize(reduction.chunk({"loss": losses[None]}, first_path=0))

    pilot = summary_of(pilot_losses, needed_tail(LEVELS, 65_536))
    out: dict[str, list[np.ndarray]] = {}
    for _ in range(REPLICATIONS):
        losses = 0.3 + rng.normal(size=PATHS)
        placed = controlled_figures(summary_of(losses, 1000), pilot, np.array([0.3]), levels=LEVELS)
        worst = np.sort(losses)
        for name in ("value_at_risk", "expected_shortfall"):
            out.setdefault(name, []).append(np.array([figures for _, figures in placed[name]]))
        k = [int(np.ceil(PATHS * level)) for level in LEVELS]
        out.setdefault("plain value_at_risk", []).append(worst[np.array(k) - 1])
        out.setdefault("plain expected_shortfall", []).append(np.array([worst[j:].mean() for j in k]))
    return {name: np.array(values) for name, values in out.items()}


Z = norm.ppf(LEVELS)
EXACT = {"value_at_risk": 0.3 + Z, "expected_shortfall": 0.3 + norm.pdf(Z) / (1 - np.array(LEVELS))}


@pytest.mark.parametrize("measure", EXACT)
def test_corrected_figures_are_unbiased_with_honest_errors(replications, measure: str) -> None:
    value, error, low, high = np.moveaxis(replications[measure], -1, 0)
    spread = value.std(axis=0, ddof=1)
    bias = np.abs(value.mean(axis=0) - EXACT[measure])
    assert np.all(bias < 4 * spread / np.sqrt(REPLICATIONS) + 0.5 * spread / np.sqrt(PATHS))
    np.testing.assert_allclose(error.mean(axis=0), spread, rtol=0.15)
    share = coverage(low, high, EXACT[measure])
    assert np.all((share > 0.9) & (share < 0.99)), share


@pytest.mark.parametrize("measure", EXACT)
def test_the_variance_is_lower_by_more_than_a_tenth(replications, measure: str) -> None:
    plain = replications[f"plain {measure}"].var(axis=0, ddof=1)
    controlled = replications[measure][..., 0].var(axis=0, ddof=1)
    assert (plain / controlled)[LEVELS.index(0.95)] >= 1.1
    assert np.all(plain / controlled > 1.05)


def test_a_mean_that_is_off_moves_the_figures_by_the_coefficients() -> None:
    """What is corrected: a sample whose mean loss is too high has too high a tail."""
    rng = np.random.default_rng(5)
    losses = rng.normal(size=8192)
    reduction = fuse(tail=Tail(keep=3000), moments=Moments())
    summary = reduction.finalize(reduction.chunk({"loss": losses[None]}, first_path=0))
    figures = [
        controlled_figures(summary, summary, np.array([known]), levels=(0.95,))["value_at_risk"][0][1][0]
        for known in (losses.mean() - 0.1, losses.mean(), losses.mean() + 0.1)
    ]
    # All losses are too high by 0.1, and so is the quantile; the linear correction of a normal tail is exact there.
    assert figures[0] < figures[1] < figures[2]
    np.testing.assert_allclose(np.diff(figures), 0.1, atol=0.03)


# Refusals


def test_models_without_known_means_are_refused() -> None:
    for model, line in (
        (Pegged(("A", "B")), "sampling.method: control_variate needs known means, and model toy_pegged has none"),
        (
            example_models()["toy_uniform"],
            "sampling.method: control_variate needs known means: model toy_uniform: the mean of its simple return is "
            "not known in closed form",
        ),
    ):
        with pytest.raises(InputError) as caught:
            check_controlled(model)
        assert str(caught.value) == line
        job = path_job(
            spec_of(model, sampling=Sampling("control_variate")), times=[1], scenarios=(BASE,), prices=prices_of("AB")
        )
        with pytest.raises(InputError) as caught:
            controlled(job, book=book_of([[1.0, 1.0]], "AB"))
        assert str(caught.value) == line


def test_events_are_refused() -> None:
    event = Scenario("fall", events=(Event(1, -0.1),))
    job = path_job(
        spec_of(steps=2, sampling=Sampling("control_variate")), times=[2], scenarios=(BASE, event), prices=prices_of()
    )
    with pytest.raises(InputError) as caught:
        controlled(job)
    assert str(caught.value) == (
        "sampling.method: control_variate needs known means, and the events of scenario fall change them"
    )


def test_a_portfolio_without_risk_needs_no_correction() -> None:
    model = GeometricBrownianMotion(("A",), [0.0], [0.2], [[1.0]])
    job = path_job(
        spec_of(model, sampling=Sampling("control_variate")), times=[1], scenarios=(BASE,), prices=prices_of("A")
    )
    found = controlled(job, book=book_of([[0.0]], "A")).compute(scheduler="synchronous")
    for m in ("value_at_risk", "expected_shortfall"):
        for suffix in ("", "_standard_error", "_low", "_high"):
            assert not found[m + suffix].values.any()
