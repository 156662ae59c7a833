"""Contract C2: every reduction gives the same bits for every cut into whole tiles and every order of combining."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskops.reductions import CoMoments, Groups, Histogram, Moments, Reduction, Tail, fuse

TILES = 13
GENERATOR = np.random.default_rng(20)
#: A short last tile; in the second row many ties; in the third numbers whose sums cancel.
LOSS = np.stack(
    [GENERATOR.standard_t(3, TILES * 1024 - 200), np.zeros(TILES * 1024 - 200), np.zeros(TILES * 1024 - 200)]
)
LOSS[1] = np.round(LOSS[0] * 2.0) / 2.0
LOSS[2] = np.where(np.arange(LOSS.shape[1]) % 2, 1e12, -1e12) + LOSS[0]
GROWTH = (GENERATOR.standard_normal((2, 3, LOSS.shape[1])) * 0.02).astype(np.float32)
#: Likelihood ratios, below 4 and far below one where the losses are large.
RATIO = 4.0 / (1.0 + np.exp(GENERATOR.standard_normal((2, LOSS.shape[1])) + LOSS[0]))

REDUCTIONS: dict[str, Reduction] = {
    "tail": Tail(keep=700),
    "moments": Moments(),
    "histogram": Histogram(),
    "comoments": CoMoments(),
    "weighted moments": Moments(weight="loss_weight", groups=Groups("quadruple")),
    "grouped moments": Moments(groups=Groups("pair")),
    "moments of replicates": Moments(groups=Groups("replicate", 5)),
    "weighted moments of replicates": Moments(weight="loss_weight", groups=Groups("replicate", 3)),
    "weighted histogram": Histogram(weight="loss_weight"),
    "weighted comoments": CoMoments(weight="likelihood_ratio", groups=Groups("quadruple")),
    "comoments of replicates": CoMoments(groups=Groups("replicate", 5)),
    "weighted comoments of replicates": CoMoments(
        select=(1,), weight="likelihood_ratio", groups=Groups("replicate", 3), transform="none"
    ),
    "fused": fuse(tail=Tail(keep=3), moments=Moments(), dependence=CoMoments(select=(1,), transform="none")),
}


def block(paths: slice) -> dict[str, np.ndarray]:
    return {
        "loss": LOSS[:, paths],
        "log_growth": GROWTH[..., paths],
        "loss_weight": RATIO[:1, paths],
        "likelihood_ratio": RATIO[:, paths],
    }


def same_bits(one: Any, other: Any) -> None:
    """Equal to the last bit, signs of zeros and NaN included."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one:
            same_bits(one[name], other[name])
    else:
        a, b = np.asarray(one), np.asarray(other)
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        assert a.tobytes() == b.tobytes()


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    """Everything in one chunk."""
    return {name: r.finalize(r.combine([r.chunk(block(slice(None)), first_path=0)])) for name, r in REDUCTIONS.items()}


@pytest.mark.parametrize("name", REDUCTIONS)
@given(data=st.data())
@settings(max_examples=30)
def test_any_cut_and_any_order_gives_the_same_bits(name: str, whole: dict[str, Any], data: st.DataObject) -> None:
    reduction = REDUCTIONS[name]
    edges = sorted(data.draw(st.sets(st.integers(1, TILES - 1)), label="cuts"))
    starts = [0, *edges]
    stops = [*edges, TILES]
    states = [
        reduction.chunk(block(slice(a * 1024, b * 1024)), first_path=a * 1024)
        for a, b in zip(starts, stops, strict=True)
    ]
    while len(states) > 1:
        first = data.draw(st.integers(0, len(states) - 2), label="combine from")
        last = data.draw(st.integers(first + 2, len(states)), label="to")
        states[first:last] = [reduction.combine(states[first:last])]
    same_bits(reduction.finalize(states[0]), whole[name])


@pytest.mark.parametrize("name", REDUCTIONS)
def test_states_travel_between_processes(name: str, whole: dict[str, Any]) -> None:
    reduction = pickle.loads(pickle.dumps(REDUCTIONS[name]))
    assert reduction == REDUCTIONS[name]
    state = reduction.chunk(block(slice(None)), first_path=0)
    same_bits(reduction.finalize(pickle.loads(pickle.dumps(state))), whole[name])


@pytest.mark.parametrize("name", REDUCTIONS)
def test_rows_do_not_know_each_other(name: str, whole: dict[str, Any]) -> None:
    """Leading dims are restored, and the same numbers in another layout of memory give the same bits."""
    reduction = REDUCTIONS[name]
    shuffled = {
        "loss": np.asfortranarray(LOSS).reshape(3, -1),
        "log_growth": np.moveaxis(np.ascontiguousarray(np.moveaxis(GROWTH, -1, 0)), 0, -1),
        "loss_weight": np.asfortranarray(RATIO[:1]),
        "likelihood_ratio": np.asfortranarray(RATIO),
    }
    same_bits(reduction.finalize(reduction.chunk(shuffled, first_path=0)), whole[name])


@pytest.mark.parametrize("name", REDUCTIONS)
def test_a_chunk_begins_with_a_tile(name: str) -> None:
    with pytest.raises(ValueError, match="first_path: 512 is not a multiple of 1024"):
        REDUCTIONS[name].chunk(block(slice(0, 1024)), first_path=512)
