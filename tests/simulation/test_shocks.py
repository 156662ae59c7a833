"""Shocks as models receive them: the draws of their stream, mixed in the promised order, rows gathered exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from riskops.errors import InputError
from riskops.models import Shock
from riskops.rng import fill_normals, fill_uniforms, fill_words, tile_counters
from riskops.scalar import exact_fma
from riskops.simulation.draws import Draws
from riskops.simulation.sampling import Sampling
from riskops.simulation.shocks import MixedShocks

PATHS = 1500
KEYS = {"seed": 2**40 + 3, "step": 7}


def received(shocks: tuple[Shock, ...], tables, state, *, assets: int, dtype: str = "float64") -> dict[str, np.ndarray]:
    kind = np.dtype(dtype)
    draws = Draws(shocks, Sampling(), seed=KEYS["seed"], n=PATHS, assets=assets, dtype=kind, tables=tables)
    draws.start(tile_counters(2048, PATHS))
    draws.draw(KEYS["step"])
    return MixedShocks(shocks, draws.arrays, assets=assets, dtype=kind).of(tables, state)


def drawn(fill, *, rows: int, stream: int, dtype: type = np.float64) -> np.ndarray:
    out = np.empty((rows, PATHS), dtype)
    fill(out, tile_counters(2048, PATHS), stream=stream, **KEYS)
    return out


def test_every_kind_comes_from_the_stream_of_its_position() -> None:
    shocks = (
        Shock("word", kind="word", per="shared"),
        Shock("side", kind="uniform"),
        Shock("common", per="shared"),
        Shock("own"),
    )
    found = received(shocks, {}, {}, assets=3)
    np.testing.assert_array_equal(found["word"], drawn(fill_words, rows=1, stream=0, dtype=np.uint32))
    np.testing.assert_array_equal(found["side"], drawn(fill_uniforms, rows=3, stream=1))
    np.testing.assert_array_equal(found["common"], drawn(fill_normals, rows=1, stream=2))
    np.testing.assert_array_equal(found["own"], drawn(fill_normals, rows=3, stream=3))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_mixing_adds_in_the_order_of_the_factors_with_one_rounding_each(dtype: str) -> None:
    assets = 7  # the kernel takes four factors a sweep: a sweep, a rest, and rows shorter than a sweep
    matrix = np.tril(np.random.default_rng(1).normal(size=(assets, assets))).astype(dtype)
    found = received((Shock("mixed", mixing="m"),), {"m": matrix}, {}, assets=assets, dtype=dtype)["mixed"]
    draws = drawn(fill_normals, rows=assets, stream=0, dtype=np.dtype(dtype).type)
    for path in (0, 511, 512, PATHS - 1):
        for a in range(assets):
            total = matrix[a, 0] * draws[0, path]
            for j in range(1, a + 1):
                total = exact_fma(matrix[a, j], draws[j, path], total)
            assert found[a, path] == total
    np.testing.assert_allclose(found, matrix.astype(float) @ draws, atol=1e-5 if dtype == "float32" else 1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_factors_are_added_to_the_own_normal_in_their_order_with_one_rounding_each(dtype: str) -> None:
    assets, factors = 5, 6  # a sweep of four factors, and a rest
    matrix = np.random.default_rng(1).normal(size=(assets, factors + 1)).astype(dtype)
    shocks = (Shock("mixed", mixing="m", common="c"), Shock("other", per="shared"), Shock("c", per="factor", factors=6))
    found = received(shocks, {"m": matrix}, {}, assets=assets, dtype=dtype)["mixed"]
    own = drawn(fill_normals, rows=assets, stream=0, dtype=np.dtype(dtype).type)
    common = drawn(fill_normals, rows=factors, stream=2, dtype=np.dtype(dtype).type)
    for path in (0, 1023, 1024, PATHS - 1):
        for a in range(assets):
            total = matrix[a, factors] * own[a, path]
            for j in range(factors):
                total = exact_fma(matrix[a, j], common[j, path], total)
            assert found[a, path] == total


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"per": "factor"}, "normals per factor, and they alone, say how many factors there are"),
        ({"factors": 2}, "normals per factor, and they alone, say how many factors there are"),
        ({"kind": "word", "per": "factor", "factors": 2}, "normals per factor, and they alone"),
        ({"common": "c"}, "common needs mixing without a selector"),
        ({"common": "c", "mixing": "m", "selector": "s"}, "common needs mixing without a selector"),
        ({"per": "factor", "factors": 2, "mixing": "m"}, "mixing needs normals per asset"),
    ],
)
def test_shocks_by_factors_that_make_no_sense_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=f"^shock x: {text}"):
        Shock("x", **options)


def test_a_selector_picks_the_matrix_of_each_path_and_adds_in_the_same_order() -> None:
    matrices = np.stack([np.tril(np.random.default_rng(k).normal(size=(6, 6))) for k in range(3)])
    chosen = (np.arange(PATHS) % 3).astype(np.int32)[None]
    by_state = received(
        (Shock("mixed", mixing="m", selector="regime"),), {"m": matrices}, {"regime": chosen}, assets=6
    )["mixed"]
    for k in range(3):
        alone = received((Shock("mixed", mixing="m"),), {"m": matrices[k]}, {}, assets=6)["mixed"]
        np.testing.assert_array_equal(by_state[:, k::3], alone[:, k::3])


@pytest.mark.parametrize("per", ["shared", "asset"])
def test_rows_are_the_integer_part_of_word_times_rows(per: str) -> None:
    table = np.arange(10.0).reshape(5, 2)
    found = received((Shock("day", kind="rows", per=per, table="t"),), {"t": table}, {}, assets=2)["day"]
    words = drawn(fill_words, rows=2 if per == "asset" else 1, stream=0, dtype=np.uint32)
    for path in range(PATHS):
        for a in range(2):
            assert found[a, path] == table[(int(words[a if per == "asset" else 0, path]) * 5) >> 32, a]
