"""Order statistics of any number of losses in one pass and little memory: brackets that narrow as paths are seen.

A chunk of m paths tells where the quantile of all n lies: a loss whose rank in the chunk is farther from ``m q`` than
chance allows is certainly worse, or better, than it. Those that are worse are counted, those that are better are
forgotten, and the few in between are kept, about ``17 sqrt(m q (1 - q))`` of them. When chunks are joined their
brackets are cut to what they have in common and narrowed to what chance allows for all their paths together. At the end
the counts prove that the order statistic lies inside, whatever the losses are; where they do not (paths that are
sorted, say, whose chunks are no samples of the whole), the row is said to be open and has to be found in another way.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from riskops.checks import check_integer
from riskops.errors import InputError
from riskops.reductions.exact_sums import LIMBS, ExactSums, add_all, add_exactly
from riskops.reductions.loss_rows import loss_rows
from riskops.reductions.reduction import Array, Reduction, first_tile_of
from riskops.reductions.worst_losses import WorstLosses

__all__ = ["Brackets", "bracket_entries"]

Float = npt.NDArray[np.float64]
#: Bernstein's inequality: a side of a bracket misses its order statistic with a chance below exp(-37), 1e-16.
CHANCE = 37.0
#: One loss in so many tells where the worst ones begin.
SAMPLED = 16


class _Bracket(NamedTuple):
    """The losses between ``low`` and ``high``, descending, of equal ones the earlier path first; ``squares`` and
    ``heaviest`` are of the weights that are worse, for the width."""

    values: Float
    paths: npt.NDArray[np.int64]
    weights: Float
    low: float
    high: float
    sound: bool
    squares: float
    heaviest: float


@dataclass(frozen=True, eq=False)
class _State:
    """Brackets ``[row][span]``, what lies above each ``(row, span)``, and how many paths were seen."""

    brackets: tuple[tuple[_Bracket, ...], ...]
    above: ExactSums
    lead: tuple[int, ...]
    seen: int


def bracket_entries(mass: float, paths: int) -> float:
    """How many losses a bracket holds about the order statistic behind ``mass`` of so many paths.

    Examples
    --------
    >>> round(bracket_entries(10_000.0, 1_000_000))
    1737
    """
    return 2.0 * _reach(mass * (1.0 - mass / paths), 1.0)


def _reach(variance: float, heaviest: float) -> float:
    """How far chance moves a sum of this variance, whose terms are not above ``heaviest``."""
    third = heaviest * CHANCE / 3.0
    return third + math.sqrt(third * third + 2.0 * CHANCE * variance)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _at_least(losses, low, out, places):  # type: ignore[no-untyped-def]
    """Put the losses that are not below ``low`` and their places into arrays with a place to spare; how many."""
    place = 0
    for i in range(len(losses)):
        out[place], places[place] = losses[i], i
        place += losses[i] >= low
    return place


def _worst(row: Float, least: int) -> tuple[Float, npt.NDArray[np.int64]]:
    """The losses that are not below some bound, in path order, and their places: at least so many, few where it can be.

    The bound comes from every sixteenth loss; where it turns out too high, all losses are given.
    """
    m = len(row)
    room, places = np.empty(m + 1), np.empty(m + 1, np.int64)
    if 4 * least < m:
        sample = row[::SAMPLED]
        share = least / SAMPLED
        rank = min(math.ceil(share + 5.0 * math.sqrt(share) + 5.0), len(sample))
        bound = float(np.partition(sample, len(sample) - rank)[len(sample) - rank])
        number = _at_least(row, bound, room, places)
        if number >= least:
            return room[:number], places[:number]
    return row, np.arange(m)


@dataclass(frozen=True)
class Brackets(Reduction):
    """What is needed to tell the order statistics in some spans of the ranks, in memory that grows like a square root.

    Parameters
    ----------
    variable
        The variable to read, ``(..., path)``.
    weight
        The variable that weights the paths, ``(horizon, path)``; None counts each path one.
    spans
        Spans of weight from the worst loss on: ``(first, last)`` asks for the order statistics behind which lie
        ``first`` to ``last``.
    paths
        How many paths there are in all.

    Notes
    -----
    ``finalize`` gives ``worst``, ``[row][span]``, the :class:`WorstLosses` of each span or None where it is open;
    ``lead``, the leading shape that the rows have, and ``paths``. A NaN is an error that names its row and path.

    References
    ----------
    Bernstein's inequality: Boucheron, Lugosi and Massart (2013), Concentration inequalities, 2.8. Munro and Paterson
    (1980), Selection and sorting with limited storage, whose random-order model this is.
    """

    variable: str = "loss"
    weight: str | None = None
    spans: tuple[tuple[float, float], ...] = field(kw_only=True)
    paths: int = field(kw_only=True)

    def __post_init__(self) -> None:
        check_integer("paths", self.paths, at_least=1)
        for first, last in self.spans:
            if not 0.0 <= first <= last:
                raise InputError(f"spans: {first!r} to {last!r} does not ascend from zero")

    @property
    def variables(self) -> tuple[str, ...]:
        return (self.variable,) if self.weight is None else (self.variable, self.weight)

    def chunk(self, block: Mapping[str, Array], *, first_path: int) -> _State:
        first_tile_of(first_path)
        data = loss_rows(block, self.variable, first_path=first_path)
        counts = np.zeros((len(data), len(self.spans), LIMBS), np.int64)
        if self.weight is None:
            rows = [self._counted(row, first_path, counts[r]) for r, row in enumerate(data)]
        else:
            weights = loss_rows(block, self.weight, first_path=first_path)
            rows = [self._weighted(row, weights[r % len(weights)], first_path, counts[r]) for r, row in enumerate(data)]
        return _State(tuple(rows), ExactSums.of(counts), block[self.variable].shape[:-1], data.shape[-1])

    def _counted(self, row: Float, first_path: int, counts: npt.NDArray[np.int64]) -> tuple[_Bracket, ...]:
        """The brackets of a row whose losses count one each; equal ones become one entry."""
        m = len(row)
        edges = []
        for first, last in self._of(m):
            start, stop = (_reach(mass * (1.0 - mass / m), 1.0) for mass in (first, last))
            edges.append((math.floor(first - start), math.ceil(last + stop)))
        values, paths = _worst(row, 1 + min(max(stop for _, stop in edges), m - 1))
        paths += first_path
        ranks = sorted({len(values) - 1 - place for edge in edges for place in edge if 0 <= place < m})
        work = np.partition(values, ranks) if ranks else values
        out = []
        for c, (start, stop) in enumerate(edges):
            high = math.inf if start < 0 else float(work[len(work) - 1 - start])
            low = -math.inf if stop >= m else float(work[len(work) - 1 - stop])
            add_exactly(counts[c], float(np.count_nonzero(values > high)))
            inside = np.flatnonzero((values >= low) & (values <= high))
            order = inside[np.argsort(-values[inside], kind="stable")]
            kept = values[order]
            firsts = np.flatnonzero(np.append(True, kept[1:] != kept[:-1]))
            equal = np.diff(np.append(firsts, len(kept))).astype(np.float64)
            out.append(_Bracket(kept[firsts], paths[order[firsts]], equal, low, high, True, 0.0, 1.0))
        return tuple(out)

    def _weighted(
        self, row: Float, weights: Float, first_path: int, above: npt.NDArray[np.int64]
    ) -> tuple[_Bracket, ...]:
        """The brackets of a row whose paths have weights."""
        paths = np.arange(first_path, first_path + len(row))
        order = np.lexsort((paths, -row))
        whole = _Bracket(row[order], paths[order], weights[order], -math.inf, math.inf, True, 0.0, 0.0)
        return tuple(
            self._narrowed(whole, above[c], np.zeros(LIMBS, np.int64), span, seen=len(row))
            for c, span in enumerate(self._of(len(row)))
        )

    def _of(self, paths: int) -> list[tuple[float, float]]:
        """The spans that so many paths of the whole stand for."""
        return [(first * paths / self.paths, last * paths / self.paths) for first, last in self.spans]

    def _narrowed(
        self,
        bracket: _Bracket,
        dropped: npt.NDArray[np.int64],
        above: npt.NDArray[np.int64],
        span: tuple[float, float],
        *,
        seen: int,
    ) -> _Bracket:
        """The bracket cut to what chance allows; the weights that it loses at the top are added to ``dropped``.

        ``above`` are the limbs of what lies above it so far.
        """
        values, weights = bracket.values, bracket.weights
        if not len(values):
            return bracket
        cumulative = float(ExactSums.of(above).rounded()) + np.cumsum(weights)
        squares = bracket.squares + np.cumsum(weights * weights)
        begin, end = 0, len(values)
        for side, mass in enumerate(span):
            reach = _reach(mass * (1.0 - mass / seen), 1.0)
            if self.weight is not None:
                here = min(int(np.searchsorted(cumulative, mass, side="right")), len(values) - 1)
                reach = _reach(float(squares[here]), max(bracket.heaviest, float(weights[: here + 1].max())))
            if side == 0:
                place = int(np.searchsorted(cumulative, mass - reach, side="right"))
                begin = int(np.searchsorted(-values, -values[place], side="left")) if place < len(values) else 0
            else:
                place = int(np.searchsorted(cumulative, mass + reach, side="right"))
                end = (
                    int(np.searchsorted(-values, -values[place], side="right")) if place < len(values) else len(values)
                )
        add_all(dropped, weights[:begin])
        return _Bracket(
            values[begin:end],
            bracket.paths[begin:end],
            weights[begin:end],
            bracket.low if end == len(values) else float(values[end - 1]),
            bracket.high if begin == 0 else float(values[begin]),
            bracket.sound,
            float(squares[begin - 1]) if begin else bracket.squares,
            max(bracket.heaviest, float(weights[:begin].max(initial=0.0))),
        )

    def combine(self, states: Sequence[_State]) -> _State:
        seen, rows = sum(state.seen for state in states), len(states[0].brackets)
        spans = self._of(seen)
        joined = ExactSums.merged([state.above for state in states])
        dropped = np.zeros((rows, len(spans), LIMBS), np.int64)
        total = np.zeros(LIMBS, np.int64)
        brackets = []
        for r in range(rows):
            row = []
            for c, span in enumerate(spans):
                common = _joined([state.brackets[r][c] for state in states], dropped[r, c])
                total[:] = dropped[r, c]
                total[joined.first : joined.first + joined.limbs.shape[-1]] += joined.limbs[r, c]
                row.append(self._narrowed(common, dropped[r, c], total, span, seen=seen))
            brackets.append(tuple(row))
        above = ExactSums.merged([joined, ExactSums.of(dropped)])
        return _State(tuple(brackets), above, states[0].lead, seen)

    def finalize(self, state: _State) -> dict[str, Any]:
        above = state.above.parts()
        worst = [
            [self._proven(bracket, above[r * len(self.spans) + c], self.spans[c]) for c, bracket in enumerate(row)]
            for r, row in enumerate(state.brackets)
        ]
        return {"worst": worst, "lead": state.lead, "paths": state.seen}

    def _proven(self, bracket: _Bracket, above: tuple[float, ...], span: tuple[float, float]) -> WorstLosses | None:
        """The losses of a bracket that holds its span; None for one that does not."""
        worst = WorstLosses(bracket.values, bracket.paths, bracket.weights, counted=self.weight is None, above=above)
        reached = bracket.low == -math.inf or worst.beyond(span[1]) < len(bracket.values)
        return worst if bracket.sound and worst.beyond(span[0]) >= 0 and reached else None


def _joined(parts: Sequence[_Bracket], dropped: npt.NDArray[np.int64]) -> _Bracket:
    """What adjacent brackets have in common; the weights above it are added to ``dropped``."""
    high, low = min(part.high for part in parts), max(part.low for part in parts)
    squares, heaviest = 0.0, 0.0
    kept = []
    for part in parts:
        begin = int(np.searchsorted(-part.values, -high, side="left"))
        end = max(begin, int(np.searchsorted(-part.values, -low, side="right")))
        over = part.weights[:begin]
        add_all(dropped, over)
        squares += part.squares + float(np.sum(over * over))  # for the width alone: no figure depends on it
        heaviest = max(heaviest, part.heaviest, float(over.max(initial=0.0)))
        kept.append((part.values[begin:end], part.paths[begin:end], part.weights[begin:end]))
    values, paths, weights = (np.concatenate([part[k] for part in kept]) for k in range(3))
    order = np.argsort(-values, kind="stable")  # the parts are in path order
    sound = all(part.sound for part in parts) and low <= high
    return _Bracket(values[order], paths[order], weights[order], low, high, sound, squares, heaviest)
