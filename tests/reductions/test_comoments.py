"""Covariances and correlations against NumPy, and their errors against their own spread over many samples."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from riskops.reductions import CoMoments, comoments
from riskops.reductions.comoments import _tile_comoments


def growth_of(*shape: int, seed: int = 0, dtype: type = np.float64) -> np.ndarray:
    """Correlated log growth ``(..., asset, path)``."""
    draws = np.random.default_rng(seed).standard_normal(shape)
    return (0.02 * (draws + 0.7 * draws[..., :1, :])).astype(dtype)


def reduce(growth: np.ndarray, reduction: CoMoments | None = None) -> dict[str, np.ndarray]:
    reduction = reduction or CoMoments()
    return reduction.finalize(reduction.chunk({"log_growth": growth}, first_path=0))


@pytest.mark.parametrize("paths", [2, 1000, 1025, 20_000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equals_numpy(paths: int, dtype: type) -> None:
    growth = growth_of(2, 5, paths, dtype=dtype)
    simple = np.expm1(growth.astype(np.float64))
    result = reduce(growth)
    assert result["count"] == paths
    for row in range(2):
        np.testing.assert_allclose(result["mean"][row], simple[row].mean(axis=-1), rtol=1e-10, atol=1e-16)
        np.testing.assert_allclose(result["covariance"][row], np.cov(simple[row]), rtol=1e-11, atol=1e-16)
        np.testing.assert_allclose(result["correlation"][row], np.corrcoef(simple[row]), rtol=1e-11, atol=1e-12)
    assert (result["covariance"] == np.swapaxes(result["covariance"], -1, -2)).all()
    assert (np.diagonal(result["correlation"], axis1=-2, axis2=-1) == 1.0).all()


def test_copies_correlate_exactly() -> None:
    growth = growth_of(1, 5000)
    result = reduce(np.concatenate([growth, growth, -growth]), CoMoments(transform="none"))
    assert result["correlation"].tolist() == [[1.0, 1.0, -1.0], [1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]]


def test_select_takes_a_part_of_the_leading_dims() -> None:
    growth = growth_of(3, 2, 4, 3000)
    whole, part = reduce(growth), reduce(growth, CoMoments(select=(1,)))
    one = reduce(growth, CoMoments(select=(1, 0)))
    assert whole["covariance"].shape == (3, 2, 4, 4)
    np.testing.assert_array_equal(part["covariance"], whole["covariance"][1])
    np.testing.assert_array_equal(one["correlation_standard_error"], whole["correlation_standard_error"][1, 0])
    with pytest.raises(ValueError, match=r"log_growth: 4 dims are not \(\.\.\., asset, path\) with select \(0, 0, 0\)"):
        reduce(growth, CoMoments(select=(0, 0, 0)))


def test_errors_are_the_spread_over_samples() -> None:
    result = reduce(growth_of(300, 2, 32 * 1024, seed=5), CoMoments(transform="none"))
    for name in ("covariance", "correlation"):
        spread = result[name][:, 1, 0].std(ddof=1)
        typical = np.sqrt(np.mean(result[f"{name}_standard_error"][:, 1, 0] ** 2))
        assert 0.85 < typical / spread < 1.15, name
    assert (result["correlation_standard_error"][:, 0, 0] == 0.0).all()


def test_batches_are_the_whole_tiles() -> None:
    growth = growth_of(2, 4 * 1024 + 100, seed=6)
    tiles = growth[:, : 4 * 1024].reshape(2, 4, 1024)
    covariances = [np.cov(tiles[:, k])[0, 1] for k in range(4)]
    result = reduce(growth, CoMoments(transform="none"))
    assert result["batches"] == 4
    np.testing.assert_allclose(result["covariance_standard_error"][0, 1], stats.sem(covariances), rtol=1e-9)


def test_what_does_not_exist_is_nan_without_a_warning() -> None:
    growth = growth_of(3, 5000)
    growth[1] = 0.0
    result = reduce(growth)
    assert np.isnan(result["correlation"][1]).all()
    assert result["covariance"][1].tolist() == [0.0, 0.0, 0.0]
    assert result["correlation"][0, 0] == 1.0
    assert np.isnan(reduce(growth[:, :1])["covariance"]).all()
    assert np.isnan(reduce(growth[:, :1500])["covariance_standard_error"]).all()


def test_nan_stays_with_its_asset() -> None:
    growth = growth_of(3, 3000)
    growth[1, 5] = np.nan
    result = reduce(growth)
    assert np.isnan(result["covariance"][1]).all()
    assert np.isfinite(result["covariance"][np.ix_([0, 2], [0, 2])]).all()


def test_many_assets_are_worked_through_in_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    growth = growth_of(4, 9 * 1024)
    whole = reduce(growth)
    monkeypatch.setattr(comoments, "LEAF_NUMBERS", 200)
    parts = reduce(growth)
    for name, array in whole.items():
        np.testing.assert_array_equal(parts[name], array)


def test_transform_is_checked() -> None:
    with pytest.raises(ValueError, match="transform: 'exp' is not one of expm1, none"):
        CoMoments(transform="exp")  # type: ignore[arg-type]


def test_kernel_as_plain_python() -> None:
    growth = growth_of(1, 2, 1030)
    shapes = ((2, 1, 2), (2, 1, 3))
    compiled, plain = [np.empty(s) for s in shapes], [np.empty(s) for s in shapes]
    _tile_comoments(growth, False, *compiled)
    _tile_comoments.py_func(growth, False, *plain)
    np.testing.assert_array_equal(compiled[0], plain[0])
    np.testing.assert_array_equal(compiled[1], plain[1])
