"""What ``prepare`` refuses before a path is drawn, and decimal horizons."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from riskops.config import load_config
from riskops.errors import ConfigError
from riskops.run import prepare
from tests.small_job import make_run

OR_ELSE = "; change it, or set risk.historical to false"


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        (
            ["simulation.step_days=0.5", "risk.horizons=[0.5, 1]"],
            "risk.horizons: 0.5 is not a whole number of days, as observed returns need",
        ),
        (
            ["simulation.steps=60", "risk.horizons=[1, 60]", "model.window=50"],
            "risk.horizons: 60 days are longer than the window of 50 daily returns",
        ),
    ],
)
def test_horizons_that_history_lacks_are_refused(small_configuration: Path, overrides: list[str], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        prepare(load_config(small_configuration, overrides=overrides))
    assert str(caught.value) == text + OR_ELSE
    prepare(load_config(small_configuration, overrides=[*overrides, "risk.historical=false"]))


def test_a_replay_outside_the_prices_is_refused(small_configuration: Path) -> None:
    with pytest.raises(ConfigError, match="covid_2020_q1"):
        prepare(load_config(small_configuration, overrides=["market.start=2021-01-04"]))


def test_decimal_horizons_are_computed(small_configuration: Path, tmp_path: Path) -> None:
    settings = ["steps=3", "step_days=0.1", "paths=2048"]
    overrides = [f"simulation.{one}" for one in settings] + ["risk.horizons=[0.3]", "risk.historical=false"]
    run = make_run(small_configuration, tmp_path / "run", *overrides, "report.html=false")
    assert (run / "results.json").is_file()


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        (
            ["simulation.sampling.method=stratified", "simulation.sampling.portfolio=nowhere"],
            "simulation.sampling.portfolio: 'nowhere' is not among equal, long_short",
        ),
        (
            ["simulation.sampling.method=importance", "simulation.sampling.level=0.999999"],
            "simulation.sampling.level: no path of the pilot, of 65536, lies beyond 0.999999",
        ),
        (
            ["simulation.sampling.method=antithetic", "simulation.paths=5000"],
            "simulation.paths: 5000 are not a multiple of 1024, which groups by pair need, "
            "by sampling.method antithetic",
        ),
        (
            ["simulation.sampling.method=sobol"],
            "simulation.paths: 5120 are not a multiple of 32768, which groups by replicate 32 need, "
            "by sampling.method sobol",
        ),
        (
            ["simulation.sampling.method=moment_matching", "model.kind=bootstrap"],
            "simulation.sampling.method: moment_matching arranges normals, and model bootstrap draws none; "
            "antithetic serves it",
        ),
    ],
)
def test_draws_that_cannot_be_arranged_are_refused(small_configuration: Path, overrides: list[str], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        prepare(load_config(small_configuration, overrides=["simulation.paths=5120", *overrides]))
    assert str(caught.value) == text


def test_draws_are_arranged_for_the_portfolio_and_horizon_asked_for(small_configuration: Path) -> None:
    settings = ["simulation.paths=5120", "simulation.sampling.method=stratified"]
    specs = [
        prepare(load_config(small_configuration, overrides=[*settings, *more])).spec
        for more in ([], ["simulation.sampling.portfolio=long_short"], ["simulation.sampling.horizon=1"])
    ]
    assert [spec.sampling.steps for spec in specs] == [5, 5, 1]
    assert len({spec.fingerprint() for spec in specs}) == 3
    first, other = (np.array(spec.sampling.direction["diffusion"]) for spec in specs[:2])
    assert abs(first @ other) < 0.9
