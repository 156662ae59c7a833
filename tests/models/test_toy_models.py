"""The toy models keep the contract: their kernels move the states as their exact moments say, with NumPy's draws."""

from __future__ import annotations

import numpy as np
import pytest

from riskops.models import Shock
from tests.models.toy_models import example_models

PATHS = 100_000
STEPS = 5


def draw(shock: Shock, tables, state, rng: np.random.Generator) -> np.ndarray:
    """What the engine hands to ``advance`` for this shock, made by NumPy."""
    rows = 2 if shock.per == "asset" else 1
    if shock.kind == "word":
        return rng.integers(0, 2**32, (rows, PATHS), dtype=np.uint32)
    if shock.kind == "rows":
        table = tables[shock.table]
        return np.ascontiguousarray(table[rng.integers(0, len(table), PATHS)].T)
    if shock.kind == "uniform":
        u = rng.random((rows, PATHS))
        return np.where(u <= 0.5, u, u - 1.0)
    normals = rng.standard_normal((rows, PATHS))
    if shock.selector is None:
        return normals
    matrices = tables[shock.mixing][state[shock.selector][0]]
    return np.ascontiguousarray(np.einsum("pij,jp->ip", matrices, normals))


@pytest.fixture(params=sorted(example_models()))
def simulated(request):
    rng = np.random.default_rng(17)
    model = example_models()[request.param]
    tables = model.tables(1 / 252)
    state = {
        s.name: np.repeat(
            model.start()[s.name].astype(np.int32 if s.kind == "index" else np.float64)[:, None], PATHS, axis=1
        )
        for s in model.states
    }
    for _ in range(STEPS):
        shocks = {shock.name: draw(shock, tables, state, rng) for shock in model.shocks}
        model.advance(state, shocks, tables)
    return model, state


def test_mean_is_exact_within_its_error(simulated):
    model, state = simulated
    growth = state["log_growth"]
    error = growth.std(axis=1) / np.sqrt(PATHS)
    assert np.all(np.abs(growth.mean(axis=1) - model.mean_after(STEPS)) < 4 * error)


def test_second_moments_or_regimes_are_exact_within_their_error(simulated):
    model, state = simulated
    if model.kind == "toy_two_regimes":
        share = (state["regime"][0] == 1).mean()
        exact = model.regime_probability(STEPS)[1]
        assert abs(share - exact) < 4 * np.sqrt(exact * (1 - exact) / PATHS)
        return
    centred = state["log_growth"] - model.mean_after(STEPS)[:, None]
    for i in range(2):
        for j in range(2):
            product = centred[i] * centred[j]
            error = product.std() / np.sqrt(PATHS)
            assert abs(product.mean() - model.covariance_after(STEPS)[i, j]) < 4 * error
