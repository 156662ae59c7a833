"""The example of the Student t copula: one skewed and fat-tailed margin, one normal."""

from riskops.models import StudentTCopula

MODEL = StudentTCopula(
    assets=("A", "B"),
    location=[0.0002, -0.0001],
    scale=[0.012, 0.02],
    margin_degrees_of_freedom=(3.6, None),
    skewness=[-0.15, 0.0],
    degrees_of_freedom=5.5,
    correlation=[[1.0, 0.6], [0.6, 1.0]],
)
