"""The same neurons in two recordings: how WD and MD go together, and what changed most.

WD is standardised, so its values are compared, by layer and over all layers. MD is divided by the
largest input distance of its own recording and layer (METHODS 5): only its order within a layer is
compared, never over layers, models or numbers of pairs, and not in layers that are not comparable.
What is left out for that has a row that says why.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from analysis.metrics.correlations import Correlation, correlate, percentile
from store.comparisons import ComparedRow, save_comparison
from store.errors import InputError
from store.queries.comparisons import (
    COMPARED,
    ComparedLayer,
    ComparedRecording,
    Floats,
    LayerPairs,
    list_compared_layers,
    read_compared,
    read_layer_pairs,
)
from store.queries.recordings import RecordingRow
from store.store import Store

ALL_LAYERS = "all"
MEASURED_PAIRS = 1000
"""The number of pairs for which METHODS 5 says how well two draws agree."""
NO_POOLED_MD = "MD is never compared across layers"


@dataclass(frozen=True)
class CorrelationRow:
    """How a metric goes together in one layer, or in all; `note` says why there is no number."""

    metric: str
    layer: str
    n: int
    spearman: float | None
    pearson: float | None
    note: str | None


@dataclass(frozen=True)
class ChangeRow:
    """One neuron's change from A to B: of WD, or of MD's percentile within its layer."""

    metric: str
    layer: int
    neuron: int
    a: float
    b: float
    change: float


@dataclass(frozen=True)
class Comparison:
    """Two recordings side by side; layers' MD is NaN where it is not compared."""

    a: ComparedRecording
    b: ComparedRecording
    layers: tuple[LayerPairs, ...]
    left_out: dict[int, str]

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader has to know beside the numbers."""
        return tuple(_notes(self))

    def rows(self) -> list[ComparedRow]:
        """Return a row a neuron, as the store keeps it."""
        return [row for pairs in self.layers for row in _rows(pairs)]

    def correlations(self) -> list[CorrelationRow]:
        """Return WD in each layer and in all, then MD in each layer."""
        wd_a = np.concatenate([pairs.wd_a for pairs in self.layers])
        wd_b = np.concatenate([pairs.wd_b for pairs in self.layers])
        return [
            *(_correlation("wd", str(p.layer), correlate(p.wd_a, p.wd_b)) for p in self.layers),
            _correlation("wd", ALL_LAYERS, correlate(wd_a, wd_b)),
            *(
                _correlation(
                    "md", str(p.layer), correlate(p.md_a, p.md_b), self.left_out.get(p.layer)
                )
                for p in self.layers
            ),
            CorrelationRow("md", ALL_LAYERS, 0, None, None, NO_POOLED_MD),
        ]

    def changes(self, count: int) -> list[ChangeRow]:
        """Return the neurons whose WD, and then whose place by MD in its layer, changed most."""
        return [*self._changes("wd", count), *self._changes("md percentile", count)]

    def _changes(self, metric: str, count: int) -> list[ChangeRow]:
        found = [row for pairs in self.layers for row in _layer_changes(metric, pairs, count)]
        return sorted(found, key=lambda r: (-abs(r.change), r.layer, r.neuron))[:count]


def compare_recordings(store: Store, a: RecordingRow, b: RecordingRow) -> Comparison:
    """Compare the neurons of two analysed recordings with the same layers (METHODS 4 and 5).

    Raises InputError where their neurons are not the same ones, or are not analysed alike.
    """
    if a.id == b.id:
        raise InputError(f"Both names mean {a.name}; name two recordings.")
    first, second = read_compared(store.database, a.id), read_compared(store.database, b.id)
    _check_branches(first, second)
    layers_a = list_compared_layers(store.database, a.id)
    layers_b = list_compared_layers(store.database, b.id)
    _check_layers(first, layers_a, second, layers_b)
    left_out, layers = {}, []
    for x, y in zip(layers_a, layers_b, strict=True):
        pairs = read_layer_pairs(store.database, a.id, b.id, x.layer)
        reason = _why_no_md(first, x, second, y)
        if reason:
            left_out[x.layer] = reason
            nothing = np.full(len(pairs.neurons), np.nan)
            pairs = replace(pairs, md_a=nothing, md_b=nothing)
        layers.append(pairs)
    return Comparison(first, second, tuple(layers), left_out)


def keep_comparison(store: Store, found: Comparison) -> bool:
    """Write a comparison to `recording_comparisons`; False where it is there already."""
    return save_comparison(store, found.a.id, found.b.id, found.rows())


def _check_branches(a: ComparedRecording, b: ComparedRecording) -> None:
    for what, x, y in (
        ("the branch", a.projection, b.projection),
        ("a gated MLP", _yes(a.gated), _yes(b.gated)),
    ):
        if x != y:
            raise InputError(
                f"{a.name} and {b.name} do not hold the same neurons ({what}: {x} and {y}); "
                "compare recordings of one kind."
            )


def _yes(flag: int) -> str:
    return "yes" if flag else "no"


def _check_layers(
    a: ComparedRecording,
    layers_a: list[ComparedLayer],
    b: ComparedRecording,
    layers_b: list[ComparedLayer],
) -> None:
    numbers_a, numbers_b = ([row.layer for row in rows] for rows in (layers_a, layers_b))
    if numbers_a != numbers_b:
        raise InputError(
            f"{a.name} has the layers {_listed(numbers_a)}, {b.name} has {_listed(numbers_b)}; "
            "record the missing ones with `negspace ingest --layers`, or compare two of one model."
        )
    for x, y in zip(layers_a, layers_b, strict=True):
        if x.n_neurons != y.n_neurons:
            raise InputError(
                f"Layer {x.layer} has {x.n_neurons:,} neurons in {a.name} and {y.n_neurons:,} in "
                f"{b.name}, so they are not the same ones; compare recordings of one model."
            )
        for recording, layer in ((a, x), (b, y)):
            _check_analysed(recording, layer)
        for analysis in COMPARED:
            _check_versions(a, x, b, y, analysis)


def _check_analysed(recording: ComparedRecording, layer: ComparedLayer) -> None:
    place = f"Layer {layer.layer} of {recording.name}"
    if layer.state != "complete":
        raise InputError(f"{place} is not complete; run its `negspace ingest` again first.")
    if layer.wd is None or layer.pairs is None:
        raise InputError(
            f"{place} is not analysed yet; {_remedy(recording, 'run its `negspace ingest` again')}."
        )


def _check_versions(
    a: ComparedRecording, x: ComparedLayer, b: ComparedRecording, y: ComparedLayer, analysis: str
) -> None:
    one, other = getattr(x, analysis), getattr(y, analysis)
    if one != other:
        old = a if one < other else b
        raise InputError(
            f"Layer {x.layer} was measured by version {one} of {analysis!r} in {a.name} and by "
            f"version {other} in {b.name}; {_remedy(old, 'remove and record it again')}."
        )


def _remedy(recording: ComparedRecording, of_scores: str) -> str:
    """Return what to do first; `of_scores` where the recording keeps its scores only."""
    if recording.keep == "scores":
        return f"{of_scores} first"
    return f"run `negspace analyze '{recording.name}'` first"


def _listed(layers: list[int]) -> str:
    return ", ".join(map(str, layers)) or "none"


def _why_no_md(
    a: ComparedRecording, x: ComparedLayer, b: ComparedRecording, y: ComparedLayer
) -> str | None:
    if a.model != b.model:
        return "MD is never compared across models"
    if a.n_pairs != b.n_pairs:
        return f"MD is never compared across numbers of pairs ({a.n_pairs} and {b.n_pairs})"
    reasons = [
        f"{name}: {layer.reason or 'not comparable'}"
        for name, layer in (("A", x), ("B", y))
        if layer.comparable == 0
    ]
    return f"not comparable ({'; '.join(reasons)})" if reasons else None


def _notes(found: Comparison) -> Iterator[str]:
    a, b = found.a, found.b
    floors = [0.8332 / np.sqrt(recording.n_tokens) for recording in (a, b)]
    yield f"WD of as many independent normal values: {floors[0]:.4f} in A, {floors[1]:.4f} in B."
    if a.model != b.model:
        yield (
            f"A is of {a.model}, B of {b.model}: their neurons are the same ones only where one "
            "model was made from the other."
        )
    reasons = sorted(set(found.left_out.values()))
    for reason in reasons:
        layers = [layer for layer, why in found.left_out.items() if why == reason]
        yield f"MD is left out in layers {_listed(layers)}: {reason}."
    if len(found.left_out) < len(found.layers):
        yield f"MD is compared by its order within a layer; {_agreement(a.n_pairs)}."


def _agreement(n_pairs: int) -> str:
    """Return what is known of how well two draws of as many pairs agree (METHODS 5)."""
    if n_pairs == MEASURED_PAIRS:
        return f"two draws of {n_pairs:,} pairs agree by 0.16 to 0.51 alone (METHODS 5)"
    return f"how well two draws of {n_pairs:,} pairs agree was not measured"


def _rows(pairs: LayerPairs) -> Iterator[ComparedRow]:
    columns = (pairs.wd_a, pairs.wd_b, pairs.md_a, pairs.md_b)
    for neuron, *values in zip(pairs.neurons.tolist(), *map(_cells, columns), strict=True):
        wd_a, wd_b, md_a, md_b = values
        yield pairs.layer, neuron, wd_a, wd_b, md_a, md_b


def _cells(values: Floats) -> list[float | None]:
    return [None if v != v else v for v in values.tolist()]


def _correlation(
    metric: str, layer: str, found: Correlation, note: str | None = None
) -> CorrelationRow:
    if found.spearman is None and note is None:
        note = "too few values, or all are equal"
    return CorrelationRow(metric, layer, found.n, found.spearman, found.pearson, note)


def _layer_changes(metric: str, pairs: LayerPairs, count: int) -> Iterator[ChangeRow]:
    a, b = (pairs.wd_a, pairs.wd_b) if metric == "wd" else _places(pairs.md_a, pairs.md_b)
    change = b - a
    order = np.argsort(-np.abs(change), kind="stable")
    for i in order[: min(count, int((~np.isnan(change)).sum()))].tolist():
        yield ChangeRow(
            metric, pairs.layer, int(pairs.neurons[i]), float(a[i]), float(b[i]), float(change[i])
        )


def _places(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    both = ~(np.isnan(a) | np.isnan(b))
    return percentile(np.where(both, a, np.nan)), percentile(np.where(both, b, np.nan))
