"""The example of Kou's jump diffusion: own and common jumps, frequent enough to be seen within a few steps."""

from riskops.models import KouJumpDiffusion

MODEL = KouJumpDiffusion(
    ("A", "B"),
    [0.05, -0.02],
    [0.2, 0.35],
    [[1.0, 0.6], [0.6, 1.0]],
    [60.0, 12.0],
    [0.4, 0.5],
    [0.02, 0.03],
    [0.04, 0.02],
    common_intensity=30.0,
    common_up_probability=0.3,
    common_up_mean=[0.02, 0.01],
    common_down_mean=[0.03, 0.05],
)
