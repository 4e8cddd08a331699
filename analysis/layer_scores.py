"""Scores one layer of a recording: every neuron's metrics, its arrays, and the layer's summaries.

One pass over the layer's pre-activations, 64 neurons at a time on each thread, which reads them
itself; where they are computed from the inputs, many are computed together and shared out. Errors
read the neurons that get one again. MD and the top pairs come from the pair rows alone. Random
directions are scored as the neurons are. Reads the store, computes, returns; writes nothing.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from analysis.directions import N_DIRECTIONS
from analysis.errors import measure_errors
from analysis.metrics.activations import is_known
from analysis.metrics.dip import LEAST_VALUES
from analysis.metrics.formats import Stored
from analysis.metrics.neurons import NeuronScores, Scorer, join, score_neurons
from analysis.metrics.summaries import summarise
from analysis.pair_measures import PAIR_COLUMNS, PairMeasures, explain_pairs, read_pair_inputs
from analysis.pair_scores import score_pairs
from analysis.positions import eligible_positions
from analysis.random_population import Projection, RandomPopulation, score_directions
from store.arrays import LayerArrays
from store.engine import map_items
from store.layout import ROWS
from store.queries.recordings import read_pairs
from store.recording import Layer
from store.scores import Cell
from store.shards import Matrix

SCORE_COLUMNS = (
    "mean", "std", "skewness", "kurtosis", "minimum", "maximum", "negative_fraction",
    "post_mean", "post_minimum", "post_maximum", "rounding_step", "wd", "negative_modes",
    "negative_dip",
)  # fmt: skip
WHOLE_COLUMNS = ("negative_modes",)
SCORE_ARRAYS = ("histogram", "post_histogram", "extreme_positions", "extreme_values")

Columns = dict[str, npt.NDArray[np.float64]]


@dataclass(frozen=True)
class LayerScores:
    """All that the analyses of a layer found, ready to be written."""

    facts: dict[str, Cell]
    rows: dict[str, list[dict[str, Cell]]]
    arrays: dict[str, npt.NDArray[np.generic]]


def choose_scorer(device: str) -> Scorer:
    """Return what scores a group of neurons for `--device`; InputError where there is no card."""
    if device == "cpu":
        return score_neurons
    from analysis.device import choose_card  # torch takes seconds to load

    return choose_card(device)


def score_layer(
    layer: Layer, scorer: Scorer, threads: int | None, errors: str, advance: Callable[[int], None]
) -> LayerScores:
    """Score every neuron of a layer and its random directions (METHODS 3 to 5, 11, 12).

    `errors` says which neurons get one (top, all); `advance` is told how many are scored.
    """
    recording = layer.recording.row
    activation = recording.neuron_activation
    known = activation if activation is not None and is_known(activation) else None
    chosen = eligible_positions(recording)
    positions = chosen if recording.skip_first else None
    scores = _score_groups(layer, known, scorer, positions, threads, advance)
    pairs = read_pairs(layer.recording.store.database, recording.pair_set_id)
    inputs = read_pair_inputs(layer)
    found = score_pairs(layer, pairs, inputs, known, threads)
    random = score_directions(Projection(layer, chosen), pairs, inputs, scorer, known, threads)
    columns, nulls = _gather(scores, found.measures), _gather_random(random)
    columns["wd_se"] = measure_errors(layer, scores.wd, errors, positions, threads)
    no_post = _explain_no_post(activation, known)
    return LayerScores(
        facts=found.facts,
        rows={
            "neurons": _rows("neuron", scores.n_tokens, columns, no_post),
            "random_directions": _rows("direction", scores.n_tokens, nulls, no_post, random.reason),
            "layer_summaries": [
                *_summary_rows("neurons", columns),
                *_summary_rows("random", nulls),
            ],
            "pair_distances": found.distances,
            "top_pairs": found.top,
        },
        arrays={name: getattr(scores, name) for name in SCORE_ARRAYS},
    )


def _score_groups(
    layer: Layer,
    activation: str | None,
    scorer: Scorer,
    positions: npt.NDArray[np.int64] | None,
    threads: int | None,
    advance: Callable[[int], None],
) -> NeuronScores:
    dtype, arrays = layer.recording.row.dtype, layer.arrays

    def score(item: _Group) -> NeuronScores:
        values = as_bits(item.read(), dtype)
        return scorer(values, dtype, activation, positions)

    parts: dict[int, NeuronScores] = {}
    for item, part in map_items(score, _share_out(arrays), threads):
        parts[item.group] = part
        advance(len(part.mean))
    return join([parts[group] for group in sorted(parts)])


class _Group(NamedTuple):
    """64 neurons of a layer, and how the thread that scores them gets their values."""

    group: int
    read: Callable[[], Matrix]


def _share_out(arrays: LayerArrays) -> Iterator[_Group]:
    """Yield the groups of a layer; what is computed is so here, by all cores, when it is due."""
    n_neurons = arrays.format.n_neurons
    for first in range(0, n_neurons, arrays.group_rows):
        if arrays.group_rows == ROWS:
            yield _Group(first // ROWS, partial(arrays.neuron_group, first // ROWS))
            continue
        values = arrays.preactivations(np.arange(first, min(first + arrays.group_rows, n_neurons)))
        for start in range(0, len(values), ROWS):
            part = values[start : start + ROWS]
            yield _Group((first + start) // ROWS, partial(np.asarray, part))


def as_bits(values: npt.NDArray[np.generic], dtype: str) -> Stored:
    """Return stored values as the kernels take them: 16-bit ones as uint16 bits."""
    if dtype == "float32":
        return values.view(np.float32)
    return values.view(np.uint16)


def _gather(scores: NeuronScores, measures: PairMeasures) -> Columns:
    columns = {name: getattr(scores, name) for name in SCORE_COLUMNS}
    return columns | {name: getattr(measures, name) for name in PAIR_COLUMNS}


def _gather_random(random: RandomPopulation) -> Columns:
    if random.found is None:
        unknown = np.full(N_DIRECTIONS, np.nan)
        return dict.fromkeys((*SCORE_COLUMNS, *PAIR_COLUMNS), unknown)
    return _gather(*random.found)


def _rows(
    key: str, n_tokens: int, columns: Columns, no_post: str, no_scores: str = ""
) -> list[dict[str, Cell]]:
    names, table = list(columns), np.stack(list(columns.values()), axis=1).tolist()
    rows = []
    for number, values in enumerate(table):
        row: dict[str, Cell] = dict(zip(names, values, strict=True))
        row |= {name: _as_whole(row[name]) for name in WHOLE_COLUMNS}
        reason = no_scores or _explain(row, no_post)
        rows.append({key: number, "n_tokens": n_tokens, **row, "reason": reason})
    return rows


def _as_whole(number: Cell) -> Cell:
    return int(number) if isinstance(number, float) and not math.isnan(number) else None


def _explain(row: dict[str, Cell], no_post: str) -> str | None:
    """Return why metrics of a neuron are undefined, or None where all are defined."""
    reasons = []
    if row["std"] == 0:
        reasons.append(
            "no variance: skewness, kurtosis, rounding_step, wd and negative_modes are undefined"
        )
    if row["std"] != 0 and row["negative_fraction"] == 0:
        reasons.append("no value is below 0: negative_modes and negative_dip are undefined")
    elif row["negative_dip"] != row["negative_dip"]:
        reasons.append(f"fewer than {LEAST_VALUES} values are below 0: negative_dip is undefined")
    if no_post:
        reasons.append(no_post)
    reasons += explain_pairs(row)
    return "; ".join(reasons) or None


def _explain_no_post(activation: str | None, known: str | None) -> str:
    if activation is None:
        return "the up branch has no activation of its own: post_* are undefined"
    return "" if known else f"the activation {activation!r} is not known: post_* are undefined"


def _summary_rows(population: str, columns: Columns) -> list[dict[str, Cell]]:
    return [
        {"population": population, "metric": name, **asdict(summarise(values))}
        for name, values in columns.items()
    ]
