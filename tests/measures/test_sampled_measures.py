"""Measures of weighted and of dependent paths: the figures of plain draws within honest errors, for every cut."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import xarray as xr

from riskops.measures import (
    base_growth,
    loss_histogram,
    loss_moments,
    return_dependence,
    tail_contributions,
    tail_risk,
)
from riskops.measures.grouped_attribution import SUMS, add_group_sums
from riskops.models import GeometricBrownianMotion
from riskops.portfolio import portfolio_loss
from riskops.reductions import Z95, groups_of, histogram_quantile, interval_ranks
from riskops.scenarios import BASE, Scenario
from riskops.simulation import PathJob, SimulationSpec, path_job, paths_of
from riskops.simulation.sampling import Sampling
from tests.simulation.examples import book_of, brownian, prices_of

BOOK = book_of([[1e3, 500.0, -800.0], [0.0, 250.0, 250.0]])
LEVELS = (0.9, 0.95)
MOMENTS = ("mean_loss", "loss_standard_deviation", "loss_skewness")
#: Normals of the first steps that go down with the first portfolio's loss.
DOWN = (-0.6, -0.5, 0.4)
SAMPLINGS = {
    "plain": Sampling(),
    "antithetic": Sampling("antithetic"),
    "importance": Sampling("importance", shift={"diffusion": DOWN}),
    "moment_matching": Sampling("moment_matching"),
    "stratified": Sampling(
        "stratified", steps=2, direction={"diffusion": tuple(np.array(DOWN) / np.linalg.norm(DOWN))}
    ),
    "sobol": Sampling("sobol", replicates=8, dimensions=6, steps=2),
}


def job_of(method: str, *, paths: int = 2**15, chunk: int = 8192, seed: int = 5, scale: float = 1.0) -> PathJob:
    spec = SimulationSpec(
        brownian(scale=scale), paths=paths, steps=2, seed=seed, chunk_paths=chunk, sampling=SAMPLINGS[method]
    )
    scenarios = (BASE, Scenario("doubled", volatility=2.0))
    return path_job(spec, times=[1, 2], scenarios=scenarios, prices=prices_of())


@lru_cache
def measured(method: str, **options: Any) -> xr.Dataset:
    """Everything at once, for the base scenario."""
    job = job_of(method, **options)
    paths = paths_of(job)
    losses = portfolio_loss(paths, book=BOOK)
    risk = tail_risk(losses, level=LEVELS)
    parts = [
        loss_moments(losses),
        return_dependence(paths),
        tail_contributions(losses, job=job, book=BOOK, level=LEVELS),
        risk[[name for name in risk if "change" not in str(name)]],
    ]
    return xr.merge(parts, compat="equals", join="exact").isel(scenario=0).compute()


@pytest.mark.parametrize("method", [name for name in SAMPLINGS if name != "plain"])
def test_figures_agree_with_those_of_plain_draws(method: str) -> None:
    plain, found = measured("plain", paths=2**17), measured(method)
    for name in (*MOMENTS, "covariance", "correlation", "component_value_at_risk", "component_expected_shortfall"):
        error = np.hypot(plain[f"{name}_standard_error"], found[f"{name}_standard_error"])
        assert np.isfinite(error).all()
        assert (abs(found[name] - plain[name]) <= 4.5 * error + 1e-12).all(), name


@pytest.mark.parametrize("method", SAMPLINGS)
def test_contributions_sum_to_the_figures(method: str) -> None:
    found = measured(method)
    for measure in ("value_at_risk", "expected_shortfall"):
        np.testing.assert_allclose(found[f"component_{measure}"].sum("asset"), found[measure], rtol=1e-9)
    nothing = found.isel(portfolio=1).sel(asset="A")
    for measure in ("component_value_at_risk", "component_expected_shortfall"):
        assert not nothing[measure].values.any()
        assert not nothing[f"{measure}_standard_error"].values.any()


@pytest.mark.parametrize("method", ["antithetic", "importance", "sobol"])
def test_figures_do_not_depend_on_the_cut(method: str) -> None:
    xr.testing.assert_identical(measured(method), measured(method, chunk=3072))
    histograms = [
        loss_histogram(portfolio_loss(paths_of(job_of(method, chunk=chunk)), book=BOOK)).compute().item()
        for chunk in (8192, 3072)
    ]
    xr.testing.assert_identical(*histograms)


def test_the_antithetic_mean_of_a_nearly_linear_book_is_nearly_free_of_error() -> None:
    plain, found = measured("plain", scale=0.01), measured("antithetic", scale=0.01)
    ratio = found["mean_loss_standard_error"] / plain["mean_loss_standard_error"]
    assert (ratio < 0.02).all()
    exact = -BOOK["exposure"].values @ np.expm1(np.outer(np.array([0.08, 0.0, -0.05]), [1, 2]) / 252)
    assert (abs(found["mean_loss"].values - exact) <= 5 * found["mean_loss_standard_error"].values).all()


@pytest.mark.parametrize("method", ["antithetic", "moment_matching", "sobol"])
def test_the_error_of_the_mean_is_that_of_the_groups(method: str) -> None:
    losses = portfolio_loss(paths_of(job_of(method)), book=BOOK).compute()
    groups, values = groups_of(losses.attrs), losses["loss"].values[0, 0, 1]
    paths = values.size
    (sums,) = groups.sums(np.arange(paths), values - values.mean())
    exact = np.sqrt(groups.covariance(float(sums @ sums), sums.sum(), sums.sum(), paths))
    stated = float(measured(method)["mean_loss_standard_error"][0, 1])
    # the tiles of antithetic pairs are 32 batches where the pairs are 16,384 groups
    assert stated == pytest.approx(exact, rel=0.4 if method == "antithetic" else 1e-6)


def test_weighted_histograms_estimate_the_plain_ones() -> None:
    found = {}
    for method in ("plain", "importance"):
        losses = portfolio_loss(paths_of(job_of(method)), book=BOOK)
        histogram = loss_histogram(losses).compute().item().isel(scenario=0, portfolio=0, horizon=0)
        counts, low, high = (histogram[name].values for name in ("loss_histogram", "bin_low", "bin_high"))
        assert counts.sum() == pytest.approx(2**15, rel=0.02)
        found[method] = histogram_quantile(counts, low, high, [0.05, 0.5, 0.95])[0]
    np.testing.assert_allclose(found["importance"], found["plain"], rtol=0.05, atol=0.3)


def test_weights_and_groups_travel_with_the_growth_of_the_base_scenario() -> None:
    paths = paths_of(job_of("importance"))
    growth = base_growth(paths, horizons=[2.0])
    assert set(growth) == {"log_growth", "likelihood_ratio"}
    assert growth["likelihood_ratio"].dims == ("time", "path")
    assert growth.attrs == {"independent": "quadruple"}
    assert "likelihood_ratio" not in base_growth(paths_of(job_of("plain")))


@pytest.mark.parametrize("method", ["antithetic", "importance", "stratified"])
def test_stated_errors_are_the_spread_over_runs(method: str) -> None:
    runs = [measured(method, paths=2**14, chunk=2**14, seed=100 + k) for k in range(24)]
    for name in ("mean_loss", "loss_standard_deviation", "component_expected_shortfall", "component_value_at_risk"):
        values = np.stack([run[name].values for run in runs])
        stated = np.sqrt(np.mean([run[f"{name}_standard_error"].values ** 2 for run in runs], axis=0))
        spread = values.std(axis=0, ddof=1)
        held = spread > 0.0
        assert 0.75 < np.median(stated[held] / spread[held]) < 1.35, name


def brute_force(method: str) -> tuple[np.ndarray, np.ndarray]:
    """Contributions to ES at 95 % of the first portfolio over two days, and their errors from sums over all groups."""
    job, level = job_of(method), 0.95
    paths = paths_of(job)
    losses = portfolio_loss(paths, book=BOOK).compute()
    growth = paths["log_growth"].isel(scenario=0, time=1).values.astype(float)
    asset_losses = -BOOK["exposure"].values[0][:, None] * np.expm1(growth)
    total, groups = losses["loss"].values[0, 0, 1], groups_of(losses.attrs)
    n = total.size
    weights = losses["loss_weight"].values[1] if "loss_weight" in losses else np.ones(n)
    order = np.argsort(-total, kind="stable")
    cumulated = np.cumsum(weights[order])
    beyond = int(np.searchsorted(cumulated, n * (1 - level) + 1e-9, side="right"))
    share = np.zeros(n)
    share[order[:beyond]] = weights[order[:beyond]]
    share[order[beyond]] = n * (1 - level) - cumulated[beyond - 1]
    mass, reach = n * (1 - level), Z95 * np.sqrt(n * level * (1 - level))
    window = (mass - reach, mass + reach)
    if "loss_weight" not in losses:  # every path counts one: the ranks of the binomial interval
        low, high = interval_ranks(level, n)
        window = (n - high, n - low)
    first, last = (np.searchsorted(cumulated, edge, side="right") for edge in window)
    inside = np.zeros(n, dtype=bool)
    inside[order[first : last + 1]] = True
    near = np.average(asset_losses[:, inside], axis=1, weights=weights[inside])
    errors = []
    for loss, centre in zip(asset_losses, near, strict=True):
        (sums,) = groups.sums(np.arange(n), share * (loss - centre) / (1 - level))
        errors.append(np.sqrt(groups.covariance(float(sums @ sums), sums.sum(), sums.sum(), n)))
    return asset_losses @ share / (n * (1 - level)), np.array(errors)


@pytest.mark.parametrize("method", [name for name in SAMPLINGS if name != "plain"])
def test_contributions_are_the_definition_by_brute_force(method: str) -> None:
    components, errors = brute_force(method)
    at = measured(method).isel(portfolio=0, horizon=1, level=1)
    np.testing.assert_allclose(at["component_expected_shortfall"], components, rtol=2e-5, atol=1e-4)
    np.testing.assert_allclose(at["component_expected_shortfall_standard_error"], errors, rtol=1e-3)


def test_one_asset_alone_contributes_everything() -> None:
    model = GeometricBrownianMotion(("A",), [0.0], [0.2], [[1.0]])
    for sampling in (Sampling("antithetic"), Sampling("importance", shift={"diffusion": (-1.0,)})):
        job = path_job(SimulationSpec(model, paths=8192, seed=3, chunk_paths=2048, sampling=sampling), times=[1])
        losses = portfolio_loss(paths_of(job, drop_scenario=True), book=book_of([[100.0]], ["A"]))
        risk = tail_risk(losses, level=LEVELS).compute()
        parts = tail_contributions(losses, job=job, book=book_of([[100.0]], ["A"]), level=LEVELS).compute()
        for measure in ("value_at_risk", "expected_shortfall"):
            np.testing.assert_allclose(parts[f"component_{measure}"].values[..., 0], risk[measure], rtol=1e-12)
            stated = parts[f"component_{measure}_standard_error"].values[..., 0]
            np.testing.assert_allclose(stated, risk[f"{measure}_standard_error"], rtol=0.05)


def test_kernel_of_group_sums_by_hand() -> None:
    rng = np.random.default_rng(4)
    losses, own = rng.standard_normal((2, 6)), rng.random(6)
    tile, group = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 3, 4, 4, 9])
    shares = np.stack([own * (own > 0.3), own * (own < 0.8)], axis=1)[:, None]
    out = np.zeros((2, 1, 2)), np.zeros((2, 1, 2, 2)), np.zeros((2, 1, 2, 2))
    add_group_sums(*out, losses, tile, group, shares)
    for kind, w in enumerate(shares[:, 0].T):
        for t in range(2):
            sums = [(w[group == g].sum(), losses[:, group == g] @ w[group == g]) for g in np.unique(group[tile == t])]
            expected = sum(c * c for c, _ in sums), sum(c * s for c, s in sums), sum(s * s for _, s in sums)
            for array, value in zip(out, expected, strict=True):
                np.testing.assert_allclose(array[t, 0, kind], value, rtol=1e-14)
    assert len(SUMS) == len(out)
