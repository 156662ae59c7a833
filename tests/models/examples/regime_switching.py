"""The example of regime switching: calm and crisis, with regimes short enough to change within a few days."""

from riskops.models import RegimeSwitching

MODEL = RegimeSwitching(
    ("A", "B"),
    drift=[[0.12, 0.08], [-0.4, -0.3]],
    volatility=[[0.12, 0.2], [0.35, 0.5]],
    correlation=[[[1.0, 0.3], [0.3, 1.0]], [[1.0, 0.8], [0.8, 1.0]]],
    transition=[[0.8, 0.2], [0.4, 0.6]],
    initial_probability=[0.7, 0.3],
)
