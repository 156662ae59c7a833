"""An approximate picture of the losses in little memory: counts in buckets that are narrow against their distance from
zero.

A bucket is a sign, an exponent and the first bits of a mantissa, so that every loss in it is within a fixed relative
error of the bucket's middle, whatever the losses are. Buckets are fixed: sketches merge by adding counts, in any order
to the same sketch, and none is ever made coarser (Masson, Rim and Lee 2019, with the mapping in the bits of a double in
the place of a logarithm).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from riskops.checks import check_number
from riskops.errors import InputError
from riskops.reductions.reduction import Array, Reduction, first_tile_of, rows_of

__all__ = ["ApproximateSketch", "sketch_quantiles"]

Float = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]

_MANTISSA = 52
_EXPONENTS = 2046  # of normal doubles
_INFINITE = 0x7FF
_FINEST, _COARSEST = 1e-6, 0.2


class _State(NamedTuple):
    """The buckets that hold a loss, ascending, and how many losses, for each row."""

    keys: tuple[Whole, ...]
    counts: tuple[Whole, ...]
    lead: tuple[int, ...]
    seen: int


def _counted(keys: Whole, counts: Whole | None = None) -> tuple[Whole, Whole]:
    """Every bucket once, ascending, with the sum of its counts, or with how often it occurs."""
    if counts is None:
        keys = np.sort(keys)
    else:
        order = np.argsort(keys)
        keys, counts = keys[order], counts[order]
    first = np.flatnonzero(np.append(True, keys[1:] != keys[:-1]))
    sums = np.diff(first, append=len(keys)) if counts is None else np.add.reduceat(counts, first)
    return keys[first], sums


@dataclass(frozen=True)
class ApproximateSketch(Reduction):
    """How many losses of every row lie in each bucket: quantiles within a relative error, guaranteed.

    Parameters
    ----------
    variable
        The variable to read, ``(..., path)``.
    relative_error
        How far from an order statistic, relative to its size, an approximate quantile may be: from 1e-6 to 0.2. What is
        kept is the power of two below, :attr:`guaranteed_error`.

    Notes
    -----
    ``finalize`` gives ``middle`` ``(bucket,)``, ascending, ``counts`` ``(..., bucket)`` and ``paths``; quantiles are
    read off by :func:`sketch_quantiles`. A state takes 16 bytes for each bucket that holds a loss, at most
    :attr:`largest_bytes` a row however many paths there are; losses between a cent and a billion of either sign fill no
    more than 5,000 buckets at 1 %. A loss nearer to zero than 2.3e-308 counts as zero. What is not finite is an error
    that names its row and path.

    References
    ----------
    Masson, Rim and Lee (2019), DDSketch: a fast and fully-mergeable quantile sketch with relative-error guarantees.

    Examples
    --------
    >>> sketch = ApproximateSketch(relative_error=0.01)
    >>> sketch.guaranteed_error, sketch.largest_bytes
    (0.007751937984496124, 4190224)
    >>> found = sketch.finalize(sketch.chunk({"loss": np.arange(1.0, 1001.0)}, first_path=0))
    >>> sketch_quantiles(found, np.array([950])).round(1).tolist()
    [948.0]
    """

    variable: str = "loss"
    relative_error: float = field(kw_only=True, default=0.01)

    def __post_init__(self) -> None:
        error = check_number("relative_error", self.relative_error)
        if not _FINEST <= error <= _COARSEST:
            raise InputError(f"relative_error: {error!r} is not between {_FINEST} and {_COARSEST}")

    @property
    def variables(self) -> tuple[str, ...]:
        return (self.variable,)

    @property
    def bits(self) -> int:
        """Bits of the mantissa that a bucket has."""
        bits = 0
        while _error_of(bits) > self.relative_error:
            bits += 1
        return bits

    @property
    def guaranteed_error(self) -> float:
        """The largest relative error of a bucket's middle: no more than what was asked for."""
        return _error_of(self.bits)

    @property
    def largest_bytes(self) -> int:
        """What a row of a state takes at most."""
        return 16 * (2 * (_EXPONENTS << self.bits) + 1)

    def chunk(self, block: Mapping[str, Array], *, first_path: int) -> _State:
        first_tile_of(first_path)
        array = block[self.variable]
        data, shift = rows_of(array), _MANTISSA - self.bits
        found = []
        for row, losses in enumerate(data):
            bits = losses.astype(np.float64).view(np.int64)
            exponent = bits >> _MANTISSA & _INFINITE
            if exponent.max() == _INFINITE:
                bad = int(np.argmax(exponent == _INFINITE))
                where = tuple(int(i) for i in np.unravel_index(row, array.shape[:-1]))
                what = f"{self.variable}: path {first_path + bad} of row {where} is {float(losses[bad])!r}"
                raise InputError(f"{what}, not a finite number")
            keys = np.where(exponent > 0, (bits & np.int64(0x7FFFFFFFFFFFFFFF)) >> shift, 0)
            found.append(_counted(np.where(bits < 0, -keys, keys)))
        keys_of, counts_of = zip(*found, strict=True)
        return _State(keys_of, counts_of, array.shape[:-1], data.shape[-1])

    def combine(self, states: Sequence[_State]) -> _State:
        rows = []
        for parts in zip(*(zip(state.keys, state.counts, strict=True) for state in states), strict=True):
            rows.append(_counted(np.concatenate([k for k, _ in parts]), np.concatenate([c for _, c in parts])))
        keys_of, counts_of = zip(*rows, strict=True)
        return _State(keys_of, counts_of, states[0].lead, sum(state.seen for state in states))

    def finalize(self, state: _State) -> dict[str, Any]:
        keys = np.unique(np.concatenate(state.keys))
        counts = np.zeros((len(state.keys), len(keys)), dtype=np.int64)
        for row, (mine, number) in enumerate(zip(state.keys, state.counts, strict=True)):
            counts[row, np.searchsorted(keys, mine)] = number
        named = {"counts": counts.reshape(*state.lead, len(keys)), "middle": self._middle(keys)}
        return named | {"paths": state.seen}

    def _middle(self, keys: Whole) -> Float:
        """The number that is as far, relative to it, from the lower end of a bucket as from its upper end."""
        size = np.abs(keys)
        low = (size << (_MANTISSA - self.bits)).view(np.float64)
        width = 2.0**-self.bits
        mantissa = 1.0 + width * (size & ((1 << self.bits) - 1))
        middle: Float = low * (2.0 * (mantissa + width) / (2.0 * mantissa + width))
        return np.where(keys < 0, -middle, middle)


def _error_of(bits: int) -> float:
    """The relative error of a bucket ``[m, m + w)`` at worst, ``w / (2 m + w)`` with m = 1 and w = 2^-bits."""
    return 2.0**-bits / (2.0 + 2.0**-bits)


def sketch_quantiles(found: Mapping[str, Any], ranks: npt.NDArray[np.int64]) -> Float:
    """The middle of the bucket that holds the order statistic at each rank.

    Parameters
    ----------
    found
        What :class:`ApproximateSketch` finalises to.
    ranks
        Ranks ``(rank,)``, from 1 for the smallest loss to the number of paths.

    Returns
    -------
    ndarray
        ``(..., rank)``, within the sketch's ``guaranteed_error`` of the order statistics.

    Examples
    --------
    >>> found = {"counts": np.array([2, 3]), "middle": np.array([1.5, 2.5]), "paths": 5}
    >>> sketch_quantiles(found, np.array([2, 3])).tolist()
    [1.5, 2.5]
    """
    upto = np.cumsum(found["counts"], axis=-1)
    rows = upto.reshape(-1, upto.shape[-1])
    at = np.stack([np.searchsorted(row, ranks, side="left") for row in rows])
    quantiles: Float = found["middle"][at].reshape(*upto.shape[:-1], len(ranks))
    return quantiles
