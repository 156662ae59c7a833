"""What each sampling method is worth: the variance of VaR and ES over independent runs, measured, and what it costs.

``ours`` is a run with the method, the baseline the time in which plain draws reach the same standard error of ES at
99 %: that of a plain run times the measured variance-reduction factor. The ratio so is the gain in efficiency.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from riskops.bench.agreement import within_errors
from riskops.bench.model_examples import EXAMPLES
from riskops.bench.problem import book, market_model
from riskops.bench.replications import MEASURES, Problem, Replications, replicate, variance_factor
from riskops.bench.rows import Row
from riskops.bench.timing import Setting
from riskops.models import Model, StudentT
from riskops.simulation import METHODS, SimulationSpec

__all__ = ["sampling"]

SUITE = "sampling"
LEVELS = (0.95, 0.99, 0.997)
#: The level whose ES the ratio is for, and the level of the tail that importance sampling draws into.
HEADLINE = 0.99
PATHS, STEPS = 32_768, 10
REPLICATIONS, SEED = 128, 20_221_228
#: As many times that for plain draws, which all factors are relative to.
PLAIN_TIMES = 4
_SHORT = {"value_at_risk": "VaR", "expected_shortfall": "ES"}


def sampling(setting: Setting) -> list[Row]:
    """A row a method and problem: normal log returns, Student t ones, and jumps, which importance sampling tilts."""
    count = max(16, round(REPLICATIONS * min(setting.scale, 1.0)))
    market, methods = market_model(), tuple(METHODS)
    heavy = StudentT(market.assets, market.drift, market.volatility, market.correlation, 5.0)
    # expected prices are infinite under Student t returns: there is no mean loss to control by
    uncontrolled = tuple(method for method in methods if method != "control_variate")
    return [
        *_rows(_problem("normal", market), methods, count),
        *_rows(_problem("Student t", heavy), uncontrolled, count // 2),
        *_rows(_problem("Merton", EXAMPLES["merton"]()), ("plain", "control_variate", "importance"), count // 2),
    ]


def _problem(name: str, model: Model) -> Problem:
    return Problem(name, SimulationSpec(model, paths=PATHS, steps=STEPS, seed=1), book(model.assets))


def _rows(problem: Problem, methods: Sequence[str], count: int) -> list[Row]:
    found = replicate(problem, methods, count=count, levels=LEVELS, seed=SEED, plain_times=PLAIN_TIMES)
    plain = found["plain"]
    return [_row(problem, plain, runs) for method, runs in found.items() if method != "plain"]


def _row(problem: Problem, plain: Replications, runs: Replications) -> Row:
    cost = runs.seconds / plain.seconds
    factors = {measure: variance_factor(plain, runs, measure) for measure in MEASURES}
    stated = {measure: runs.stated_over_real(measure).tolist() for measure in MEASURES}
    share, count = runs.effective_share().tolist(), len(runs.figures["value_at_risk"])
    levels = " / ".join(f"{100 * level:g}" for level in LEVELS)
    notes = [
        f"{_SHORT[measure]} at {levels} %: variance divided by "
        + ", ".join(f"{f.value:.3g} ({f.low:.3g} to {f.high:.3g})" for f in factors[measure])
        + "; stated over real error "
        + ", ".join(f"{ratio:.2f}" for ratio in stated[measure])
        for measure in MEASURES
    ]
    sizes = ", ".join(f"{x:.3g}" for x in share)
    notes.append(f"effective sample over paths {sizes}; a path costs {cost:.2f} plain ones")
    figures = [
        {
            "measure": measure,
            "level": level,
            "variance_reduction": factor.value,
            "variance_reduction_low": factor.low,
            "variance_reduction_high": factor.high,
            "efficiency": factor.value / cost,
            "stated_over_real_error": ratio,
            "effective_share": size,
        }
        for measure in MEASURES
        for level, factor, ratio, size in zip(LEVELS, factors[measure], stated[measure], share, strict=True)
    ]
    return Row(
        SUITE,
        f"{runs.method}, {problem.name}",
        f"{runs.paths:,} paths x {STEPS} steps x {len(problem.spec.assets)} assets, {count} runs",
        runs.seconds,
        f"plain draws, for the same error of ES at {100 * HEADLINE:g} %",
        plain.seconds * factors["expected_shortfall"][LEVELS.index(HEADLINE)].value,
        _unbiased(plain, runs),
        notes=tuple(notes),
        details={"cost": cost, "replications": count, "figures": figures},
    )


def _unbiased(plain: Replications, runs: Replications) -> bool:
    """Whether the means over the runs agree with those of plain draws.

    Order statistics are biased by about half of a loss's place among the losses, which plain runs share and runs whose
    error is smaller than that may not: it counts as an error.
    """
    for measure in MEASURES:
        (ours, error), (theirs, other) = runs.mean(measure), plain.mean(measure)
        places = plain.deviation(measure) / np.sqrt(plain.paths * (1.0 - np.array(LEVELS)))
        for a, b, *errors in zip(ours, theirs, error, other, places, strict=True):
            if not within_errors(float(a), float(b), *map(float, errors)):
                return False
    return True
