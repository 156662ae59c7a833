"""Losses on paths: the definition, the same bits for every cut, nothing computed before it is asked for."""

from __future__ import annotations

from typing import Any

import dask
import dask.array as da
import hypothesis.strategies as st
import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr
from hypothesis import given, settings

from riskops.errors import InputError
from riskops.portfolio import loss as loss_module
from riskops.portfolio import portfolio_loss
from riskops.scalar import exact_fma
from riskops.schema import variable

ASSETS = ["A", "B", "C"]
TIMES = [0.0, 1.0, 5.0, 10.0]
SCENARIOS = ["base", "crash"]


def growth_of(paths: int, dtype: str = "float32", *, scenarios: bool = False, scale: float = 0.2) -> npt.NDArray[Any]:
    rng = np.random.default_rng(7)
    shape = ((len(SCENARIOS),) if scenarios else ()) + (len(TIMES), len(ASSETS), paths)
    growth = rng.normal(0.0, scale, shape).astype(dtype)
    growth[..., 0, :, :] = 0.0
    return growth


def paths_of(growth: Any) -> xr.Dataset:
    dims = (("scenario",) if growth.ndim == 4 else ()) + ("time", "asset", "path")
    coords = {"time": TIMES, "asset": ASSETS} | ({"scenario": SCENARIOS} if growth.ndim == 4 else {})
    return xr.Dataset({"log_growth": variable("log_growth", dims, growth, coords=coords)})


def book_of(exposure: Any, assets: list[str] = ASSETS) -> xr.Dataset:
    values = np.asarray(exposure, dtype=float)
    coords = {"portfolio": [f"p{i}" for i in range(len(values))], "asset": assets}
    held = variable("exposure", ("portfolio", "asset"), values, coords=coords)
    return xr.Dataset({"exposure": held}, attrs={"as_of": "2022-12-28"})


BOOK = book_of([[100.0, -50.0, 25.0], [0.0, 1e6, -3e5]])


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 5e-7), ("float64", 4e-15)])
@pytest.mark.parametrize("scenarios", [False, True])
def test_definition(dtype: str, tolerance: float, scenarios: bool) -> None:
    growth = growth_of(3000, dtype, scenarios=scenarios)
    result = portfolio_loss(paths_of(growth), book=BOOK)
    expected = -np.einsum("pa,...tai->...pti", BOOK["exposure"].values, np.expm1(growth[..., 1:, :, :].astype(float)))
    assert result["loss"].dims == (("scenario",) if scenarios else ()) + ("portfolio", "horizon", "path")
    assert result["loss"].dtype == np.float64
    assert result["horizon"].values.tolist() == [1.0, 5.0, 10.0]
    np.testing.assert_allclose(result["loss"].values, expected, rtol=0, atol=tolerance * 1.3e6)
    np.testing.assert_allclose(
        result["loss"].values[..., 0, :, :], expected[..., 0, :, :], rtol=0, atol=tolerance * 200
    )


def test_attributes_and_coordinates() -> None:
    result = portfolio_loss(paths_of(growth_of(8, scenarios=True)), book=BOOK)
    assert result.attrs == {"as_of": "2022-12-28"}
    assert result["loss"].attrs["sign"] == "loss positive"
    assert result["scenario"].values.tolist() == SCENARIOS
    assert "path" not in result.coords


def test_horizons_select_and_time_zero_is_no_loss() -> None:
    growth = growth_of(100)
    every = portfolio_loss(paths_of(growth), book=BOOK)["loss"]
    some = portfolio_loss(paths_of(growth), book=BOOK, horizons=[0, 5])["loss"]
    assert some["horizon"].values.tolist() == [0.0, 5.0]
    assert not some.sel(horizon=0.0).any()
    np.testing.assert_array_equal(some.sel(horizon=5.0), every.sel(horizon=5.0))


def test_assets_are_matched_by_name() -> None:
    growth = growth_of(100)
    turned = book_of(BOOK["exposure"].values[:, ::-1], ASSETS[::-1])
    np.testing.assert_array_equal(
        portfolio_loss(paths_of(growth), book=turned)["loss"], portfolio_loss(paths_of(growth), book=BOOK)["loss"]
    )


@settings(deadline=None, max_examples=25)
@given(
    st.integers(1, 5000).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.integers(1, n), max_size=6))),
    st.sampled_from(["float32", "float64"]),
    st.booleans(),
)
def test_the_same_bits_for_every_cut(cut: tuple[int, list[int]], dtype: str, scenarios: bool) -> None:
    n, edges = cut
    whole = growth_of(n, dtype, scenarios=scenarios)
    once = portfolio_loss(paths_of(whole), book=BOOK)["loss"].values
    stops = sorted({*edges, n})
    sizes = tuple(np.diff([0, *stops]).tolist())
    lazy = da.from_array(whole, chunks=(*whole.shape[:-1], sizes))
    loss = portfolio_loss(paths_of(lazy), book=BOOK)["loss"]
    assert loss.chunks is not None
    assert loss.chunks[-1] == sizes
    assert loss.compute(scheduler="synchronous").values.tobytes() == once.tobytes()


def test_chunks_in_other_dims_are_joined() -> None:
    growth = growth_of(50, scenarios=True)
    lazy = da.from_array(growth, chunks=(1, 2, 1, 20))
    loss = portfolio_loss(paths_of(lazy), book=BOOK)["loss"]
    assert loss.values.tobytes() == portfolio_loss(paths_of(growth), book=BOOK)["loss"].values.tobytes()


def test_a_block_that_is_not_contiguous() -> None:
    growth = growth_of(64)
    turned = np.asfortranarray(growth)
    assert (
        portfolio_loss(paths_of(turned), book=BOOK)["loss"].values.tobytes()
        == portfolio_loss(paths_of(growth), book=BOOK)["loss"].values.tobytes()
    )


def test_lazy_and_named_after_its_stage() -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("computed")

    with dask.config.set(scheduler=refuse):
        lazy = da.from_array(growth_of(4096), chunks=(4, 3, 1024))
        loss = portfolio_loss(paths_of(lazy), book=BOOK)["loss"]
    assert isinstance(loss.data, da.Array)
    assert loss.data.name.startswith("portfolio-loss-")
    assert loss.dtype == np.float64
    assert loss.data._meta.shape == (0, 0, 0)
    again = portfolio_loss(paths_of(lazy), book=BOOK)["loss"]
    other = portfolio_loss(paths_of(lazy), book=book_of([[1.0, 2.0, 3.0]]))["loss"]
    assert again.data.name == loss.data.name != other.data.name


def test_it_fuses_with_the_layer_that_makes_the_paths() -> None:
    made = da.map_blocks(
        lambda block_info=None: growth_of(1024),
        chunks=((len(TIMES),), (len(ASSETS),), (1024,) * 8),
        dtype=np.float32,
        meta=np.empty((0, 0, 0), np.float32),
    )
    loss = portfolio_loss(paths_of(made), book=BOOK)["loss"].data
    (optimised,) = dask.optimize(loss)
    assert len(dict(optimised.__dask_graph__())) == 8


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_kernel_as_plain_python(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    growth = growth_of(20, dtype)[None]
    exposure, steps = BOOK["exposure"].values, np.array([1, 3])
    plain, compiled, change = np.empty((1, 2, 2, 20)), np.empty((1, 2, 2, 20)), np.empty((1, 20), dtype)
    loss_module._loss(compiled, growth, change, exposure, steps)
    monkeypatch.setattr(loss_module, "fma", exact_fma)
    loss_module._loss.py_func(plain, growth, change, exposure, steps)
    assert plain.tobytes() == compiled.tobytes()


def test_nan_growth_gives_nan_loss_on_that_path_alone() -> None:
    growth = growth_of(10)
    growth[1, 1, 4] = np.nan
    nan = np.isnan(portfolio_loss(paths_of(growth), book=BOOK)["loss"].sel(horizon=1.0).values)
    assert nan.sum() == 2
    assert nan[:, 4].all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"horizons": [2.0]}, "horizons: 2 is not among the times of the paths, 0, 1, 5, 10"),
        ({"horizons": [1.0, 1.0]}, "horizons: 1.0 is given twice"),
        ({"horizons": [5.0, 1.0]}, "horizons: 5, 1 do not ascend"),
        ({"horizons": []}, "horizons: at least one is needed"),
        ({"horizons": ["1"]}, "horizons: '1' is not a finite number"),
        ({"book": book_of([[1.0] * 4], [*ASSETS, "D"])}, "book: asset 'D' is not among the simulated ones"),
        ({"book": book_of([[1.0] * 2], ASSETS[:2])}, "book: the simulated asset 'C' is missing"),
        ({"book": book_of([[1.0, np.nan, 1.0]])}, "book: exposure of 'p0' in 'B': nan is not finite"),
        ({"book": xr.Dataset()}, "dataset: variable 'exposure' is missing; it has none"),
    ],
)
def test_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        portfolio_loss(paths_of(growth_of(4)), **({"book": BOOK} | changes))
    assert str(caught.value) == message


def test_refused_growth() -> None:
    with pytest.raises(InputError, match="log_growth: dtype int64 is neither float32 nor float64"):
        portfolio_loss(paths_of(np.zeros((4, 3, 2), np.int64)), book=BOOK)
    with pytest.raises(InputError, match="horizons: the paths hold no time after 0, only 0"):
        portfolio_loss(paths_of(growth_of(4)).isel(time=[0]), book=BOOK)


def test_many_portfolios_have_the_losses_that_each_has_alone() -> None:
    growth = growth_of(3000)
    exposure = np.random.default_rng(3).standard_normal((2 * loss_module.TOGETHER + 5, 3)) * 1e5
    together = portfolio_loss(paths_of(growth), book=book_of(exposure.tolist()))["loss"].values
    for p in (0, loss_module.TOGETHER - 1, loss_module.TOGETHER, len(exposure) - 1):
        alone = portfolio_loss(paths_of(growth), book=book_of([exposure[p].tolist()]))["loss"].values
        assert together[..., p, :, :].tobytes() == alone[..., 0, :, :].tobytes()
