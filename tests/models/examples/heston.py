"""The example of Heston's model: one asset that keeps Feller's condition and one that breaks it."""

from riskops.models import Heston

MODEL = Heston(
    ("A", "B"),
    drift=[0.05, -0.02],
    initial_variance=[0.04, 0.01],
    mean_reversion=[4.0, 1.0],
    long_run_variance=[0.06, 0.04],
    volatility_of_variance=[0.5, 1.0],
    leverage=[-0.7, 0.3],
    correlation=[[1.0, 0.6], [0.6, 1.0]],
    variance_correlation=[[1.0, 0.4], [0.4, 1.0]],
)
