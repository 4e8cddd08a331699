"""Figure 1a: how common and how strong Wasserstein neurons are in a layer (METHODS 7, 11)."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from matplotlib.axes import Axes

from analysis.dynamics import DRAWN, expected_maximum
from analysis.figures.drawing import (
    COLOURS,
    GREY,
    LINES,
    PALE,
    label_logs,
    make_figure,
    make_grid,
    show,
)
from analysis.figures.results import Cell, Drawn
from analysis.figures.subject import ANALYSE, CannotDrawError, Floats, Subject, label
from store.queries.figures import FigureRecording, list_metric

COLUMNS = ("recording", "model", "revision", "step", "population", "wd", "share_at_least")


@dataclass(frozen=True)
class _Curve:
    """WD of a layer of one recording, ascending, and of random directions on the same inputs."""

    recording: FigureRecording
    name: str
    neurons: Floats
    random: Floats

    def rows(self) -> list[tuple[Cell, ...]]:
        """Return the points of both curves."""
        r = self.recording
        return [
            (r.name, r.model, r.revision, r.step, population, float(wd), float(share))
            for population, values in (("neurons", self.neurons), ("random", self.random))
            for wd, share in zip(values, shares(values), strict=True)
        ]

    def describe(self) -> str:
        """Return what the caption says of the recording."""
        revision = "" if "@" in self.name else f" at {show(self.recording.revision)}"
        text = f"{self.name}{revision}: n = {self.neurons.size:,}"
        if self.random.size:
            p99 = float(np.percentile(self.random, 99))
            above = float(np.mean(self.neurons > p99))
            text += f", {above:.1%} above {p99:.3f}, the 99th percentile of random directions"
        if self.neurons.size >= DRAWN:
            highest = expected_maximum(self.neurons)
            text += f", expected maximum of {DRAWN:,} drawn {highest:.3f}"
        else:
            text += f", maximum {self.neurons[-1]:.3f}"
        return text


def shares(values: Floats) -> Floats:
    """Return for n ascending values the share of them that is no lower, in order of the values."""
    return (values.size - np.searchsorted(values, values, side="left")) / values.size


def draw_prevalence(subject: Subject) -> Drawn:
    """Draw the share of neurons with at least some WD, a curve a recording."""
    curves = _read(subject)
    # A gate's values and an ungated projection's are not the same thing: METHODS 1.
    panels = [list(g) for _, g in groupby(curves, key=lambda c: _branch(c.recording))]
    caption = (
        f"Share of the neurons of layer {subject.layer} with at least this WD. "
        f"{_explain_grey(curves)} {'; '.join(c.describe() for c in curves)}."
    )
    tall = 2.3 if subject.narrow else 2.8
    height = tall * (len(panels) if subject.narrow else 1)
    figure = make_figure(subject.width, height, caption)
    for axes, panel in zip(
        make_grid(figure, len(panels), 1 if subject.narrow else 2), panels, strict=True
    ):
        _draw(axes, panel)
        if len(panels) > 1:
            axes.set_title(_branch(panel[0].recording))
    rows = [row for curve in curves for row in curve.rows()]
    return Drawn("1a", figure, COLUMNS, rows, caption)


def _read(subject: Subject) -> list[_Curve]:
    curves = []
    for recording in sorted(subject.recordings, key=_branch):
        found = list_metric(subject.store.database, recording.id, subject.layer)
        neurons, random = (
            np.array([row.wd for row in found if row.population == name])
            for name in ("neurons", "random")
        )
        if neurons.size:
            name = show(label(recording, subject.recordings))
            curves.append(_Curve(recording, name, neurons, random))
    if not curves:
        raise CannotDrawError(f"no recording has a measured layer {subject.layer}; {ANALYSE}")
    return curves


def _branch(recording: FigureRecording) -> str:
    return f"gated, {recording.projection}" if recording.gated else "not gated"


def _explain_grey(curves: Sequence[_Curve]) -> str:
    counts = [c.random.size for c in curves if c.random.size]
    if not counts:
        return f"No random directions are measured: {ANALYSE}."
    n = " or ".join(f"{count:,}" for count in sorted(set(counts)))
    least = ", the lowest of the recordings'" if len(counts) > 1 else ""
    return (
        f"Grey: {n} random directions on the same inputs, shaded up to their 99th percentile"
        f"{least}."
    )


def _draw(axes: Axes, panel: Sequence[_Curve]) -> None:
    ends = [float(np.percentile(c.random, 99)) for c in panel if c.random.size]
    if ends:
        axes.axvspan(0.0, min(ends), color=PALE, alpha=0.6, linewidth=0)
    for i, curve in enumerate(panel):
        line = LINES[i % len(LINES)]
        if curve.random.size:
            axes.step(curve.random, shares(curve.random), color=GREY, linestyle=line, linewidth=0.9)
        axes.step(
            curve.neurons, shares(curve.neurons), color=COLOURS[i % len(COLOURS)], linestyle=line,
            label=curve.name,
        )  # fmt: skip
    axes.set_yscale("log")
    label_logs(axes.yaxis)
    axes.set_ylim(top=1.2)
    axes.set_xlim(left=0.0)
    axes.set_xlabel("WD (standard deviations)")
    axes.set_ylabel("share of neurons at or above")
    axes.legend(loc="upper right")
