"""Figures 2a and 2b: where a layer's top pairs are separated most, and how near their inputs are.

Each selection peaks at its own source by itself, so the split variant and the range of random
directions stand beside the paper's (METHODS 6).
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from analysis.figures.drawing import COLOURS, GREY, LINES, MARKERS, PALE, make_figure, show
from analysis.figures.results import Cell, Drawn
from analysis.figures.subject import ANALYSE, CannotDrawError, Floats, Subject
from store.queries.profiles import ProfileRow, list_profile

COLUMNS = tuple(field.name for field in fields(ProfileRow))
PAPER, SPLIT, RANDOM = "paper", "split", "random"
SOURCES = 4
STYLES = {PAPER: 0, SPLIT: 1}


@dataclass(frozen=True)
class _Profile:
    """The profile of one recording, and the layers that it leaves out."""

    rows: Sequence[ProfileRow]
    left_out: str

    def layers(self) -> list[int]:
        """Return the source layers, ascending."""
        return sorted({row.source_layer for row in self.rows})

    def matrix(self, variant: str) -> Floats:
        """Return oi_z (sources, layers); NaN where there is none."""
        places = {layer: i for i, layer in enumerate(self.layers())}
        found = np.full((len(places), len(places)), np.nan)
        for row in self.of(variant):
            if row.layer in places and row.oi_z is not None:
                found[places[row.source_layer], places[row.layer]] = row.oi_z
        return found

    def of(self, variant: str) -> list[ProfileRow]:
        """Return the rows of a variant."""
        return [row for row in self.rows if row.variant == variant]

    def source(self, variant: str, source: int) -> list[ProfileRow]:
        """Return the rows of a variant and source layer, by layer."""
        return [row for row in self.of(variant) if row.source_layer == source]

    def own(self, variant: str) -> list[ProfileRow]:
        """Return the rows of a variant where the pairs are measured in their own layer."""
        return [row for row in self.of(variant) if row.source_layer == row.layer]


def draw_profile(subject: Subject) -> Drawn:
    """Draw 2a: the OI z-score of every source layer's top pairs in every layer."""
    profile = _read(subject)
    caption = (
        "Top: mean OI z-score of the top pairs of each source layer in every layer; paper: chosen "
        "and measured by the same neurons; split: chosen on one half of the pairs, measured on the "
        "other by neurons that did not choose. Below: the same of some sources (dotted line); "
        "grey: 95 % of draws of random directions, whose own top pairs peak, too. Bars: standard "
        "error over bootstrap draws. "
        f"{_describe(subject, profile)}"
    )
    sources = _choose_sources(profile.layers())
    columns = 2 if subject.narrow else 4
    lines = -(-len(sources) // columns)
    maps = subject.width * (0.46 if subject.narrow else 0.3)
    figure = make_figure(subject.width, maps + 1.5 * lines + 0.35, caption)
    parts = figure.add_gridspec(2, 1, height_ratios=[maps, 1.5 * lines + 0.35])
    top, below = (figure.add_subfigure(parts[i]) for i in range(2))
    _draw_maps(top, profile)
    _draw_lines(below, profile, sources, columns)
    return Drawn("2a", figure, COLUMNS, _cells(profile.rows), caption)


def draw_distances(subject: Subject) -> Drawn:
    """Draw 2b: how much nearer than average the inputs of a layer's own top pairs are."""
    profile = _read(subject)
    caption = (
        "Mean z-score of the input distance of each layer's top pairs in that layer: below 0 they "
        "are nearer than the average pair. Grey: the mean for the top pairs of random directions. "
        "Bars: standard error over bootstrap "
        f"draws. {_describe(subject, profile)}"
    )
    figure = make_figure(subject.width, 2.2, caption)
    axes = figure.add_subplot()
    random = [row for row in profile.own(RANDOM) if row.distance_z is not None]
    axes.plot(
        [row.layer for row in random], [row.distance_z or 0.0 for row in random], color=GREY,
        linestyle=":", marker="_", label="random directions",
    )  # fmt: skip
    for variant in STYLES:
        rows = [row for row in profile.own(variant) if row.distance_z is not None]
        _draw_series(axes, variant, [(r.layer, r.distance_z, r.distance_z_sem) for r in rows])
    axes.axhline(0.0, color="black", linewidth=0.5)
    axes.set_xlabel("layer")
    axes.set_ylabel("z of input distance")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0), columnspacing=1.0)
    rows = [row for v in (PAPER, RANDOM, SPLIT) for row in profile.own(v)]
    return Drawn("2b", figure, COLUMNS, _cells(rows), caption)


def _read(subject: Subject) -> _Profile:
    rows = list_profile(subject.store.database, subject.recording.id)
    if not any(row.variant == PAPER for row in rows):
        raise CannotDrawError(
            f"no profile over layers of {subject.recording.name} is in the store; {ANALYSE}"
        )
    reasons = [f"{out.layer} ({out.reason})" for out in subject.left_out]
    text = f" Not comparable and left out: layer {', '.join(reasons)}." if reasons else ""
    return _Profile(rows, text)


def _describe(subject: Subject, profile: _Profile) -> str:
    counts = {v: sorted({row.n_pairs for row in profile.of(v)}) for v in (PAPER, SPLIT)}
    n = "; ".join(f"{v} n = {_range(found)}" for v, found in counts.items() if found)
    return f"{subject.recording.name}: {n} rows of pairs a source.{profile.left_out}"


def _range(counts: Sequence[int]) -> str:
    if counts[0] == counts[-1]:
        return f"{counts[0]:,}"
    return f"{counts[0]:,} to {counts[-1]:,}"


def _cells(rows: Sequence[ProfileRow]) -> list[tuple[Cell, ...]]:
    return [astuple(row) for row in rows]


def _choose_sources(layers: Sequence[int]) -> list[int]:
    """Return at most four layers, evenly spread."""
    places = np.linspace(0, len(layers) - 1, min(SOURCES, len(layers))).round().astype(int)
    return [layers[i] for i in places]


def _draw_maps(figure: SubFigure, profile: _Profile) -> None:
    variants = [v for v in STYLES if profile.of(v)]
    layers = profile.layers()
    axes = figure.subplots(1, len(variants), squeeze=False, sharey=True)[0]
    image: AxesImage | None = None
    # Not relative to the source: where the split variant is near 0 there, a quotient says nothing.
    highest = max(float(np.abs(np.nan_to_num(profile.matrix(v))).max()) for v in variants) or 1.0
    for i, (place, variant) in enumerate(zip(axes, variants, strict=True)):
        image = place.imshow(profile.matrix(variant), cmap="cividis", vmin=-highest, vmax=highest)
        place.set_title(variant)
        place.set_xlabel("layer")
        _name_layers(place, layers)
        if i == 0:
            place.set_ylabel("source layer")
    if image is not None:
        figure.colorbar(image, ax=list(axes), shrink=0.9, label="z of OI")


def _name_layers(axes: Axes, layers: Sequence[int]) -> None:
    step = -(-len(layers) // 6)
    places = list(range(0, len(layers), step))
    names = [str(layers[i]) for i in places]
    axes.set_xticks(places, names)
    axes.set_yticks(places, names)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _draw_lines(figure: SubFigure, profile: _Profile, sources: Sequence[int], columns: int) -> None:
    wide = min(len(sources), columns)
    grid = figure.subplots(-(-len(sources) // wide), wide, squeeze=False, sharey=True)
    places = list(grid.ravel())
    for axes, source in zip(places, sources, strict=False):
        _draw_source(axes, profile, source)
    for axes in places[len(sources) :]:
        axes.set_visible(False)
    for row in grid:
        row[0].set_ylabel("z of OI")
    handles, names = places[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=3, columnspacing=1.0)


def _draw_source(axes: Axes, profile: _Profile, source: int) -> None:
    band = [r for r in profile.source(RANDOM, source) if r.low is not None and r.high is not None]
    axes.fill_between(
        [row.layer for row in band], [row.low or 0.0 for row in band],
        [row.high or 0.0 for row in band], color=PALE, linewidth=0, label="random, 95 %",
    )  # fmt: skip
    for variant in STYLES:
        rows = profile.source(variant, source)
        _draw_series(axes, variant, [(r.layer, r.oi_z, r.oi_z_sem) for r in rows])
    axes.axhline(0.0, color="black", linewidth=0.4)
    axes.axvline(source, color=GREY, linewidth=0.8, linestyle=":")
    axes.set_title(f"source {source}")
    axes.set_xlabel("layer")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))


def _draw_series(
    axes: Axes, variant: str, points: Sequence[tuple[int, float | None, float | None]]
) -> None:
    known = [(layer, z, sem or 0.0) for layer, z, sem in points if z is not None]
    if not known:
        return
    layers, z, sem = zip(*known, strict=True)
    i = STYLES[variant]
    axes.errorbar(
        layers, z, yerr=sem, color=COLOURS[i], linestyle=LINES[i], marker=MARKERS[i],
        label=show(variant), elinewidth=0.6, markersize=3.0 if len(layers) < 12 else 2.0,
    )  # fmt: skip
