"""Quantile and exceedance curves, exact and approximate, against sorting and counting."""

from __future__ import annotations

from collections import Counter
from typing import Any

import dask.array as da
import numpy as np
import pytest
import scipy.stats
import xarray as xr

from riskops import approximate_quantiles, exceedance_curve, quantile_curve, value_at_risk
from riskops.errors import InputError
from riskops.measures import even_levels
from riskops.measures.curves import curve_ranks
from riskops.reductions import INDEPENDENT, interval_ranks, order_index

PATHS = 40 * 1024 + 7
LOSSES = np.stack(
    [np.random.default_rng(1).standard_t(3, PATHS) * 1e6, np.sort(np.random.default_rng(2).normal(size=PATHS)).round(2)]
)


def losses_of(chunk: int = 9 * 1024, values: np.ndarray = LOSSES, **attributes: str) -> xr.Dataset:
    loss = xr.DataArray(
        da.from_array(values, chunks=(-1, chunk)), dims=("portfolio", "path"), coords={"portfolio": ["a", "b"]}
    )
    return xr.Dataset({"loss": loss}, attrs=attributes)


def test_quantiles_are_those_of_sorting_whatever_the_cut_and_the_order() -> None:
    levels = even_levels(200)
    ascending = np.sort(LOSSES, axis=-1) + 0.0  # some are -0.0, which is no other loss
    ranks = np.array([[order_index(a, PATHS), *interval_ranks(a, PATHS)] for a in levels]).T
    expected = [ascending[:, k - 1] for k in ranks]
    shuffled = np.random.default_rng(3).permutation(LOSSES, axis=1)
    for losses in (losses_of(1024), losses_of(PATHS), losses_of(values=shuffled)):
        curve = quantile_curve(losses, levels=200).compute(scheduler="threads")
        assert curve["loss_quantile"].dims == ("portfolio", "level")
        assert curve["level"].values.tolist() == list(levels)
        assert curve["portfolio"].values.tolist() == ["a", "b"]
        for name, values in zip(("", "_low", "_high"), expected, strict=True):
            assert curve["loss_quantile" + name].values.tobytes() == values.tobytes()
        wide = (expected[2] - expected[1]) / (2 * 1.959963984540054)
        assert curve["loss_quantile_standard_error"].values.tobytes() == wide.tobytes()


def test_a_curve_goes_through_value_at_risk() -> None:
    levels = [0.9, 0.95, 0.99]
    curve, var = quantile_curve(losses_of(), levels=levels), value_at_risk(losses_of(), level=levels)
    for suffix in ("", "_standard_error", "_low", "_high"):
        a, b = curve["loss_quantile" + suffix].values, var["value_at_risk" + suffix].values
        assert a.tobytes() == b.tobytes()


def test_a_curve_is_the_same_on_workers() -> None:
    from distributed import Client, LocalCluster

    here = quantile_curve(losses_of(), levels=50).compute(scheduler="synchronous")
    with (
        LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster),
    ):
        there = quantile_curve(losses_of(4096), levels=50).compute()
    assert there.identical(here)


def test_two_passes_make_each_chunk_twice() -> None:
    made: Counter[int] = Counter()

    def make(block_info: Any = None) -> np.ndarray:
        first, stop = block_info[None]["array-location"][-1]
        made[first] += 1
        return LOSSES[:, first:stop]

    chunks = ((2,), (4096,) * 10 + (7,))
    loss = da.map_blocks(make, chunks=chunks, dtype=float, meta=np.empty((0, 0)), name="counted-0")
    losses = xr.Dataset({"loss": (("portfolio", "path"), loss)})
    quantile_curve(losses, levels=20).compute(scheduler="threads")
    assert made == {k * 4096: 2 for k in range(11)}
    made.clear()
    exceedance_curve(losses, threshold=[0.0]).compute(scheduler="threads")
    approximate_quantiles(losses, level=0.9).compute(scheduler="threads")
    assert made == {k * 4096: 2 for k in range(11)}, "one pass each"


@pytest.mark.parametrize("n", [1474, 5000, 10**6, 2**34])
def test_ranks_of_many_levels_are_those_of_each(n: int) -> None:
    levels = even_levels(200)
    assert curve_ranks(levels, n).T.tolist() == [[order_index(a, n), *interval_ranks(a, n)] for a in levels]


def test_exceedances_are_counted() -> None:
    thresholds = [1e6, 0.0, -2.5e6, 1e12, -1e12, float(LOSSES[1, 77])]
    found = exceedance_curve(losses_of(), threshold=thresholds).compute(scheduler="threads")
    ascending = sorted(thresholds)
    counts = np.stack([(t < LOSSES).sum(axis=1) for t in ascending], axis=1)
    share = counts / PATHS
    assert found["threshold"].values.tolist() == ascending
    np.testing.assert_array_equal(found["exceedance_probability"], share)
    np.testing.assert_allclose(
        found["exceedance_probability_standard_error"], np.sqrt(share * (1 - share) / PATHS), rtol=1e-15
    )
    for row in range(2):
        for column in range(len(ascending)):
            test = scipy.stats.binomtest(int(counts[row, column]), PATHS).proportion_ci(0.95, method="exact")
            for name, end in (("_low", test.low), ("_high", test.high)):
                assert found["exceedance_probability" + name].values[row, column] == pytest.approx(end, rel=1e-9)


def test_approximate_quantiles_are_within_their_stated_error() -> None:
    levels = [0.05, 0.5, 0.99]
    exact = quantile_curve(losses_of(), levels=levels).compute()
    found = approximate_quantiles(losses_of(1024), level=levels, relative_error=0.02).compute()
    error = found["approximate_loss_quantile"].attrs["relative_error"]
    assert error <= 0.02
    for suffix in ("", "_low", "_high"):
        array = found["approximate_loss_quantile" + suffix]
        assert array.attrs["approximate"] == "within 1.5 % of the order statistic"
        np.testing.assert_allclose(array, exact["loss_quantile" + suffix], rtol=error)
    assert not (found["approximate_loss_quantile"].values == exact["loss_quantile"].values).all()
    other = approximate_quantiles(losses_of(PATHS), level=levels, relative_error=0.02).compute()
    assert other.identical(found)


def test_what_has_no_honest_interval_is_refused() -> None:
    few = losses_of(values=LOSSES[:, :500])
    with pytest.raises(InputError, match=r"^levels: 1000 reach to 0\.0005, whose 95 % interval needs 7376 paths, not"):
        quantile_curve(few)
    with pytest.raises(InputError, match=r"^level: 0\.999 needs at least 3688 paths for its 95 % interval, and there "):
        quantile_curve(few, levels=[0.5, 0.999])
    with pytest.raises(InputError, match=r"^levels: 0 is not an integer >= 1$"):
        quantile_curve(few, levels=0)
    grouped = losses_of(**{INDEPENDENT: "pair"})
    weighted = losses_of().assign(loss_weight=("path", np.ones(PATHS)))
    calls = (
        lambda losses: quantile_curve(losses, levels=3),
        lambda losses: exceedance_curve(losses, threshold=1.0),
        lambda losses: approximate_quantiles(losses, level=0.5),
    )
    for call in calls:
        with pytest.raises(InputError, match=r"^loss: its paths depend on each other by pair; curves need plain draws"):
            call(grouped)
        with pytest.raises(InputError, match=r"^loss: its paths are weighted; curves need plain draws"):
            call(weighted)


def test_thresholds_are_checked() -> None:
    with pytest.raises(InputError, match=r"^threshold: 1\.0 is given twice$"):
        exceedance_curve(losses_of(), threshold=[1.0, 2.0, 1.0])
    with pytest.raises(InputError, match=r"^threshold: .*nan.* at index \(0,\) is not finite$"):
        exceedance_curve(losses_of(), threshold=float("nan"))
    with pytest.raises(InputError, match=r"^threshold: at least one is needed$"):
        exceedance_curve(losses_of(), threshold=[])
