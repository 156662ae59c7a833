"""Moments and histograms of losses: NumPy's and SciPy's answers, honest intervals, every path in exactly one bin."""

from __future__ import annotations

import dask
import numpy as np
import pytest
import xarray as xr
from scipy import stats

from riskops.errors import InputError
from riskops.measures import loss_histogram, loss_moments
from riskops.measures.distribution import moment_figures
from riskops.reductions import Moments
from tests.measures.samples import coverage, losses_of

MOMENTS = ("mean_loss", "loss_standard_deviation", "loss_skewness", "loss_excess_kurtosis")


@pytest.mark.parametrize("chunk", [1024, 4096])
def test_moments_are_those_of_scipy(chunk: int) -> None:
    values = np.random.default_rng(2).gamma(2.0, 3.0, (2, 3, 2, 5000)) - 5.0
    found = loss_moments(losses_of(values, chunk=chunk)).compute()
    expected = {
        "mean_loss": values.mean(axis=-1),
        "loss_standard_deviation": values.std(axis=-1, ddof=1),
        "loss_skewness": stats.skew(values, axis=-1),
        "loss_excess_kurtosis": stats.kurtosis(values, axis=-1),
    }
    for name, value in expected.items():
        assert found[name].dims == ("scenario", "portfolio", "horizon")
        np.testing.assert_allclose(found[name], value, rtol=1e-10)
    assert found["mean_loss"].attrs["units"] == found["mean_loss_low"].attrs["units"] == "money"
    assert found["loss_skewness"].attrs["units"] == "1"
    error = values.std(axis=-1, ddof=1) / np.sqrt(5000)
    np.testing.assert_allclose(found["mean_loss_standard_error"], error, rtol=1e-12)


def test_batch_errors_are_those_of_whole_tiles() -> None:
    values = np.random.default_rng(3).normal(size=5000)
    found = loss_moments(losses_of(values)).compute()
    tiles = values[:4096].reshape(4, 1024)  # the short last tile is no batch
    error = stats.skew(tiles, axis=1).std(ddof=1) / 2
    assert float(found["loss_skewness_standard_error"].item()) == pytest.approx(error, rel=1e-10)


def test_intervals_hold_the_exact_moments_as_often_as_they_say() -> None:
    rng = np.random.default_rng(4)
    found = []
    for _ in range(200):
        state = Moments().chunk({"loss": rng.gamma(4.0, 1.0, (1, 20 * 1024))}, first_path=0)
        found.append(moment_figures(Moments().finalize(state), key=None))
    exact = dict(zip(MOMENTS, (4.0, 2.0, 1.0, 1.5), strict=True))  # of a gamma distribution of shape 4
    for name in MOMENTS[:3]:
        lows, highs = ([figures[f"{name}_{end}"][0] for figures in found] for end in ("low", "high"))
        assert 0.88 < coverage(lows, highs, exact[name]) < 0.99
    # Batches of 1024 paths underrate a kurtosis a little: the spread is held to, the coverage is not.
    kurtosis = np.array([figures["loss_excess_kurtosis"][0] for figures in found])
    stated = np.mean([figures["loss_excess_kurtosis_standard_error"][0] for figures in found])
    assert 0.75 < stated / kurtosis.std(ddof=1) < 1.25


def test_what_does_not_exist_is_nan() -> None:
    few = loss_moments(losses_of(np.random.default_rng(1).normal(size=1500))).compute()
    assert np.isfinite(float(few["mean_loss_standard_error"].item()))
    assert np.isnan(float(few["loss_standard_deviation_standard_error"].item()))  # one whole tile alone
    constant = loss_moments(losses_of(np.full(4096, 3.0))).compute()
    assert float(constant["mean_loss"].item()) == 3.0
    assert float(constant["loss_standard_deviation"].item()) == 0.0
    assert np.isnan(float(constant["loss_skewness"].item()))
    assert np.isnan(float(constant["loss_excess_kurtosis"].item()))


def test_a_nan_loss_gives_nan_in_its_row_alone() -> None:
    values = np.random.default_rng(1).normal(size=(2, 1, 4096))
    values[0, 0, 7] = np.nan
    found = loss_moments(losses_of(values)).compute()
    assert all(np.isnan(found[name].values[0, 0]) and np.isfinite(found[name].values[1, 0]) for name in MOMENTS)


def test_every_path_is_in_the_bin_that_holds_its_loss() -> None:
    values = np.random.default_rng(6).standard_t(3, (2, 2, 1, 5000)) * np.array([1.0, 1e6])[None, :, None, None]
    values[0, 0, 0, :3] = (0.0, -1.0, 1.0)
    found = loss_histogram(losses_of(values)).compute().item()
    low, high = found["bin_low"].values, found["bin_high"].values
    assert found["loss_histogram"].dims == ("scenario", "portfolio", "horizon", "bin")
    assert found["loss_histogram"].dtype == np.int64
    assert found["portfolio"].values.tolist() == ["p0", "p1"]
    assert np.all(np.diff(low) > 0)
    assert np.all(high[:-1] <= low[1:])  # ascending and apart
    np.testing.assert_array_equal(found["loss_histogram"].sum("bin"), np.full((2, 2, 1), 5000))
    for at in np.ndindex(2, 2, 1):
        losses = np.sort(values[at])
        counts = np.searchsorted(losses, high) - np.searchsorted(losses, low)  # [low, high)
        np.testing.assert_array_equal(found["loss_histogram"].values[at], counts)
    assert np.all((high - low) <= np.maximum(np.abs(low), np.abs(high)) / 64 + 1e-300)


def test_histograms_add_up_over_chunks_and_keep_nothing_empty() -> None:
    values = np.random.default_rng(6).normal(size=6000)
    one, other = (loss_histogram(losses_of(values, chunk=chunk)).compute().item() for chunk in (1024, 6144))
    xr.testing.assert_identical(one, other)
    assert one["loss_histogram"].min() > 0


def test_losses_are_needed() -> None:
    with pytest.raises(InputError) as caught:
        loss_moments(xr.Dataset({"log_growth": ("path", np.zeros(3))}))
    assert str(caught.value) == "dataset: variable 'loss' is missing; it has log_growth"
    with pytest.raises(InputError) as caught:
        loss_histogram(xr.Dataset({"loss": (("path", "portfolio"), np.zeros((3, 1)))}))
    assert str(caught.value) == "loss: dims ('path', 'portfolio') are not ('scenario', 'portfolio', 'horizon', 'path')"


def test_a_histogram_beside_other_measures_makes_no_path_twice() -> None:
    made = []

    def make(block: np.ndarray) -> np.ndarray:
        made.append(1)
        return block

    losses = losses_of(np.random.default_rng(3).normal(size=4096), chunk=1024)
    counted = losses.assign(loss=losses["loss"].copy(data=losses["loss"].data.map_blocks(make, meta=np.empty(()))))
    dask.compute(loss_moments(counted), loss_histogram(counted), scheduler="synchronous")
    assert len(made) == 4
