"""Figures 3c and 6: how far apart a neuron puts its pairs, against how far apart their inputs are.

x is dx divided by the largest, y is dy divided by the median, as in the OI ratio (METHODS 5); the
dashed line is Cauchy's bound ||w|| dx in the same units: no pair lies above it.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from analysis.figures.drawing import COLOURS, GREY, make_figure, make_grid
from analysis.figures.neuron_pairs import NeuronPairs, read_neuron_pairs
from analysis.figures.results import Cell, Drawn
from analysis.figures.subject import ANALYSE, Subject

TOP, NEURONS = 5, 6
COLUMNS = (
    "recording", "layer", "neuron", "pair", "position_1", "position_2", "dx_over_max",
    "dy_over_median", "oi", "top_rank",
)  # fmt: skip


def draw_scatter(subject: Subject) -> Drawn:
    """Draw 3c: input and output distances of one neuron's pairs."""
    found = read_neuron_pairs(subject, [subject.neuron])
    return _draw(subject, found, "3c", "Inputs and outputs of a neuron's pairs")


def draw_scatters(subject: Subject) -> Drawn:
    """Draw 6: the same of the six neurons of highest WD."""
    found = read_neuron_pairs(subject, subject.highest(NEURONS))
    return _draw(subject, found, "6", "Inputs and outputs of several neurons' pairs")


def bound(found: NeuronPairs) -> float | None:
    """Return the slope of ||w|| dx in the units of the figure, or None without a weight norm."""
    norm = found.neuron.weight_norm
    return None if norm is None else norm * found.furthest / found.median


def _draw(subject: Subject, found: Sequence[NeuronPairs], key: str, title: str) -> Drawn:
    columns = 2 if subject.narrow else 3
    wide = min(len(found), columns)
    tall = -(-len(found) // wide)
    each = 2.5 if len(found) == 1 else 1.5 if subject.narrow else 1.9
    figure = make_figure(subject.width, each * tall, _caption(subject, found))
    places = make_grid(figure, len(found), wide)
    for i, (axes, pairs) in enumerate(zip(places, found, strict=True)):
        _draw_one(axes, pairs)
        if i + wide >= len(found):
            axes.set_xlabel("input distance / largest")
    # A low row has no room for the whole label.
    for i in (tall // 2 * wide,) if subject.narrow else range(0, len(found), wide):
        places[i].set_ylabel("output distance / median")
    handles, names = places[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=3, columnspacing=1.0)
    rows = [row for pairs in found for row in _rows(subject.recording.name, pairs)]
    return Drawn(key, figure, COLUMNS, rows, _caption(subject, found))


def _caption(subject: Subject, found: Sequence[NeuronPairs]) -> str:
    known = all(bound(pairs) is not None for pairs in found)
    line = "Dashed: the bound ||w|| dx." if known else f"No weight norms yet: {ANALYSE}."
    return (
        f"n = {len(found[0].pairs):,} sampled pairs with different inputs (grey), the {TOP} of "
        f"highest OI marked. {line} {subject.recording.name}, layer {found[0].neuron.layer}."
    )


def _rows(name: str, found: NeuronPairs) -> list[tuple[Cell, ...]]:
    ranks = {place: rank for rank, place in enumerate(found.top(TOP))}
    x, y = found.dx / found.furthest, found.dy / found.median
    return [
        (
            name, found.neuron.layer, found.neuron.neuron, pair.pair, pair.position_1,
            pair.position_2, float(x[i]), float(y[i]), float(found.oi[i]), ranks.get(i),
        )
        for i, pair in enumerate(found.pairs)
    ]  # fmt: skip


def _draw_one(axes: Axes, found: NeuronPairs) -> None:
    x, y, top = found.dx / found.furthest, found.dy / found.median, found.top(TOP)
    axes.scatter(x, y, s=3, color=GREY, alpha=0.5, linewidths=0, label="all pairs", rasterized=True)
    axes.scatter(
        x[top], y[top], s=16, color=COLOURS[1], marker="^", linewidths=0.4, edgecolors="black",
        label="top pairs",
    )  # fmt: skip
    slope, highest = bound(found), 1.08 * float(y.max())
    if slope is not None:
        end = min(1.05, highest / slope)
        axes.plot(
            [0.0, end],
            [0.0, slope * end],
            color="black",
            linestyle="--",
            linewidth=0.9,
            label="||w|| dx",
        )
    axes.set_xlim(0.0, 1.05)
    axes.set_ylim(0.0, highest if np.isfinite(highest) and highest > 0 else 1.0)
    axes.set_title(f"neuron {found.neuron.layer}.{found.neuron.neuron}")
