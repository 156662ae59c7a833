"""Philox4x32-10: 128 random bits as a pure function of a 128-bit counter and a 64-bit key.

Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC '11. Ten rounds, each two
multiplications of 32 by 32 bits whose high and low halves are crossed and mixed with a key that grows by a constant
(Weyl) sequence.

The words are carried in 64-bit lanes, with whatever stands above bit 31 left there until a product or the end drops
it: the vector multiplication (``vpmuludq``) reads the low halves of 64-bit lanes and ignores the rest. Words of 32
bits would have to be widened and packed again in every round, which is three times slower; a GPU does not mind.
"""

from __future__ import annotations

import numpy as np

from riskops.scalar import scalar_function

__all__ = ["philox"]

_MULTIPLIER_0 = np.uint64(0xD2511F53)
_MULTIPLIER_1 = np.uint64(0xCD9E8D57)
_WEYL_0 = np.uint64(0x9E3779B9)
_WEYL_1 = np.uint64(0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


@scalar_function
def _round(c0, c1, c2, c3, k0, k1):  # type: ignore[no-untyped-def]
    """One round; only the low 32 bits of what goes in and comes out count."""
    product_0 = _MULTIPLIER_0 * (c0 & _LOW)
    product_1 = _MULTIPLIER_1 * (c2 & _LOW)
    return (product_1 >> _HALF) ^ c1 ^ k0, product_1, (product_0 >> _HALF) ^ c3 ^ k1, product_0


@scalar_function
def philox(c0, c1, c2, c3, k0, k1):  # type: ignore[no-untyped-def]
    """The four output words (uint32) of a counter and a key, all given as uint32."""
    a, b, c, d = np.uint64(c0), np.uint64(c1), np.uint64(c2), np.uint64(c3)
    x, y = np.uint64(k0), np.uint64(k1)
    for _ in range(10):
        a, b, c, d = _round(a, b, c, d, x, y)
        x, y = x + _WEYL_0, y + _WEYL_1  # ten steps stay below 2^36
    return np.uint32(a & _LOW), np.uint32(b & _LOW), np.uint32(c & _LOW), np.uint32(d & _LOW)
