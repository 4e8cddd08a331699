"""What the demo trains: two sizes of GPT-NeoX on one text, chosen to take a minute on two cores.

Standard library only, so that a command can show the plan without loading torch.
"""

from collections.abc import Callable
from dataclasses import dataclass

# Called with what is being trained, the steps done and the steps in all.
Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class DemoSize:
    """One model of the demo: its name, its shape, and the highest learning rate it is given."""

    name: str
    d_model: int
    n_layers: int
    n_heads: int
    d_mlp: int
    rate: float


DEMO_SIZES = (
    DemoSize("demo-small", d_model=64, n_layers=4, n_heads=4, d_mlp=256, rate=6e-3),
    DemoSize("demo-medium", d_model=128, n_layers=4, n_heads=4, d_mlp=512, rate=4e-3),
)


@dataclass(frozen=True)
class DemoPlan:
    """How the models are trained; `steps` are those saved, the last one ends the training.

    A step sees `batch` windows of `window` tokens, which is also the models' longest input. The
    rate rises over `warm_up` steps and falls to a tenth along a cosine.
    """

    sizes: tuple[DemoSize, ...] = DEMO_SIZES
    steps: tuple[int, ...] = (0, 100, 200, 300)
    vocabulary: int = 2048
    window: int = 256
    batch: int = 8
    warm_up: int = 20
    weight_decay: float = 0.1
    clip: float = 1.0
    seed: int = 0


DEMO_PLAN = DemoPlan()
