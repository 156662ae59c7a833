"""Exact sums of doubles: whatever the order and the cut, the sum is the true one, and is rounded once, at the end.

A sum is an integer multiple of the smallest double, held in limbs of 32 bits: each double adds the 53 bits of its
mantissa to the three limbs that its exponent points at (Kulisch 2013, Computer Arithmetic and Validity, 8). Integers
add up in any order, so a sum over an array that fits on no machine has the bits of ``math.fsum`` over all of it
(contract C2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numba
import numpy as np
import numpy.typing as npt

from riskops.errors import InputError

__all__ = ["LIMBS", "ExactSums", "add_all", "add_exactly", "exact_sum"]

#: Limbs of 32 bits that hold every finite double, and room for carries.
LIMBS = 68
#: The value of the lowest bit is two to minus this: the smallest double.
_LOWEST = 1074
_MASK = (1 << 32) - 1


@numba.njit(cache=True, nogil=True, error_model="numpy")
def add_exactly(limbs, x):  # type: ignore[no-untyped-def]
    """Add ``x`` to one sum, ``limbs`` int64 (LIMBS,); False when it is not finite.

    A limb takes 2^31 additions between two calls of :meth:`ExactSums.merged`.
    """
    bits = np.float64(x).view(np.int64)
    exponent = (bits >> 52) & 0x7FF
    mantissa = bits & 0xFFFFFFFFFFFFF
    if exponent == 0x7FF:
        return False
    if exponent > 0:
        mantissa |= 1 << 52
        exponent -= 1
    place, shift = exponent >> 5, exponent & 31
    low = (mantissa & 0xFFFFFFFF) << shift
    high = ((mantissa >> 32) << shift) + (low >> 32)
    sign = 1 if bits >= 0 else -1
    limbs[place] += sign * (low & 0xFFFFFFFF)
    limbs[place + 1] += sign * (high & 0xFFFFFFFF)
    limbs[place + 2] += sign * (high >> 32)
    return True


@numba.njit(cache=True, nogil=True, error_model="numpy")
def add_all(limbs, values):  # type: ignore[no-untyped-def]
    """Add ``values`` to one sum; False when one of them is not finite."""
    good = True
    for i in range(len(values)):
        good &= add_exactly(limbs, values[i])
    return good


def exact_sum(values: npt.NDArray[np.float64]) -> float:
    """The sum of the values, rounded once, as ``math.fsum`` gives it, a hundred times as fast.

    Examples
    --------
    >>> exact_sum(np.array([1e300, 1.0, -1e300]))
    1.0
    """
    limbs = np.zeros((1, LIMBS), np.int64)
    if not add_all(limbs[0], values):
        raise InputError("loss: a loss is not finite, or its cube is beyond the largest double")
    return float(ExactSums.of(limbs).rounded()[0])


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _carry(limbs):  # type: ignore[no-untyped-def]
    """Bring every limb of ``(sum, limb)`` but the last into [0, 2^32)."""
    for s in range(limbs.shape[0]):
        carry = 0
        for k in range(limbs.shape[1] - 1):
            total = limbs[s, k] + carry
            limbs[s, k] = total & 0xFFFFFFFF
            carry = total >> 32
        limbs[s, -1] += carry


@dataclass(frozen=True, eq=False)
class ExactSums:
    """Sums ``(...)`` as limbs ``(..., limb)``, of which only those between the lowest and the highest used are kept."""

    limbs: npt.NDArray[np.int64]
    first: int

    @classmethod
    def of(cls, limbs: npt.NDArray[np.int64], *, first: int = 0) -> ExactSums:
        """From limbs that :func:`add_exactly` has added to, whose shape ends in ``LIMBS``."""
        used = np.flatnonzero(limbs.reshape(-1, limbs.shape[-1]).any(axis=0))
        low, high = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 1)
        return cls(np.ascontiguousarray(limbs[..., low:high]), first + low)

    @classmethod
    def merged(cls, parts: Sequence[ExactSums]) -> ExactSums:
        """The sums over all parts.

        Examples
        --------
        >>> huge, small = np.zeros((1, LIMBS), np.int64), np.zeros((1, LIMBS), np.int64)
        >>> all(add_exactly(*each) for each in ((huge[0], 1e300), (small[0], 1.0), (small[0], -1e300)))
        True
        >>> ExactSums.merged([ExactSums.of(huge), ExactSums.of(small)]).rounded()
        array([1.])
        """
        first = min(part.first for part in parts)
        stop = max(part.first + part.limbs.shape[-1] for part in parts)
        # two limbs more than any part has: what is carried out of the last one, and the sign
        total = np.zeros((*parts[0].limbs.shape[:-1], stop - first + 2), np.int64)
        for part in parts:
            total[..., part.first - first : part.first - first + part.limbs.shape[-1]] += part.limbs
        _carry(total.reshape(-1, total.shape[-1]))
        return cls.of(total, first=first)

    def rounded(self) -> npt.NDArray[np.float64]:
        """The sums ``(...)`` as doubles, each rounded once."""
        flat = self.limbs.reshape(-1, self.limbs.shape[-1])
        whole = 1 << _LOWEST
        shift = 32 * self.first
        try:
            sums = [sum(limb << 32 * k for k, limb in enumerate(row)) * (1 << shift) / whole for row in flat.tolist()]
        except OverflowError as problem:
            raise InputError("loss: the sum of the losses is beyond the largest double") from problem
        return np.array(sums, dtype=np.float64).reshape(self.limbs.shape[:-1])

    def parts(self) -> list[tuple[float, ...]]:
        """Each sum, in flat order, as doubles that add up to it exactly, the largest first; none where it is zero."""
        flat = self.limbs.reshape(-1, self.limbs.shape[-1])
        out = []
        for row in flat.tolist():
            left = Fraction(sum(limb << 32 * k for k, limb in enumerate(row)) << 32 * self.first, 1 << _LOWEST)
            found: list[float] = []
            while left:
                found.append(float(left))
                left -= Fraction(found[-1])
            out.append(tuple(found))
        return out
