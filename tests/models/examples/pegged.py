"""The example of a stabilised token: one off its peg with states that move, one in a weak network."""

from riskops.models import PeggedAsset

MODEL = PeggedAsset(
    ("A", "B"),
    price=[1.03, 0.97],
    alpha=[0.5, 0.2],
    sigma_base=[0.02, 0.01],
    liquidity=[5e5, 2e6],
    liquidity_volatility=0.1,
    network_health=[0.9, 0.75],
    health_volatility=0.05,
    fiat_activity=[0.3, 0.6],
    fiat_volatility=0.1,
    velocity=[6.0, 1.0],
    correlation=[[1.0, 0.5], [0.5, 1.0]],
)
