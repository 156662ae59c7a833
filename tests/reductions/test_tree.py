"""The aligned tree: which nodes are complete, and that a fold depends on the tiles alone."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskops.reductions import TileTree
from riskops.reductions.tree import Values, tile_count


def bracket(left: Values, right: Values) -> Values:
    """A merge that is neither commutative nor associative: the fold shows exactly what was merged with what."""
    return {"text": np.array([f"({a}{b})" for a, b in zip(left["text"], right["text"], strict=True)], dtype=object)}


def run(first: int, stop: int) -> TileTree:
    return TileTree.from_tiles(first, {"text": np.array([f"{t}." for t in range(first, stop)], dtype=object)}, bracket)


def test_complete_nodes_and_fold_from_the_right() -> None:
    tree = run(0, 7)
    assert list(zip(tree.level.tolist(), tree.index.tolist(), strict=True)) == [(2, 0), (1, 2), (0, 6)]
    assert tree.fold(bracket)["text"] == "(((0.1.)(2.3.))((4.5.)6.))"


def test_a_run_in_the_middle_keeps_what_has_no_sibling() -> None:
    tree = run(3, 9)
    assert list(zip(tree.level.tolist(), tree.index.tolist(), strict=True)) == [(0, 3), (2, 1), (0, 8)]
    assert tree.first_tile == 3


def test_join_completes_the_node_that_two_runs_share() -> None:
    tree = TileTree.join([run(0, 3), run(3, 4)], bracket)
    assert (tree.level.tolist(), tree.index.tolist()) == ([2], [0])
    assert tree.fold(bracket)["text"] == "((0.1.)(2.3.))"


@given(
    first=st.integers(0, 40),
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=12),
    data=st.data(),
)
def test_any_cut_joined_in_any_order_is_the_same_tree(first: int, sizes: list[int], data: st.DataObject) -> None:
    edges = np.cumsum([first, *sizes]).tolist()
    trees = [run(a, b) for a, b in pairwise(edges)]
    while len(trees) > 1:
        k = data.draw(st.integers(0, len(trees) - 2))
        trees[k : k + 2] = [TileTree.join(trees[k : k + 2], bracket)]
    expected = run(first, edges[-1])
    assert trees[0].level.tolist() == expected.level.tolist()
    assert trees[0].index.tolist() == expected.index.tolist()
    assert trees[0].values["text"].tolist() == expected.values["text"].tolist()
    assert len(expected.level) <= 2 * max(edges[-1] - first, 2).bit_length()
    assert trees[0].fold(bracket)["text"] == expected.fold(bracket)["text"]


def test_runs_must_be_adjacent() -> None:
    with pytest.raises(ValueError, match="states: tile 5 does not follow tile 3"):
        TileTree.join([run(0, 4), run(5, 6)], bracket)
    with pytest.raises(ValueError, match="a run of no tiles"):
        run(4, 4)


def test_tile_count() -> None:
    assert [tile_count(n) for n in (1, 1024, 1025)] == [1, 1, 2]
