"""Draws of forecasts: the generator's, whatever their number; and tails of samples with errors that hold."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from riskops.errors import InputError
from riskops.history.forecasts.base import Law
from riskops.history.forecasts.laws import EmpiricalLaw, NormalLaw, SkewedTLaw, StudentTLaw
from riskops.history.forecasts.simulated import draws, normals, sample_tail, simulated_sum, uniforms
from riskops.rng import fill_normals, tile_counters


def test_draws_are_those_of_the_generator_and_of_the_seed_alone() -> None:
    z = normals(paths=3000, days=3, seed=7)
    step_2 = np.empty((1, 3000))
    fill_normals(step_2, tile_counters(0, 3000), seed=7, step=2, stream=0)
    assert np.array_equal(z[2:3], step_2)
    assert np.array_equal(normals(paths=100, days=2, seed=7), z[:2, :100])
    assert not np.array_equal(normals(paths=100, days=2, seed=8), z[:2, :100])
    assert not np.array_equal(normals(paths=100, days=2, seed=7, stream=1), z[:2, :100])


def test_uniforms_are_uniform_and_those_of_the_normals() -> None:
    u = uniforms(paths=20_000, days=2, seed=3)
    assert u.min() > 0.0
    assert u.max() < 1.0
    assert stats.kstest(u.ravel(), "uniform").pvalue > 0.01
    assert abs(np.corrcoef(u)[0, 1]) < 3.0 / math.sqrt(20_000)
    assert stats.norm.cdf(normals(paths=20_000, days=2, seed=3)) == pytest.approx(u, abs=1e-14)


@pytest.mark.parametrize(
    "law",
    [StudentTLaw(1.05, unit_variance=False), StudentTLaw(4.0), SkewedTLaw(5.0, 0.4), SkewedTLaw(1.5, -0.9, False)],
    ids=repr,
)
def test_interpolated_draws_are_the_quantiles_of_the_uniforms(law: Law) -> None:
    exact = law.quantile(uniforms(paths=4096, days=2, seed=1))
    found = draws(law, paths=4096, days=2, seed=1)
    assert np.max(np.abs(found - exact) / np.maximum(np.abs(exact), 1.0)) < 1e-7


def test_draws_of_a_sample_are_its_values() -> None:
    law = EmpiricalLaw(np.array([3.0, 1.0, 2.0]))
    counts = np.unique(draws(law, paths=30_000, days=1, seed=2), return_counts=True)
    assert counts[0].tolist() == [1.0, 2.0, 3.0]
    assert counts[1] == pytest.approx(10_000, abs=4 * math.sqrt(30_000 * 2 / 9))


def test_a_sum_of_normals_is_normal_within_its_errors() -> None:
    total = simulated_sum(NormalLaw(), days=10, paths=65_536, seed=1)
    assert np.all(np.diff(total) >= 0.0)
    levels = (0.95, 0.975, 0.99, 0.997)
    tail = sample_tail(total, levels=levels)
    root = math.sqrt(10.0)
    exact = root * stats.norm.ppf(levels), [root * NormalLaw().shortfall(level) for level in levels]
    assert np.all(np.abs(tail.value_at_risk - exact[0]) < 3.0 * tail.value_at_risk_error)
    assert np.all(np.abs(tail.expected_shortfall - exact[1]) < 3.0 * tail.expected_shortfall_error)


def test_a_sum_of_t_losses_is_the_convolution_of_their_densities() -> None:
    # an independent way: five densities of t(5), multiplied in frequency on a grid of +-400
    n, step = 2**16, 800.0 / 2**16
    x = (np.arange(n) - n // 2) * step
    spectrum = np.fft.fft(np.fft.ifftshift(stats.t.pdf(x, 5.0))) * step
    density = np.fft.fftshift(np.fft.ifft(spectrum**5).real) / step
    below = np.cumsum(density) * step - 0.5 * density * step
    total = simulated_sum(StudentTLaw(5.0, unit_variance=False), days=5, paths=65_536, seed=1)
    for level in (0.95, 0.99, 0.997):
        tail = sample_tail(total, levels=(level,))
        value = float(np.interp(level, below, x))
        beyond = x > value
        shortfall = float(np.sum(x[beyond] * density[beyond]) / np.sum(density[beyond]))
        assert abs(tail.value_at_risk[0] - value) < 3.0 * tail.value_at_risk_error[0]
        assert abs(tail.expected_shortfall[0] - shortfall) < 3.0 * tail.expected_shortfall_error[0] + 0.01


def test_the_standard_errors_are_the_spread_between_seeds() -> None:
    tails = [sample_tail(normals(paths=2048, days=1, seed=seed)[0], levels=(0.95, 0.99)) for seed in range(200)]
    for value, error in (("value_at_risk", "value_at_risk_error"), ("expected_shortfall", "expected_shortfall_error")):
        spread = np.std([getattr(tail, value) for tail in tails], axis=0, ddof=1)
        stated = np.mean([getattr(tail, error) for tail in tails], axis=0)
        assert stated / spread == pytest.approx([1.0, 1.0], abs=0.2)  # 200 seeds tell a spread to 5 %


def test_a_short_sample_has_no_error_and_a_broken_one_is_refused() -> None:
    tail = sample_tail(np.arange(10.0), levels=(0.99,))
    assert tail.value_at_risk.tolist() == [9.0]
    assert np.isnan(tail.value_at_risk_error).all()
    with pytest.raises(InputError, match="losses: the simulated losses are not all finite"):
        sample_tail(np.array([1.0, math.nan]), levels=(0.5,))
    with pytest.raises(InputError, match="losses: the simulated losses are not all finite"):
        sample_tail(np.array([1.0, -math.inf]), levels=(0.5,))
    with pytest.raises(InputError, match="paths: 0 is not an integer >= 1"):
        uniforms(paths=0, days=1, seed=1)
