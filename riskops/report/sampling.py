"""What the arrangement of the draws does to figures and errors, in words for the report."""

from __future__ import annotations

__all__ = ["SAMPLING_NOTES"]

_GROUPS = "Errors come from the spread over these groups, not over single paths, which are not independent."

SAMPLING_NOTES = {
    "antithetic": (
        f"Antithetic: every path has a partner with the opposite draws, and the pairs are independent. {_GROUPS}"
    ),
    "control_variate": (
        "Control variates: the mean loss of every portfolio is known under the model, and what the sample’s mean errs "
        "by is taken out of value at risk and expected shortfall with coefficients from other paths. Their errors are "
        "those of what is left. Contributions and changes under stress are not corrected."
    ),
    "importance": (
        "Importance sampling: three paths of four were drawn where the losses of one portfolio are large, and every "
        "path counts by its likelihood ratio, at most 4. Figures of other portfolios are right too, with the larger "
        "errors that are stated. Errors come from groups of four paths."
    ),
    "moment_matching": (
        "Moment matching: the normals of every step and factor were shifted and scaled to mean 0 and deviation 1 "
        f"within each batch of 1,024 paths; the batches are independent. {_GROUPS} Matching leaves a bias of the order "
        "of 1/1,024 of the spread."
    ),
    "sobol": (
        "Scrambled Sobol points, in the order of a Brownian bridge and of principal components; independent scrambles "
        "make the replicates. Errors come from the spread over the replicates, with Student’s t for their number."
    ),
    "stratified": (
        "Stratification: along the direction in which the losses of one portfolio grow fastest, every batch of 1,024 "
        f"paths has one path in each of 1,024 equally likely strata; the batches are independent. {_GROUPS}"
    ),
}
