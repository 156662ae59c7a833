"""What ``prepare`` refuses before a path is drawn, and decimal horizons."""

from __future__ import annotations

from pathlib import Path

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
