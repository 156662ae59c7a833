"""The scalar functions: accuracy, special values, the exact twin of fma, and what their source must not contain."""

from __future__ import annotations

import ast
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit
from scipy.special import ndtri

from riskops import scalar

PACKAGE = Path(scalar.__file__).parent.parent
KINDS = {"f32": np.float32, "f64": np.float64}
#: Correct values come from the extended precision of NumPy's long double, 64 bits on x86.
EXACT = np.finfo(np.longdouble).nmant >= 63


@njit(error_model="numpy")
def _exp_f32(x, y):
    for i in range(x.size):
        y[i] = scalar.exp_f32(x[i])


@njit(error_model="numpy")
def _expm1_f32(x, y):
    for i in range(x.size):
        y[i] = scalar.expm1_f32(x[i])


@njit(error_model="numpy")
def _log_f32(x, y):
    for i in range(x.size):
        y[i] = scalar.log_f32(x[i])


@njit(error_model="numpy")
def _exp_f64(x, y):
    for i in range(x.size):
        y[i] = scalar.exp_f64(x[i])


@njit(error_model="numpy")
def _expm1_f64(x, y):
    for i in range(x.size):
        y[i] = scalar.expm1_f64(x[i])


@njit(error_model="numpy")
def _log_f64(x, y):
    for i in range(x.size):
        y[i] = scalar.log_f64(x[i])


@njit(error_model="numpy")
def _quantile_f64(x, y):
    for i in range(x.size):
        y[i] = scalar.normal_quantile_f64(x[i])


@njit(error_model="numpy")
def _quantile_f32(x, y):
    for i in range(x.size):
        y[i] = scalar.normal_quantile_f32(x[i])


@njit
def _fma(a, b, c):
    return scalar.fma(a, b, c)


@njit
def _sqrt(x):
    return scalar.sqrt(x)


LOOPS = {
    ("exp", "f32"): _exp_f32, ("expm1", "f32"): _expm1_f32, ("log", "f32"): _log_f32,
    ("exp", "f64"): _exp_f64, ("expm1", "f64"): _expm1_f64, ("log", "f64"): _log_f64,
}  # fmt: skip


def _apply(name: str, bits: str, x: np.ndarray) -> np.ndarray:
    y = np.empty_like(x)
    LOOPS[name, bits](x, y)
    return y


def _points(name: str, bits: str) -> np.ndarray:
    rng = np.random.default_rng(11)
    n, kind = 100_000, KINDS[bits]
    low, high, tiny, huge = (-103.0, 88.7, -44.0, 38.5) if bits == "f32" else (-744.0, 709.7, -323.0, 308.2)
    if name == "log":
        parts = [10.0 ** rng.uniform(tiny, huge, n), rng.uniform(0.5, 2, n), 1 + rng.normal(0, 0.1, n) ** 5]
    else:
        parts = [rng.uniform(low, high, n), rng.normal(0, 1, n), rng.normal(0, 1, n) * 10.0 ** rng.uniform(-20, 0, n)]
    points = np.concatenate(parts).astype(kind)
    return points[points > 0] if name == "log" else points


@pytest.mark.skipif(not EXACT, reason="no extended precision to compare with")
@pytest.mark.parametrize(("name", "bits", "ulps"), [
    ("exp", "f32", 1.1), ("expm1", "f32", 1.7), ("log", "f32", 1.2),
    ("exp", "f64", 1.1), ("expm1", "f64", 2.2), ("log", "f64", 1.6),
])  # fmt: skip
def test_accuracy_in_units_of_the_last_place(name, bits, ulps):
    x = _points(name, bits)
    exact = getattr(np, name)(x.astype(np.longdouble))
    error = np.abs(_apply(name, bits, x).astype(np.longdouble) - exact) / np.spacing(np.abs(exact.astype(x.dtype)))
    assert error.max() < ulps, x[error.argmax()]


@pytest.mark.parametrize("bits", ["f32", "f64"])
def test_special_values(bits):
    inf, nan = np.inf, np.nan
    x = np.array([inf, -inf, nan, -nan, 0.0, -0.0, 1e5, -1e5], dtype=KINDS[bits])
    np.testing.assert_array_equal(_apply("exp", bits, x), [inf, 0, nan, nan, 1, 1, inf, 0])
    np.testing.assert_array_equal(_apply("expm1", bits, x), [inf, -1, nan, nan, 0, 0, inf, -1])
    y = np.array([inf, -inf, nan, 0.0, -0.0, -1.0, 1.0], dtype=KINDS[bits])
    np.testing.assert_array_equal(_apply("log", bits, y), [inf, nan, nan, -inf, -inf, nan, 0])


@pytest.mark.parametrize("bits", ["f32", "f64"])
def test_exp_underflows_gradually_and_expm1_keeps_small_numbers(bits):
    tiny = np.finfo(KINDS[bits]).smallest_subnormal
    edge = np.array([np.log(float(tiny)) + 0.1 if bits == "f32" else -744.4], dtype=KINDS[bits])
    assert _apply("exp", bits, edge)[0] == tiny
    small = np.array([tiny, -tiny, 3 * tiny, 1e-30], dtype=KINDS[bits])
    np.testing.assert_array_equal(_apply("expm1", bits, small), small)


def test_double_precision_quantile_on_random_probabilities():
    rng = np.random.default_rng(5)
    p = np.concatenate(
        [0.5 * rng.random(100_000), 2.0 ** -rng.uniform(1, 65, 100_000), 0.5 - 10.0 ** -rng.uniform(1, 15, 50_000)]
    )
    z = np.empty_like(p)
    _quantile_f64(p, z)
    exact = -ndtri(p)
    centre = exact == 0
    assert np.all(z[centre] == 0)
    assert np.abs(z[~centre] / exact[~centre] - 1).max() < 1e-14


def test_quantile_is_monotone_near_its_ends():
    for p, loop in (
        (np.array([0.5, 0.25, 2.0**-33], np.float32), _quantile_f32),
        (np.array([0.5, 0.25, 2.0**-65]), _quantile_f64),
    ):
        z = np.empty_like(p)
        loop(p, z)
        assert z[0] == 0
        assert np.all(np.isfinite(z))
        assert np.all(np.diff(z) > 0)


def _nearest_f32(exact: Fraction) -> np.float32:
    """The nearest single-precision number, ties to even, by search among the neighbours."""
    guess = np.float32(float(exact))
    near = [np.nextafter(guess, np.float32(-np.inf)), guess, np.nextafter(guess, np.float32(np.inf))]
    return min(
        (x for x in near if np.isfinite(x)), key=lambda x: (abs(Fraction(float(x)) - exact), int(x.view(np.uint32)) & 1)
    )


singles = st.floats(width=32, allow_nan=False, allow_infinity=False, min_value=-(2.0**60), max_value=2.0**60)
doubles = st.floats(allow_nan=False, allow_infinity=False, min_value=-(2.0**400), max_value=2.0**400)


@settings(max_examples=300, deadline=None)
@given(singles, singles, singles)
def test_plain_fma_rounds_single_precision_once(a, b, c):
    x, y, z = np.float32(a), np.float32(b), np.float32(c)
    plain = scalar.exact_fma(x, y, z)
    assert plain == _nearest_f32(Fraction(a) * Fraction(b) + Fraction(c))
    assert plain.view(np.uint32) == np.float32(_fma(x, y, z)).view(np.uint32)


@settings(max_examples=300, deadline=None)
@given(doubles, doubles, doubles)
def test_plain_fma_equals_the_processor_in_double_precision(a, b, c):
    plain = scalar.exact_fma(np.float64(a), np.float64(b), np.float64(c))
    assert plain.view(np.uint64) == np.float64(_fma(a, b, c)).view(np.uint64)


def test_plain_fma_does_not_round_twice():
    # 1 + 2^-24 + 2^-60 lies just above a tie of single precision; a detour by double rounds it onto the tie, then down.
    a, b = np.float32(1 + 2.0**-12), np.float32(1 + 2.0**-12)
    c = np.float32(-(2.0**-11) + 2.0**-60)
    assert scalar.exact_fma(a, b, c) == _fma(a, b, c)
    one, tie = np.float32(1), np.float32(2.0**-24 * (1 + 2.0**-23))
    assert scalar.exact_fma(one, one, tie) == np.float32(1 + 2.0**-23)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_fma_of_special_values(kind):
    big = np.finfo(kind).max
    for a, b, c in [
        (np.inf, 1, 1),
        (np.inf, 0, 1),
        (np.nan, 1, 1),
        (big, big, -big),
        (-big, 2, 0),
        (-0.0, 1, -0.0),
        (1, -1, 1),
        (0, 5, -0.0),
    ]:
        values = kind(a), kind(b), kind(c)
        np.testing.assert_array_equal(scalar.exact_fma(*values), kind(_fma(*values)))
        assert math.copysign(1, scalar.exact_fma(*values)) == math.copysign(1, _fma(*values)) or np.isnan(_fma(*values))


def test_sqrt_keeps_the_precision():
    x = np.random.default_rng(1).random(1000)
    for kind in (np.float32, np.float64):
        values = x.astype(kind)
        np.testing.assert_array_equal(np.array([_sqrt(v) for v in values], dtype=kind), np.sqrt(values))


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_word_arithmetic_wraps(a, b):
    assert scalar.add_u32(np.uint32(a), np.uint32(b)) == (a + b) % 2**32
    assert scalar.multiply_high_u32(np.uint32(a), np.uint32(b)) == a * b >> 32


# ------------------------------------------------------------------------------------------------ the source


def _kernel_functions(path: Path) -> list[ast.FunctionDef]:
    """The functions of a file that some decorator compiles."""
    tree = ast.parse(path.read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    marks = ("scalar_function", "njit", "_kernel", "cuda.jit")
    return [f for f in functions if any(m in ast.unparse(d) for d in f.decorator_list for m in marks)]


def _is_index(node: ast.AST) -> bool:
    """Integers that count paths, tiles and lanes: names and literals only, none of them a float."""
    counters = {"tile", "start", "whole", "lane", "index", "path", "i", "n", "row"}
    shapes = {"TILE", "_TILE", "_QUARTER"}
    return all(not isinstance(leaf, ast.Constant) or isinstance(leaf.value, int) for leaf in ast.walk(node)) and all(
        leaf.id in counters | shapes for leaf in ast.walk(node) if isinstance(leaf, ast.Name)
    )


def _violations(function: ast.FunctionDef) -> list[str]:
    """Sums with a product in them, written or by way of a name, and calls of a library's transcendental functions."""
    products = {
        target.id
        for node in ast.walk(function)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.BinOp) and isinstance(node.value.op, ast.Mult)
        for target in node.targets
        if isinstance(target, ast.Name) and not _is_index(node.value)
    }
    found = []
    for node in ast.walk(function):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub) and not _is_index(node):
            for side in (node.left, node.right):
                while isinstance(side, ast.UnaryOp):
                    side = side.operand
                if isinstance(side, ast.BinOp) and isinstance(side.op, ast.Mult):
                    found.append(ast.unparse(node))
                if isinstance(side, ast.Name) and side.id in products:
                    found.append(ast.unparse(node))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            banned = {"exp", "expm1", "log", "log1p", "log2", "pow", "sin", "cos", "tanh", "erf", "erfc", "sqrt"}
            if node.func.attr in banned:
                found.append(ast.unparse(node))
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
            found.append(ast.unparse(node))
    return found


KERNEL_FOLDERS = ("scalar", "tables", "rng", "models", "simulation", "portfolio", "reductions", "measures")
KERNEL_FILES = [
    path for folder in KERNEL_FOLDERS for path in sorted((PACKAGE / folder).glob("*.py")) if _kernel_functions(path)
]


@pytest.mark.parametrize("path", KERNEL_FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_no_product_feeds_a_sum_and_no_library_transcendental(path):
    assert {f.name: v for f in _kernel_functions(path) if (v := _violations(f))} == {}


@pytest.mark.parametrize("line", ["a * b + c", "c - a * b", "c + -(a * b)", "math.exp(a)", "np.log(a)", "a**b"])
def test_the_source_test_sees_what_it_is_for(line):
    function = ast.parse(f"@scalar_function\ndef f(a, b, c):\n    return {line}").body[0]
    assert _violations(function)
    named = ast.parse("@scalar_function\ndef f(a, b, c):\n    d = a * b\n    return d + c").body[0]
    assert _violations(named)


def test_kernels_are_found_in_every_kernel_file():
    found = {f"{path.parent.name}/{path.name}": len(_kernel_functions(path)) for path in KERNEL_FILES}
    assert found["scalar/single.py"] + found["scalar/double.py"] > 12
    rest = ("rng/philox.py", "rng/draws.py", "rng/fill.py", "rng/cuda.py", "portfolio/loss.py", "simulation/shocks.py")
    assert all(found[name] for name in (*rest, "models/geometric_brownian.py", "reductions/lanes.py"))
