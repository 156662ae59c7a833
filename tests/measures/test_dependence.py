"""Covariance and correlation of simulated returns: NumPy's answer, exact moments, honest intervals."""

from __future__ import annotations

import numpy as np
import pytest

from riskops.errors import InputError
from riskops.measures import base_growth, return_dependence
from riskops.measures.dependence import dependence_figures
from riskops.reductions import CoMoments
from riskops.scenarios import BASE, Scenario
from riskops.simulation import simulate
from tests.measures.samples import coverage
from tests.simulation.examples import ASSETS, brownian, prices_of, spec_of


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_matrices_are_those_of_numpy(dtype: str) -> None:
    paths = simulate(spec_of(paths=5000, steps=10, dtype=dtype), times=[1, 10])
    found = return_dependence(paths).compute()
    for horizon in (1.0, 10.0):
        returns = np.expm1(paths["log_growth"].sel(time=horizon).values.astype(float))
        at = found.sel(horizon=horizon)
        np.testing.assert_allclose(at["covariance"], np.cov(returns), rtol=1e-11, atol=1e-18)
        np.testing.assert_allclose(at["correlation"], np.corrcoef(returns), rtol=1e-11, atol=1e-13)
    assert found["covariance"].dims == ("horizon", "asset", "other_asset")
    assert found["other_asset"].values.tolist() == list(ASSETS)
    np.testing.assert_array_equal(found["covariance"], found["covariance"].values.swapaxes(1, 2))


def test_the_matrices_are_exact_within_their_errors() -> None:
    model = brownian()
    found = return_dependence(simulate(spec_of(paths=2**16, steps=3, chunk_paths=16_384), times=[3])).compute()
    exact = model.covariance_simple_return(3 / 252)
    deviation = np.sqrt(np.diag(exact))
    pairs = {"covariance": exact, "correlation": exact / np.outer(deviation, deviation)}
    for name, value in pairs.items():
        error = found[f"{name}_standard_error"].values[0]
        assert np.all(np.abs(found[name].values[0] - value) <= 4 * error + 1e-15)


def test_the_diagonal_of_correlations_is_one_without_error() -> None:
    found = return_dependence(simulate(spec_of(), times=[1])).compute()
    for name, value in (("", 1.0), ("_standard_error", 0.0), ("_low", 1.0), ("_high", 1.0)):
        np.testing.assert_array_equal(np.diagonal(found["correlation" + name].values[0]), [value] * 3)
    assert np.all(found["covariance_standard_error"] > 0)


@pytest.mark.parametrize("rho", [0.0, 0.6, 0.95])
def test_intervals_hold_the_exact_value_as_often_as_they_say(rho: float) -> None:
    rng, reduction = np.random.default_rng(8), CoMoments(transform="none")
    lower = np.linalg.cholesky([[1.0, rho], [rho, 1.0]])
    found = []
    for _ in range(200):
        state = reduction.chunk({"log_growth": lower @ rng.normal(size=(2, 16 * 1024))}, first_path=0)
        found.append(dependence_figures(reduction.finalize(state)))
    exact = np.array([[1.0, rho], [rho, 1.0]])
    for name, pairs in (("correlation", [(0, 1)]), ("covariance", [(0, 0), (0, 1), (1, 1)])):
        for pair in pairs:
            lows, highs = ([figures[f"{name}_{end}"][pair] for figures in found] for end in ("low", "high"))
            assert 0.88 < coverage(lows, highs, exact[pair]) < 0.99


def test_intervals_of_correlations_end_at_one() -> None:
    base = np.random.default_rng(1).normal(size=4096)
    state = CoMoments(transform="none").chunk({"log_growth": np.stack([base, -base])}, first_path=0)
    figures = dependence_figures(CoMoments().finalize(state))
    assert figures["correlation"][0, 1] == pytest.approx(-1.0, abs=1e-15)
    assert figures["correlation_low"].min() >= -1.0
    assert figures["correlation_high"].max() <= 1.0


def test_base_alone_and_horizons_by_name() -> None:
    scenarios = (BASE, Scenario("doubled", volatility=2.0))
    stressed = simulate(spec_of(steps=3), scenarios=scenarios, prices=prices_of())
    alone = simulate(spec_of(steps=3))
    found = return_dependence(stressed, horizons=[1.0, 3.0]).compute()
    assert found["horizon"].values.tolist() == [1.0, 3.0]
    assert found.identical(return_dependence(alone, horizons=[1.0, 3.0]).compute())
    assert base_growth(stressed)["log_growth"].dims == ("time", "asset", "path")
    with pytest.raises(InputError) as caught:
        return_dependence(stressed, horizons=[1.0, 5.0])
    assert str(caught.value) == "horizons: 5.0 days are not among the times kept"


def test_at_time_zero_there_is_no_correlation() -> None:
    found = return_dependence(simulate(spec_of())).compute().sel(horizon=0.0)
    assert not found["covariance"].values.any()
    assert np.all(np.isnan(found["correlation"]))


def test_without_two_whole_tiles_there_is_no_error() -> None:
    found = return_dependence(simulate(spec_of(paths=2000), times=[1])).compute()
    assert np.all(np.isfinite(found["correlation"]))
    assert np.all(np.isnan(found["correlation_standard_error"]))
