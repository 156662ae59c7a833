"""Measures of risk on simulated losses and paths: Dataset in, Dataset out, lazy, each figure with its error."""

from riskops.measures.approximate import approximate_quantiles
from riskops.measures.attribution import contributions_from, tail_contributions
from riskops.measures.control_variates import controlled_tail_risk
from riskops.measures.curves import even_levels, exceedance_curve, quantile_curve
from riskops.measures.dependence import base_growth, comoments_reduction, dependence_from, return_dependence
from riskops.measures.distribution import (
    histogram_dataset,
    histogram_reduction,
    loss_histogram,
    loss_moments,
    moments_from,
    moments_reduction,
)
from riskops.measures.peg_validation import PegCheck, PegValidation, validate_peg
from riskops.measures.pilot import arrange
from riskops.measures.tail_passes import is_bounded, tail_reduction, tail_size
from riskops.measures.tail_risk import expected_shortfall, tail_risk, tail_risk_from, value_at_risk

__all__ = [
    "PegCheck",
    "PegValidation",
    "approximate_quantiles",
    "arrange",
    "base_growth",
    "comoments_reduction",
    "contributions_from",
    "controlled_tail_risk",
    "dependence_from",
    "even_levels",
    "exceedance_curve",
    "expected_shortfall",
    "histogram_dataset",
    "histogram_reduction",
    "is_bounded",
    "loss_histogram",
    "loss_moments",
    "moments_from",
    "moments_reduction",
    "quantile_curve",
    "return_dependence",
    "tail_contributions",
    "tail_reduction",
    "tail_risk",
    "tail_risk_from",
    "tail_size",
    "validate_peg",
    "value_at_risk",
]
