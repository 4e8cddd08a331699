"""What stands out: the neurons of highest WD, their pairs, and WD by checkpoint."""

from dataclasses import dataclass

from store.database import Database


@dataclass(frozen=True)
class WdRow:
    """A neuron with its WD and the floor of as many independent normal values."""

    recording: str
    layer: int
    neuron: int
    wd: float
    wd_floor: float
    md: float | None
    negative_fraction: float


@dataclass(frozen=True)
class PairRow:
    """A top pair with its tokens and those that follow."""

    layer: int
    neuron: int
    token_1: str
    token_2: str
    next_1: str | None
    next_2: str | None
    oi: float
    output_1: float
    output_2: float


@dataclass(frozen=True)
class WdByStep:
    """The distribution of WD over all neurons of one layer at one checkpoint."""

    model: str
    step: int | None
    layer: int
    median: float
    maximum: float


def highest_wd(database: Database, recording: str, limit: int) -> list[WdRow]:
    """Return the neurons of highest WD of a recording."""
    return database.read(
        WdRow,
        "SELECT recording, layer, neuron, wd, wd_floor, md, negative_fraction FROM neuron_metrics "
        "WHERE recording = :recording AND wd IS NOT NULL "
        "ORDER BY wd DESC, layer, neuron LIMIT :limit",
        {"recording": recording, "limit": limit},
    )


def top_pairs_of(database: Database, recording: str, layer: int, limit: int) -> list[PairRow]:
    """Return the best pairs of the neurons of highest MD of a layer, one or more a neuron."""
    return database.read(
        PairRow,
        "SELECT layer, neuron, token_1, token_2, next_1, next_2, oi, output_1, output_2 "
        "FROM token_pairs WHERE recording = :recording AND layer = :layer AND source = 'sampled' "
        "ORDER BY pair_rank, neuron_rank LIMIT :limit",
        {"recording": recording, "layer": layer, "limit": limit},
    )


def wd_by_step(database: Database, recording: str, layer: int) -> list[WdByStep]:
    """Return median and maximum of WD in one layer, by model and step, on a recording's text."""
    return database.read(
        WdByStep,
        "SELECT model, step, layer, median, maximum FROM wd_by_checkpoint "
        "WHERE layer = :layer AND population = 'neurons' AND corpus = "
        "(SELECT corpus FROM recording_overview WHERE recording = :recording) "
        "ORDER BY model, step, recording",
        {"layer": layer, "recording": recording},
    )
