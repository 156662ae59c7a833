"""The example of Merton's jump diffusion: own and common jumps, frequent enough to be seen within a few steps."""

from riskops.models import MertonJumpDiffusion

MODEL = MertonJumpDiffusion(
    ("A", "B"),
    [0.05, -0.02],
    [0.2, 0.35],
    [[1.0, 0.6], [0.6, 1.0]],
    [60.0, 12.0],
    [-0.02, 0.01],
    [0.03, 0.05],
    common_intensity=30.0,
    common_jump_mean=[-0.03, -0.02],
    common_jump_deviation=[0.02, 0.04],
    common_jump_correlation=0.5,
)
