"""Finds the best of all pairs of positions for chosen neurons of a layer (METHODS 10).

OI is divided by the largest dx and the median dy of the recording's own pair set, so that values
compare with those of `top_pairs` whose source is `sampled`. Inputs are read in blocks, at most two
of which are in memory. Nothing is written before the search is over.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.metrics.activations import is_known
from analysis.metrics.differentiation import (
    Differentiation,
    input_distances,
    measure_differentiation,
    output_distances,
    rank_highest,
)
from analysis.metrics.pair_search import TILE, BestPairs, PairSearch, Places, describe_places
from analysis.positions import eligible_positions
from analysis.settings import PairsSettings
from analysis.top_pairs import TOP_NEURONS, activate
from store.arrays import check_range, to_float
from store.errors import InputError
from store.jobs import Job, Progress
from store.queries.recordings import RecordingRow, read_token_ids
from store.recording import Layer, Recording
from store.scores import Cell, save_all_pairs
from store.store import Store

CONTEXT = 8
"""Tokens before a position; pairs that have the same ones are left out."""
BLOCK_BYTES = 64 * 2**20
PRODUCTS_PER_SECOND = 1e10
CHECKS_PER_SECOND = 2e8
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PairsPlan:
    """A search: the neurons with their rank by MD (None: chosen), and the positions, ascending.

    `medians` (neurons,) and `furthest` are what dy and dx are divided by.
    """

    layer: Layer
    neurons: tuple[tuple[int, int | None], ...]
    positions: Ints
    medians: npt.NDArray[np.float64]
    furthest: float
    top: int
    allow_hubs: bool

    @property
    def n_pairs(self) -> int:
        """Pairs to search."""
        return len(self.positions) * (len(self.positions) - 1) // 2

    @property
    def seconds(self) -> float:
        """About the time it takes on two cores."""
        each = self.layer.row.d_model / PRODUCTS_PER_SECOND + len(self.neurons) / CHECKS_PER_SECOND
        return self.n_pairs * each

    @property
    def block_tokens(self) -> int:
        """Positions whose inputs are read together, whole tiles."""
        return TILE * max(1, BLOCK_BYTES // (4 * self.layer.row.d_model * TILE))


def plan_pairs(store: Store, recording: RecordingRow, settings: PairsSettings) -> PairsPlan:
    """Return what a search will look at; reads the pair rows only.

    Raises NotFoundError for a layer that is not there or whose arrays are not, InputError for a
    neuron or a number of positions that cannot be searched.
    """
    assert settings.layer is not None
    layer = Recording(store, recording).layer(settings.layer)
    if layer.row.state != "complete":
        raise InputError(
            f"Layer {settings.layer} of {recording.name} is not complete; run its ingest again."
        )
    layer.arrays.inputs(np.zeros(1, dtype=np.int64))
    md = _measure_sampled(layer)
    neurons = _choose_neurons(layer, settings, md)
    return PairsPlan(
        layer,
        neurons,
        _choose_positions(layer, settings.positions),
        md.dy_median[[neuron for neuron, _ in neurons]],
        md.max_input_distance,
        settings.top,
        settings.allow_hubs,
    )


def _measure_sampled(layer: Layer) -> Differentiation:
    inputs = layer.small("pair_inputs").astype(np.float32)
    outputs = layer.small("pair_outputs").astype(np.float32)
    return measure_differentiation(input_distances(inputs), output_distances(outputs))


def _choose_neurons(
    layer: Layer, settings: PairsSettings, md: Differentiation
) -> tuple[tuple[int, int | None], ...]:
    if not settings.neurons:
        highest = rank_highest(md.md, TOP_NEURONS).tolist()
        if not highest:
            raise InputError(
                f"No neuron of layer {layer.row.layer} of {layer.recording.name} has an MD, so no "
                "pair has an OI; choose another layer."
            )
        return tuple((neuron, rank) for rank, neuron in enumerate(highest))
    chosen = np.array(settings.neuron_numbers)
    check_range("neuron", chosen, layer.row.n_neurons)
    undefined = chosen[np.isnan(md.md[chosen])]
    if len(undefined):
        raise InputError(
            f"Neuron {undefined[0]} of layer {layer.row.layer} has no MD, because the median "
            "output distance of the sampled pairs is 0; leave it out of --neurons."
        )
    return tuple((neuron, None) for neuron in chosen.tolist())


def _choose_positions(layer: Layer, wanted: int | None) -> Ints:
    """Return the positions that count, or that many of them, evenly spaced."""
    there = eligible_positions(layer.recording.row)
    if wanted is None:
        return there
    if wanted > len(there):
        raise InputError(
            f"--positions {wanted} is more than the {len(there)} positions that count; give "
            "that many or fewer, or leave it out."
        )
    return there[np.arange(wanted) * len(there) // wanted]


def run_pairs(plan: PairsPlan, job: Job) -> None:
    """Search, and keep the pairs found in `top_pairs` in place of older ones of these neurons."""
    recording = plan.layer.recording
    progress = Progress(job, plan.n_pairs)
    progress.label = f"{recording.name} layer {plan.layer.row.layer}: pairs"
    found = [BestPairs(plan.top, plan.allow_hubs) for _ in plan.neurons]
    search = PairSearch(plan.medians, plan.furthest, found)
    for a, b in _tiles(plan):
        search.search(a, b)
        same = a.index[0] == b.index[0]
        size = len(a.index)
        progress.advance(size * (size - 1) // 2 if same else size * len(b.index))
    rows = [row for place in range(len(found)) for row in _rows(plan, place, found[place])]
    key = (recording.row.id, plan.layer.row.layer, recording.row.pair_set_id)
    save_all_pairs(recording.store, key, [n for n, _ in plan.neurons], rows, job.id)


def _tiles(plan: PairsPlan) -> Iterator[tuple[Places, Places]]:
    """Yield every two tiles once, each with itself, too."""
    contexts = number_contexts(plan.layer, plan.positions)
    outputs = _read_outputs(plan, plan.positions)
    starts = range(0, len(plan.positions), plan.block_tokens)

    def read(start: int) -> list[Places]:
        span = slice(start, start + plan.block_tokens)
        index, arrays = plan.positions[span], plan.layer.arrays
        inputs = to_float(arrays.inputs(index), arrays.format.dtype).astype(np.float32)
        block = describe_places(index, inputs, outputs[:, span], contexts[span])
        return [block.part(first) for first in range(0, len(index), TILE)]

    for start in starts:
        mine = read(start)
        for i, a in enumerate(mine):
            yield from ((a, b) for b in mine[i:])
        for other in range(start + plan.block_tokens, len(plan.positions), plan.block_tokens):
            theirs = read(other)
            yield from ((a, b) for a in mine for b in theirs)


def number_contexts(layer: Layer, positions: Ints) -> Ints:
    """Return a number for the 8 tokens before each position, equal where these are, (positions,).

    Tokens are those of the stream, whatever the window; a position with fewer before it has the
    same context as none that has more.
    """
    tokens = read_token_ids(layer.recording.store.database, layer.recording.row.stream_id)
    padded = np.concatenate([np.full(CONTEXT, -1), tokens])
    before = np.lib.stride_tricks.sliding_window_view(padded, CONTEXT)[positions]
    _, numbers = np.unique(before, axis=0, return_inverse=True)
    return numbers.reshape(-1).astype(np.int64)


def _read_outputs(plan: PairsPlan, positions: Ints) -> npt.NDArray[np.float64]:
    arrays, neurons = plan.layer.arrays, np.array([neuron for neuron, _ in plan.neurons])
    values = arrays.preactivations_at(positions, neurons)
    return to_float(values, arrays.format.dtype).astype(np.float64)


def _rows(plan: PairsPlan, place: int, found: BestPairs) -> list[dict[str, Cell]]:
    """Return the rows of `top_pairs` of one neuron."""
    first, second, oi = found.best()
    neuron, rank = plan.neurons[place]
    ends = np.stack([first, second], axis=1)
    if not len(ends):
        return []
    outputs = _read_outputs(plan, ends.ravel())[place].reshape(-1, 2)
    name = plan.layer.recording.row.neuron_activation
    known = name if name is not None and is_known(name) else None
    rows: list[dict[str, Cell]] = []
    for number, (pair, apart) in enumerate(zip(ends.tolist(), outputs, strict=True)):
        post_1, post_2, survival = activate(known, apart)
        rows.append({
            "neuron": neuron, "neuron_rank": rank, "pair_rank": number,
            "position_1": pair[0], "position_2": pair[1],
            "input_distance": _distance(plan.layer, ends[number]),
            "output_1": float(apart[0]), "output_2": float(apart[1]),
            "post_1": post_1, "post_2": post_2, "survival": survival, "oi": float(oi[number]),
        })  # fmt: skip
    return rows


def _distance(layer: Layer, ends: Ints) -> float:
    inputs = to_float(layer.arrays.inputs(ends), layer.arrays.format.dtype)
    return float(input_distances(inputs.astype(np.float32))[0])
