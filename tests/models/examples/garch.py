"""The example of GARCH: asymmetric, with Student-t innovations of unequal degrees of freedom."""

from riskops.models import Garch

MODEL = Garch(
    assets=("A", "B"),
    mean=[3e-4, -1e-4],
    omega=[2e-6, 4e-6],
    alpha=[0.03, 0.08],
    gamma=[0.1, -0.02],
    beta=[0.9, 0.88],
    variance=[4e-4, 1.5e-4],
    days_per_year=252.0,
    correlation=[[1.0, 0.6], [0.6, 1.0]],
    degrees_of_freedom=[6.0, 9.5],
)
