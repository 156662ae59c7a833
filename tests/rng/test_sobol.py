"""Scrambled Sobol words: the points of Joe and Kuo, a scramble that keeps what makes them good, addressed by path.

Also the two things that stand beside them: words turned into normals and uniforms, and which draw drives what.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from riskops import rng
from riskops.errors import InputError
from riskops.rng import sobol
from riskops.rng.philox import philox

ROOT = Path(__file__).parents[2]
TILE = 1024


def _counters(tiles: list[int] | range | np.ndarray) -> np.ndarray:
    """The counters of these tiles, in this order."""
    first = np.asarray(tiles, np.int64)[:, None] * 256
    return (first + np.arange(256)).ravel().astype(np.uint32)


def _points(directions: np.ndarray, number: int) -> np.ndarray:
    """The words ``(dimension, number)`` of the points 0 to ``number - 1``, by NumPy, from ``(dimension, 33)``."""
    n = np.arange(number, dtype=np.uint32)
    words = np.repeat(directions[:, 32:], number, axis=1)
    for k in range(32):
        words ^= np.where(n >> np.uint32(k) & np.uint32(1), directions[:, k : k + 1], np.uint32(0))
    return words


def _plain(dimensions: list[int] | range) -> np.ndarray:
    """Directions without a scramble, with a shift of zero."""
    numbers = sobol.unscrambled_directions()[np.asarray(dimensions)]
    return np.concatenate([numbers, np.zeros_like(numbers[:, :1])], axis=1)


def _words(
    tiles: list[int] | range, dimensions: list[int] | range, *, seed: int = 7, replicates: int = 4
) -> np.ndarray:
    out = np.zeros((len(dimensions), len(tiles) * TILE), np.uint32)
    rng.fill_sobol_words(out, _counters(tiles), seed=seed, replicates=replicates, dimensions=list(dimensions))
    return out


# ------------------------------------------------------------------------------------------------ the points


def test_points_are_scipys_in_natural_order():
    """SciPy walks in Gray's order: its point ``n`` is our point ``n ^ (n >> 1)``."""
    dimensions, number = 1000, 512
    theirs = scipy.stats.qmc.Sobol(dimensions, scramble=False, bits=32).random(number) * 2.0**32
    n = np.arange(number)
    ours = _points(_plain(range(dimensions)), number)
    np.testing.assert_array_equal(ours[:, n ^ (n >> 1)], theirs.T)


def test_high_bits_of_the_point_number_too():
    """The last of the 32 direction numbers, by the recurrence in plain integers from the stored table."""
    path = Path(scipy.stats.__file__).parent / "_sobol_direction_numbers.npz"
    with np.load(path) as stored:
        polynomials, initial = stored["poly"].tolist(), stored["vinit"].tolist()
    for d in (1, 2, 3, 17, 1023, 4095, rng.MAX_DIMENSIONS - 1):
        polynomial = polynomials[d]
        degree = polynomial.bit_length() - 1
        m = initial[d][:degree]
        for k in range(degree, 32):
            value = m[k - degree] ^ m[k - degree] << degree
            for j in range(1, degree):
                value ^= (polynomial >> (degree - j) & 1) * m[k - j] << j
            m.append(value)
        assert sobol.unscrambled_directions()[d].tolist() == [m[k] << (31 - k) for k in range(32)], d


def test_bundled_table_is_joe_and_kuos_and_small():
    path = Path(scipy.stats.__file__).parent / "_sobol_direction_numbers.npz"
    table = files("riskops.rng") / "data" / "joe_kuo_6.npz"
    with np.load(path) as theirs, table.open("rb") as file, np.load(file) as ours:
        assert len(ours["polynomials"]) == rng.MAX_DIMENSIONS >= 4096
        np.testing.assert_array_equal(ours["polynomials"], theirs["poly"][: rng.MAX_DIMENSIONS])
        width = len(ours["initial"])
        np.testing.assert_array_equal(ours["initial"].T, theirs["vinit"][: rng.MAX_DIMENSIONS, :width])
        assert not theirs["vinit"][: rng.MAX_DIMENSIONS, width:].any()
    assert len(table.read_bytes()) < 150 * 1024
    assert "Frances Y. Kuo and Stephen Joe" in (files("riskops.rng") / "data" / "NOTICE").read_text()


# ------------------------------------------------------------------------------------------------ the scramble


@lru_cache(maxsize=64)
def _exact_scramble(seed: int, replicate: int, dimension: int) -> tuple[tuple[int, ...], int]:
    """The scrambled direction numbers and the shift in plain integers, from the module's text: row by row, each new bit
    the parity of a masked number."""
    words = []
    for block in range(8):
        counter = (replicate, dimension, block, 2**31 - 1)
        words += [int(w) for w in philox(*map(np.uint32, counter), np.uint32(seed % 2**32), np.uint32(seed >> 32))]
    rows = []
    for i in range(32):  # bit i from the top depends on the bits j <= i
        row = 1 << (31 - i)
        for j in range(i):
            row |= (words[j] >> (31 - i) & 1) << (31 - j)
        rows.append(row)
    numbers = sobol.unscrambled_directions()[dimension].tolist()
    scrambled = tuple(sum(((row & v).bit_count() & 1) << (31 - i) for i, row in enumerate(rows)) for v in numbers)
    return scrambled, words[31]


def _exact_word(seed: int, path: int, dimension: int, replicates: int) -> int:
    tile, offset = divmod(path, TILE)
    numbers, word = _exact_scramble(seed, tile % replicates, dimension)
    point = tile // replicates * TILE + offset
    assert point < 2**32
    for k in range(32):
        word ^= numbers[k] * (point >> k & 1)
    return word


@settings(max_examples=60)
@given(
    st.integers(0, 2**64 - 1), st.integers(0, 2**24 - 4), st.integers(1, 2500), st.integers(4, rng.MAX_REPLICATES),
    st.lists(st.integers(0, rng.MAX_DIMENSIONS - 1), min_size=1, max_size=3), st.data(),
)  # fmt: skip
def test_every_word_is_what_the_text_says(seed, tile, paths, replicates, dimensions, data):
    first = tile * TILE
    out = np.zeros((len(dimensions), paths), np.uint32)
    counters = rng.tile_counters(first, paths)
    rng.fill_sobol_words(out, counters, seed=seed, replicates=replicates, dimensions=dimensions)
    for _ in range(3):
        column, row = data.draw(st.integers(0, paths - 1)), data.draw(st.integers(0, len(dimensions) - 1))
        assert out[row, column] == _exact_word(seed, first + column, dimensions[row], replicates)


def test_directions_are_those_of_the_words():
    for replicate in range(3):
        directions = rng.sobol_directions(7, replicate, [0, 5, 4000])
        assert directions.shape == (3, 33)
        for row, d in zip(directions.tolist(), (0, 5, 4000), strict=True):
            assert (tuple(row[:32]), row[32]) == _exact_scramble(7, replicate, d)
        words = _words([replicate, replicate + 3], [0, 5, 4000], replicates=3)
        np.testing.assert_array_equal(words, _points(directions, 2 * TILE))


@pytest.mark.parametrize("m", [3, 7, 10, 12])
def test_every_replicate_is_a_net_in_every_dimension(m):
    """The first 2^m points: one in each of 2^m intervals, and so for any aligned run of 2^m points."""
    replicates, tiles = 3, 3 * 2 ** max(m - 10, 0)
    dimensions = [*range(64), *range(5000, rng.MAX_DIMENSIONS, 7)]
    words = _words(range(tiles), dimensions, replicates=replicates).reshape(len(dimensions), tiles, TILE)
    for replicate in range(replicates):
        mine = words[:, replicate::replicates].reshape(len(dimensions), -1)
        for first in range(0, mine.shape[1] - 2**m + 1, 2**m):
            top = np.sort(mine[:, first : first + 2**m] >> np.uint32(32 - m), axis=1)
            np.testing.assert_array_equal(top, np.broadcast_to(np.arange(2**m), top.shape))


def _elementary(x: np.ndarray, y: np.ndarray, m: int) -> set[tuple[int, int]]:
    """The shapes ``2^-a x 2^-b`` of elementary intervals over which 2^m points are spread evenly."""
    even = set()
    for a in range(m + 1):
        for b in range(m + 1 - a):
            cell = (x.astype(np.uint64) >> np.uint64(32 - a) << np.uint64(b)) | y.astype(np.uint64) >> np.uint64(32 - b)
            if np.all(np.bincount(cell.astype(np.int64), minlength=2 ** (a + b)) == 2 ** (m - a - b)):
                even.add((a, b))
    return even


def test_scrambling_keeps_every_elementary_interval():
    """In two dimensions: the same shapes are evenly filled before and after, so t is the same; (0, 1) has t = 0."""
    m, dimensions = 8, range(6)
    plain = _points(_plain(dimensions), 2**m)
    shapes = {}
    for replicate in range(3):
        words = _points(rng.sobol_directions(11, replicate, dimensions), 2**m)
        assert not np.any(np.all(words == plain, axis=1))
        for i in dimensions:
            for j in range(i):
                shapes[i, j] = _elementary(plain[i], plain[j], m)
                assert _elementary(words[i], words[j], m) == shapes[i, j]
    assert shapes[1, 0] == {(a, b) for a in range(m + 1) for b in range(m + 1 - a)}
    assert any(len(found) < len(shapes[1, 0]) for found in shapes.values())


def _chi_square(cells: np.ndarray, number: int) -> float:
    """The p-value of equal chances over ``number`` cells."""
    return float(scipy.stats.chisquare(np.bincount(cells, minlength=number)).pvalue)


@lru_cache(maxsize=1)
def _many_scrambles() -> np.ndarray:
    """Words of the points 0, 1, 777 and 3^12 ``(seed, replicate, dimension, point)`` over 2000 seeds."""
    points, found = (0, 1, 777, 3**12), []
    for seed in range(2000):
        rows = np.stack([rng.sobol_directions(seed * 2**33 + 5, replicate, [0, 3]) for replicate in range(2)])
        word = np.repeat(rows[..., 32:], len(points), axis=-1)
        for i, point in enumerate(points):
            for k in range(20):
                if point >> k & 1:
                    word[..., i] ^= rows[..., k]
        found.append(word)
    return np.array(found)


def test_a_point_is_uniform_over_the_seeds():
    words = _many_scrambles()
    for replicate in range(2):
        for dimension in range(2):
            for point in range(words.shape[3]):
                for shift in (27, 13, 0):
                    cells = words[:, replicate, dimension, point] >> np.uint32(shift) & np.uint32(31)
                    assert _chi_square(cells.astype(np.int64), 32) > 1e-4


def test_a_point_is_uniform_over_the_replicates():
    tables = np.concatenate([rng.sobol_directions(3, r, range(40)) for r in range(rng.MAX_REPLICATES)])
    assert _chi_square((tables[:, 32] >> np.uint32(26)).astype(np.int64), 64) > 1e-4
    point = tables[:, 32] ^ tables[:, 1] ^ tables[:, 7]
    assert _chi_square((point >> np.uint32(26)).astype(np.int64), 64) > 1e-4


@pytest.mark.parametrize("pair", ["replicates", "dimensions", "seeds"])
def test_scrambles_are_independent(pair):
    """The leading bits of one word beside those of another one, over the seeds."""
    words = _many_scrambles() >> np.uint32(29)
    first, second = {
        "replicates": (words[:, 0], words[:, 1]),
        "dimensions": (words[:, :, 0], words[:, :, 1]),
        "seeds": (words[:-1], words[1:]),
    }[pair]
    for point in range(4):
        cells = (first[..., point].ravel() * np.uint32(8) + second[..., point].ravel()).astype(np.int64)
        assert _chi_square(cells, 64) > 1e-4
    assert np.abs(np.corrcoef(first[..., 0].ravel(), second[..., 0].ravel())[0, 1]) < 0.06


def test_two_points_of_a_replicate_are_as_owens():
    """Points that agree in their first r digits agree there after the scramble and differ in the next; the digits
    beyond are uniform. So the pairs of points have the law of Owen's scramble, and a mean has its variance."""
    words = _many_scrambles()
    plain = _points(_plain([0, 3]), 778)[:, [0, 1, 777]].astype(np.int64)
    agreed = set()
    for dimension in range(2):
        for one, other in ((0, 1), (0, 2), (1, 2)):
            agree = 32 - int(plain[dimension, one] ^ plain[dimension, other]).bit_length()
            difference = (words[:, :, dimension, one] ^ words[:, :, dimension, other]).ravel()
            assert np.all(difference >> np.uint32(31 - agree) == 1)
            digits = difference >> np.uint32(31 - agree - 5) & np.uint32(31)
            assert _chi_square(digits.astype(np.int64), 32) > 1e-4
            agreed.add(agree)
    assert len(agreed) > 1


# ------------------------------------------------------------------------------------------------ addressing


@settings(max_examples=40)
@given(st.integers(1, 9), st.lists(st.integers(1, 4), min_size=1, max_size=6), st.integers(1, TILE))
def test_words_do_not_depend_on_the_cut(replicates, cuts, short):
    dimensions, tiles = [2, 40, 0], sum(cuts)
    n = (tiles - 1) * TILE + short
    whole = np.zeros((3, n), np.uint32)
    keys = {"seed": 99, "replicates": replicates}
    rng.fill_sobol_words(whole, rng.tile_counters(5 * TILE, n), dimensions=dimensions, **keys)
    first = 0
    for cut in cuts:
        stop = min(first + cut * TILE, n)
        for row, dimension in enumerate(dimensions):
            part = np.zeros((1, stop - first), np.uint32)
            counters = rng.tile_counters(5 * TILE + first, stop - first)
            rng.fill_sobol_words(part, counters, dimensions=[dimension], **keys)
            np.testing.assert_array_equal(part[0], whole[row, first:stop])
        first = stop


def test_tiles_in_any_order():
    whole = _words(range(40), [1, 9], replicates=6)
    tiles = [31, 2, 2, 17, 39]
    part = _words(tiles, [1, 9], replicates=6)
    np.testing.assert_array_equal(part.reshape(2, 5, TILE), whole.reshape(2, 40, TILE)[:, tiles])


def test_chosen_counters_only():
    """As attribution asks for them: single counters of many tiles, the last one repeated."""
    whole = _words(range(16), [0, 3], replicates=5)
    chosen = np.sort(np.random.default_rng(1).permutation(16 * 256)[:500])
    chosen = np.append(chosen, np.repeat(chosen[-1], 12)).astype(np.uint32)
    part = np.zeros((2, 2000), np.uint32)
    rng.fill_sobol_words(part, chosen, seed=7, replicates=5, dimensions=[0, 3])
    column = np.arange(2000)
    counter = chosen[column // TILE * 256 + column % 256]
    path = counter // 256 * TILE + column % TILE // 256 * 256 + counter % 256
    np.testing.assert_array_equal(part, whole[:, path])


def test_a_word_depends_on_everything_that_addresses_it():
    base = _words([5], [3])
    assert np.mean(base == _words([5], [4])) < 0.01
    assert np.mean(base == _words([9], [3])) < 0.01  # the next points of the same replicate
    assert np.mean(base == _words([6], [3])) < 0.01  # the same points of the next replicate
    assert np.mean(base == _words([5], [3], seed=8)) < 0.01
    assert np.mean(base == _words([5], [3], seed=7 + 2**32)) < 0.01
    np.testing.assert_array_equal(base, _words([5], [3]))


def test_the_cache_of_scrambles_keeps_seeds_apart():
    first = [_words([0, 1], [0, 7], seed=seed, replicates=2) for seed in range(9)]
    for seed, words in enumerate(first):
        np.testing.assert_array_equal(_words([0, 1], [0, 7], seed=seed, replicates=2), words)


def test_up_to_the_last_point():
    out = np.zeros((1, TILE), np.uint32)
    last = 2**22 - 1
    rng.fill_sobol_words(out, _counters([last]), seed=7, replicates=1, dimensions=[6])
    assert out[0, -1] == _exact_word(7, (last + 1) * TILE - 1, 6, 1)
    with pytest.raises(InputError, match=r"replicates: 1 of 2\^32 points each do not reach path 4294968316"):
        rng.fill_sobol_words(out, _counters([last + 1]), seed=7, replicates=1, dimensions=[6])
    rng.fill_sobol_words(out, _counters([2**24 - 1]), seed=7, replicates=4, dimensions=[6])
    assert out[0, -1] == _exact_word(7, rng.MAX_PATHS - 1, 6, 4)


def test_empty_and_bad_arguments():
    counters = _counters([0])
    out = np.empty((1, TILE), np.uint32)
    good = {"seed": 7, "replicates": 2, "dimensions": [0]}
    rng.fill_sobol_words(out[:0], counters, **good | {"dimensions": []})
    rng.fill_sobol_words(out[:, :0], counters[:0], **good)
    for changed, message in (
        ({"dimensions": [0, 1]}, "dimensions: 2 for 1 rows"),
        ({"dimensions": [rng.MAX_DIMENSIONS]}, "dimensions: 5120 to 5120 are not between 0 and 5119"),
        ({"dimensions": [-1]}, "dimensions: -1 to -1 are not between"),
        ({"dimensions": [0.5]}, "dimensions: float64 are not integers"),
        ({"dimensions": [[0]]}, "dimensions: expected one axis, not 2"),
        ({"replicates": 0}, "replicates: 0 is not an integer >= 1 and < 257"),
        ({"replicates": 257}, "replicates: 257 is not"),
        ({"seed": 2**64}, "seed: 18446744073709551616 is not"),
    ):
        with pytest.raises(InputError, match=message):
            rng.fill_sobol_words(out, counters, **good | changed)
    with pytest.raises(InputError, match="out: int32 is not uint32"):
        rng.fill_sobol_words(out.astype(np.int32), counters, **good)
    with pytest.raises(InputError, match="out: 1024 columns are more than the 0 draws"):
        rng.fill_sobol_words(out, counters[:0], **good)
    with pytest.raises(InputError, match="counters: expected uint32"):
        rng.fill_sobol_words(out, counters[:100], **good)
    for seed, replicate, name in ((-1, 0, "seed"), (7, 256, "replicate"), (7, -1, "replicate")):
        with pytest.raises(InputError, match=f"{name}: "):
            rng.sobol_directions(seed, replicate, [0])


# ------------------------------------------------------------------------------------------------ convergence


REPLICATES, RUNS = 256, 16


def _product(words: np.ndarray, weights: tuple[float, ...]) -> np.ndarray:
    """A smooth function of the point, whose mean over the cube is exactly 1."""
    x = (words + 0.5) * 2.0**-32
    return np.prod([1.0 + weight * (x[j] - 0.5) for j, weight in enumerate(weights)], axis=0)


def _errors(weights: tuple[float, ...], seeds: range, draw: Callable[..., None]) -> np.ndarray:
    """RMSE over the replicates of all seeds, at 1, 2, 4, 8 and 16 tiles in each replicate."""
    squares = []
    for seed in seeds:
        means = []
        for run in range(RUNS):
            words = np.zeros((len(weights), REPLICATES * TILE), np.uint32)
            draw(words, _counters(range(run * REPLICATES, (run + 1) * REPLICATES)), seed=seed)
            means.append(_product(words, weights).reshape(REPLICATES, TILE).mean(axis=1))
        tiles = 2 ** np.arange(5)
        squares.append((np.cumsum(means, axis=0)[tiles - 1] / tiles[:, None] - 1.0) ** 2)
    return np.sqrt(np.mean(squares, axis=(0, 2)))


def _slope(errors: np.ndarray) -> float:
    return float(np.polyfit(np.arange(len(errors)), np.log2(errors), 1)[0])


@pytest.mark.parametrize(("weights", "steepest", "gain"), [
    ((1.0, 1 / 4, 1 / 9, 1 / 16, 1 / 25), -1.4, 10_000), ((0.5,) * 5, -1.15, 1_000),
])  # fmt: skip
def test_the_error_falls_faster_than_the_root(weights, steepest, gain):
    """Five dimensions, 1024 to 16384 points: n^-1.5 where the weights fall off as a bridge makes them, and no less in
    the limit where they are equal; n^-0.5 with pseudo-random words."""
    dimensions = range(len(weights))
    sobol_errors = _errors(
        weights,
        range(1, 5),
        lambda *a, seed: rng.fill_sobol_words(*a, seed=seed, replicates=256, dimensions=dimensions),
    )
    pseudo_errors = _errors(weights, range(1, 2), lambda *a, seed: rng.fill_words(*a, seed=seed, step=0, stream=0))
    assert _slope(sobol_errors) < steepest
    assert -0.6 < _slope(pseudo_errors) < -0.4
    assert pseudo_errors[-1] / sobol_errors[-1] > gain


def test_as_accurate_as_scipys_scramble():
    """The same kind of scramble with other random bits: 256 replicates of 1024 points each."""
    ours = _product(_words(range(256), range(5), replicates=256), (0.5,) * 5).reshape(256, TILE).mean(axis=1)
    theirs = [scipy.stats.qmc.Sobol(5, bits=32, rng=seed).random(TILE).T * 2.0**32 for seed in range(256)]
    others = np.array([_product(points, (0.5,) * 5).mean() for points in theirs])
    assert 0.75 < np.sqrt(np.mean((ours - 1.0) ** 2) / np.mean((others - 1.0) ** 2)) < 1.33


# ------------------------------------------------------------------------------------------------ words to draws


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("draw", ["normals", "uniforms"])
@pytest.mark.parametrize("n", [1, 1024, 2500])
def test_converted_words_are_the_fills_bits(draw, dtype, n):
    keys = {"seed": 7, "step": 3, "stream": 1, "first_factor": 2}
    counters = rng.tile_counters(4 * TILE, n)
    expected, found = np.zeros((3, n), dtype), np.full((3, n), np.nan, dtype)
    words, low = np.zeros((3, n), np.uint32), np.zeros((3, n), np.uint32)
    getattr(rng, f"fill_{draw}")(expected, counters, **keys)
    rng.fill_words(words, counters, **keys)
    rng.fill_low_words(low, counters, **keys)
    getattr(rng, f"{draw}_of_words")(found, words, *([low] if dtype is np.float64 else []))
    assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("draw", ["normals", "uniforms"])
def test_words_converted_in_place_and_in_part(draw):
    convert = getattr(rng, f"{draw}_of_words")
    words = _words(range(3), range(4))[:, :2500]
    expected = np.zeros(words.shape, np.float32)
    convert(expected, words)
    assert np.all(np.isfinite(expected))
    part = np.zeros((2, 100), np.float32)
    convert(part, words[1:3, 1000:1100])
    np.testing.assert_array_equal(part, expected[1:3, 1000:1100])
    same = words.copy()
    convert(same.view(np.float32), same)
    np.testing.assert_array_equal(same.view(np.float32), expected)


def test_conversion_refuses_what_it_would_misread():
    words, single, double = np.zeros((1, 8), np.uint32), np.zeros((1, 8), np.float32), np.zeros((1, 8))
    for convert in (rng.normals_of_words, rng.uniforms_of_words):
        convert(single[:, :0], words[:, :0])
        with pytest.raises(InputError, match="low_words: float32 takes no low words"):
            convert(single, words, words)
        with pytest.raises(InputError, match="low_words: float64 needs low words"):
            convert(double, words)
        with pytest.raises(InputError, match=r"words: expected uint32 \(1, 8\), not uint32 \(1, 7\)"):
            convert(single, words[:, :7])
        with pytest.raises(InputError, match="low_words: expected uint32"):
            convert(double, words, words[:, :7])
        with pytest.raises(InputError, match="words: expected uint32"):
            convert(single, words.astype(np.int32))
        with pytest.raises(InputError, match="out: int32 is not"):
            convert(words.view(np.int32), words)


# ------------------------------------------------------------------------------------------------ order


@pytest.mark.parametrize("steps", range(1, 65))
def test_bridge_is_orthogonal_and_ends_where_its_first_draw_says(steps):
    matrix = rng.bridge_matrix(steps)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(steps), atol=4e-15)
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(steps), atol=4e-15)
    path = np.cumsum(matrix, axis=0)
    np.testing.assert_allclose(path[-1], [math.sqrt(steps)] + [0.0] * (steps - 1), atol=1e-14)
    assert matrix[:, 0].tolist() == [math.sqrt(1 / steps)] * steps
    share = np.sum(path**2, axis=0)
    assert np.all(np.diff(share) <= 1e-13 * share[0])


def test_bridge_settles_each_point_once_and_given_its_neighbours():
    for steps in (1, 2, 3, 7, 12, 64, 252):
        intervals = rng.bridge_intervals(steps).tolist()
        assert sorted(middle for _, middle, _ in intervals) == list(range(1, steps + 1))
        settled = {0}
        for k, (left, middle, right) in enumerate(intervals):
            assert left in settled
            assert right in settled or k == 0
            assert not any(left < point < right for point in settled)
            settled.add(middle)
        path = np.cumsum(rng.bridge_matrix(steps), axis=0)
        for k, (left, middle, right) in enumerate(intervals[1:], 1):
            deviation = math.sqrt((middle - left) * (right - middle) / (right - left))
            assert path[middle - 1, k] == pytest.approx(deviation, rel=1e-13)
            outside = np.r_[0 : max(left, 0), right - 1 : steps]
            np.testing.assert_allclose(path[outside, k], 0.0, atol=1e-14)


def test_bridge_of_a_power_of_two_goes_by_halves():
    assert rng.bridge_intervals(8)[:, 1].tolist() == [8, 4, 2, 6, 1, 3, 5, 7]


@settings(max_examples=60)
@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 500))
def test_dimensions_go_to_the_large_shares_first(steps, factors, dimensions):
    order = rng.dimension_order(steps, factors, dimensions)
    assert order.dtype == np.int32
    assert order.shape == (steps, factors)
    given_dimensions = np.sort(order[order >= 0])
    np.testing.assert_array_equal(given_dimensions, np.arange(min(dimensions, steps * factors)))
    rank = np.where(order < 0, np.iinfo(np.int32).max, order)
    assert np.all(np.diff(rank, axis=1) >= 0)
    halving = np.array([k.bit_length() for k in range(steps)])
    for level in range(1, halving.max() + 1):
        assert rank[halving < level].max() <= rank[halving == level].min()


def test_first_dimensions_by_name():
    assert rng.dimension_order(4, 3, 12).tolist() == [[0, 1, 2], [3, 4, 5], [6, 8, 10], [7, 9, 11]]
    assert rng.dimension_order(1, 2, 1).tolist() == [[0, -1]]


@pytest.mark.parametrize("call", [
    lambda: rng.bridge_matrix(0), lambda: rng.bridge_intervals(-1), lambda: rng.dimension_order(0, 1, 1),
    lambda: rng.dimension_order(1, 0, 1), lambda: rng.dimension_order(1, 1, -1),
])  # fmt: skip
def test_order_refuses_nonsense(call):
    with pytest.raises(InputError, match="is not an integer >= "):
        call()


# ------------------------------------------------------------------------------------------------ elsewhere


def small_cases() -> dict[str, np.ndarray]:
    """What another interpreter computes for itself and this one compares."""
    short = np.zeros((2, 301), np.uint32)
    rng.fill_sobol_words(short, rng.tile_counters(9 * TILE, 301), seed=2**63 + 5, replicates=2, dimensions=[0, 77])
    whole = np.zeros((1, TILE), np.uint32)
    rng.fill_sobol_words(whole, _counters([2**24 - 1]), seed=1, replicates=4, dimensions=[5119])
    chosen = np.zeros((1, 1000), np.uint32)
    counters = np.random.default_rng(2).integers(0, 2**32, 256, dtype=np.uint32)
    rng.fill_sobol_words(chosen, counters, seed=1, replicates=5, dimensions=[3])
    single, double = np.zeros((2, 40), np.float32), np.zeros((2, 40))
    rng.normals_of_words(single, short[:, :40])
    rng.normals_of_words(double, short[:, :40], short[:, 40:80])
    uniforms, uniforms_double = np.zeros((2, 40), np.float32), np.zeros((2, 40))
    rng.uniforms_of_words(uniforms, short[:, :40])
    rng.uniforms_of_words(uniforms_double, short[:, :40], short[:, 40:80])
    low = np.zeros((1, 30), np.uint32)
    rng.fill_low_words(low, rng.tile_counters(0, 30), seed=3, step=1, stream=4)
    directions = rng.sobol_directions(5, 1, [0, 1, 999])
    return locals()


def _elsewhere(code: str, path: Path, **environment: str) -> np.lib.npyio.NpzFile:
    """What this code saves in ``path``, run by an interpreter that compiles nothing and takes warnings for errors."""
    subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(path)],
        check=True, cwd=ROOT, env=os.environ | {"NUMBA_DISABLE_JIT": "1"} | environment, timeout=120,
    )  # fmt: skip
    return np.load(path)


def test_plain_python_gives_the_compiled_bits(tmp_path):
    code = "import sys, numpy; from tests.rng.test_sobol import small_cases; numpy.savez(sys.argv[1], **small_cases())"
    ours = small_cases()
    with _elsewhere(code, tmp_path / "cases.npz") as theirs:
        assert set(theirs.files) == set(ours)
        for name, block in ours.items():
            assert theirs[name].tobytes() == block.tobytes(), name


def test_the_scalar_serves_a_cuda_kernel(tmp_path):
    """In numba-cuda's simulator: a thread a point."""
    code = """
import sys
import numpy as np
from numba import cuda
from riskops.rng import sobol_directions
from riskops.rng.sobol import sobol_word

@cuda.jit
def points(out, directions):
    i = cuda.grid(1)
    if i < out.shape[0]:
        out[i] = sobol_word(directions, np.uint32(i))

out = np.zeros(100, np.uint32)
points[4, 32](out, sobol_directions(7, 0, [3])[0])
np.savez(sys.argv[1], out=out)
"""
    with _elsewhere(code, tmp_path / "points.npz", NUMBA_ENABLE_CUDASIM="1") as theirs:
        np.testing.assert_array_equal(theirs["out"], _words([0], [3])[0, :100])
