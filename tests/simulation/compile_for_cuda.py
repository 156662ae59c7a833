"""Compile every kernel of a simulation for a CUDA device, without one, and read the instructions that come out.

Run by hand, from the root of the checkout, where the compiler of ``numba-cuda[cu12]`` is installed:

    python -m tests.simulation.compile_for_cuda [kind ...]

The engine runs on the CPU, every kernel that it calls is compiled once more for compute capability 9.0 with the types
that it was called with, and the PTX must keep contract C2: every division and square root rounded correctly, nothing
approximate, and no product that feeds a sum. The last is read in two ways, since either compiler contracts such a pair
as it sees fit: with and without contraction NVVM must emit the same instructions, and no register that ``mul`` writes
may be read by ``add`` or ``sub``, which ptxas would join.
"""

from __future__ import annotations

import re
import sys
import types as python_types
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numba
import numpy as np
from numba import cuda, types
from numba.cuda.cudadrv import nvvm

import riskops.models.kernel as kernel_module
from riskops.models import Model
from riskops.models.built_in import BUILT_IN
from riskops.models.kernel import PathKernel
from riskops.portfolio.loss import loss_block
from riskops.rng import cuda as rng_cuda
from riskops.rng import tile_counters
from riskops.simulation import PathJob, SimulationSpec, device_kernels, path_job
from riskops.simulation.events import PriceMove, apply_events
from tests.models.examples import example
from tests.simulation.arrangements import samplings

TARGET = (9, 0)
#: What no kernel may contain: approximate arithmetic, flushed subnormals, functions of a library.
WRONG = re.compile(r"\b(\w+\.approx\S*|\w+\.full\S*|\S+\.ftz\S*|(?:ex2|lg2|sin|cos|tanh|rsqrt)\.\S+|__nv_\w+)")
ARITHMETIC = re.compile(r"\b(fma|mad|mul|add|sub|div|rcp|sqrt)\.(?:rn\.)?(f32|f64)\s+(%\w+), ([^;]*);")
MOVED = re.compile(r"\b(?:mov|neg|abs)\.(?:f32|f64|b32|b64)\s+(%\w+), (%\w+);")


def operations(ptx: str) -> Counter[str]:
    """How often each kind of floating-point instruction stands there, ``rn`` or not."""
    return Counter(f"{found[1]}.{found[2]}" for found in ARITHMETIC.finditer(ptx))


def joined(ptx: str) -> list[str]:
    """Sums of which a term is a product."""
    products = {found[3] for found in ARITHMETIC.finditer(ptx) if found[1] == "mul"}
    for _ in range(3):  # by way of another register, or with the sign turned over
        products |= {found[1] for found in MOVED.finditer(ptx) if found[2] in products}
    sums = [found for found in ARITHMETIC.finditer(ptx) if found[1] in ("add", "sub")]
    return [found[0] for found in sums if products & set(re.findall(r"%\w+", found[4]))]


def compile_now(function: Any, signature: tuple[Any, ...], *, contract: bool) -> str:
    plain = nvvm.compile_ir
    nvvm.compile_ir = lambda ir, **options: plain(ir, **options, fma=contract)
    try:
        text, _ = cuda.compile_ptx(function, signature, cc=TARGET)
    finally:
        nvvm.compile_ir = plain
    return str(text)


def device_types(arrays: tuple[Any, ...]) -> tuple[Any, ...]:
    """The types that device arrays of these shapes have: writable, in C order where they are."""
    found: list[Any] = []
    for array in arrays:
        if isinstance(array, np.ndarray):
            layout = "C" if array.flags.c_contiguous else "A"
            found.append(types.Array(numba.typeof(array).dtype, array.ndim, layout))
        else:
            found.append(numba.typeof(array))
    return tuple(found)


class Collected:
    """Every kernel that was called, with the types of each call."""

    def __init__(self) -> None:
        self.kernels: dict[tuple[str, tuple[Any, ...]], Any] = {}
        plain = PathKernel.__call__

        def call(kernel: PathKernel, *arrays: Any) -> None:
            key = (f"{kernel.py_func.__module__}.{kernel.py_func.__name__}", device_types(arrays))
            if key not in self.kernels:
                made = kernel_module._device_kernel(kernel._host, kernel._along, kernel._tables)
                self.kernels[key] = made.py_func
            plain(kernel, *arrays)

        PathKernel.__call__ = call  # type: ignore[method-assign]


def written_out() -> Iterator[tuple[str, Any, tuple[Any, ...]]]:
    """The kernels that are CUDA's alone, with their types."""
    word, single, double = (types.Array(t, 2, "C") for t in (types.uint32, types.float32, types.float64))
    line, directions = types.Array(types.uint32, 1, "C"), types.Array(types.uint32, 3, "C")
    keys = (line, *(types.uint32,) * 5)
    yield "rng words", rng_cuda._words, (word, *keys)
    for kernel, out in (
        (rng_cuda._normals_f32, single),
        (rng_cuda._uniforms_f32, single),
        (rng_cuda._normals_f64, double),
        (rng_cuda._uniforms_f64, double),
    ):
        yield f"rng {kernel.py_func.__name__}", kernel, (out, *keys)
    yield "rng sobol", rng_cuda._sobol_words, (word, line, directions)
    yield "rng normals of words f32", rng_cuda._normals_of_words_f32, (single, word)
    yield "rng normals of words f64", rng_cuda._normals_of_words_f64, (double, word, word)
    for out in (single, double):
        yield "mirror numbers", device_kernels._mirror_numbers, (out,)
        yield "match", device_kernels._match, (out,)
    yield "mirror words", device_kernels._mirror_words, (word,)
    yield "stratify", device_kernels._stratify, (word, line)


def run_all(kinds: list[str]) -> None:
    """Run the engine on the CPU: every model in both precisions and every arrangement that serves it."""
    for kind in kinds:
        model: Model = example(kind)
        for sampling in samplings(model):
            for dtype in ("float32", "float64"):
                spec = SimulationSpec(model, paths=4096, steps=3, dtype=dtype, sampling=sampling)  # type: ignore[arg-type]
                job: PathJob = path_job(spec)
                growth = job.block(tile_counters(0, 2048), 2048)[:, :, : len(model.assets)]
                loss_block(growth, np.ones((2, len(model.assets))), np.array([1, 2]))
                move = PriceMove(step=1, log_moves=(0.1,) * len(model.assets), state="log_growth", value=0.0)
                apply_events((move,), 1, 1.0, {"log_growth": np.ascontiguousarray(growth[0, 1])})


def main(kinds: list[str]) -> int:
    import numba.cuda.dispatcher as dispatcher

    dispatcher.get_current_device = lambda: python_types.SimpleNamespace(compute_capability=TARGET)
    collected = Collected()
    run_all(kinds or sorted(BUILT_IN))
    every = [(name, function, signature) for (name, signature), function in collected.kernels.items()]
    every += [(name, kernel.py_func, signature) for name, kernel, signature in written_out()]
    bad = 0
    for name, function, signature in every:
        text = " ".join(str(t).replace("array(", "").replace(")", "").replace(", ", " ") for t in signature[:1])
        try:
            ptx = compile_now(function, signature, contract=True)
            plain = compile_now(function, signature, contract=False)
        except Exception as problem:  # whatever the compiler says is what this script is for
            bad += 1
            print(f"FAILED {name} [{text}]: {type(problem).__name__}: {str(problem)[:800]}")
            continue
        problems = [*sorted(set(WRONG.findall(ptx))), *joined(ptx)]
        if operations(ptx) != operations(plain):
            problems.append(f"without contraction {dict(operations(plain))}")
        bad += bool(problems)
        mark = f"WRONG ({'; '.join(problems)})" if problems else "ok"
        print(f"{mark} {name} [{text}] {dict(sorted(operations(ptx).items()))}", flush=True)
    print(f"{len(every)} kernels, {bad} not as they should be")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
