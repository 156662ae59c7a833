"""Measures of risk on simulated losses and paths: Dataset in, Dataset out, lazy, each figure with its error."""

from riskops.measures.attribution import contributions_from, tail_contributions
from riskops.measures.dependence import base_growth, dependence_from, return_dependence
from riskops.measures.distribution import histogram_dataset, loss_histogram, loss_moments, moments_from
from riskops.measures.tail_risk import expected_shortfall, tail_risk, tail_risk_from, value_at_risk

__all__ = [
    "base_growth",
    "contributions_from",
    "dependence_from",
    "expected_shortfall",
    "histogram_dataset",
    "loss_histogram",
    "loss_moments",
    "moments_from",
    "return_dependence",
    "tail_contributions",
    "tail_risk",
    "tail_risk_from",
    "value_at_risk",
]
