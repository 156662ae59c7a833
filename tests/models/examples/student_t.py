"""The example of the multivariate Student t."""

from riskops.models import StudentT

MODEL = StudentT(("A", "B"), [0.05, -0.02], [0.2, 0.35], [[1.0, 0.6], [0.6, 1.0]], 4.5)
