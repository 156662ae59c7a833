"""Mean excess, Hill and shape by threshold: definitions, closed forms of exact tails, both conventions, laziness."""

from __future__ import annotations

import dask
import numpy as np
import pytest
import xarray as xr
from scipy import stats

from riskops.errors import InputError
from riskops.history.forecasts.base import Floats
from riskops.history.forecasts.pareto import fit_pareto
from riskops.history.forecasts.tail_diagnostics import hill_shape, mean_excess, threshold_stability


def dataset(values: Floats, name: str = "simple_return", dim: str = "asset") -> xr.Dataset:
    days = np.datetime64("2020-01-01", "ns") + np.arange(len(values)) * np.timedelta64(1, "D")
    coords = {"observation": days, dim: [f"S{i}" for i in range(values.shape[1])]}
    return xr.Dataset({name: (("observation", dim), values)}, coords=coords)


@pytest.fixture(scope="module")
def returns() -> xr.Dataset:
    return dataset(0.01 * np.random.default_rng(1).standard_t(4.0, (1200, 3)))


def test_mean_excess_is_its_definition(returns: xr.Dataset) -> None:
    curve = mean_excess(returns, exceedances=[10, 77, 300]).compute()
    assert curve["mean_excess"].dims == ("exceedances", "asset")
    for a in range(3):
        losses = np.sort(-returns["simple_return"].to_numpy()[:, a])[::-1]
        for i, k in enumerate((10, 77, 300)):
            excess = losses[:k] - losses[k]
            assert curve["tail_threshold"].to_numpy()[i, a] == losses[k]
            assert curve["mean_excess"].to_numpy()[i, a] == pytest.approx(excess.mean(), rel=1e-12)
            error = excess.std(ddof=1) / np.sqrt(k)
            assert curve["mean_excess_standard_error"].to_numpy()[i, a] == pytest.approx(error, rel=1e-12)
            low = curve["mean_excess_low"].to_numpy()[i, a]
            assert low == pytest.approx(excess.mean() - stats.norm.ppf(0.975) * error, rel=1e-9)


def test_the_mean_excess_of_a_pareto_tail_is_a_line() -> None:
    # the quantiles of a tail with shape 0.2, scale 0.01: (scale + shape u) / (1 - shape)
    losses = stats.genpareto.ppf((np.arange(50_000) + 0.5) / 50_000, 0.2, scale=0.01)
    curve = mean_excess(dataset(-losses[:, None]), exceedances=[2000, 10_000]).compute()
    u = curve["tail_threshold"].to_numpy()
    assert curve["mean_excess"].to_numpy() == pytest.approx((0.01 + 0.2 * u) / 0.8, rel=2e-3)


def test_losses_equal_to_the_threshold_are_not_above_it() -> None:
    losses = np.concatenate([np.zeros(60), np.full(20, 0.01), np.full(5, 0.03)])
    curve = mean_excess(dataset(-losses[:, None]), exceedances=[12, 40]).compute()
    assert curve["mean_excess"].to_numpy()[:, 0] == pytest.approx([0.02, (20 * 0.01 + 5 * 0.03) / 25])


def test_hill_in_both_conventions(returns: xr.Dataset) -> None:
    ours = hill_shape(returns).compute()["hill_shape"]
    assert ours["exceedances"].to_numpy().tolist() == list(range(10, 301))
    losses = np.sort(-returns["simple_return"].to_numpy()[:, 1])[::-1]
    for k in (11, 50, 300):
        shape = np.log(losses[:k] / losses[k]).mean()
        assert ours.sel(exceedances=k, asset="S1").item() == pytest.approx(shape, rel=1e-12)
        # McNeil, Frey and Embrechts: (1/k) sum of the first k logarithms, less the k-th
        theirs = np.log(losses[:k]).mean() - np.log(losses[k - 1])
        assert theirs == pytest.approx((k - 1) / k * ours.sel(exceedances=k - 1, asset="S1").item(), rel=1e-9)
    # an exact power tail of index 4 has shape 1/4, with the error of as many exponentials
    power = stats.pareto.rvs(4.0, size=4000, random_state=np.random.default_rng(3))
    found = hill_shape(dataset(-power[:, None]), exceedances=[1000]).compute()
    assert found["hill_shape_standard_error"].item() == pytest.approx(found["hill_shape"].item() / np.sqrt(1000))
    assert found["hill_shape_low"].item() < 0.25 < found["hill_shape_high"].item()


def test_hill_has_no_value_where_the_threshold_is_no_loss() -> None:
    values = np.linspace(0.02, -0.01, 100)[:, None]
    shapes = hill_shape(dataset(values), exceedances=[20, 50]).compute()["hill_shape"].to_numpy()[:, 0]
    assert np.isfinite(shapes[0])
    assert np.isnan(shapes[1])


def test_shapes_by_threshold_are_those_of_the_fit(returns: xr.Dataset) -> None:
    curve = threshold_stability(returns, exceedances=[40, 200]).compute()
    for a in range(3):
        for i, k in enumerate((40, 200)):
            fit = fit_pareto(-returns["simple_return"].to_numpy()[:, a], exceedances=k)
            got = [
                curve[name].to_numpy()[i, a]
                for name in ("tail_threshold", "pareto_shape", "pareto_shape_standard_error", "pareto_scale")
            ]
            assert got == pytest.approx([fit.threshold, fit.shape, fit.shape_error, fit.scale], rel=1e-12)
    default = threshold_stability(returns)
    assert default.sizes["exceedances"] == 30
    assert default["exceedances"].to_numpy()[[0, -1]].tolist() == [15, 300]
    moments = threshold_stability(returns, exceedances=[200], estimator="moments").compute()
    assert moments["pareto_shape"].to_numpy()[0, 0] != curve["pareto_shape"].to_numpy()[1, 0]


def test_a_tail_that_cannot_be_fitted_is_a_gap() -> None:
    curve = threshold_stability(dataset(-np.repeat([0.0, 1.0], 40)[:, None]), exceedances=[20, 50]).compute()
    assert np.isnan(curve["pareto_shape"].to_numpy()).all()


def test_gains_are_the_losses_of_the_other_side(returns: xr.Dataset) -> None:
    gains = hill_shape(returns, exceedances=[100], tail="gain").compute()
    other = hill_shape(-returns, exceedances=[100]).compute()
    assert np.array_equal(gains["hill_shape"], other["hill_shape"])
    assert (gains.attrs["tail"], other.attrs["tail"]) == ("gain", "loss")


@pytest.mark.parametrize("function", [mean_excess, hill_shape, threshold_stability])
def test_lazy_and_the_same_for_all_chunks(function: object, returns: xr.Dataset) -> None:
    assert callable(function)
    whole = function(returns, exceedances=[30, 100]).compute()

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("something was computed")

    with dask.config.set(scheduler=refuse):
        lazy = function(returns.chunk(observation=100, asset=2), exceedances=[30, 100])
    xr.testing.assert_identical(lazy.compute(), whole)
    named = dataset(returns["simple_return"].to_numpy(), "portfolio_return", "portfolio")
    assert function(named, exceedances=[30])["tail_threshold"].dims == ("exceedances", "portfolio")


def test_refusals(returns: xr.Dataset) -> None:
    for given, text in (
        ([5], "exceedances: 5 is not an integer >= 10 and < 1200"),
        ([1200], "exceedances: 1200 is not an integer"),
        ([20, 20], "exceedances: 20 is given twice"),
        ([], "exceedances: at least one number is needed"),
    ):
        with pytest.raises(InputError, match=text):
            mean_excess(returns, exceedances=given)
    with pytest.raises(InputError, match="tail: 'left' is not one of gain, loss"):
        hill_shape(returns, tail="left")
    with pytest.raises(InputError, match="returns: 30 observations are too few"):
        hill_shape(returns.isel(observation=slice(30)))
    hole = returns.copy(deep=True)
    hole["simple_return"][7, 1] = np.nan
    with pytest.raises(InputError, match="2020-01-08"):
        mean_excess(hole)
    with pytest.raises(InputError, match="returns: observation 7 is not finite"):
        mean_excess(hole.chunk()).compute()
