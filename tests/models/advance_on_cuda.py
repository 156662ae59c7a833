"""Run the example of one kind for three steps as plain Python and in the CUDA simulator, and compare with given paths.

Started by tests/models/test_contract.py in a process of its own, because the simulator must be chosen before numba is
imported. Arguments: the kind, and a file with the compiled log growth ``(scenario, time, asset, path)``.
"""

from __future__ import annotations

import sys

import numpy as np
from numba import cuda

from riskops.models.kernel import PathKernel
from riskops.rng import tile_counters
from riskops.simulation import SimulationSpec, path_job
from tests.models.examples import example


def main(kind: str, file: str) -> None:
    expected = np.load(file)
    job = path_job(SimulationSpec(example(kind), paths=1024, steps=3, seed=11))
    np.testing.assert_array_equal(job.block(tile_counters(0, expected.shape[-1]), expected.shape[-1]), expected)
    print("plain")

    def on_device(self: PathKernel, *arrays: np.ndarray) -> None:
        copies = [cuda.to_device(array) for array in arrays]
        self._launch(copies)
        for array, copy in zip(arrays, copies, strict=True):
            array[...] = copy.copy_to_host()

    PathKernel.__call__ = on_device
    np.testing.assert_array_equal(job.block(tile_counters(0, expected.shape[-1]), expected.shape[-1]), expected)
    print("cuda")


if __name__ == "__main__":
    main(*sys.argv[1:])
