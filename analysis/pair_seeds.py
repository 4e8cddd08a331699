"""Further pair sets of recordings (`--pair-seeds`, METHODS 5): MD, distances and top pairs by them.

A set is drawn for the stream, with as many pairs as the recording's own. The rows of a layer are
kept in `pair_inputs.<pair_set_id>` and `pair_outputs.<pair_set_id>`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.metrics.differentiation import (
    input_distances,
    measure_differentiation,
    output_distances,
)
from analysis.positions import eligible_positions
from analysis.top_pairs import TopPairs, known_activation
from store.arrays import to_float
from store.catalog import add_pair_set
from store.errors import InputError
from store.jobs import Job, Progress
from store.layout import INPUTS
from store.queries.analyses import list_analyses
from store.queries.copies import find_bare_copy
from store.queries.recordings import (
    RecordingRow,
    explain_dropped,
    list_layers,
    read_pairs,
)
from store.recording import Layer, Recording
from store.records import IntArray
from store.scores import Cell, save_pair_set
from store.shards import Matrix
from store.store import Store
from store.writer import ArrayWriter

METHOD = 1


@dataclass(frozen=True)
class SeedsPlan:
    """The layers left, each with a seed, and why those of other recordings cannot be done."""

    layers: tuple[tuple[RecordingRow, int, int], ...] = ()
    notes: tuple[str, ...] = ()


def plan_seeds(
    store: Store,
    recordings: Sequence[RecordingRow],
    seeds: Sequence[int],
    anew: Collection[tuple[int, int]] = (),
) -> SeedsPlan:
    """Return which complete layers lack which pair sets; those measured `anew` lack all.

    Raises InputError where a seed is that of a recording's own pair set.
    """
    left: list[tuple[RecordingRow, int, int]] = []
    notes = []
    for row in recordings if seeds else ():
        own = row.pair_seed
        if own in seeds:
            raise InputError(
                f"--pair-seeds has {own}, the seed of the own pairs of {row.name}; leave it out, "
                "or name other recordings."
            )
        done = {
            (a.layer, a.analysis)
            for a in list_analyses(store.database, row.id)
            if a.finished_at is not None and a.method == METHOD and (row.id, a.layer) not in anew
        }
        for layer in list_layers(store.database, row.id):
            wanted = [s for s in seeds if (layer.layer, f"pairs.{s}") not in done]
            if layer.state != "complete" or not wanted:
                continue
            facts = Recording(store, row).layer(layer.layer)
            if (INPUTS, 0) in facts.arrays.digests:
                left += [(row, layer.layer, seed) for seed in wanted]
            else:
                bare = find_bare_copy(store.database, row.id)
                notes.append(bare.explain(store.folder) if bare else explain_dropped(row, layer))
    return SeedsPlan(tuple(left), tuple(dict.fromkeys(notes)))


def run_seeds(plan: SeedsPlan, store: Store, progress: Progress, job: Job) -> None:
    """Measure every layer and seed of the plan."""
    for row, number, seed in plan.layers:
        progress.label = f"{row.name} layer {number}: pairs of seed {seed}"
        progress.advance(0)
        _measure(Recording(store, row).layer(number), seed, job)


def _measure(layer: Layer, seed: int, job: Job) -> None:
    from ingest.streams import draw_pairs  # loads the tokenizers

    row, store = layer.recording.row, layer.recording.store
    with store.database.write() as connection:
        drawn = draw_pairs(eligible_positions(row), row.n_pairs, seed)
        key = add_pair_set(connection, row.stream_id, seed, drawn)
    pairs = read_pairs(store.database, key)
    arrays = _read_rows(layer, key, pairs)
    form = layer.arrays.format
    facts = ArrayWriter(store, row.name, {form.layer: form}).write_small(form.layer, arrays)
    rows = _score(layer, key, pairs, arrays)
    save_pair_set(store, (row.id, form.layer, key), seed, METHOD, job.id, rows, facts)


def _read_rows(layer: Layer, key: int, pairs: IntArray) -> dict[str, Matrix]:
    positions = np.ascontiguousarray(pairs).ravel()
    return {
        f"pair_inputs.{key}": layer.arrays.inputs(positions),
        f"pair_outputs.{key}": layer.arrays.preactivations_at(positions),
    }


def _score(
    layer: Layer, key: int, pairs: IntArray, arrays: dict[str, Matrix]
) -> dict[str, list[dict[str, Cell]]]:
    dtype = layer.recording.row.dtype
    inputs = to_float(arrays[f"pair_inputs.{key}"], dtype).astype(np.float32)
    outputs = to_float(arrays[f"pair_outputs.{key}"], dtype).astype(np.float32)
    dx, dy = input_distances(inputs), output_distances(outputs)
    md = measure_differentiation(dx, dy)
    top = TopPairs(key, pairs, outputs, dx, known_activation(layer.recording.row))
    columns = zip(md.md.tolist(), md.md_sem.tolist(), md.dy_median.tolist(), strict=True)
    return {
        "neuron_md": [
            {"neuron": n, "md": a, "md_sem": b, "dy_median": c}
            for n, (a, b, c) in enumerate(columns)
        ],
        "pair_distances": [
            {"pair": pair, "input_distance": distance} for pair, distance in enumerate(dx.tolist())
        ],
        "top_pairs": top.rows(md.md),
    }
