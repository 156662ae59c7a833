"""The example of geometric Brownian motion."""

from riskops.models import GeometricBrownianMotion

MODEL = GeometricBrownianMotion(("A", "B"), [0.05, -0.02], [0.2, 0.35], [[1.0, 0.6], [0.6, 1.0]])
