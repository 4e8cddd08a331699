"""The shapes that are measured, and the tiny ones of `--quick`, which only show that all runs."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Shape:
    """A model of Llama's form with random weights, and the windows that it is recorded on."""

    name: str
    layers: int
    d_model: int
    d_mlp: int
    heads: int
    kv_heads: int
    vocabulary: int
    windows: int
    window_length: int = 512

    @property
    def n_tokens(self) -> int:
        """Tokens of all windows."""
        return self.windows * self.window_length

    @property
    def text(self) -> str:
        """The shape in words."""
        return (
            f"{self.layers} layer{'s' * (self.layers > 1)}, d {self.d_model:,}, "
            f"{self.d_mlp:,} neurons, {self.windows:,} windows of {self.window_length}"
        )


SMOLLM2 = Shape("smollm2-135m-shape", 30, 576, 1536, 9, 3, 49_152, 16)
WIDE = Shape("wide", 1, 64, 2048, 1, 1, 2048, 560)
NARROW = Shape("narrow", 1, 16, 2048, 1, 1, 2048, 560)
MIDDLE = Shape("middle", 6, 576, 1536, 9, 3, 49_152, 16)
GROWING = Shape("growing", 1, 64, 2048, 1, 1, 2048, 16)
TINY = Shape("tiny", 2, 16, 72, 2, 1, 1024, 4, 64)


@dataclass(frozen=True)
class Sizes:
    """What each subject measures: `wide` is the scored layer, `narrow` the disk-bound model."""

    rounds: int = 5
    smollm2: Shape = SMOLLM2
    wide: Shape = WIDE
    narrow: Shape = NARROW
    middle: Shape = MIDDLE
    growing: Shape = GROWING
    n_pairs: int = 1000
    kernel_tokens: tuple[int, ...] = (286_720, 8_192)
    kernel_rows: int = 16
    written_files: int = 32
    written_rows: int = 2048
    read_neurons: int = 32
    plain_layers: int = 2
    page_layers: int = 50
    page_neurons: int = 20_000
    page_rows: int = 100
    factors: tuple[int, ...] = (1, 2, 4, 8, 16)
    layer_widths: tuple[int, ...] = (128, 512, 2048)
    products: tuple[int, ...] = (2048, 5120)


QUICK = Sizes(
    rounds=1,
    smollm2=TINY,
    wide=TINY,
    narrow=TINY,
    middle=TINY,
    growing=TINY,
    n_pairs=20,
    kernel_tokens=(4_096,),
    kernel_rows=2,
    written_files=2,
    written_rows=72,
    read_neurons=2,
    plain_layers=1,
    page_layers=2,
    page_neurons=200,
    page_rows=10,
    factors=(1, 2),
    layer_widths=(40, 72),
    products=(64,),
)


@dataclass(frozen=True)
class Bench:
    """A run of the benchmarks: its sizes and a folder on the disk that is measured."""

    folder: Path
    sizes: Sizes = field(default_factory=Sizes)

    @property
    def rounds(self) -> int:
        """Rounds of each measure."""
        return self.sizes.rounds
