"""The prediction of days by simulated losses: of each day by a sample of its own, or of all by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from riskops.checks import check_integer, exact_level
from riskops.history.forecasts.base import Floats, Prediction
from riskops.history.forecasts.laws import EmpiricalLaw
from riskops.history.forecasts.simulated import SEED, sample_tail

__all__ = ["DAILY_PATHS", "check_simulation", "few_beyond", "predict_samples", "predict_unchanged", "simulation_name"]

#: A sample is drawn anew for every forecast day, and this many paths give VaR at 99 % within 1 to 2 %.
DAILY_PATHS = 16_384


def predict_samples(draw: Callable[[int], Floats], number: int, *, levels: Sequence[float]) -> Prediction:
    """Forecast ``number`` days, ``draw(i)`` being the simulated losses of the i-th, in any order.

    The samples are not kept: ``probability`` draws each of them again, which gives the same losses, and takes the
    mid-rank of the loss that came among them.
    """
    rows = np.empty((4, len(levels), number))
    for i in range(number):
        tail = sample_tail(draw(i), levels=levels)
        rows[:, :, i] = (
            tail.value_at_risk,
            tail.expected_shortfall,
            tail.value_at_risk_error,
            tail.expected_shortfall_error,
        )

    def probability(losses: Floats) -> Floats:
        return np.array([float(EmpiricalLaw(draw(i)).probability(loss)) for i, loss in enumerate(losses)])

    return Prediction(
        value_at_risk=rows[0],
        expected_shortfall=rows[1],
        probability=probability,
        value_at_risk_error=rows[2],
        expected_shortfall_error=rows[3],
    )


def predict_unchanged(losses: Floats, number: int, *, levels: Sequence[float]) -> Prediction:
    """Forecast ``number`` days, all by one sample of simulated losses, in any order."""
    tail, law = sample_tail(losses, levels=levels), EmpiricalLaw(losses)

    def daily(figure: Floats) -> Floats:
        return np.repeat(figure[:, None], number, axis=1)

    return Prediction(
        value_at_risk=daily(tail.value_at_risk),
        expected_shortfall=daily(tail.expected_shortfall),
        probability=law.probability,
        value_at_risk_error=daily(tail.value_at_risk_error),
        expected_shortfall_error=daily(tail.expected_shortfall_error),
    )


def check_simulation(paths: object, seed: object) -> None:
    """Refuse what is no number of paths or no seed."""
    check_integer("paths", paths, at_least=1)
    check_integer("seed", seed, at_least=0, below=2**64)


def simulation_name(paths: int, seed: int, *, usual: int = DAILY_PATHS) -> str:
    """What of these settings shows in a method's name: those that are not the defaults."""
    return (f"_{paths}_paths" if paths != usual else "") + (f"_seed_{seed}" if seed != SEED else "")


def few_beyond(levels: Sequence[float], losses: int) -> tuple[str, ...]:
    """A note on the levels beyond which lies less than one loss of a sample, observed or simulated."""
    few = [f"{level:g}" for level in levels if losses * (1 - exact_level(level)) < 1]
    if not few:
        return ()
    return (f"beyond {', '.join(few)} lies less than one of {losses} losses: VaR and ES are the largest of them",)
