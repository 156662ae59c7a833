"""The validation report of a stabilised token: it passes a sound model and fails unsound ones."""

from __future__ import annotations

import numpy as np
import pytest

from riskops.errors import InputError
from riskops.measures.peg_validation import PegValidation, validate_peg
from riskops.models import PeggedAsset


@pytest.fixture(scope="module")
def report() -> PegValidation:
    model = PeggedAsset(
        ("A", "B"), price=[1.01, 0.9], alpha=[0.5, 0.2], liquidity=[1e5, 1e6], velocity=[6.0, 1.0],
        health_volatility=0.05, liquidity_volatility=0.1,
    )  # fmt: skip
    return validate_peg(model, paths=4096, seed=11)


def check(report: PegValidation, name: str, asset: str = "A"):
    return next(c for c in report.checks if c.name == name and c.asset == asset)


def test_a_sound_model_passes_every_check(report):
    assert report.passed
    assert report.failures == ()
    assert {c.group for c in report.checks} == {"convergence", "stability", "sensitivity", "boundary"}
    assert all(np.isfinite(c.figure) for c in report.checks)


def test_figures_stand_beside_the_published_claim(report):
    share = check(report, "share within 1 %, no pressure or jumps")
    assert share.expected == pytest.approx(0.3829, abs=1e-4)
    assert abs(share.figure - share.expected) < 4 * share.standard_error
    yearly = check(report, "the same, rates read per year")
    assert yearly.expected == pytest.approx(0.0950, abs=1e-4)
    claim = check(report, "share within 1 %, published claim")
    assert (claim.figure, claim.passed) == (0.95, None)
    assert check(report, "share within 1 %, whole model").figure < 0.5
    assert check(report, "error of the step length").passed is None
    assert check(report, "error of the step length").figure < 0.0


def test_boundaries_are_exact(report):
    for name in ("pressure at the upper edge", "pressure inside", "pressure at the lower edge"):
        assert check(report, name).figure == 0.0
    # ten times the base rate from a shallow pool, and 2 % of six turnovers a day
    assert check(report, "pressure above the band").expected == pytest.approx(-0.3 * (0.01 + 0.02 * 6 / 24))
    assert check(report, "pressure below the band").expected == pytest.approx(0.8 * 0.002)


def test_sensitivities_have_their_signs_and_errors(report):
    for name in ("alpha", "sigma_base"):
        slope = check(report, f"mean distance by {name}")
        assert slope.passed is True
        assert abs(slope.figure) > 10 * slope.standard_error
    # without pressure the mean distance of an Ornstein-Uhlenbeck price is proportional to sigma
    calm = validate_peg(PeggedAsset(("U",), beta=0.0, gamma=0.0, jump_intensity=0.0), paths=4096)
    slope = check(calm, "mean distance by sigma_base", "U")
    known = np.sqrt(2 / np.pi) * 0.02 * np.sqrt(-np.expm1(-30.0))
    assert abs(slope.figure - known) < 4 * slope.standard_error


def test_a_model_that_keeps_its_start_fails():
    """The pull of 0.5 read per year: after a year most of the start is still there."""
    slow = PeggedAsset(("U",), alpha=0.5 / 365, sigma_base=0.02 / np.sqrt(365), jump_intensity=0.0, beta=0.0, gamma=0.0)
    report = validate_peg(slow, paths=2048)
    assert not report.passed
    assert [c.name for c in report.failures] == ["memory of the start"]
    assert check(report, "memory of the start", "U").figure == pytest.approx(0.1 * np.exp(-0.5), rel=1e-6)


def test_a_step_that_misses_the_pressure_fails(monkeypatch):
    """The hours of a day forgotten: the very mistake that the boundary checks are for."""
    from riskops.models import pegged

    monkeypatch.setattr(pegged, "HOURS", 1.0)
    report = validate_peg(PeggedAsset(("U",), days_per_year=364.0), paths=1024)
    assert {"pressure above the band", "pressure below the band"} <= {c.name for c in report.failures}


def test_the_table_has_a_line_for_every_check(report):
    lines = report.to_table().splitlines()
    assert len(lines) == len(report.checks) == len(report.to_frame())
    assert lines[0].startswith("pass convergence A")
    assert "expected 0.382925" in lines[0]
    assert set(report.to_frame().columns) >= {"figure", "standard_error", "expected", "passed"}


def test_bad_arguments_are_refused():
    model = PeggedAsset(("U",))
    with pytest.raises(InputError, match="paths: 100 is not an integer >= 1024"):
        validate_peg(model, paths=100)
    with pytest.raises(InputError, match="step_days: 0 is not above zero"):
        validate_peg(model, step_days=0)
    with pytest.raises(InputError, match="step_days: 365 days hold no whole number of steps of 7 days"):
        validate_peg(model, step_days=7)
