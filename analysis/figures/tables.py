"""Figures 3a and 5: the top pairs of neurons as tables, with the tokens that follow."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from analysis.figures.drawing import POINTS, SMALL, make_figure, measure, shorten, show, show_token
from analysis.figures.neuron_pairs import NeuronPairs, read_neuron_pairs
from analysis.figures.results import Cell, Drawn
from analysis.figures.subject import Subject

PAIRS, NEURONS = 5, 5
COLUMNS = (
    "recording", "layer", "neuron", "wd", "pair_rank", "pair", "position_1", "position_2",
    "token_1", "next_1", "token_2", "next_2", "output_1", "output_2", "input_distance", "oi",
)  # fmt: skip
HEADINGS = ("token → next", "token → next", "y 1", "y 2", "dx", "OI")
NUMBER = 29.0
"""Points that a column of numbers takes; the two of tokens share the rest."""
LINE = 0.145
GAP = 5.0
ARROW = " → "


@dataclass(frozen=True)
class _Line:
    """One line of a table: a heading, or cells."""

    cells: tuple[str, ...]
    bold: bool = False
    rule: bool = False


def draw_pairs(subject: Subject) -> Drawn:
    """Draw 3a: the five top pairs of one neuron."""
    found = read_neuron_pairs(subject, [subject.neuron])
    return _draw(subject, found, "3a", "Top pairs of a neuron")


def draw_pair_tables(subject: Subject) -> Drawn:
    """Draw 5: the five top pairs of each of the five neurons of highest WD."""
    found = read_neuron_pairs(subject, subject.highest(NEURONS))
    return _draw(subject, found, "5", "Top pairs of several neurons")


def _draw(subject: Subject, found: Sequence[NeuronPairs], key: str, title: str) -> Drawn:
    name, n = subject.recording.name, len(found[0].pairs)
    caption = (
        f"The {PAIRS} pairs of highest OI of {n:,} sampled pairs with different inputs, each token "
        "with the one that follows; y 1, y 2: the neuron's pre-activations; dx: distance of the "
        f"inputs. {name}, {found[0].neuron.n_tokens:,} tokens."
    )
    edges = _place(subject.width)
    room = (edges[1] - edges[0]) * _inner(subject.width) - GAP
    lines = [line for pairs in found for line in _lines(pairs, room)]
    figure = make_figure(subject.width, (len(lines) + 0.6) * LINE, caption)
    _write(figure.add_subplot(), lines, edges)
    rows = [row for pairs in found for row in _rows(name, pairs)]
    return Drawn(key, figure, COLUMNS, rows, caption)


def _rows(name: str, found: NeuronPairs) -> list[tuple[Cell, ...]]:
    neuron = found.neuron
    return [
        (
            name, neuron.layer, neuron.neuron, neuron.wd, rank, pair.pair, pair.position_1,
            pair.position_2, pair.token_1, pair.next_1, pair.token_2, pair.next_2,
            float(found.first[i]), float(found.second[i]), pair.input_distance,
            float(found.oi[i]),
        )
        for rank, i in enumerate(found.top(PAIRS))
        for pair in (found.pairs[i],)
    ]  # fmt: skip


def _lines(found: NeuronPairs, room: float) -> list[_Line]:
    neuron = found.neuron
    wd = "" if neuron.wd is None else f", WD {neuron.wd:.3f}"
    heading = f"neuron {neuron.layer}.{neuron.neuron}{wd}"
    lines = [_Line((heading,), bold=True), _Line(HEADINGS, rule=True)]
    for i in found.top(PAIRS):
        pair = found.pairs[i]
        texts = [
            _follow(pair.token_1, pair.next_1, room), _follow(pair.token_2, pair.next_2, room)
        ]  # fmt: skip
        numbers = (found.first[i], found.second[i], pair.input_distance, found.oi[i])
        lines.append(_Line((*texts, *(f"{number:.2f}" for number in numbers))))
    return lines


def _follow(token: str | None, following: str | None, room: float) -> str:
    """Return two tokens with an arrow between; the longer one gives way where room is short."""
    left = room - measure(ARROW, SMALL)
    first, second = show_token(token), show_token(following)
    a, b = measure(first, SMALL), measure(second, SMALL)
    if a + b > left:
        a = left - b if b < left / 2 else min(a, left / 2)
        first, second = shorten(first, a), shorten(second, left - a)
    return f"{first}{ARROW}{second}"


def _inner(width: float) -> float:
    return width * POINTS - 6.0


def _place(width: float) -> tuple[float, ...]:
    """Return where the columns stand, in shares: texts begin there, numbers end there."""
    number = NUMBER / _inner(width)
    tokens = (1.0 - 4 * number) / 2
    return (0.0, tokens, *(1.0 - i * number for i in (3, 2, 1, 0)))


def _write(axes: Axes, lines: Sequence[_Line], edges: Sequence[float]) -> None:
    axes.set_axis_off()
    axes.set_xlim(-0.01, 1.015)
    axes.set_ylim(len(lines), -0.6)
    for y, line in enumerate(lines):
        for x, (cell, edge) in enumerate(zip(line.cells, edges, strict=False)):
            axes.text(
                edge, y, show(cell), ha="left" if x < 2 else "right", va="center", fontsize=SMALL,
                fontweight="bold" if line.bold else "normal",
            )  # fmt: skip
        if line.rule:
            axes.axhline(y + 0.5, color="black", linewidth=0.5)
