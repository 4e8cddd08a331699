"""Which pairs of all positions does a neuron pull apart most?"""

from collections.abc import Sequence
from dataclasses import dataclass

from store.database import Database


@dataclass(frozen=True)
class FoundPair:
    """A pair found among all, with its tokens and those that follow."""

    neuron: int
    pair_rank: int
    token_1: str | None
    next_1: str | None
    token_2: str | None
    next_2: str | None
    oi: float
    input_distance: float
    output_1: float
    output_2: float
    position_1: int
    position_2: int


def list_all_pairs(
    database: Database, recording: str, layer: int, neurons: Sequence[int]
) -> list[FoundPair]:
    """Return the best of all pairs of some neurons, in the order of these."""
    rows = database.read(
        FoundPair,
        "SELECT neuron, pair_rank, token_1, next_1, token_2, next_2, oi, input_distance, output_1, "
        "output_2, position_1, position_2 FROM token_pairs WHERE recording = :recording "
        "AND layer = :layer AND source = 'all' GROUP BY neuron, pair_rank",
        {"recording": recording, "layer": layer},
    )
    places = {neuron: place for place, neuron in enumerate(neurons)}
    chosen = [row for row in rows if row.neuron in places]
    return sorted(chosen, key=lambda row: (places[row.neuron], row.pair_rank))


def count_positions(pairs: Sequence[FoundPair]) -> dict[int, int]:
    """Return the distinct positions among the pairs of each neuron."""
    found: dict[int, set[int]] = {}
    for pair in pairs:
        found.setdefault(pair.neuron, set()).update((pair.position_1, pair.position_2))
    return {neuron: len(positions) for neuron, positions in found.items()}
