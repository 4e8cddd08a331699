"""A neuron's card as one picture: metrics, both histograms, its pairs' scatter, its top pairs."""

from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from analysis.bars import share_posts
from analysis.card import Card, CardPair, Metric, read_scatter
from analysis.figures.drawing import COLOURS, show, styled
from store.recording import Recording

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, GREY, MARK = COLOURS[0], "#b0b0b0", COLOURS[1]
INCHES, DPI = (11.0, 8.5), 150
SMALL, NORMAL = 8.5, 10.0
WRITTEN = 4
"""Tokens shown of each side of what the neuron writes."""


def draw_card(recording: Recording, card: Card, path: Path) -> None:
    """Write the picture of a card as a PNG of 1,650 x 1,275 pixels."""
    with styled(), mpl.rc_context({"font.size": NORMAL, "axes.labelsize": NORMAL}):
        make_card(recording, card).savefig(path, format="png", dpi=DPI)


def make_card(recording: Recording, card: Card) -> Figure:
    """Return the picture of a card; made and saved while `styled`."""
    figure = Figure(figsize=INCHES, layout="constrained")
    figure.suptitle(show(f"Neuron {card.name} of {card.recording}"), fontsize=13)
    grid = figure.add_gridspec(3, 3, height_ratios=[1.0, 1.0, 1.2], width_ratios=[1.1, 1.3, 1.3])
    _write_metrics(figure.add_subplot(grid[:2, 0]), card)
    _draw_outputs(figure.add_subplot(grid[0, 1:]), card)
    _draw_posts(figure.add_subplot(grid[1, 1]), card)
    _draw_scatter(figure.add_subplot(grid[1, 2]), recording, card)
    _write_pairs(figure.add_subplot(grid[2, :]), card)
    return figure


def _write_metrics(axes: "Axes", card: Card) -> None:
    axes.axis("off")
    lines = [f"{card.n_tokens:,} tokens, {card.n_pairs:,} pairs"]
    if card.n_random:
        lines.append(f"%: of {card.n_random:,} random directions below")
    lines += ["", *(_metric(metric) for metric in card.metrics)]
    lines += _writes(card)
    axes.text(
        0.0, 1.0, "\n".join(lines), va="top", family="monospace", fontsize=SMALL,
        linespacing=1.45, transform=axes.transAxes,
    )  # fmt: skip


def _metric(metric: Metric) -> str:
    value = "-" if metric.value is None else f"{metric.value:.4g}"
    error = "" if metric.error is None else f" ±{metric.error:.2g}"
    below = "" if metric.below is None else f" {100 * metric.below:.1f}%"
    return f"{metric.name:<17} {value:>9}{error}{below}"


def _writes(card: Card) -> list[str]:
    both = zip(card.writes.raises[:WRITTEN], card.writes.lowers, strict=False)
    rows = [f"{_token(high.token):<17} {_token(low.token)}" for high, low in both]
    return ["", f"{'raises most':<17} lowers most", *rows] if rows else []


def _token(text: str) -> str:
    return f"[{_short(show(text))}]"


def _draw_outputs(axes: "Axes", card: Card) -> None:
    found = card.histograms
    counts = np.array(found.counts[1:-1], np.float64)
    edges = np.linspace(found.low, found.high, len(counts) + 1)
    axes.stairs(counts / max(card.n_tokens, 1), edges, fill=True, color=INK)
    there = np.flatnonzero(counts)
    if len(there) and found.low < found.high:
        axes.set_xlim(edges[there[0]], edges[there[-1] + 1])
    axes.axvline(0.0, color="black", linewidth=0.8, linestyle="--")
    beyond = found.counts[0] + found.counts[-1]
    axes.set_xlabel("pre-activation y" + (f" ({beyond:,} beyond 8 std)" if beyond else ""))
    axes.set_ylabel("share of tokens")


def _draw_posts(axes: "Axes", card: Card) -> None:
    """Draw the activation's outputs; on a root scale, as most are near 0."""
    low, high = card.metric("post_minimum").value, card.metric("post_maximum").value
    counts = np.array(card.histograms.post_counts, np.float64)
    if low is None or high is None or not counts.any():
        axes.axis("off")
        axes.text(0.5, 0.5, "no activation known", ha="center", transform=axes.transAxes)
        return
    for part, left, right in ((counts[:128], low, 0.0), (counts[129:], 0.0, high)):
        if part.any():
            edges = np.linspace(left, right, len(part) + 1)
            density = part / counts.sum() / (edges[1] - edges[0])
            axes.stairs(density, edges, fill=True, color=INK)
    below, at, above = share_posts(card)
    axes.set_yscale("symlog", linthresh=1e-2)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _place: f"{value:g}"))
    axes.set_ylim(bottom=0.0)
    axes.axvline(0.0, color="black", linewidth=0.8, linestyle="--")
    axes.set_xlabel("activation h")
    axes.set_ylabel("density")
    axes.set_title(
        f"{100 * below:.1f}% < 0, {100 * at:.1f}% = 0, {100 * above:.1f}% > 0", fontsize=SMALL
    )


def _draw_scatter(axes: "Axes", recording: Recording, card: Card) -> None:
    found = read_scatter(recording.layer(card.layer), card)
    rest = ~found.top
    axes.scatter(found.x[rest], found.y[rest], s=8, color=GREY, label="pairs")
    axes.scatter(
        found.x[found.top], found.y[found.top], s=26, color=MARK, marker="^", label="top pairs"
    )
    if found.slope is not None and len(found.y):
        top = float(found.y.max()) * 1.05
        end = min(1.0, top / found.slope) if found.slope else 1.0
        axes.plot(
            [0.0, end], [0.0, end * found.slope], "k--", linewidth=0.9, label="bound ||w|| dx"
        )
    axes.set_xlim(left=0.0)
    axes.set_ylim(bottom=0.0)
    axes.set_xlabel("input distance / largest")
    axes.set_ylabel("output distance / median")
    axes.legend(
        fontsize=7.5, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False,
        handletextpad=0.3, columnspacing=1.0, borderpad=0.0,
    )  # fmt: skip


def _write_pairs(axes: "Axes", card: Card) -> None:
    axes.axis("off")
    if not card.pairs:
        axes.text(0.0, 0.9, "No top pairs: the OI ratio is undefined.", fontsize=NORMAL)
        return
    rows = [_row(found) for found in card.pairs]
    table = axes.table(
        cellText=rows,
        colLabels=["oi", "[token 1] [next]", "[token 2] [next]", "y 1", "y 2", "input distance"],
        colWidths=[0.09, 0.28, 0.28, 0.1, 0.1, 0.15],
        cellLoc="left",
        colLoc="left",
        loc="upper center",
        edges="horizontal",
    )
    table.auto_set_font_size(False)
    table.set_fontsize(9.0)
    table.scale(1.0, 1.15)


def _row(found: CardPair) -> list[str]:
    pair = found.pair
    tokens = [
        f"{_token(context.token)}  {_token(context.next_token or '')}"
        for context in (found.first, found.second)
    ]
    distance, outputs = f"{pair.input_distance:.4g}", (pair.output_1, pair.output_2)
    return [f"{pair.oi:.4g}", *tokens, *(f"{output:.4g}" for output in outputs), distance]


def _short(text: str) -> str:
    return text if len(text) <= 14 else f"{text[:13]}…"
