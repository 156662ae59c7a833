"""Every built-in model: path-steps a second of the bare engine on one core, and the ratio to the same model in NumPy.

A path-step is one step of one asset on one path: ``paths x assets x steps`` of them, whatever a step costs inside.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from riskops.bench import numpy_peer
from riskops.bench.agreement import within_errors
from riskops.bench.jumps_peer import PEERS, SPARSE_PEERS
from riskops.bench.model_examples import EXAMPLES
from riskops.bench.models_peer import BLOCKS, terminal_growth
from riskops.bench.rows import Row, Target
from riskops.bench.timing import Setting, Timed, race
from riskops.models import Model
from riskops.rng import tile_counters
from riskops.simulation import SimulationSpec, chunk_sizes, path_job

__all__ = ["models", "same_distribution"]

SUITE = "models"
PATHS, STEPS = 131_072, 20
#: The probability of the quantile that is compared.
TAIL = 0.01
#: The least ratio where a step is normals and sums alone, and that of the others.
NORMALS_ALONE, OTHERS = Target(least_ratio=8.0), Target(least_ratio=5.0)


def models(setting: Setting) -> list[Row]:
    """A row a model; those with jumps also against the peer that counts jumps by the block, which has no target."""
    return [row for kind in EXAMPLES for row in _model(kind, setting)]


def _model(kind: str, setting: Setting) -> list[Row]:
    model, bits = EXAMPLES[kind](), numpy_peer.quickest()
    spec = SimulationSpec(model, paths=setting.count(PATHS), steps=STEPS, days_per_year=days_of(model), seed=1)
    peers = [PEERS[kind]] + [peer for name, peer in SPARSE_PEERS.items() if name == kind]
    given: dict[str, Any] = {"paths": spec.paths, "steps": STEPS, "step_years": spec.step_years, "seed": 2}
    ours, *timed = race(
        partial(growth, spec),
        *(partial(terminal_growth, peer, model, bits=bits, block=b, **given) for peer in peers for b in BLOCKS),
        rounds=5,
        seconds=8.0,
    )
    theirs = [min(timed[k : k + len(BLOCKS)], key=_seconds) for k in range(0, len(timed), len(BLOCKS))]
    target = NORMALS_ALONE if kind == "geometric_brownian" else OTHERS
    names = [
        f"NumPy ({bits}, in place, the better of two block sizes)",
        f"NumPy ({bits}, the same, jumps of a block counted at once)",
    ]
    return [
        _row(kind, spec, ours, name, timed, bound)
        for name, timed, bound in zip(names, theirs, (target, None), strict=False)
    ]


def _seconds(timed: Timed) -> float:
    return timed.seconds


def days_of(model: Model) -> float:
    """Days in a year by which a step of one day is one of the model's."""
    return float(getattr(model, "days_per_year", 252.0))


def _row(kind: str, spec: SimulationSpec, ours: Timed, name: str, theirs: Timed, target: Target | None) -> Row:
    count = spec.paths * spec.steps * len(spec.assets)
    rates = {"path_steps_per_s": count / ours.seconds, "baseline_path_steps_per_s": count / theirs.seconds}
    work = (
        f"{spec.paths:,} paths x {spec.steps} steps x {len(spec.assets)} assets, 1 thread: "
        f"{rates['path_steps_per_s'] / 1e6:,.0f} M path-steps/s against "
        f"{rates['baseline_path_steps_per_s'] / 1e6:,.0f}"
    )
    agrees = same_distribution(ours.result, theirs.result)
    return Row(SUITE, kind, work, ours.seconds, name, theirs.seconds, agrees, target, details=rates)


def growth(spec: SimulationSpec) -> npt.NDArray[np.float32]:
    """Log growth ``(asset, path)`` after the last step: the engine's blocks one after the other, without a graph."""
    job = path_job(spec, times=[spec.times[-1]])
    out, first = np.empty((len(spec.assets), spec.paths), np.float32), 0
    for size in chunk_sizes(spec):
        out[:, first : first + size] = job.block(tile_counters(first, size), size)[0, 0]
        first += size
    return out


def same_distribution(one: npt.NDArray[Any], two: npt.NDArray[Any]) -> bool:
    """Whether mean, standard deviation and a tail quantile of every asset, and of their sum, agree within four errors
    of their difference; the sum tells of the dependence."""
    with_sums = [np.vstack([sample, sample.sum(axis=0)]).astype(np.float64) for sample in (one, two)]
    return all(
        within_errors(a, b, error_a, error_b)
        for first, second in zip(*with_sums, strict=True)
        for (a, error_a), (b, error_b) in zip(_figures(first), _figures(second), strict=True)
    )


def _figures(sample: npt.NDArray[np.float64]) -> list[tuple[float, float]]:
    """Mean, standard deviation and tail quantile, each with its standard error."""
    n, mean, deviation = len(sample), float(sample.mean()), float(sample.std())
    kurtosis = float(np.mean(((sample - mean) / deviation) ** 4))
    away = np.sqrt(TAIL * (1.0 - TAIL) / n)
    low, middle, high = np.quantile(sample, [TAIL - away, TAIL, TAIL + away]).tolist()
    return [
        (mean, deviation / np.sqrt(n)),
        (deviation, deviation * np.sqrt((kurtosis - 1.0) / (4.0 * n))),
        (middle, (high - low) / 2.0),
    ]
