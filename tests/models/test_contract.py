"""What every built-in model keeps, held to the example of its kind: records, cuts, precisions, plain Python, CUDA."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from riskops.models import from_record, list_models
from riskops.models.built_in import BUILT_IN
from riskops.rng import tile_counters
from riskops.simulation import SimulationSpec, path_job, simulate
from tests.models.examples import example

#: Every kind, and the correlation by factors, whose draws the engine mixes in its own way.
KINDS = [*sorted(BUILT_IN), "geometric_brownian_factors"]
SIMULATOR = Path(__file__).parent / "advance_on_cuda.py"


def test_every_file_holds_the_class_that_the_table_names():
    known = list_models()
    for kind, name in BUILT_IN.items():
        assert known[kind].__name__ == name
        assert known[kind].__module__ == f"riskops.models.{kind}"


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_survives_json_and_pickle_to_the_last_bit(kind):
    model = example(kind)
    again = from_record(json.loads(json.dumps(model.record(), allow_nan=False)))
    assert again == model
    assert again.record() == model.record()
    assert pickle.loads(pickle.dumps(model)) == model
    for name, table in model.tables(1 / 252).items():
        np.testing.assert_array_equal(again.tables(1 / 252)[name], table, strict=True)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", KINDS)
def test_paths_do_not_depend_on_the_cut(kind, dtype):
    model = example(kind)
    whole = simulate(SimulationSpec(model, paths=5000, steps=4, seed=3, dtype=dtype, chunk_paths=8192))
    cut = simulate(SimulationSpec(model, paths=5000, steps=4, seed=3, dtype=dtype, chunk_paths=1024))
    growth = whole["log_growth"].values
    np.testing.assert_array_equal(growth, cut["log_growth"].values)
    assert np.all(np.isfinite(growth))
    assert growth.dtype == dtype
    assert growth[-1].std(axis=-1).min() > 0


@pytest.mark.parametrize("kind", KINDS)
def test_single_precision_follows_double(kind):
    """The same draws to the precision of a word: paths differ by rounding, but for the few whose discrete outcomes or
    branches fall apart."""
    singles, doubles = (
        simulate(SimulationSpec(example(kind), paths=4096, steps=3, seed=5, dtype=dtype))["log_growth"].values[-1]
        for dtype in ("float32", "float64")
    )
    scale = np.abs(doubles).mean()
    assert np.quantile(np.abs(singles - doubles) / scale, 0.99) < 2e-4


@pytest.mark.parametrize("kind", KINDS)
def test_the_step_runs_in_plain_python_and_in_the_cuda_simulator_with_the_same_bits(kind, tmp_path):
    job = path_job(SimulationSpec(example(kind), paths=1024, steps=3, seed=11))
    np.save(tmp_path / "compiled.npy", job.block(tile_counters(0, 20), 20))
    environment = os.environ | {"NUMBA_ENABLE_CUDASIM": "1", "NUMBA_DISABLE_JIT": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, str(SIMULATOR), kind, str(tmp_path / "compiled.npy")],
        env=environment | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ["plain", "cuda"]
