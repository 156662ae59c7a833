"""Euler contributions: the definition by brute force, exact sums, Gaussian closed forms, honest intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy.stats import norm

from riskops.errors import InputError
from riskops.measures import tail_contributions, tail_risk
from riskops.measures.attribution import contribution_figures
from riskops.models import GeometricBrownianMotion
from riskops.portfolio import portfolio_loss
from riskops.reductions import interval_ranks, order_index
from riskops.scenarios import BASE, Scenario
from riskops.simulation import PathJob, SimulationSpec, path_job, paths_of
from tests.measures.samples import coverage, tail_of
from tests.simulation.examples import ASSETS, book_of, brownian, prices_of, spec_of

LEVELS = (0.9, 0.95)
BOOK = book_of([[1e3, 500.0, -800.0], [0.0, 250.0, 250.0]])
SCENARIOS = (BASE, Scenario("doubled", volatility=2.0))


def attributed(job: PathJob, book: xr.Dataset = BOOK, level: Any = LEVELS) -> tuple[xr.Dataset, xr.Dataset]:
    """The contributions and the tail risk of the base scenario."""
    losses = portfolio_loss(paths_of(job, drop_scenario=len(job.scenarios) == 1), book=book)
    risk = tail_risk(losses, level=level).compute()
    parts = tail_contributions(losses, job=job, book=book, level=level).compute()
    return parts, risk.isel(scenario=0, drop=True) if "scenario" in risk.dims else risk


@pytest.fixture(scope="module")
def job() -> PathJob:
    return path_job(spec_of(paths=5000, steps=2), times=[1, 2], scenarios=SCENARIOS, prices=prices_of())


@pytest.fixture(scope="module")
def found(job: PathJob) -> tuple[xr.Dataset, xr.Dataset]:
    return attributed(job)


def tails_of(asset_losses: np.ndarray, levels: tuple[float, ...]) -> dict[str, np.ndarray]:
    """Weights, means and squares of deviations ``(1, 1, level, (ES, VaR)[, asset])`` by NumPy, from ``(asset, n)``."""
    n = asset_losses.shape[1]
    worst = asset_losses[:, np.argsort(-asset_losses.sum(axis=0), kind="stable")]
    weights = np.zeros((len(levels), 2, n))
    for row, level in zip(weights, levels, strict=True):
        beyond = n - order_index(level, n)
        low, high = interval_ranks(level, n)
        row[0, :beyond] = 1.0
        row[0, beyond] = n * (1 - level) - beyond  # what the order statistic itself weighs in the exact ES
        row[1, n - high : n - low + 1] = 1.0
    weight = weights.sum(axis=-1)
    mean = weights @ worst.T / weight[..., None]
    squares = np.einsum("lkn,lkan->lka", weights, (worst - mean[..., None]) ** 2)
    return {"weight": weight[None, None], "mean": mean[None, None], "squares": squares[None, None]}


def test_contributions_are_the_definition_by_brute_force(job: PathJob, found: tuple[xr.Dataset, xr.Dataset]) -> None:
    growth = paths_of(job)["log_growth"].sel(scenario="base").values.astype(float)
    for p, h in np.ndindex(2, 2):
        exposure = BOOK["exposure"].values[p]
        asset_losses = -exposure[:, None] * np.expm1(growth[h])
        total = asset_losses.sum(axis=0)
        tail = tail_of(total[None, None], LEVELS)
        expected = contribution_figures({"sums": tails_of(asset_losses, LEVELS), "found": tail}, levels=LEVELS)
        at = found[0].isel(portfolio=p, horizon=h)
        for name, values in expected.items():
            if name.endswith(("_low", "_high")):
                continue
            np.testing.assert_allclose(at[name], values[0, 0], rtol=2e-5, atol=1e-4)  # expm1 is in single precision


def test_contributions_sum_to_the_figures(found: tuple[xr.Dataset, xr.Dataset]) -> None:
    parts, risk = found
    for measure in ("value_at_risk", "expected_shortfall"):
        np.testing.assert_allclose(parts[f"component_{measure}"].sum("asset"), risk[measure], rtol=1e-9)
    assert parts["component_value_at_risk"].dims == ("portfolio", "horizon", "level", "asset")
    assert parts["component_value_at_risk_scale"].dims == ("portfolio", "horizon", "level")
    assert parts["asset"].values.tolist() == list(ASSETS)
    np.testing.assert_allclose(parts["component_value_at_risk_scale"], 1.0, atol=0.03)


def test_an_asset_that_is_not_held_contributes_nothing(found: tuple[xr.Dataset, xr.Dataset]) -> None:
    nothing = found[0].isel(portfolio=1).sel(asset="A")
    for measure in ("component_value_at_risk", "component_expected_shortfall"):
        for suffix in ("", "_standard_error", "_low", "_high"):
            assert not nothing[measure + suffix].values.any()


def test_one_asset_alone_contributes_everything() -> None:
    model = GeometricBrownianMotion(("A",), [0.0], [0.2], [[1.0]])
    parts, risk = attributed(path_job(spec_of(model), times=[1]), book_of([[100.0]], ["A"]))
    for measure in ("value_at_risk", "expected_shortfall"):
        np.testing.assert_allclose(parts[f"component_{measure}"].values[..., 0], risk[measure], rtol=1e-12)
        stated = parts[f"component_{measure}_standard_error"].values[..., 0]
        np.testing.assert_allclose(stated, risk[f"{measure}_standard_error"], rtol=0.02)


def test_contributions_do_not_depend_on_chunks_or_on_scenarios(found: tuple[xr.Dataset, xr.Dataset]) -> None:
    for chunk, scenarios in ((2048, SCENARIOS), (5120, SCENARIOS), (1024, (BASE,))):
        spec = spec_of(paths=5000, steps=2, chunk_paths=chunk)
        again, _ = attributed(path_job(spec, times=[1, 2], scenarios=scenarios, prices=prices_of()))
        xr.testing.assert_identical(again, found[0])


def test_only_paths_of_the_tail_are_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    job = path_job(spec_of(paths=64 * 1024, chunk_paths=8192), times=[1])
    losses = portfolio_loss(paths_of(job, drop_scenario=True), book=BOOK).compute().chunk(path=8192)
    drawn: list[int] = []
    block = PathJob.block
    monkeypatch.setattr(PathJob, "block", lambda self, counters, n: drawn.append(n) or block(self, counters, n))
    tail_contributions(losses, job=job, book=BOOK, level=0.999).compute(scheduler="synchronous")
    assert 0 < sum(drawn) <= 8 * 1024  # four paths a counter, whole tiles, instead of 64 tiles
    assert len(drawn) <= 8


def test_refusals(job: PathJob) -> None:
    losses = portfolio_loss(paths_of(job), book=BOOK)
    other = path_job(spec_of(paths=5000, steps=2), times=[2], scenarios=SCENARIOS, prices=prices_of())
    with pytest.raises(InputError) as caught:
        tail_contributions(losses, job=other, book=BOOK, level=0.9)
    assert str(caught.value) == "horizon: [1.0, 2.0] are not all among the times of the job"
    with pytest.raises(InputError) as caught:
        tail_contributions(losses, job=job, book=BOOK, level=1.5)
    assert str(caught.value) == "level: 1.5 is not a confidence level between 0 and 1; did you mean 0.015?"


# Against the Gaussian closed form: component = exposure * (Sigma exposure) / deviation * factor of the measure


def gaussian(exposure: np.ndarray, covariance: np.ndarray, level: float) -> dict[str, np.ndarray]:
    share = exposure * (covariance @ exposure) / np.sqrt(exposure @ covariance @ exposure)
    z = norm.ppf(level)
    return {
        "component_value_at_risk": share * z,
        "component_expected_shortfall": share * norm.pdf(z) / (1 - level),
    }


def test_simulated_contributions_agree_with_the_gaussian_ones() -> None:
    # Volatilities so small that simple returns are log returns to within far less than the errors.
    small = brownian(scale=1e-3)
    model = GeometricBrownianMotion(ASSETS, np.zeros(3), small.volatility, small.correlation)
    parts, _ = attributed(path_job(SimulationSpec(model, paths=2**16, seed=4, dtype="float64"), times=[1]))
    for p, (c, level) in ((p, pair) for p in range(2) for pair in enumerate(LEVELS)):
        exact = gaussian(BOOK["exposure"].values[p], model.covariance_log_growth(1 / 252), level)
        for name, values in exact.items():
            at = parts.isel(portfolio=p, horizon=0, level=c)
            error = at[f"{name}_standard_error"].values
            assert np.all(np.abs(at[name].values - values) <= 4 * error)
            assert np.all(error[values != 0] < 0.05 * np.abs(values).max())


def test_intervals_hold_the_exact_contribution_as_often_as_they_say() -> None:
    rng, level = np.random.default_rng(9), 0.95
    exposure, model = np.array([1e3, 500.0, -800.0]), brownian()
    covariance = model.covariance_log_growth(1 / 252)
    lower = np.linalg.cholesky(covariance)
    found = []
    for _ in range(200):
        asset_losses = -exposure[:, None] * (lower @ rng.normal(size=(3, 4000)))
        tail = tail_of(asset_losses.sum(axis=0)[None, None], (level,))
        found.append(contribution_figures({"sums": tails_of(asset_losses, (level,)), "found": tail}, levels=(level,)))
    for name, exact in gaussian(exposure, covariance, level).items():
        lows, highs = (np.array([figures[f"{name}_{end}"][0, 0, 0] for figures in found]) for end in ("low", "high"))
        share = coverage(lows, highs, exact)
        assert np.all((share > 0.88) & (share < 0.99)), (name, share)
        stated = np.mean([figures[f"{name}_standard_error"][0, 0, 0] for figures in found], axis=0)
        spread = np.std([figures[name][0, 0, 0] for figures in found], axis=0, ddof=1)
        np.testing.assert_allclose(stated, spread, rtol=0.25)
