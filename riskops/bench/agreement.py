"""Whether two contestants gave the same values: samples of one distribution, or equal figures from the same draws."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["plain_philox", "sample_of_normal", "within_errors"]

#: Standard errors that two estimates of one number may be apart.
ERRORS = 4.0


def within_errors(one: float, two: float, *errors: float) -> bool:
    """Whether two estimates with these standard errors differ by no more than four errors of their difference."""
    return abs(one - two) <= ERRORS * math.hypot(*errors)


def sample_of_normal(sample: npt.NDArray[Any], mean: float, deviation: float) -> bool:
    """Whether a sample has the mean and standard deviation of this normal distribution, within four standard errors."""
    error = deviation / math.sqrt(sample.size)
    found = float(np.mean(sample, dtype=np.float64))
    spread = float(np.std(sample, dtype=np.float64))
    return within_errors(found, mean, error) and within_errors(spread, deviation, error / math.sqrt(2.0))


def plain_philox(paths: int, *, seed: int, step: int, factor: int = 0, stream: int = 0) -> npt.NDArray[np.uint32]:
    """The words of the first paths by contract C1: the published algorithm, written a second time in plain NumPy."""
    low = np.uint64(0xFFFFFFFF)
    tiles = -(-paths // 1024)
    counters = np.arange(tiles * 256, dtype=np.uint64)
    c = [counters, *(np.full_like(counters, value) for value in (factor, step, stream))]
    keys = [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(10):
        product_0, product_1 = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        key_0, key_1 = (np.uint64(key) for key in keys)
        c = [(product_1 >> np.uint64(32)) ^ c[1] ^ key_0, product_1 & low,
             (product_0 >> np.uint64(32)) ^ c[3] ^ key_1, product_0 & low]  # fmt: skip
        keys = [(keys[0] + 0x9E3779B9) & 0xFFFFFFFF, (keys[1] + 0xBB67AE85) & 0xFFFFFFFF]
    lanes = np.stack([word.reshape(tiles, 256) for word in c], axis=1)
    return lanes.reshape(-1)[:paths].astype(np.uint32)
