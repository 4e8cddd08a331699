"""Figures 3b, 4a to 4d, 7 and 8: how neurons' outputs are distributed, from the stored counts.

All counts are the exact ones of `histogram` and `post_histogram` (METHODS 3).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from analysis.figures.drawing import (
    COLOURS,
    LINES,
    MARKERS,
    POINTS,
    label_logs,
    make_figure,
    make_grid,
    shorten,
    show_token,
)
from analysis.figures.neuron_pairs import NeuronPairs, read_neuron_pairs
from analysis.figures.results import Cell, Drawn
from analysis.figures.subject import ANALYSE, CannotDrawError, Floats, Subject
from store.queries.figures import FigureRecording, ModeRow, NeuronRow, list_modes

Counts = npt.NDArray[np.int64]
BINS, REACH, POST_BINS = 256, 8.0, 128
TOP, GRID, GRID_COLUMNS = 5, 25, 5
TAIL = 0.001
FILL = "#9ecae1"
SMOOTH = ("gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh", "silu", "swish")
BIN_COLUMNS = ("recording", "layer", "neuron", "kind", "low", "high", "count", "share")
MARK_COLUMNS = ("pair_rank", "pair", "output_1", "output_2", "token_1", "token_2")
GRID_COLUMN_NAMES = ("rank", "wd", "negative_modes")


@dataclass(frozen=True)
class Histogram:
    """Counts (bins,) between edges (bins + 1,), ascending, of `total` values."""

    edges: Floats
    counts: Counts
    total: int

    @property
    def shares(self) -> Floats:
        """The share of all values in each bin."""
        shares: Floats = self.counts / self.total
        return shares

    def cut(self, first: int, last: int) -> "Histogram":
        """Return the bins from `first` to before `last`."""
        return Histogram(self.edges[first : last + 1], self.counts[first:last], self.total)

    def trim(self, share: float = 0.0) -> "Histogram":
        """Return the bins that are left when at most `share` of all is cut off at each end."""
        seen = np.cumsum(self.counts)
        first = int(np.searchsorted(seen, share * self.total, side="right"))
        last = int(np.searchsorted(seen, seen[-1] - share * self.total, side="left")) + 1
        return self.cut(min(first, last - 1), last)

    def negative(self) -> "Histogram":
        """Return the bins that end at or below 0."""
        return self.cut(0, max(0, int(np.searchsorted(self.edges, 0.0, side="right")) - 1))

    def cells(self, *before: Cell) -> list[tuple[Cell, ...]]:
        """Return a row a bin: what comes before, its edges, its count and its share."""
        return [
            (*before, float(low), float(high), int(count), float(share))
            for low, high, count, share in zip(
                self.edges[:-1], self.edges[1:], self.counts, self.shares, strict=True
            )
        ]

    def fill(self, axes: Axes, colour: str = FILL) -> None:
        """Draw the shares as filled steps with an outline."""
        axes.stairs(self.shares, self.edges, fill=True, color=colour, linewidth=0)
        axes.stairs(self.shares, self.edges, color=COLOURS[0], linewidth=0.6)


def read_histogram(subject: Subject, neuron: NeuronRow) -> Histogram:
    """Return the inner bins of a neuron's pre-activations, mean +- 8 std."""
    counts = subject.small(neuron.layer, "histogram")[neuron.neuron].astype(np.int64)
    reach = REACH * neuron.std
    edges = np.linspace(neuron.mean - reach, neuron.mean + reach, BINS + 1)
    return Histogram(edges, counts[1:-1], int(counts.sum()))


def draw_marks(subject: Subject) -> Drawn:
    """Draw 3b: the outputs of one neuron's top pairs on the distribution of all its outputs."""
    (found,) = read_neuron_pairs(subject, [subject.neuron])
    neuron, name = found.neuron, subject.recording.name
    histogram = read_histogram(subject, neuron).trim()
    caption = (
        f"Pre-activations of neuron {neuron.layer}.{neuron.neuron} over n = {neuron.n_tokens:,} "
        f"tokens; below, the two outputs of each of its {TOP} pairs of highest OI. {name}."
    )
    figure = make_figure(subject.width, 2.6 if subject.narrow else 2.8, caption)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[2.2, 1.3])
    histogram.fill(upper)
    upper.set_ylabel("share of tokens a bin")
    _draw_pairs(lower, found, 0.12 * subject.width * POINTS)
    columns = (*BIN_COLUMNS, *MARK_COLUMNS)
    rows = [
        (*row, *(None,) * len(MARK_COLUMNS))
        for row in histogram.cells(name, neuron.layer, neuron.neuron, "bin")
    ]
    before = (name, neuron.layer, neuron.neuron, "pair", None, None, None, None)
    rows += [(*before, *mark) for mark in _marks(found)]
    return Drawn("3b", figure, columns, rows, caption)


def _marks(found: NeuronPairs) -> list[tuple[Cell, ...]]:
    return [
        (
            rank, found.pairs[i].pair, float(found.first[i]), float(found.second[i]),
            found.pairs[i].token_1, found.pairs[i].token_2,
        )
        for rank, i in enumerate(found.top(TOP))
    ]  # fmt: skip


def _draw_pairs(axes: Axes, found: NeuronPairs, points: float) -> None:
    names = []
    for rank, i in enumerate(found.top(TOP)):
        ends = [float(found.first[i]), float(found.second[i])]
        axes.plot(
            ends, [rank, rank], color=COLOURS[rank], linestyle=LINES[rank], marker=MARKERS[rank],
            markeredgecolor="black", markeredgewidth=0.4, markersize=4.5,
        )  # fmt: skip
        pair = found.pairs[i]
        tokens = (shorten(show_token(token), points) for token in (pair.token_1, pair.token_2))
        names.append(" ".join(tokens))
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlabel("pre-activation")


def draw_pre(subject: Subject, key: str, activations: Sequence[str]) -> Drawn:
    """Draw 4a or 4c: the pre-activations of the highest-WD neuron of a model."""
    subject = subject.of(_find(subject, activations))
    neuron, name = subject.highest(1)[0], subject.recording.name
    histogram = read_histogram(subject, neuron).trim()
    caption = f"Pre-activations of {_describe(subject, neuron)}"
    figure = make_figure(subject.width, 2.0, caption)
    axes = figure.add_subplot()
    histogram.fill(axes)
    axes.axvline(0.0, color="black", linewidth=0.6, linestyle=":")
    axes.set_xlabel("pre-activation")
    axes.set_ylabel("share of tokens a bin")
    rows = histogram.cells(name, neuron.layer, neuron.neuron, "pre")
    return Drawn(key, figure, BIN_COLUMNS, rows, caption)


def draw_post(subject: Subject, key: str, activations: Sequence[str]) -> Drawn:
    """Draw 4b or 4d: the same neuron after the activation, each side of 0 in its own scale."""
    subject = subject.of(_find(subject, activations))
    neuron, name = subject.highest(1)[0], subject.recording.name
    sides, zeros = _read_post(subject, neuron)
    if not sides:
        raise CannotDrawError(
            f"all outputs of neuron {neuron.layer}.{neuron.neuron} of {name} are 0"
        )
    caption = (
        f"Outputs h of the activation in {_describe(subject, neuron)} Zeros, not drawn: "
        f"{zeros / neuron.n_tokens:.1%} of the tokens. Bins: {POST_BINS} on each side of 0."
    )
    figure = make_figure(subject.width, 2.0, caption)
    for axes, side in zip(make_grid(figure, len(sides), 2), sides, strict=True):
        side.fill(axes)
        axes.set_yscale("log")
        label_logs(axes.yaxis)
        axes.set_xlabel("output h > 0" if side.edges[-1] > 0 else "output h < 0")
    figure.axes[0].set_ylabel("share of tokens a bin")
    if len(sides) == 1:
        figure.axes[0].set_title(f"h = 0: {zeros / neuron.n_tokens:.1%} of tokens", loc="right")
    rows = [row for s in sides for row in s.cells(name, neuron.layer, neuron.neuron, "post")]
    rows.append(
        (name, neuron.layer, neuron.neuron, "zero", 0.0, 0.0, zeros, zeros / neuron.n_tokens)
    )
    return Drawn(key, figure, BIN_COLUMNS, rows, caption)


def _find(subject: Subject, activations: Sequence[str]) -> FigureRecording:
    for recording in subject.recordings:
        if recording.activation in activations and _is_activated(recording):
            return recording
    raise CannotDrawError(f"no model with {' or '.join(activations)} is among the recordings drawn")


def _is_activated(recording: FigureRecording) -> bool:
    # The up branch of a gated MLP has no activation of its own.
    return not (recording.gated and recording.projection == "up")


def _describe(subject: Subject, neuron: NeuronRow) -> str:
    recording = subject.recording
    wd = "" if neuron.wd is None else f" (WD {neuron.wd:.3f}, the highest of its layer)"
    gate = ", gate" if recording.gated else ""
    return (
        f"neuron {neuron.layer}.{neuron.neuron}{wd} of {recording.name} "
        f"({recording.activation}{gate}), n = {neuron.n_tokens:,} tokens."
    )


def _read_post(subject: Subject, neuron: NeuronRow) -> tuple[list[Histogram], int]:
    """Return the sides of 0 that have counts, negative first, and the count of zeros."""
    low, high = neuron.post_minimum, neuron.post_maximum
    if low is None or high is None:
        raise CannotDrawError(f"{subject.recording.name} has no outputs of an activation")
    counts = subject.small(neuron.layer, "post_histogram")[neuron.neuron].astype(np.int64)
    below, zeros, above = counts[:POST_BINS], int(counts[POST_BINS]), counts[POST_BINS + 1 :]
    ends = ((below, min(low, 0.0), 0.0), (above, 0.0, max(high, 0.0)))
    total = int(counts.sum())
    sides = [Histogram(np.linspace(a, b, POST_BINS + 1), c, total) for c, a, b in ends if c.any()]
    return sides, zeros


def draw_grid(subject: Subject) -> Drawn:
    """Draw 7: the pre-activations of the 25 neurons of highest WD with their mode counts."""
    return _draw_grid(subject, "7", "Output distributions", negative=False)


def draw_negative_grid(subject: Subject) -> Drawn:
    """Draw 8: the negative side of the same neurons, where the modes are counted."""
    return _draw_grid(subject, "8", "Negative sides", negative=True)


def _draw_grid(subject: Subject, key: str, title: str, *, negative: bool) -> Drawn:
    neurons, name = subject.highest(GRID), subject.recording.name
    columns = (*BIN_COLUMNS, *GRID_COLUMN_NAMES)
    side = "The negative side of the pre-activations" if negative else "Pre-activations"
    caption = (
        f"{side} of the {len(neurons)} neurons of highest WD of layer {subject.layer}, highest "
        f"first, each in its own scales; outermost {TAIL:.1%} of the tokens at each end left out; "
        "dotted: 0. Titles: neuron and, in brackets, modes below 0. "
        f"{_count_modes(subject)} {name}, n = {neurons[0].n_tokens:,} tokens."
    )
    tall = -(-len(neurons) // GRID_COLUMNS)
    figure = make_figure(subject.width, tall * (0.62 if subject.narrow else 0.95), caption)
    rows: list[tuple[Cell, ...]] = []
    places = make_grid(figure, len(neurons), GRID_COLUMNS)
    for rank, (axes, neuron) in enumerate(zip(places, neurons, strict=True)):
        histogram = read_histogram(subject, neuron).trim(TAIL)
        shown = histogram.negative() if negative else histogram
        _draw_small(axes, shown, neuron)
        cells = shown.cells(name, neuron.layer, neuron.neuron, "bin")
        rows += [(*row, rank, neuron.wd, neuron.negative_modes) for row in cells]
    places[tall // 2 * GRID_COLUMNS].set_ylabel("share of tokens")
    places[min((tall - 1) * GRID_COLUMNS + 2, len(neurons) - 1)].set_xlabel("pre-activation")
    return Drawn(key, figure, columns, rows, caption)


def _draw_small(axes: Axes, histogram: Histogram, neuron: NeuronRow) -> None:
    modes = "-" if neuron.negative_modes is None else str(neuron.negative_modes)
    axes.set_title(f"{neuron.neuron} ({modes})", pad=2, fontsize=6)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    if histogram.counts.size:
        histogram.fill(axes)
        axes.set_ylim(bottom=0.0)
        axes.set_xlim(float(histogram.edges[0]), float(histogram.edges[-1]))
        axes.axvline(0.0, color="black", linewidth=0.6, linestyle=":")


def _count_modes(subject: Subject) -> str:
    found = list_modes(subject.store.database, subject.recording.id, subject.layer)
    if not found:
        return f"Modes are not counted yet: {ANALYSE}."
    return f"Two modes or more: {' and '.join(_say(row) for row in found)}."


def _say(row: ModeRow) -> str:
    of = "neurons" if row.population == "neurons" else "random directions"
    return f"{row.several / row.n:.1%} of {row.n:,} {of} of the layer"
