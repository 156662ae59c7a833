"""The example of the bootstrap: a stationary one, whose blocks begin by chance and go round the end of history."""

from riskops.models import Bootstrap

MODEL = Bootstrap(
    ("A", "B"),
    [[0.01, 0.02], [-0.03, -0.01], [0.002, 0.005], [0.015, -0.02], [-0.002, 0.001], [0.004, 0.03], [-0.012, -0.04]],
    "stationary",
    2.5,
)
