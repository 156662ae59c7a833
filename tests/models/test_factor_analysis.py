"""Factors of a correlation: against statsmodels, exact where so many factors can be, with fewer days than assets."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.multivariate.factor import Factor

from riskops.errors import InputError
from riskops.models import GeometricBrownianMotion, calibrate
from riskops.models.factor_analysis import principal_factors
from riskops.models.factor_structure import FactorStructure
from riskops.models.sample import sample_log_returns
from riskops.threads import _pools
from tests.models.factor_market import market_loadings, market_returns


def correlation_of(assets: int, *, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.corrcoef((rng.normal(size=(80, assets)) + rng.normal(size=(80, 1))).T)


def test_loadings_are_those_of_statsmodels() -> None:
    correlation = correlation_of(12, seed=3)
    structure, report = principal_factors(correlation, 3)
    oracle = Factor(corr=correlation, n_factor=3, method="pa", smc=False).fit(maxiter=5000, tol=1e-13)
    theirs = oracle.loadings * np.sign(oracle.loadings[np.abs(oracle.loadings).argmax(axis=0), np.arange(3)])
    np.testing.assert_allclose(structure.loadings, theirs, atol=1e-7)
    assert report["last_change"] <= 1e-10


@pytest.mark.parametrize("assets", [2, 6, 10, 20])
def test_one_factor_less_than_assets_recovers_every_correlation(assets: int) -> None:
    correlation = correlation_of(assets, seed=assets)
    structure, report = principal_factors(correlation, assets - 1)
    np.testing.assert_allclose(np.asarray(structure), correlation, atol=1e-8)
    assert report["largest_error"] < 1e-8


@pytest.mark.parametrize("own", [True, False])
def test_a_correlation_by_factors_is_recovered(own: bool) -> None:
    """Also the singular one of assets that have nothing of their own."""
    loadings = market_loadings(40, 3).loadings
    given = FactorStructure(loadings if own else loadings / np.sqrt(np.sum(loadings**2, axis=1))[:, None])
    structure, report = principal_factors(np.asarray(given), 3)
    np.testing.assert_allclose(np.asarray(structure), np.asarray(given), atol=1e-8)
    np.testing.assert_allclose(structure.own, given.own, atol=1e-4)  # the root of what rounding leaves of zero
    assert report["root_mean_square_error"] < 1e-8


def test_the_report_says_how_near_it_is() -> None:
    returns = market_returns(market_loadings(30, 4), days=250)
    sample = np.corrcoef(returns["log_return"].values.T)
    fitted = calibrate(returns, kind="geometric_brownian", options={"factors": 4, "drift": "zero"})
    model, report = fitted.model, fitted.report["factors"]
    assert isinstance(model, GeometricBrownianMotion)
    difference = np.abs(np.asarray(model.correlation) - sample)
    first, second = np.unravel_index(difference.argmax(), difference.shape)
    assert report["largest_error"] == pytest.approx(difference.max(), rel=1e-9)
    assert set(report["largest_error_at"]) == {model.assets[first], model.assets[second]}
    assert report["root_mean_square_error"] == pytest.approx(np.sqrt(np.sum(difference**2) / (30 * 29)), rel=1e-9)
    loadings = np.asarray(model.correlation.loadings)  # type: ignore[union-attr]
    assert report["explained_variance"] == pytest.approx(np.sum(loadings**2, axis=0) / 30)
    assert report["explained_variance"] == sorted(report["explained_variance"], reverse=True)
    assert np.all(loadings[np.abs(loadings).argmax(axis=0), np.arange(4)] > 0.0)
    assert fitted.report["options"]["factors"] == 4
    np.testing.assert_allclose(model.volatility, returns["log_return"].values.std(axis=0, ddof=1) * np.sqrt(252))


def test_fewer_days_than_assets_do_and_come_nearer_the_truth_than_the_sample() -> None:
    truth = market_loadings(300, 5)
    returns = market_returns(truth, days=150)
    with pytest.raises(InputError, match="correlation: is not positive definite"):
        GeometricBrownianMotion.fit(returns)
    model, again = (GeometricBrownianMotion.fit(returns, factors=5) for _ in range(2))
    assert model == again
    gap = np.asarray(model.correlation) - np.asarray(truth)
    sampled = sample_log_returns(returns).correlation() - np.asarray(truth)
    assert np.sqrt(np.mean(gap**2)) < 0.95 * np.sqrt(np.mean(sampled**2))
    assert model.tables(1 / 252)["mixing"].shape == (300, 7)


def test_factors_do_not_depend_on_the_threads_of_a_library() -> None:
    correlation = correlation_of(200, seed=5)
    pools = _pools()
    before = {name: get() for name, (get, _) in pools.items()}
    found = []
    try:
        for threads in (1, 2):
            for _, set_threads in pools.values():
                set_threads(threads)
            found.append(principal_factors(correlation, 7)[0].loadings)
    finally:
        for name, (_, set_threads) in pools.items():
            set_threads(before[name])
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"factors": 0}, "factors: 0"),
        ({"factors": 3}, "factors: 3 are not fewer than the 3 assets"),
        ({"factors": True}, "factors: True is not a number of factors, a path or asset to list of loadings"),
        ({"factors": 1, "nearest_correlation": True}, "nearest_correlation: is true, and factors need no repair"),
        ({"nearest_correlation": "yes"}, "nearest_correlation: 'yes' is not true or false"),
    ],
)
def test_bad_options_are_refused(options: dict[str, object], text: str) -> None:
    with pytest.raises(InputError, match=f"^{text}"):
        GeometricBrownianMotion.fit(market_returns(market_loadings(3, 1), days=50), **options)  # type: ignore[arg-type]
