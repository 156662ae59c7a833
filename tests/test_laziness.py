"""Contract C6: functions build graphs and compute nothing, and a run makes each chunk of paths once a pass."""

from __future__ import annotations

import importlib
import inspect
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from dask.delayed import Delayed

from riskops import history, measures, reductions, simulation
from riskops.cluster import open_cluster
from riskops.config import config_from_mapping
from riskops.history import rolling
from riskops.measures import tail_passes
from riskops.portfolio import portfolio_loss
from riskops.reductions import CoMoments, Moments, Tail
from riskops.run import LazyResults, Recorder, RiskJob, RunDirectory, market_risk, prepare, var_backtest
from riskops.run.backtest.example import small_backtest
from riskops.run.backtest.execute import compute_backtest
from riskops.run.backtest.memory import RunMemory
from riskops.run.execute import compute_results
from riskops.scenarios import BASE, Scenario
from riskops.simulation import METHODS, PathJob, Sampling, SimulationSpec, path_job, paths_of, simulate
from riskops.simulation.chunkfile import StoredArray
from tests.simulation.examples import book_of, prices_of, spec_of

CHUNKS = 5


@pytest.fixture(scope="module")
def job() -> RiskJob:
    """Two stocks, two portfolios, three scenarios; five chunks, the last of which is short."""
    configuration = {
        "market": {"prices": "sp500", "start": "2022-01-03", "assets": ["KO", "PEP"]},
        "portfolios": [
            {"name": "drinks", "capital": 1000.0, "weights": "equal"},
            {"name": "pair", "money": {"KO": 1e6, "PEP": -1e6}},
        ],
        "simulation": {"paths": 4500, "steps": 2, "seed": 1, "chunk_paths": 1024},
        "risk": {"levels": [0.95, 0.99], "horizons": [1, 2]},
        "stress": {"library": "market", "scenarios": ["volatility_doubled", "crash_20"]},
    }
    return prepare(config_from_mapping(configuration))


# Nothing is computed before it is asked for


def example_paths() -> xr.Dataset:
    return simulate(spec_of(), times=[1])


def example_losses() -> xr.Dataset:
    return portfolio_loss(example_paths(), book=book_of([[1.0, 2.0, 3.0]]))


def example_job(sampling: Sampling | None = None) -> PathJob:
    """Two scenarios of two steps, with draws arranged."""
    spec = spec_of(steps=2, sampling=Sampling("control_variate") if sampling is None else sampling)
    scenarios = (BASE, Scenario("doubled", volatility=2.0))
    return path_job(spec, times=[1, 2], scenarios=scenarios, prices=prices_of())


def example_stressed() -> xr.Dataset:
    return portfolio_loss(paths_of(example_job()), book=book_of([[1.0, 2.0, 3.0]]))


def example_states() -> da.Array:
    return reductions.chunk_states(example_losses(), Moments())


def example_tail() -> da.Array:
    return reductions.reduce_paths(example_losses(), Tail(keep=1000))


def example_returns() -> xr.Dataset:
    dates = np.datetime64("2020-01-01", "ns") + np.arange(40) * np.timedelta64(1, "D")
    coords = {"observation": dates, "asset": ["A", "B"]}
    return xr.Dataset({"simple_return": (("observation", "asset"), da.ones((40, 2), chunks=10))}, coords=coords)


def example_forecasts() -> xr.Dataset:
    return history.rolling_forecasts(example_returns(), methods=["normal", "ewma"], window=20)


def example_profits() -> xr.Dataset:
    profit = ("observation", da.arange(40.0, chunks=10))
    return xr.Dataset({"hypothetical_profit": profit, "risk_theoretical_profit": profit})


#: Every public function of the chain that takes or returns something lazy, and a call of it.
LAZY: dict[str, Callable[[], Any]] = {
    "history.forecast": lambda: history.forecast(example_returns()),
    "history.portfolio_returns": lambda: history.portfolio_returns(example_returns(), weights={"all": "equal"}),
    "history.backtest": lambda: history.backtest(example_forecasts()),
    "history.breaches_by_year": lambda: history.breaches_by_year(example_forecasts()),
    "history.ensemble": lambda: history.ensemble(example_forecasts()),
    "history.bootstrap_interval": lambda: history.bootstrap_interval(example_returns(), replications=99),
    "history.compare_forecasts": lambda: history.compare_forecasts(example_forecasts()),
    "history.confidence_set": lambda: history.confidence_set(example_forecasts()),
    "history.hill_shape": lambda: history.hill_shape(example_returns(), exceedances=[10]),
    "history.mean_excess": lambda: history.mean_excess(example_returns(), exceedances=[10]),
    "history.profit_and_loss_attribution": lambda: history.profit_and_loss_attribution(example_profits(), days=40),
    "history.recommend": lambda: history.recommend(example_returns()),
    "history.rolling_forecasts": example_forecasts,
    "history.threshold_stability": lambda: history.threshold_stability(example_returns(), exceedances=[20]),
    "history.scores": lambda: history.scores(example_forecasts()),
    "history.traffic_light": lambda: history.traffic_light(example_forecasts()),
    "history.assess": lambda: history.assess(example_returns(), methods=["normal", "ewma"], window=15, judged=20),
    "simulation.simulate": example_paths,
    "simulation.paths_of": lambda: paths_of(path_job(spec_of())),
    "portfolio.portfolio_loss": example_losses,
    "reductions.again": lambda: reductions.again(example_losses()["loss"].data, after=example_tail()),
    "reductions.again_dataset": lambda: reductions.again_dataset(example_losses(), after=example_tail()),
    "reductions.chunk_states": example_states,
    "reductions.combine_states": lambda: reductions.combine_states(example_states(), Moments()),
    "reductions.finalized": lambda: reductions.finalized(
        reductions.combine_states(example_states(), Moments()), Moments()
    ),
    "reductions.order_statistics": lambda: reductions.order_statistics(example_losses(), ranks=[3, 5]),
    "reductions.reduce_paths": example_tail,
    "measures.approximate_quantiles": lambda: measures.approximate_quantiles(example_losses(), level=0.9),
    "measures.base_growth": lambda: measures.base_growth(example_paths()),
    "measures.contributions_from": lambda: measures.contributions_from(
        example_tail(),
        example_losses(),
        job=path_job(spec_of(), times=[1]),
        book=book_of([[1.0, 2.0, 3.0]]),
        level=[0.9],
    ),
    "measures.controlled_tail_risk": lambda: measures.controlled_tail_risk(
        reductions.reduce_paths(example_stressed(), reductions.fuse(tail=Tail(keep=1000), moments=Moments())),
        example_stressed(),
        job=example_job(),
        book=book_of([[1.0, 2.0, 3.0]]),
        level=[0.9],
    ),
    "measures.dependence_from": lambda: measures.dependence_from(
        reductions.reduce_paths(example_paths(), CoMoments()), example_paths()
    ),
    "measures.exceedance_curve": lambda: measures.exceedance_curve(example_losses(), threshold=[0.0, 1.0]),
    "measures.expected_shortfall": lambda: measures.expected_shortfall(example_losses()),
    "measures.loss_histogram": lambda: measures.loss_histogram(example_losses()),
    "measures.loss_moments": lambda: measures.loss_moments(example_losses()),
    "measures.moments_from": lambda: measures.moments_from(
        reductions.reduce_paths(example_losses(), Moments()), example_losses()
    ),
    "measures.quantile_curve": lambda: measures.quantile_curve(example_losses(), levels=9),
    "measures.return_dependence": lambda: measures.return_dependence(example_paths()),
    "measures.tail_contributions": lambda: measures.tail_contributions(
        example_losses(), job=path_job(spec_of(), times=[1]), book=book_of([[1.0, 2.0, 3.0]])
    ),
    "measures.tail_risk": lambda: measures.tail_risk(example_losses()),
    "measures.tail_risk_from": lambda: measures.tail_risk_from(example_tail(), example_losses(), level=[0.9]),
    "measures.value_at_risk": lambda: measures.value_at_risk(example_losses()),
}

#: The arrangements that measures of losses take; control variates are a measure of their own.
ARRANGED = {
    "antithetic": Sampling("antithetic"),
    "importance": Sampling("importance", shift={"diffusion": (-0.5, 0.0, 0.5)}),
    "moment_matching": Sampling("moment_matching"),
    "sobol": Sampling("sobol", replicates=2, dimensions=6, steps=2),
    "stratified": Sampling("stratified", steps=2, direction={"diffusion": (0.6, 0.0, 0.8)}),
}

#: Those that return Datasets and work on small arrays in memory: the book of positions, a computed histogram, one
#: portfolio under the observed returns.
EAGER = {
    "portfolio.book",
    "measures.histogram_dataset",
    "history.historical_losses",
    "history.historical_value_at_risk",
}


def public_functions() -> Iterator[str]:
    """The public functions of the chain that return Datasets, Dask arrays or Delayed values."""
    for part in ("simulation", "portfolio", "reductions", "measures", "history"):
        module = importlib.import_module(f"riskops.{part}")
        for name in module.__all__:
            function = getattr(module, name)
            if inspect.isfunction(function) and function.__annotations__["return"] in (
                "xr.Dataset",
                "da.Array",
                "Delayed",
            ):
                yield f"{part}.{name}"


def test_every_public_function_is_known_to_be_lazy_or_eager() -> None:
    assert set(public_functions()) == LAZY.keys() | EAGER


@pytest.mark.parametrize("name", LAZY)
def test_public_functions_only_build_graphs(name: str, refuse_compute: None) -> None:
    built = LAZY[name]()
    if isinstance(built, xr.Dataset):
        assert built
        assert all(isinstance(array.data, da.Array) for array in built.values())
    else:
        assert isinstance(built, da.Array | Delayed)


@pytest.mark.parametrize("method", ARRANGED)
def test_arranged_draws_only_build_graphs(method: str, refuse_compute: None) -> None:
    job, book = example_job(ARRANGED[method]), book_of([[1.0, 2.0, 3.0]])
    losses = portfolio_loss(paths_of(job), book=book)
    built = [
        losses,
        measures.tail_risk(losses, level=0.9),
        measures.loss_moments(losses),
        measures.return_dependence(paths_of(job)),
        measures.tail_contributions(losses, job=job, book=book, level=0.9),
    ]
    for ds in built:
        assert all(isinstance(array.data, da.Array) for array in ds.values())
    assert ("loss_weight" in losses) == (method == "importance")


@pytest.mark.parametrize("method", METHODS)
def test_arranging_is_eager_and_asks_dask_for_nothing(method: str, refuse_compute: None) -> None:
    spec, book = spec_of(paths=8192), book_of([[1.0, 2.0, 3.0]])
    found = measures.arrange(spec, book=book, method=method, replicates=2)
    assert isinstance(found, SimulationSpec)
    assert found.sampling.method == method


def test_a_controlled_run_makes_each_chunk_once_and_its_pilot_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = {
        "market": {"prices": "sp500", "start": "2022-01-03", "assets": ["KO", "PEP"]},
        "portfolios": [{"name": "drinks", "capital": 1000.0, "weights": "equal"}],
        "simulation": {"paths": 4500, "seed": 1, "chunk_paths": 1024, "sampling": {"method": "control_variate"}},
        "stress": {"library": "market", "scenarios": ["volatility_doubled"]},
    }
    job = prepare(config_from_mapping(configuration))
    drawn: Counter[int] = Counter()
    block = PathJob.block

    def counted(self: PathJob, counters: Any, n: int) -> Any:
        if len(self.scenarios) > 1:  # the second pass draws paths of the tail, for the base alone
            drawn.update(int(c) // 256 for c in counters[::256])
        return block(self, counters, n)

    monkeypatch.setattr(PathJob, "block", counted)
    with open_cluster("synchronous") as cluster:
        compute_results(job, recorded(job, tmp_path / "run"), cluster=cluster, progress=None)
    pilot = range(2**24 - 64, 2**24)  # the last 65,536 paths
    assert drawn == dict.fromkeys([*range(CHUNKS), *pilot], 1)


def test_the_scheduler_that_refuses_does_refuse(refuse_compute: None) -> None:
    with pytest.raises(AssertionError, match="a library function computed"):
        example_losses().compute()


def test_a_run_is_built_without_computing(job: RiskJob, tmp_path: Path, refuse_compute: None) -> None:
    run = RunDirectory(tmp_path / "run").create()
    for recorder in (None, Recorder(run)):
        lazy = market_risk(job, recorder=recorder)
        assert all(isinstance(array.data, da.Array) for array in lazy.measures.values())
        assert set(lazy.digests) == (set() if recorder is None else {"loss"})


def test_a_backtest_is_built_without_computing(tmp_path: Path, refuse_compute: None) -> None:
    backtest = small_backtest()
    for memory in (None, RunMemory.of(RunDirectory(tmp_path / "run").create())):
        lazy = var_backtest(backtest, memory=memory)
        for part in (lazy.forecasts, lazy.judged):
            assert part
            assert all(isinstance(array.data, da.Array) for array in part.values())


def test_the_tasks_of_a_backtest_forecast_each_series_once(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: Counter[str] = Counter()
    roll = rolling.roll_series

    def once(method: Any, *words: Any, **options: Any) -> Any:
        counted[method.name] += 1
        return roll(method, *words, **options)

    monkeypatch.setattr(rolling, "roll_series", once)
    backtest = small_backtest()
    with open_cluster("synchronous") as cluster:
        compute_backtest(backtest, var_backtest(backtest), cluster=cluster, progress=None)
    assert counted == {"historical": 1, "ewma": 1}


def test_the_paths_stay_one_symbolic_layer_however_many_there_are() -> None:
    paths = simulate(spec_of(paths=2**34 - 1, chunk_paths=2**20, steps=252), times=[252])
    growth = paths_of(path_job(spec_of(paths=2**34 - 1, chunk_paths=2**20)))["log_growth"].data
    (layer,) = growth.dask.layers.values()
    assert not layer.is_materialized()
    assert paths["log_growth"].data.npartitions == 16_384


# Each chunk once a pass


def recorded(job: RiskJob, folder: Path) -> LazyResults:
    return market_risk(job, recorder=Recorder(RunDirectory(folder).create()))


@pytest.mark.parametrize("store_losses", [False, True])
@pytest.mark.parametrize("store_paths", [False, True])
def test_each_chunk_of_paths_is_made_once_a_pass(
    job: RiskJob, store_losses: bool, store_paths: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = replace(job, store_losses=store_losses, store_paths=store_paths)
    first_pass: Counter[int] = Counter()
    second_pass: list[int] = []
    block = PathJob.block

    def counted(self: PathJob, counters: Any, n: int) -> Any:
        # The second pass draws counters of single tail paths for the base scenario alone, the first pass whole chunks.
        if len(self.scenarios) == 1:
            second_pass.append(n)
        else:
            first_pass[int(counters[0]) * 4] += 1
        return block(self, counters, n)

    monkeypatch.setattr(PathJob, "block", counted)
    with open_cluster("synchronous") as cluster:
        compute_results(job, recorded(job, tmp_path / "run"), cluster=cluster, progress=None)
    assert first_pass == {k * 1024: 1 for k in range(CHUNKS)}
    assert 0 < len(second_pass) <= CHUNKS


def test_what_is_stored_is_written_once_and_read_never(
    job: RiskJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: Counter[str] = Counter()
    for name in ("write", "read"):
        original = getattr(StoredArray, name)

        def counted(*args: Any, name: str = name, original: Any = original, **options: Any) -> Any:
            calls[name] += 1
            return original(*args, **options)

        monkeypatch.setattr(StoredArray, name, counted)
    with open_cluster("synchronous") as cluster:
        lazy = recorded(replace(job, store_paths=True), tmp_path / "run")
        compute_results(job, lazy, cluster=cluster, progress=None)
    assert calls == {"write": 2 * CHUNKS}


@pytest.mark.parametrize("store_losses", [True, False])
def test_a_tail_that_is_not_kept_whole_takes_a_second_reading(
    store_losses: bool, job: RiskJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Losses that are stored are read once more, each chunk once; those that are not are drawn once more."""
    monkeypatch.setattr(tail_passes, "WHOLE_TAIL_BYTES", 0)
    calls: Counter[str] = Counter()
    for owner, name in ((StoredArray, "read"), (PathJob, "block")):
        original = getattr(owner, name)

        def counted(*args: Any, name: str = name, original: Any = original, **options: Any) -> Any:
            calls[name] += 1
            return original(*args, **options)

        monkeypatch.setattr(owner, name, counted)
    with open_cluster("synchronous") as cluster:
        lazy = recorded(replace(job, store_losses=store_losses, contributions=False), tmp_path / "run")
        compute_results(job, lazy, cluster=cluster, progress=None)
    assert calls == ({"block": CHUNKS, "read": CHUNKS} if store_losses else {"block": 2 * CHUNKS})


def test_layers_are_named_after_the_stages(job: RiskJob, tmp_path: Path) -> None:
    lazy = recorded(replace(job, store_paths=True), tmp_path / "run")
    arrays = [*(array.data for array in lazy.measures.values()), lazy.summary, *lazy.digests.values()]
    layers = {re.sub(r"-[0-9a-f]{32}$", "", name) for array in arrays for name in array.dask.layers}
    stages = {"simulate", "portfolio-loss", "reduce", "reduce-returns", "reduce-aggregate", "finalize", "figures"}
    stages |= {"write-loss", "write-log_growth", "checkpoint-returns", "tail-risk", "moments", "dependence"}
    stages |= {"base-tail", "attribute", "attribute-aggregate", "join", "contributions", "pick-histogram"}
    assert layers - {"getitem"} == stages  # getitem: xarray takes the base scenario


def test_equal_jobs_have_equal_keys_and_others_have_not(job: RiskJob) -> None:
    def names(job: RiskJob) -> set[str]:
        lazy = market_risk(job)
        return {array.data.name for array in lazy.measures.values()} | {lazy.summary.name}

    assert names(job) == names(replace(job))
    other_seed = replace(job, spec=replace(job.spec, seed=2))
    other_book = replace(job, book=job.book.assign(exposure=job.book["exposure"] * 2))
    assert not names(job) & names(other_seed)
    tail = {"value_at_risk", "component_expected_shortfall", "mean_loss"}
    one, two = market_risk(job).measures, market_risk(other_book).measures
    assert all(one[name].data.name != two[name].data.name for name in tail)


def test_the_graph_of_a_chunk_gives_the_numbers_of_the_job(job: RiskJob) -> None:
    with dask.config.set(scheduler="synchronous"):
        growth = paths_of(job.paths)["log_growth"]
        counters = np.arange(256, 512, dtype=np.uint32)
        np.testing.assert_array_equal(growth.data.blocks[..., 1].compute(), job.paths.block(counters, 1024))
    assert simulation.chunk_sizes(job.spec) == (1024,) * 4 + (404,)
