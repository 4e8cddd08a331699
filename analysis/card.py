"""The card of one neuron: all that the store knows of it, gathered for people.

It needs the tables and the small arrays only, so a copy without arrays has the same card.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.metrics.bins import REACH as STDS
from analysis.metrics.differentiation import input_distances, output_distances
from analysis.pair_kinds_text import tell_pair_kinds
from analysis.top_pairs import find_top_pairs
from analysis.written import Written, load_written
from store.arrays import check_range
from store.errors import InputError, NotFoundError
from store.layout import EXTREMES, WRITTEN
from store.queries.cards import (
    CheckpointWd,
    Context,
    NeuronRow,
    TopPair,
    find_neuron,
    list_checkpoint_wd,
    list_neuron_pairs,
    read_contexts,
    read_percentiles,
    read_token_texts,
)
from store.queries.recordings import read_pairs
from store.queries.sources import read_origin
from store.recording import Layer, Recording

REACH = 8
"""Tokens of context on each side."""
ERRORS = {"wd": "wd_se", "md": "md_sem", "md_stable": "md_stable_se"}
SHOWN = (
    "wd", "wd_floor", "md", "md_stable", "alignment", "negative_modes", "negative_dip",
    "negative_fraction", "skewness", "kurtosis", "mean", "std", "minimum", "maximum", "post_mean",
    "post_minimum", "post_maximum", "rounding_step", "dy_median", "weight_norm",
)  # fmt: skip
"""The metrics in the order of a card: first those that random directions have, too."""


@dataclass(frozen=True)
class Metric:
    """A metric with its standard error and the share of random directions strictly below it."""

    name: str
    value: float | None
    error: float | None
    below: float | None


@dataclass(frozen=True)
class Histograms:
    """Counts of a neuron's outputs as `histogram` and `post_histogram` have them (METHODS 3).

    `low` and `high` are the ends of the 256 inner bins of `counts` (258); `post_counts` (257) is
    empty where the activation is not known, and its ends are `post_minimum` and `post_maximum`.
    """

    low: float
    high: float
    counts: tuple[int, ...]
    post_counts: tuple[int, ...]


@dataclass(frozen=True)
class CardPair:
    """A top pair and its two tokens in context."""

    pair: TopPair
    first: Context
    second: Context


@dataclass(frozen=True)
class Extreme:
    """One of the lowest or highest outputs, and where it was."""

    value: float
    context: Context


@dataclass(frozen=True)
class WrittenToken:
    """A token and what one unit of the neuron adds to its logit, no norm applied."""

    token_id: int
    token: str
    logit: float


@dataclass(frozen=True)
class Writes:
    """The tokens whose logits the neuron raises and lowers most, or the reason for none."""

    raises: tuple[WrittenToken, ...]
    lowers: tuple[WrittenToken, ...]
    reason: str | None = None


UNREAD = Writes((), (), "it was not read")
UNKEPT = Writes((), (), "the store does not keep it")


@dataclass(frozen=True)
class Card:
    """One neuron; `n_random` is the number of random directions, 0 where there are none.

    `reason` says which metrics are undefined, and why; `pair_kinds` what the top pairs are made of,
    None where that was not measured.
    """

    recording: str
    model: str
    revision: str
    corpus: str
    projection: str
    layer: int
    neuron: int
    n_tokens: int
    n_pairs: int
    n_random: int
    reason: str | None
    metrics: tuple[Metric, ...]
    histograms: Histograms
    pairs: tuple[CardPair, ...]
    pair_kinds: str | None
    lowest: tuple[Extreme, ...]
    highest: tuple[Extreme, ...]
    checkpoints: tuple[CheckpointWd, ...]
    writes: Writes

    @property
    def name(self) -> str:
        """LAYER.NEURON."""
        return f"{self.layer}.{self.neuron}"

    def metric(self, name: str) -> Metric:
        """Return one of the metrics."""
        return next(metric for metric in self.metrics if metric.name == name)


@dataclass(frozen=True)
class Scatter:
    """Input and output distance of each valid pair, in units of the largest and of the median.

    `places` are the pairs of the set, `slope` is where the bound ||w|| dx lies: y = slope x.
    """

    x: npt.NDArray[np.float64]
    y: npt.NDArray[np.float64]
    top: npt.NDArray[np.bool_]
    slope: float | None


def gather_card(recording: Recording, layer: int, neuron: int, *, keep: bool) -> Card:
    """Return the card of a neuron; `keep` stores what the layer writes once it is computed.

    Raises NotFoundError where the layer is not recorded or not measured, InputError where it has
    no such neuron.
    """
    return gather_layer_card(recording.layer(layer), neuron, keep=keep)


def gather_layer_card(there: Layer, neuron: int, *, keep: bool, writes: bool = True) -> Card:
    """Return the card of a neuron of a layer, as `gather_card` does.

    Without `writes` the card leaves out what it writes, which may have to be computed first.
    """
    recording, layer = there.recording, there.row.layer
    check_range("neuron", np.array([neuron]), there.row.n_neurons)
    metrics = _find_metrics(there, neuron)
    database, row = recording.store.database, recording.row
    shares = {p.metric: p for p in read_percentiles(database, row.id, layer, neuron)}
    lowest, highest = _gather_extremes(there, neuron)
    return Card(
        recording=row.name,
        model=row.model,
        revision=row.revision,
        corpus=row.corpus,
        projection=row.projection,
        layer=layer,
        neuron=neuron,
        n_tokens=metrics.n_tokens,
        n_pairs=row.n_pairs,
        n_random=max((p.n for p in shares.values()), default=0),
        reason=metrics.reason,
        metrics=tuple(
            Metric(
                name,
                getattr(metrics, name),
                getattr(metrics, ERRORS[name]) if name in ERRORS else None,
                shares[name].share if name in shares else None,
            )
            for name in SHOWN
        ),
        histograms=_gather_histograms(there, neuron, metrics),
        pairs=_gather_pairs(there, neuron),
        pair_kinds=tell_pair_kinds(recording, layer, neuron),
        lowest=lowest,
        highest=highest,
        checkpoints=tuple(list_checkpoint_wd(database, row.id, layer, neuron)),
        writes=_gather_writes(there, neuron, keep=keep) if writes else UNREAD,
    )


def _find_metrics(layer: Layer, neuron: int) -> NeuronRow:
    recording = layer.recording
    found = find_neuron(recording.store.database, recording.row.id, layer.row.layer, neuron)
    if found is not None:
        return found
    if layer.row.state != "complete":
        raise NotFoundError(
            f"Layer {layer.row.layer} of {recording.name} is not recorded to its end; run the same "
            "`negspace ingest` again, then `negspace analyze`."
        )
    raise NotFoundError(
        f"Layer {layer.row.layer} of {recording.name} is not measured yet; `negspace analyze` "
        "does that."
    )


def _gather_histograms(layer: Layer, neuron: int, metrics: NeuronRow) -> Histograms:
    known = metrics.post_minimum is not None
    post = layer.small("post_histogram", [neuron])[0].tolist() if known else []
    return Histograms(
        metrics.mean - STDS * metrics.std,
        metrics.mean + STDS * metrics.std,
        tuple(layer.small("histogram", [neuron])[0].tolist()),
        tuple(post),
    )


def _gather_pairs(layer: Layer, neuron: int) -> tuple[CardPair, ...]:
    recording = layer.recording.row
    database = layer.recording.store.database
    pairs = list_neuron_pairs(
        database, recording.id, layer.row.layer, neuron, recording.pair_set_id
    )
    if not pairs:
        pairs = _find_pairs(layer, neuron)
    firsts = _contexts(layer, [pair.position_1 for pair in pairs])
    seconds = _contexts(layer, [pair.position_2 for pair in pairs])
    return tuple(map(CardPair, pairs, firsts, seconds))


def _find_pairs(layer: Layer, neuron: int) -> list[TopPair]:
    """Return the top pairs of a neuron that the table leaves out."""
    names = [field.name for field in fields(TopPair)]
    rows: list[dict[str, Any]] = list(find_top_pairs(layer, neuron))
    return [TopPair(**{name: row[name] for name in names}) for row in rows]


def _gather_extremes(layer: Layer, neuron: int) -> tuple[tuple[Extreme, ...], tuple[Extreme, ...]]:
    positions = layer.small("extreme_positions", [neuron])[0].tolist()
    values = layer.small("extreme_values", [neuron])[0].tolist()
    low, high = (
        _list_extremes(layer, positions[part], values[part])
        for part in (slice(EXTREMES), slice(EXTREMES, None))
    )
    return low, high


def _list_extremes(
    layer: Layer, positions: Sequence[int], values: Sequence[float]
) -> tuple[Extreme, ...]:
    """Return extremes with their context; places that a short text left empty are no extremes."""
    there = [position for position in positions if position >= 0]
    return tuple(map(Extreme, map(float, values), _contexts(layer, there)))


def _contexts(layer: Layer, positions: Sequence[int]) -> list[Context]:
    row = layer.recording.row
    database = layer.recording.store.database
    return read_contexts(database, row.stream_id, row.window_length, positions, REACH)


def _gather_writes(layer: Layer, neuron: int, *, keep: bool) -> Writes:
    try:
        written = load_written(layer, keep=keep)
    except (InputError, NotFoundError) as error:
        return Writes((), (), f"{error}".rstrip("."))
    return name_written(layer, neuron, written)


def name_written(layer: Layer, neuron: int, written: Written) -> Writes:
    """Return what one neuron writes, of what its layer does, with the tokens' texts."""
    database = layer.recording.store.database
    tokens, logits = written.tokens[neuron].tolist(), written.logits[neuron].tolist()
    origin = read_origin(database, layer.recording.row.id)
    texts = read_token_texts(database, origin.tokenizer_id, tokens)
    found = [
        WrittenToken(token, texts[token], logit)
        for token, logit in zip(tokens, logits, strict=True)
    ]
    return Writes(tuple(found[:WRITTEN]), tuple(found[WRITTEN:]))


def read_scatter(layer: Layer, card: Card) -> Scatter:
    """Return the sampled pairs of a neuron as its input-output scatter shows them (METHODS 5)."""
    outputs = layer.small("pair_outputs", [card.neuron]).astype(np.float32)
    dx = input_distances(layer.small("pair_inputs").astype(np.float32))
    dy = output_distances(outputs)[0]
    valid = dx > 0.0
    furthest = float(dx.max(initial=0.0))
    median = float(np.median(dy[valid])) if valid.any() else 0.0
    if median == 0.0:
        empty = np.zeros(0)
        return Scatter(empty, empty, np.zeros(0, np.bool_), None)
    row = layer.recording.row
    pairs = read_pairs(layer.recording.store.database, row.pair_set_id)[valid]
    marked = {(p.pair.position_1, p.pair.position_2) for p in card.pairs}
    top = np.array([tuple(pair) in marked for pair in pairs.tolist()], np.bool_)
    norm = card.metric("weight_norm").value
    slope = None if norm is None else norm * furthest / median
    return Scatter(dx[valid] / furthest, dy[valid] / median, top, slope)
