"""Which word goes where (contract C1), and the same bits from compiled code, plain Python and CUDA's simulator."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskops import rng, scalar
from riskops.errors import InputError
from riskops.rng.philox import philox
from tests.rng import plain_python

KEYS = {"seed": 7, "step": 3, "stream": 1}


def _word(seed: int, path: int, step: int, factor: int, stream: int) -> int:
    """The word of C1, in plain Python integers, from the text of the contract."""
    tile, within = divmod(path, 1024)
    lane, i = divmod(within, 256)
    counter = [tile * 256 + i, factor, step, stream]
    key = [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(10):
        left, right = counter[0] * 0xD2511F53, counter[2] * 0xCD9E8D57
        counter = [
            (right >> 32) ^ counter[1] ^ key[0], right & 0xFFFFFFFF,
            (left >> 32) ^ counter[3] ^ key[1], left & 0xFFFFFFFF,
        ]  # fmt: skip
        key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return counter[lane]


@pytest.mark.parametrize(("counter", "key", "words"), [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0),
     (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
])  # fmt: skip
def test_known_answers_of_random123(counter, key, words):
    assert philox(*map(np.uint32, counter), *map(np.uint32, key)) == words


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**64 - 1), st.integers(0, 2**24 - 2), st.integers(1, 2500), st.integers(0, 2**32 - 1),
    st.integers(0, 2**31 - 1), st.integers(0, 2**32 - 3), st.data(),
)  # fmt: skip
def test_every_word_is_where_the_contract_says(seed, tile, paths, step, stream, first_factor, data):
    first = tile * 1024
    paths = min(paths, rng.MAX_PATHS - first)
    out = np.zeros((2, paths), np.uint32)
    rng.fill_words(out, rng.tile_counters(first, paths), seed=seed, step=step, stream=stream, first_factor=first_factor)
    for _ in range(4):
        column = data.draw(st.integers(0, paths - 1))
        row = data.draw(st.integers(0, 1))
        assert out[row, column] == _word(seed, first + column, step, first_factor + row, stream)


def test_whole_first_tile_in_plain_integers():
    out = np.zeros((1, 1024), np.uint32)
    rng.fill_words(out, rng.tile_counters(3072, 1024), **KEYS)
    assert out[0].tolist() == [_word(7, 3072 + path, 3, 0, 1) for path in range(1024)]


FILLS = [
    (rng.fill_words, np.uint32), (rng.fill_normals, np.float32), (rng.fill_normals, np.float64),
    (rng.fill_uniforms, np.float32), (rng.fill_uniforms, np.float64),
]  # fmt: skip


@pytest.mark.parametrize(("fill", "dtype"), FILLS)
def test_a_draw_does_not_depend_on_what_is_drawn_with_it(fill, dtype):
    whole = np.zeros((3, 8 * 1024), dtype)
    fill(whole, rng.tile_counters(0, 8 * 1024), **KEYS)
    part = np.zeros((1, 2000), dtype)
    fill(part, rng.tile_counters(3 * 1024, 2000), first_factor=2, **KEYS)
    np.testing.assert_array_equal(part[0], whole[2, 3 * 1024 : 3 * 1024 + 2000])


@pytest.mark.parametrize(("fill", "dtype"), FILLS)
def test_chosen_counters_only(fill, dtype):
    whole = np.zeros((2, 16 * 1024), dtype)
    fill(whole, rng.tile_counters(0, 16 * 1024), **KEYS)
    chosen = np.random.default_rng(1).permutation(16 * 256)[:512].astype(np.uint32)
    part = np.zeros((2, 2048), dtype)
    fill(part, chosen, **KEYS)
    tile, i = np.divmod(np.arange(512), 256)
    for lane in range(4):
        path = chosen // 256 * 1024 + lane * 256 + chosen % 256
        np.testing.assert_array_equal(part[:, tile * 1024 + lane * 256 + i], whole[:, path])


def test_double_precision_takes_its_low_words_from_the_upper_streams():
    low = np.array([[_word(7, path, 3, 0, 1 + 2**31) for path in range(64)]], np.uint64)
    high = np.array([[_word(7, path, 3, 0, 1) for path in range(64)]], np.uint64)
    out = np.zeros((1, 64))
    rng.fill_uniforms(out, rng.tile_counters(0, 64), **KEYS)
    for value, hi, lo in zip(out[0], high[0], low[0], strict=True):
        word = int(hi) << 32 | int(lo)
        folded = word if word < 2**63 else 2**64 - 1 - word
        p = scalar.exact_fma(np.float64(folded), np.float64(2.0**-64), np.float64(2.0**-65))
        assert value == (p if word < 2**63 else -p)


def test_empty_and_bad_blocks():
    counters = rng.tile_counters(0, 1024)
    rng.fill_normals(np.empty((0, 10), np.float32), counters, **KEYS)
    rng.fill_normals(np.empty((2, 0), np.float32), counters[:0], **KEYS)
    block = np.empty((1, 1025), np.float32)
    with pytest.raises(InputError, match="out: 1025 columns are more than the 1024 draws"):
        rng.fill_normals(block, counters, **KEYS)
    with pytest.raises(InputError, match="counters: expected uint32 in whole tiles of 256"):
        rng.fill_normals(block, counters[:100], **KEYS)
    with pytest.raises(InputError, match="counters: expected uint32"):
        rng.fill_normals(block, counters.astype(np.int64), **KEYS)
    with pytest.raises(InputError, match="out: int32 is not"):
        rng.fill_normals(np.empty((1, 8), np.int32), counters, **KEYS)
    for name, value in (("stream", 2**31), ("seed", 2**64), ("seed", -1), ("step", 2**32), ("first_factor", 2**32)):
        with pytest.raises(InputError, match=f"{value} "):
            rng.fill_normals(block[:, :1000], counters, **KEYS | {name: value})


def test_tile_counters():
    assert rng.tile_counters(2048, 1025).tolist() == list(range(512, 1024))
    assert rng.tile_counters(rng.MAX_PATHS - 1024, 1024)[-1] == 2**32 - 1
    with pytest.raises(InputError, match="first_path: 1000 is not a multiple of 1024"):
        rng.tile_counters(1000, 5)
    with pytest.raises(InputError, match="paths: 2048"):
        rng.tile_counters(rng.MAX_PATHS - 1024, 2048)


def _elsewhere(tmp_path: Path, module: str, **environment: str) -> dict[str, np.ndarray]:
    """The fills of a module, computed by another interpreter under these settings, warnings being errors there too."""
    root = Path(scalar.__file__).parents[2]
    target = tmp_path / "fills.npz"
    subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.rng.plain_python", module, str(target)],
        check=True, cwd=root, env=os.environ | {"NUMBA_DISABLE_JIT": "1"} | environment, timeout=120,
    )  # fmt: skip
    with np.load(target) as saved:
        return dict(saved)


def _assert_same_bits(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> None:
    assert ours.keys() == theirs.keys()
    for name, block in ours.items():
        nan = np.isnan(block) if block.dtype.kind == "f" else np.zeros(block.shape, bool)
        np.testing.assert_array_equal(np.isnan(theirs[name]) if nan.any() else nan, nan)
        assert block[~nan].tobytes() == theirs[name][~nan].tobytes(), name


def test_plain_python_gives_the_compiled_bits(tmp_path):
    ours = plain_python.fills("riskops.rng") | plain_python.functions()
    _assert_same_bits(ours, _elsewhere(tmp_path, "riskops.rng"))


def test_cuda_simulator_gives_the_compiled_bits(tmp_path):
    theirs = _elsewhere(tmp_path, "riskops.rng.cuda", NUMBA_ENABLE_CUDASIM="1")
    _assert_same_bits(plain_python.fills("riskops.rng"), theirs)


@pytest.mark.gpu
def test_cuda_device_gives_the_same_bits():
    from numba import cuda

    from riskops.rng import cuda as device

    if not cuda.is_available():
        pytest.skip("no CUDA device")
    counters = rng.tile_counters(5 * 1024, 100_000)
    for fill, dtype in FILLS:
        ours = np.zeros((3, 100_000), dtype)
        fill(ours, counters, **KEYS)
        theirs = cuda.to_device(np.zeros_like(ours))
        getattr(device, fill.__name__)(theirs, cuda.to_device(counters), **KEYS)
        assert theirs.copy_to_host().tobytes() == ours.tobytes()


def test_missing_extra_is_named():
    code = (
        "import importlib.util as util\nfind = util.find_spec\n"
        "util.find_spec = lambda name, *rest: None if name == 'numba_cuda' else find(name, *rest)\n"
        "from riskops.errors import MissingExtraError\n"
        "try:\n    import riskops.rng.cuda\nexcept MissingExtraError as error:\n    print(error)"
    )
    root = Path(scalar.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True, timeout=60
    )
    assert "riskops[gpu-cuda12] or riskops[gpu-cuda13]" in done.stdout
