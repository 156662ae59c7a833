"""The benchmark of the models: an example of every kind, and NumPy peers that draw from the same distributions."""

from __future__ import annotations

import numpy as np
import pytest

from riskops.bench.jumps_peer import PEERS, SPARSE_PEERS
from riskops.bench.model_examples import EXAMPLES
from riskops.bench.models import days_of, growth, models, same_distribution
from riskops.bench.models_peer import Peer, terminal_growth
from riskops.bench.timing import Setting
from riskops.errors import InputError
from riskops.models import get_model
from riskops.models.built_in import BUILT_IN
from riskops.simulation import SimulationSpec

ALL_PEERS = [*PEERS.items(), *SPARSE_PEERS.items()]
PATHS, STEPS = 16_384, 4


def test_every_built_in_model_has_an_example_and_a_peer() -> None:
    assert set(EXAMPLES) == set(PEERS) == set(BUILT_IN)
    for kind, make in EXAMPLES.items():
        model = make()
        assert type(model) is get_model(kind)
        assert len(model.assets) == 5


@pytest.mark.parametrize(("kind", "peer"), ALL_PEERS, ids=[peer.__name__ for _, peer in ALL_PEERS])
def test_peer_draws_from_the_distribution_of_the_model(kind: str, peer: type[Peer]) -> None:
    model = EXAMPLES[kind]()
    spec = SimulationSpec(model, paths=PATHS, steps=STEPS, days_per_year=days_of(model), seed=5)
    sample = terminal_growth(peer, model, paths=PATHS, steps=STEPS, step_years=spec.step_years, seed=5, block=1024)
    assert np.all(np.isfinite(sample))
    assert same_distribution(growth(spec), sample)
    try:
        mean, covariance = (f(STEPS * spec.step_years) for f in (model.mean_log_growth, model.covariance_log_growth))
    except InputError:
        return  # no closed form, as for a token with rules
    deviation = np.sqrt(np.diagonal(covariance))
    assert np.all(np.abs(sample.mean(axis=1) - mean) < 4.5 * deviation / np.sqrt(PATHS))
    correlation = covariance / np.outer(deviation, deviation)
    assert np.max(np.abs(np.corrcoef(sample) - correlation)) < 0.06


def test_agreement_of_samples_can_fail() -> None:
    rng = np.random.default_rng(3)
    one, two = rng.standard_normal((2, 2, 20_000))
    assert same_distribution(one, two)
    assert not same_distribution(one, two + 0.06)
    assert not same_distribution(one, 1.05 * two)
    together = np.vstack([two[0], 0.5 * two[0] + np.sqrt(0.75) * two[1]])
    assert not same_distribution(one, together)
    assert not same_distribution(one, rng.standard_t(4.0, (2, 20_000)) / np.sqrt(2.0))


def test_suite_gives_a_row_a_model_with_its_rate() -> None:
    rows = models(Setting(lambda line: None, scale=0.01))
    assert [row.name for row in rows if row.target is not None] == list(EXAMPLES)
    assert sorted(row.name for row in rows if row.target is None) == sorted(SPARSE_PEERS)
    for row in rows:
        assert row.agrees, row
        assert row.details["path_steps_per_s"] / row.details["baseline_path_steps_per_s"] == pytest.approx(row.ratio)
        assert "M path-steps/s" in row.work
    (brownian,) = [row for row in rows if row.name == "geometric_brownian"]
    assert brownian.target is not None
    assert brownian.target.least_ratio == 8.0
