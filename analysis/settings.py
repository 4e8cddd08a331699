"""What a user may choose when analysing. Standard library only: `--help` loads this module."""

from dataclasses import dataclass

from ingest.settings import DEVICES, MOST_SEED
from store.errors import UsageError
from store.settings import check_types, setting

ERRORS = ("top", "all")


@dataclass(frozen=True)
class AnalyzeSettings:
    """How the analyses run, and which errors they add; no other number moves by over 1e-12."""

    threads: int | None = setting(
        None, "Threads that score neurons; one a core if not said.", unit="N"
    )
    device: str = setting(
        "cpu",
        "Where neurons are scored: cpu, cuda (the first card), or auto (a card if there is one).",
        choices=DEVICES,
    )
    errors: str = setting(
        "top",
        "Neurons that get a standard error of WD: top, the 100 of highest WD in a layer, or all.",
        choices=ERRORS,
    )

    pair_seeds: tuple[str, ...] = setting(
        (), "Seeds of further pair sets to measure MD by: 1,2.", unit="SEED,..."
    )

    def __post_init__(self) -> None:
        check_types(self)
        wrong = [text for text in self.pair_seeds if not (text.isascii() and text.isdigit())]
        if wrong:
            raise UsageError(f"--pair-seeds has {wrong[0]!r}; give numbers, as --pair-seeds 1,2.")
        if self.seeds and max(self.seeds) > MOST_SEED:
            raise UsageError(f"--pair-seeds has {max(self.seeds)}; give {MOST_SEED} or less.")
        if self.threads is not None and self.threads < 1:
            raise UsageError(f"--threads is {self.threads}; give 1 or more.")
        if self.device not in DEVICES:
            raise UsageError(f"--device is {self.device!r}; choose one of {', '.join(DEVICES)}.")
        if self.errors not in ERRORS:
            raise UsageError(f"--errors is {self.errors!r}; choose one of {', '.join(ERRORS)}.")

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of the further pair sets, each once."""
        return tuple(dict.fromkeys(map(int, self.pair_seeds)))


MOST_NEURONS = 100


@dataclass(frozen=True)
class PairsSettings:
    """Which pairs of which neurons `negspace pairs` looks for."""

    layer: int | None = setting(None, "The layer, counted from 0; it must be said.", unit="L")
    neurons: tuple[str, ...] = setting(
        (), "Neurons: 1,2; the ten of highest MD if not said.", unit="N,..."
    )
    positions: int | None = setting(
        None, "Search only that many positions, evenly spaced; all if not said.", unit="N"
    )
    top: int = setting(10, "Pairs of highest OI to keep, of each neuron.", unit="K")
    allow_hubs: bool = setting(
        False, "Let a position appear in several pairs of a neuron, not in the best of them only."
    )

    def __post_init__(self) -> None:
        check_types(self)
        if self.layer is None:
            raise UsageError("--layer is missing; say which layer to search, as --layer 1.")
        for name, value, least in (
            ("--layer", self.layer, 0), ("--positions", self.positions, 2), ("--top", self.top, 1),
        ):  # fmt: skip
            if value is not None and value < least:
                raise UsageError(f"{name} is {value}; give {least} or more.")
        wrong = [text for text in self.neurons if not (text.isascii() and text.isdigit())]
        if wrong:
            raise UsageError(f"--neurons has {wrong[0]!r}; give numbers, as --neurons 1,2.")
        if len(self.neuron_numbers) > MOST_NEURONS:
            raise UsageError(
                f"--neurons names {len(self.neuron_numbers)}; give {MOST_NEURONS} or fewer at a "
                "time."
            )

    @property
    def neuron_numbers(self) -> tuple[int, ...]:
        """The neurons as numbers, each once, as ordered."""
        return tuple(dict.fromkeys(map(int, self.neurons)))
