"""The example of a correlation by factors: one factor, and correlations moved a tenth of their way to one."""

from riskops.models import GeometricBrownianMotion
from riskops.models.factor_structure import FactorStructure

MODEL = GeometricBrownianMotion(("A", "B"), [0.05, -0.02], [0.2, 0.35], FactorStructure([[0.6], [-0.3]], 0.1))
