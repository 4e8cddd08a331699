"""What a user may choose when ablating. Standard library only: `--help` loads this module."""

import math
from dataclasses import dataclass

from ingest.settings import DEVICES, DTYPES, KINDS, MOST_SEED, StreamSettings, parse_layers
from store.errors import UsageError
from store.settings import setting

NO_INTERVENTION = "none"
INTERVENTIONS = (
    "clamp-negative", "clamp-positive", "zero", "mean", "negative-mean", "negative-shuffle",
    "flip-negative", "flip-all", "posrelu", "relu",
)  # fmt: skip
MIRRORS = {"clamp-negative": "clamp-positive", "clamp-positive": "clamp-negative"}
SET_CONTROLS = ("bottom", "dose", "norm", "effect")
"""Controls that act as the intervention does, on other neurons; each is an arm of its own."""
CONTROLS = (*SET_CONTROLS, "mirror", "negative-mean", "negative-shuffle")
SIDES = ("top", "bottom")


@dataclass(frozen=True)
class AblateSettings(StreamSettings):
    """Which neurons are ablated, how, and against what (METHODS 8)."""

    intervention: tuple[str, ...] = setting(
        (), f"What is done: {', '.join(INTERVENTIONS)}; clamp-negative if none is named.",
        unit="NAME,...",
    )  # fmt: skip
    percent: tuple[str, ...] = setting(
        (), "Percentages of each layer's neurons: 1,2,5; 5 if none is named.", unit="P,..."
    )
    metric: str = setting("wd", "Column of `neurons` that they are chosen by.", unit="COLUMN")
    side: str = setting("top", "Which end of the metric is chosen.", choices=SIDES)
    neurons_sql: str | None = setting(
        None,
        "Choose neurons by a query that returns layer and neuron, in place of --percent.",
        unit="SQL",
    )
    layers: tuple[str, ...] = setting(
        (), "Layers to touch, as 0,3-5; all recorded if none is named.", unit="LAYERS"
    )
    draws: int = setting(5, "Random draws of the same size at each percentage.", unit="N")
    draws_at: tuple[str, ...] = setting(
        (), "Draws at single percentages, PERCENT:N, in place of --draws.", unit="P:N,..."
    )
    exclude_top: bool = setting(
        False, "Draw random neurons from those alone that were not chosen; no rank test then."
    )
    controls: tuple[str, ...] = setting(
        (), f"Further controls of the first intervention: {', '.join(CONTROLS)}.", unit="NAME,..."
    )
    controls_at: tuple[str, ...] = setting(
        (), "Percentages that get the controls; all if none is named.", unit="P,..."
    )
    where: str | None = setting(
        None, "Act only where the current token is of this kind.", choices=KINDS
    )
    seed: int = setting(0, "Seed of everything drawn.", unit="SEED")
    plan: bool = setting(
        False, "Write what will be tested before the first pass: only planned tests get stars."
    )
    contiguous: bool = setting(
        False, "Take windows one after another, also of a text of 20 documents or more."
    )
    model_dtype: str | None = setting(
        None, "How the model computes; as it was recorded if not said.", choices=DTYPES
    )
    device: str = setting(
        "cpu", "Where the model computes: cpu, cuda (one card), or auto.", choices=DEVICES
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        _known("--intervention", self.intervention, INTERVENTIONS)
        _known("--controls", self.controls, CONTROLS)
        if self.seed < 0 or self.seed > MOST_SEED:
            raise UsageError(f"--seed is {self.seed}; give 0 to {MOST_SEED}.")
        if self.draws < 0:
            raise UsageError(f"--draws is {self.draws}; give 0 or more.")
        if self.contiguous and self.spread:
            raise UsageError("--spread and --contiguous exclude each other; give one of the two.")
        parse_layers(self.layers)
        self._check_percentages()

    def _check_percentages(self) -> None:
        if self.neurons_sql is not None and (self.percent or self.draws_at or self.controls_at):
            raise UsageError(
                "--neurons-sql chooses the neurons, so --percent, --draws-at and --controls-at "
                "have no meaning; leave them out."
            )
        for option, asked in (("--controls-at", self.controls_at), ("--draws-at", self.draws_at)):
            for text in asked:
                percent = parse_percent(option, text.partition(":")[0])
                if percent not in self.percents:
                    raise UsageError(f"{option} has {text!r}, which --percent does not have.")
        if any(draws < 0 for draws in self.draws_by_percent.values()):
            raise UsageError(f"--draws-at is {','.join(self.draws_at)!r}; give 0 draws or more.")

    @property
    def interventions(self) -> tuple[str, ...]:
        """The interventions, each once; clamp-negative where none is named."""
        return tuple(dict.fromkeys(self.intervention)) or ("clamp-negative",)

    @property
    def percents(self) -> tuple[float, ...]:
        """The percentages, ascending, each once; none where SQL chooses."""
        if self.neurons_sql is not None:
            return ()
        found = {parse_percent("--percent", text) for text in self.percent or ("5",)}
        return tuple(sorted(found))

    @property
    def control_percents(self) -> tuple[float, ...]:
        """The percentages that get the controls."""
        found = {parse_percent("--controls-at", text) for text in self.controls_at}
        return tuple(sorted(found)) or self.percents

    @property
    def draws_by_percent(self) -> dict[float, int]:
        """The random draws at each percentage."""
        found = dict.fromkeys(self.percents, self.draws)
        for text in self.draws_at:
            percent, _, draws = text.partition(":")
            try:
                found[parse_percent("--draws-at", percent)] = int(draws)
            except ValueError:
                raise UsageError(
                    f"--draws-at has {text!r}; give PERCENT:DRAWS, as --draws-at 5:19."
                ) from None
        return found


def parse_percent(option: str, text: str) -> float:
    """Return a percentage above 0 and up to 100; raises UsageError for anything else."""
    try:
        percent = float(text)
    except ValueError:
        percent = math.nan
    if not 0.0 < percent <= 100.0:
        raise UsageError(f"{option} has {text!r}; give percentages above 0 and up to 100.")
    return percent


def _known(option: str, names: tuple[str, ...], known: tuple[str, ...]) -> None:
    for name in names:
        if name not in known:
            raise UsageError(f"{option} has {name!r}; choose of {', '.join(known)}.")
