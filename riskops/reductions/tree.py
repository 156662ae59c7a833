"""The aligned binary tree over tiles: sums that do not depend on how the paths were cut (contract C2).

Tile ``t`` is the leaf ``(level 0, index t)``; node ``(l, i)`` is always the merge of its children ``(l-1, 2i)`` and
``(l-1, 2i+1)`` and of nothing else. A run of tiles is held as its complete nodes, O(log tiles) of them; joining two
adjacent runs merges the siblings that now meet. Which nodes are complete follows from the first and the last tile
alone, so every cut and every order of joining gives the same values to the last bit. At the very end the nodes that are
left are folded from right to left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from riskops.errors import InputError

__all__ = ["TILE", "Merge", "TileTree", "Values", "tile_count"]

#: Paths in a tile (contract C1).
TILE = 1024

#: Arrays by name whose leading axis runs over nodes.
Values = Mapping[str, npt.NDArray[Any]]

#: Merges nodes with the nodes to their right, pair by pair. It must be elementwise ``+ - * /`` and ``sqrt`` over that
#: axis: NumPy's sums, products and transcendental functions may round differently for another length.
Merge = Callable[[Values, Values], Values]


def tile_count(paths: int) -> int:
    """How many tiles hold that many paths; the last may be short."""
    return -(-paths // TILE)


def _take(values: Values, which: slice) -> dict[str, npt.NDArray[Any]]:
    return {name: array[which] for name, array in values.items()}


@dataclass(frozen=True, eq=False)
class TileTree:
    """A run of adjacent tiles as its complete nodes, in the order of the tiles."""

    level: npt.NDArray[np.int64]
    index: npt.NDArray[np.int64]
    values: Values

    @classmethod
    def from_tiles(cls, first_tile: int, leaves: Values, merge: Merge) -> Self:
        """The tree of the tiles ``first_tile, first_tile + 1, ...`` whose values are the rows of ``leaves``."""
        count = len(next(iter(leaves.values())))
        if count == 0:
            raise InputError("tiles: a run of no tiles has no tree")
        start, stop, level = first_tile, first_tile + count, 0
        left: list[tuple[int, int, Values]] = []
        right: list[tuple[int, int, Values]] = []
        nodes: Values = dict(leaves)
        while start < stop:
            if start % 2:  # its sibling lies before the run
                left.append((level, start, _take(nodes, slice(0, 1))))
                nodes, start = _take(nodes, slice(1, None)), start + 1
            if stop % 2 and start < stop:  # its sibling lies behind the run
                right.append((level, stop - 1, _take(nodes, slice(-1, None))))
                nodes, stop = _take(nodes, slice(0, -1)), stop - 1
            if start < stop:
                nodes = merge(_take(nodes, slice(0, None, 2)), _take(nodes, slice(1, None, 2)))
            start, stop, level = start // 2, stop // 2, level + 1
        return cls._of(left + right[::-1])

    @classmethod
    def join(cls, trees: Sequence[Self], merge: Merge) -> Self:
        """The tree of adjacent runs, given in the order of the tiles."""
        nodes: list[tuple[int, int, Values]] = []
        for tree in trees:
            if nodes and nodes[-1][1] + 1 << nodes[-1][0] != tree.first_tile:
                raise InputError(f"states: tile {tree.first_tile} does not follow tile {_last_tile(nodes[-1])}")
            for k, (level, index) in enumerate(zip(tree.level.tolist(), tree.index.tolist(), strict=True)):
                nodes.append((level, index, _take(tree.values, slice(k, k + 1))))
                while len(nodes) > 1 and nodes[-2][0] == nodes[-1][0] and nodes[-1][1] % 2:
                    (_, _, a), (level, index, b) = nodes[-2:]
                    nodes[-2:] = [(level + 1, index // 2, merge(a, b))]
        return cls._of(nodes)

    @classmethod
    def _of(cls, nodes: Sequence[tuple[int, int, Values]]) -> Self:
        names = nodes[0][2]
        return cls(
            level=np.array([level for level, _, _ in nodes], dtype=np.int64),
            index=np.array([index for _, index, _ in nodes], dtype=np.int64),
            values={name: np.concatenate([values[name] for _, _, values in nodes]) for name in names},
        )

    @property
    def first_tile(self) -> int:
        """The first tile of the run."""
        return int(self.index[0]) << int(self.level[0])

    def fold(self, merge: Merge) -> dict[str, npt.NDArray[Any]]:
        """The values of the whole run, without the axis of nodes: what nodes are left, merged from right to left."""
        total: Values = _take(self.values, slice(-1, None))
        for k in range(len(self.level) - 2, -1, -1):
            total = merge(_take(self.values, slice(k, k + 1)), total)
        return {name: array[0] for name, array in total.items()}


def _last_tile(node: tuple[int, int, Values]) -> int:
    return (node[1] + 1 << node[0]) - 1
