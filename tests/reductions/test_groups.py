"""Groups of paths: which paths they hold, and covariances of means against those of the groups' own means."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student

from riskops.errors import InputError
from riskops.reductions import Z95, Groups, groups_of

UNITS = ("path", "pair", "quadruple", "tile", "replicate 2", "replicate 5")
units = pytest.mark.parametrize("text", UNITS)
PATHS = 10 * 1024


@lru_cache
def members(text: str, paths: int) -> list[list[int]]:
    """The paths of every group, group by group, as the words of the docstring say."""
    unit, _, number = text.partition(" ")
    tiles = paths // 1024
    if unit == "path":
        return [[p] for p in range(paths)]
    if unit == "pair":
        return [[t * 1024 + i, t * 1024 + i + 512] for t in range(tiles) for i in range(512)]
    if unit == "quadruple":
        return [[t * 1024 + lane * 256 + i for lane in range(4)] for t in range(tiles) for i in range(256)]
    if unit == "tile":
        return [[t * 1024 + i for i in range(1024)] for t in range(tiles)]
    return [[t * 1024 + i for t in range(r, tiles, int(number)) for i in range(1024)] for r in range(int(number))]


@units
def test_groups_hold_the_paths_that_they_say(text: str) -> None:
    groups, expected = Groups.from_text(text), members(text, PATHS)
    assert groups.number(PATHS) == len(expected)
    of = groups.of(np.arange(PATHS))
    for number, paths in enumerate(expected):
        assert np.all(of[paths] == number)
    assert len({len(paths) for paths in expected}) == 1
    assert sum(map(len, expected)) == PATHS
    np.testing.assert_array_equal(groups.of(np.arange(PATHS) + 0)[::-7], of[::-7])


@units
def test_text_comes_back(text: str) -> None:
    groups = Groups.from_text(text)
    assert groups.text == text
    assert Groups.from_text(groups.text) == groups == groups_of({"independent": text})
    assert groups_of({}) == Groups("path")


def test_large_path_numbers() -> None:
    last = np.array([2**34 - 1024, 2**34 - 1], dtype=np.int64)
    assert Groups("path").of(last).tolist() == last.tolist()
    assert Groups("pair").of(last).tolist() == [2**33 - 512, 2**33 - 1]
    assert Groups("quadruple").of(last).tolist() == [2**32 - 256, 2**32 - 1]
    assert Groups("tile").of(last).tolist() == [2**24 - 1] * 2
    assert Groups("replicate", 7).of(last).tolist() == [(2**24 - 1) % 7] * 2


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("lane", "unit: 'lane' is not "),
        ("replicate", "replicates: 0 do not go with groups by replicate"),
        ("replicate 1", "replicates: 1 do not go with groups by replicate"),
        ("tile 4", "replicates: 4 do not go with groups by tile"),
        ("replicate x", "independent: 'replicate x' names no groups of paths"),
        ("replicate 2.5", "independent: 'replicate 2.5' names no groups of paths"),
        ("replicate -2", "independent: 'replicate -2' names no groups of paths"),
        ("", "unit: '' is not "),
    ],
)
def test_other_texts_are_refused(text: str, line: str) -> None:
    with pytest.raises(InputError) as caught:
        Groups.from_text(text)
    assert str(caught.value).startswith(line)


@pytest.mark.parametrize(
    ("text", "paths", "whole"),
    [("pair", 1536, 1024), ("quadruple", 4, 1024), ("tile", 1025, 1024), ("replicate 5", 4 * 1024, 5120)],
)
def test_unfinished_groups_are_refused(text: str, paths: int, whole: int) -> None:
    with pytest.raises(InputError) as caught:
        Groups.from_text(text).number(paths)
    assert str(caught.value) == f"paths: {paths} are not a multiple of {whole}, which groups by {text} need"


def test_intervals_reach_as_far_as_the_number_of_groups_says() -> None:
    assert Groups("path").reach(PATHS) == Groups("pair").reach(2048) == Z95
    assert Groups("tile").reach(10 * 1024) == pytest.approx(student.ppf(0.975, 9), rel=1e-12)
    assert Groups("replicate", 5).reach(50 * 1024) == pytest.approx(student.ppf(0.975, 4), rel=1e-12)
    with pytest.raises(InputError) as caught:
        Groups("tile").reach(1024)
    assert str(caught.value) == "paths: 1024 make one group by tile, and an error needs at least two"


@given(
    text=st.sampled_from(UNITS),
    chosen=st.lists(st.integers(0, PATHS - 1), min_size=1, max_size=400, unique=True),
    seed=st.integers(0, 2**32 - 1),
)
def test_covariances_of_means_are_those_of_group_means(text: str, chosen: list[int], seed: int) -> None:
    """Of terms that are zero on all paths that are not chosen, given in any order."""
    groups, paths = Groups.from_text(text), np.array(chosen)
    a, b = np.random.default_rng(seed).normal(1.0, 2.0, (2, len(paths)))
    whole_a, whole_b = np.zeros(PATHS), np.zeros(PATHS)
    whole_a[paths], whole_b[paths] = a, b
    expected = members(text, PATHS)
    means = np.array([[values[group].mean() for group in expected] for values in (whole_a, whole_b)])
    covariance = np.cov(means, ddof=1) / len(expected)
    sums = groups.sums(paths, a, b)
    of = np.unique(groups.of(paths))
    np.testing.assert_allclose(sums[0], [whole_a[expected[number]].sum() for number in of], rtol=1e-9, atol=1e-12)
    for i, j in ((0, 0), (0, 1), (1, 1)):
        found = groups.covariance(float(sums[i] @ sums[j]), sums[i].sum(), sums[j].sum(), PATHS)
        assert found == pytest.approx(covariance[i, j], rel=1e-9, abs=1e-12 * covariance.max())
