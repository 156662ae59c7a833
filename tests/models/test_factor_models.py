"""Every model that takes factors: fitted, recorded, stressed and simulated with the correlation that it has."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import xarray as xr

from riskops.models import calibrate, describe_models, from_record
from riskops.models.built_in import BUILT_IN
from riskops.models.factor_structure import FactorStructure
from riskops.simulation import SimulationSpec, simulate
from tests.models.examples import example
from tests.models.factor_market import market_loadings, market_returns

#: What a fit is given beside the factors, to be quick.
OPTIONS: dict[str, dict[str, Any]] = {
    "geometric_brownian": {},
    "student_t": {},
    "student_t_copula": {"margins": "normal", "degrees_of_freedom": 6.0},
    "garch": {"innovations": "student_t"},
    "merton": {"correlation": "total"},
    "kou": {},
}


@pytest.fixture(scope="module")
def returns() -> xr.Dataset:
    """Days whose deviation changes, so that every model finds the tails and the clusters that it looks for."""
    calm = market_returns(market_loadings(4, 1), days=800)
    spread = 0.6 + np.abs(np.sin(np.arange(800) / 40.0))
    return calm.assign(log_return=calm["log_return"].copy(data=calm["log_return"].values * spread[:, None]))


def test_the_models_that_take_factors() -> None:
    taking = {row["model"] for row in describe_models() if "factors" in row["options"].split(", ")}
    assert taking & set(BUILT_IN) == set(OPTIONS)


@pytest.mark.parametrize("kind", OPTIONS)
def test_a_fit_by_factors(kind: str, returns: xr.Dataset) -> None:
    fitted = calibrate(returns, kind=kind, options={"factors": 1, "drift": "zero", **OPTIONS[kind]})
    model: Any = fitted.model
    assert isinstance(model.correlation, FactorStructure)
    assert fitted.report["factors"]["factors"] == fitted.report["options"]["factors"] == 1
    assert fitted.report["nearest_correlation"] is None
    full: Any = calibrate(returns, kind=kind, options={"drift": "zero", **OPTIONS[kind]}).model
    np.testing.assert_allclose(np.asarray(model.correlation), full.correlation, atol=0.1)
    assert from_record(json.loads(json.dumps(model.record()))) == model


@pytest.mark.parametrize("kind", OPTIONS)
def test_a_model_by_factors_is_that_of_the_matrix_with_other_draws(kind: str) -> None:
    """Exact moments and stressed parameters as with the matrix; the same other shocks; simulated correlations as they
    are with the matrix, which the exact ones of the closed forms are held to elsewhere."""
    structure = FactorStructure([[0.8], [-0.5]])
    factors: Any = replace(example(kind), correlation=structure)  # type: ignore[call-arg]
    matrix: Any = replace(example(kind), correlation=np.asarray(structure))  # type: ignore[call-arg]
    assert [shock.name for shock in factors.shocks] == [*(shock.name for shock in matrix.shocks), "common"]
    stressed = [model.shocked(correlation=0.3, volatility=1.5) for model in (factors, matrix)]
    np.testing.assert_allclose(np.asarray(stressed[0].correlation), stressed[1].correlation, atol=1e-15)
    found = []
    for one, other in ((factors, matrix), stressed):
        growth = []
        for model in (one, other):
            spec = SimulationSpec(model, paths=65_536, steps=1, seed=3)
            growth.append(simulate(spec)["log_growth"].values[-1].astype(float))
        # asset 0 and 1 have other shocks than normals in common with the other model, so errors are below these
        np.testing.assert_allclose(growth[0].mean(axis=1), growth[1].mean(axis=1), atol=0.02 * growth[1].std())
        found.append([np.corrcoef(np.clip(g, *np.quantile(g, [0.01, 0.99])))[0, 1] for g in growth])
    np.testing.assert_allclose(*np.transpose(found), atol=0.02)
    assert found[1][0] - found[0][0] > 0.1  # towards one
