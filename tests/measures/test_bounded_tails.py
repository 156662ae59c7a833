"""A tail that is found in two passes and bounded memory gives the bits of one that is kept whole."""

from __future__ import annotations

import dask
import numpy as np
import pytest
import xarray as xr
from dask.local import get_sync

from riskops.errors import InputError
from riskops.measures import (
    contributions_from,
    controlled_tail_risk,
    moments_reduction,
    tail_contributions,
    tail_passes,
    tail_reduction,
    tail_risk,
    tail_risk_from,
)
from riskops.measures.excess_sums import ExcessSums
from riskops.models import GeometricBrownianMotion
from riskops.portfolio import portfolio_loss
from riskops.reductions import Brackets, fuse, reduce_paths
from riskops.scenarios import BASE, Scenario
from riskops.schema import variable
from riskops.simulation import PathJob, SimulationSpec, path_job, paths_of

PATHS = 65_536
LEVELS = (0.9, 0.99)
ASSETS = ("A", "B", "C")
MODEL = GeometricBrownianMotion(
    ASSETS, [0.0, 0.1, 0.0], [0.2, 0.3, 0.15], [[1.0, 0.5, 0.2], [0.5, 1.0, 0.3], [0.2, 0.3, 1.0]]
)
BOOK = xr.Dataset(
    {
        "exposure": variable(
            "exposure",
            ("portfolio", "asset"),
            [[1.0, 1.0, 2.0], [0.0, 3.0, -1.0]],
            coords={"portfolio": ["p", "q"], "asset": list(ASSETS)},
        )
    }
)
PRICES = xr.Dataset(
    {
        "price": variable(
            "price",
            ("observation", "asset"),
            [[100.0, 50.0, 20.0]],
            coords={"observation": [np.datetime64("2024-01-02", "ns")], "asset": list(ASSETS)},
        )
    }
)


def job_of(method: str = "plain", *, chunk: int = 4096, stressed: bool = True) -> PathJob:
    spec = SimulationSpec(MODEL, paths=PATHS, steps=2, seed=5, chunk_paths=chunk)
    if method != "plain":
        from riskops.measures import arrange

        spec = arrange(spec, book=BOOK, method=method, horizon=2.0, replicates=8)
    scenarios = (BASE, Scenario("doubled", volatility=2.0)) if stressed else (BASE,)
    return path_job(spec, times=[1, 2], scenarios=scenarios, prices=PRICES)


def losses_of(job: PathJob) -> xr.Dataset:
    return portfolio_loss(paths_of(job), book=BOOK)


def everything(job: PathJob) -> xr.Dataset:
    losses = losses_of(job)
    controlled = job.spec.sampling.method == "control_variate"
    tail = tail_reduction(losses, level=LEVELS, controlled=controlled)
    summary = reduce_paths(losses, fuse(tail=tail, moments=moments_reduction(losses)))
    found = tail_risk_from(summary, losses, level=LEVELS, key="tail")
    if controlled:
        found = found.assign(controlled_tail_risk(summary, losses, job=job, book=BOOK, level=LEVELS))
    parts = contributions_from(summary, losses, job=job, book=BOOK, level=LEVELS, key="tail")
    with dask.config.set(scheduler=get_sync):
        return xr.merge([found, parts], compat="equals", join="exact").compute()


@pytest.fixture
def bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """No tail is small enough to be kept whole."""
    monkeypatch.setattr(tail_passes, "WHOLE_TAIL_BYTES", 0)


METHODS = ("plain", "antithetic", "control_variate", "importance", "moment_matching", "sobol", "stratified")


@pytest.mark.parametrize("method", METHODS)
def test_two_passes_give_the_bits_of_one(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = everything(job_of(method))
    monkeypatch.setattr(tail_passes, "WHOLE_TAIL_BYTES", 0)
    assert isinstance(tail_reduction(losses_of(job_of(method)), level=LEVELS), Brackets)
    xr.testing.assert_identical(everything(job_of(method)), whole)
    xr.testing.assert_identical(everything(job_of(method, chunk=20_480)), whole)


def of_array(losses: np.ndarray, *, chunk: int = 4096) -> xr.Dataset:
    return xr.Dataset({"loss": (("portfolio", "path"), losses)}).chunk(path=chunk, portfolio=-1)


RNG = np.random.default_rng(3)
DATA = {
    "independent": RNG.standard_t(3, size=(2, PATHS)),
    "ties": RNG.integers(-3, 4, size=(2, PATHS)).astype(float),
    "constant": np.full((1, PATHS), 2.5),
    "sorted": np.sort(RNG.normal(size=(2, PATHS))),
    "one row sorted": np.stack([RNG.normal(size=PATHS), -np.sort(-RNG.normal(size=PATHS))]),
    "one chunk is worse": np.where(np.arange(PATHS) < 4096, 100.0, 0.0) + RNG.normal(size=(1, PATHS)),
    "zeros of both signs": np.where(RNG.random((2, PATHS)) < 0.5, -0.0, 0.0) - (RNG.random((2, PATHS)) < 0.05),
    "tiny and huge": RNG.normal(size=(2, PATHS)) * np.array([[1e-290], [1e90]]),
}


@pytest.mark.parametrize("name", DATA)
def test_any_losses_in_any_order_are_exact(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where brackets prove nothing, because chunks are no samples of the whole, the second pass keeps the tail."""
    losses = DATA[name]
    whole = tail_risk(of_array(losses), level=LEVELS).compute(scheduler="synchronous")
    ascending = np.sort(losses, axis=-1)
    np.testing.assert_array_equal(whole["value_at_risk"].sel(level=0.9), ascending[:, int(np.ceil(0.9 * PATHS)) - 1])
    monkeypatch.setattr(tail_passes, "WHOLE_TAIL_BYTES", 0)
    for chunk in (1024, 16_384):
        found = tail_risk(of_array(losses, chunk=chunk), level=LEVELS).compute(scheduler="synchronous")
        xr.testing.assert_identical(found, whole)
        assert not np.signbit(found["value_at_risk"].values[found["value_at_risk"].values == 0.0]).any()


def test_ties_are_attributed_to_the_earliest_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses that only take a few values: which of the equal ones lie in the tail is told by their paths."""
    job = job_of()
    losses = losses_of(job)
    coarse = losses.assign(loss=losses["loss"].copy(data=losses["loss"].data.round(1)))

    def parts() -> xr.Dataset:
        return tail_contributions(coarse, job=job, book=BOOK, level=LEVELS).compute(scheduler="synchronous")

    whole = parts()
    monkeypatch.setattr(tail_passes, "WHOLE_TAIL_BYTES", 0)
    xr.testing.assert_identical(parts(), whole)


@pytest.mark.usefixtures("bounded")
def test_contributions_of_paths_in_some_order_are_refused() -> None:
    job = job_of()
    losses = losses_of(job).compute(scheduler="synchronous")
    rows = losses["loss"].copy(data=np.sort(losses["loss"].values, axis=-1))
    given = losses.assign(loss=rows).chunk(path=4096)
    with pytest.raises(InputError, match="loss: contributions need paths that are independent draws"):
        tail_contributions(given, job=job, book=BOOK, level=LEVELS).compute(scheduler="synchronous")


@pytest.mark.usefixtures("bounded")
def test_each_chunk_is_drawn_once_a_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    original = PathJob.block

    def counting(self: PathJob, counters: np.ndarray, n: int) -> np.ndarray:
        drawn.append(n)
        return original(self, counters, n)

    monkeypatch.setattr(PathJob, "block", counting)
    found = tail_risk(losses_of(job_of(chunk=16_384)), level=LEVELS)
    assert drawn == []
    found.compute(scheduler="synchronous")
    assert drawn == [16_384] * 8


@pytest.mark.usefixtures("bounded")
def test_a_loss_that_is_not_finite_is_refused() -> None:
    losses = RNG.normal(size=(1, PATHS))
    for loss in (np.inf, 1e150):
        losses[0, 70] = loss
        with pytest.raises(InputError, match="loss: a loss is not finite, or its cube is beyond the largest double"):
            tail_risk(of_array(losses), level=LEVELS).compute(scheduler="synchronous")


def test_states_stay_small() -> None:
    """What a task hands on grows with the square root of the paths, not with the paths."""
    sizes = []
    for paths in (1 << 16, 1 << 20):
        reduction = Brackets(spans=((0.01 * paths, 0.01 * paths),), paths=paths)
        row = RNG.normal(size=(1, paths))
        states = [
            reduction.chunk({"loss": row[:, first : first + 16_384]}, first_path=first)
            for first in range(0, paths, 16_384)
        ]
        sizes.append(len(reduction.combine(states).brackets[0][0].values))
    assert sizes[1] < 5 * sizes[0]
    assert sizes[1] < 2000 < 0.01 * (1 << 20)


def test_sums_of_chunks_are_those_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    from riskops.measures.tail_passes import _whole
    from riskops.reductions import Groups

    losses = of_array(DATA["independent"])
    sums = ExcessSums(groups=Groups(), plain=True, scenarios=0, fallback=_whole(losses, level=LEVELS, controlled=False))
    quantile = np.array([[1.0, 2.0], [1.5, 3.0]])
    values = DATA["independent"]
    parts = [
        sums.chunk({"loss": values[:, k : k + 8192], "quantile": quantile}, first_path=k) for k in range(0, PATHS, 8192)
    ]
    found = sums.finalize(sums.combine([sums.combine(parts[:3]), sums.combine(parts[3:])]))
    for row, column in np.ndindex(2, 2):
        excess = values[row][values[row] > quantile[row, column]] - quantile[row, column]
        by_name = dict(zip(found["names"], found["sums"][row, column], strict=True))
        assert by_name["number"] == len(excess)
        assert by_name["excess"] == pytest.approx(excess.sum(), rel=1e-12)
        assert by_name["cubes"] == pytest.approx((excess**3).sum(), rel=1e-12)
