"""Contract C1 in plain Python: the words, uniforms and normals of one path, one number at a time."""

from __future__ import annotations

from scipy.special import ndtri

__all__ = ["normal", "uniform", "word"]


def word(seed: int, path: int, step: int, factor: int, stream: int) -> int:
    """The Philox4x32-10 word of (seed, path, step, factor, stream)."""
    tile, within = divmod(path, 1024)
    lane, i = divmod(within, 256)
    counter = [tile * 256 + i, factor, step, stream]
    low, high = seed % 2**32, seed >> 32
    for _ in range(10):
        left, right = counter[0] * 0xD2511F53, counter[2] * 0xCD9E8D57
        counter = [right >> 32 ^ counter[1] ^ low, right % 2**32, left >> 32 ^ counter[3] ^ high, left % 2**32]
        low, high = (low + 0x9E3779B9) % 2**32, (high + 0xBB67AE85) % 2**32
    return counter[lane]


def uniform(seed: int, path: int, step: int, factor: int, stream: int) -> float:
    """The signed folded probability in double precision: p on the lower side, -p for the quantile 1 - p."""
    both = word(seed, path, step, factor, stream) << 32 | word(seed, path, step, factor, stream + 2**31)
    lower = both < 2**63
    p = ((both if lower else 2**64 - 1 - both) + 0.5) * 2.0**-64
    return p if lower else -p


def normal(seed: int, path: int, step: int, factor: int, stream: int) -> float:
    """The standard normal draw in double precision."""
    p = uniform(seed, path, step, factor, stream)
    return float(ndtri(p)) if p > 0 else -float(ndtri(-p))
