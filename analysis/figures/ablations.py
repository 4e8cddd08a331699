"""Figure 4e: what it costs to take the negative side of neurons away (METHODS 8).

One chart a recording, so gated and ungated models never share one. Stars come from stored rank
tests of planned runs alone, after Holm over the percentages of the plan.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import (
    FuncFormatter,
    LogLocator,
    NullFormatter,
    NullLocator,
    SymmetricalLogLocator,
)

from analysis.ablation.comparisons import OTHERS, Arm, Comparison, read_comparisons, show_stars
from analysis.ablation.identity import BOTTOM, CHOSEN, DOSE, EFFECT, NORM, RANDOM
from analysis.ablation.units import PLURALS
from analysis.figures.drawing import COLOURS, GREY, MARKERS, SMALL, label_logs, make_figure, show
from analysis.figures.results import Cell, Drawn
from analysis.figures.subject import CannotDrawError, Subject
from store.queries.ablations import AblationTest, list_runs

COLUMNS = (
    "recording", "text", "intervention", "arm", "percent", "n_neurons", "runs", "increase",
    "sem_text", "sem_draws", "unit", "n_units", "dose", "perplexity", "p_rank", "p_rank_holm",
    "p_text", "p_text_holm", "planned", "stars",
)  # fmt: skip
MAIN = "clamp-negative"
WHITE = "#ffffff"
STYLES = {
    CHOSEN: (COLOURS[0], MARKERS[0], ""),
    RANDOM: (GREY, MARKERS[1], ""),
    OTHERS: (GREY, "d", "////"),
    BOTTOM: (COLOURS[5], MARKERS[2], "////"),
    DOSE: (COLOURS[4], MARKERS[3], "...."),
    NORM: (COLOURS[2], MARKERS[4], "xxxx"),
    EFFECT: (COLOURS[3], MARKERS[5], "\\\\\\\\"),
    "negative-mean": (WHITE, "<", ""),
    "negative-shuffle": (WHITE, ">", "----"),
}
"""Colour, marker and hatching of the bars, in their order."""
FURTHER = ("*", "X", "h", "p", "8", "d", "H")
"""Markers of other interventions, which have a point but no bar."""
LINEAR = 0.01
"""Nats up to which the axis of the right panel is linear, so that it can pass 0."""

SHORT = {"wd": "WD", "md": "MD"}
CROWDED = 500.0
"""A range of doses with room for the labels of powers of ten alone."""


@dataclass(frozen=True)
class _Bar:
    """One arm of one comparison; `name` is chosen, or what the arm is to the chosen run."""

    comparison: Comparison
    arm: Arm

    @property
    def name(self) -> str:
        return self.arm.name

    @property
    def stars(self) -> str:
        return show_stars(self.comparison.rank) if self.name == CHOSEN else ""

    def row(self) -> tuple[Cell, ...]:
        """Return the row of the .csv."""
        run, arm, own = self.arm.trials[0].run, self.arm, self.name == CHOSEN
        rank, text = (self.comparison.rank, self.comparison.text) if own else (None, None)
        return (
            run.recording, run.text, run.intervention, self.name,
            self.comparison.chosen.run.percent, run.n_neurons, len(arm.trials), arm.increase,
            arm.sem_text, arm.sem_draws, self.comparison.unit, self.comparison.n_units, arm.dose,
            arm.perplexity, *_both(rank), *_both(text), int(run.plan_id is not None), self.stars,
        )  # fmt: skip


def draw_ablations(subject: Subject) -> Drawn:
    """Draw 4e: the increase of the loss by percentage and arm, and the same against the dose."""
    found = read_comparisons(subject.store.database, subject.recording.id)
    if not found:
        raise CannotDrawError("no ablation has been run")
    shown = choose_shown(found)
    bars = [bar for comparison in shown for bar in _list_bars(comparison)]
    drawn = {trial.run.id for bar in bars for trial in bar.arm.trials}
    left_out = sum(c.chosen.run.id not in drawn for c in found)
    caption = _describe(shown, bars, left_out)
    figure = make_figure(subject.width, 5.0 if subject.narrow else 3.0, caption)
    shape = (2, 1) if subject.narrow else (1, 2)
    grid = figure.add_gridspec(*shape, width_ratios=None if subject.narrow else (1.5, 1.0))
    _draw_bars(figure.add_subplot(grid[0]), shown, bars)
    _draw_doses(figure.add_subplot(grid[1]), bars)
    _draw_legend(figure, bars, 3 if subject.narrow else 6)
    return Drawn("4e", figure, COLUMNS, [bar.row() for bar in bars], caption)


def has_ablations(subject: Subject) -> bool:
    """Say whether any of the recordings has a run."""
    return any(list_runs(subject.store.database, r.id) for r in subject.recordings)


def choose_shown(found: Sequence[Comparison]) -> list[Comparison]:
    """Return the comparisons of one chart, by percentage: one text, choice and intervention.

    Of several the one that clamps everywhere and has most runs, then the oldest.
    """
    groups: dict[tuple[object, ...], list[Comparison]] = {}
    for c in found:
        run = c.chosen.run
        rule = json.dumps(dict(c.rule), sort_keys=True)
        groups.setdefault((run.baseline_id, run.where_kind, rule, run.intervention), []).append(c)
    chosen = max(groups.values(), key=_weight)
    return sorted(chosen, key=lambda c: c.chosen.run.percent or 0.0)


def _weight(group: Sequence[Comparison]) -> tuple[bool, bool, int]:
    run = group[0].chosen.run
    runs = sum(1 + len(c.random.trials if c.random else ()) for c in group)
    return run.where_kind is None, run.intervention == MAIN, runs


def _list_bars(comparison: Comparison) -> list[_Bar]:
    arms = [Arm(CHOSEN, (comparison.chosen,)), *comparison.controls.values()]
    if comparison.random:
        arms.append(comparison.random)
    order = [*STYLES, *sorted(a.name for a in arms if a.name not in STYLES)]
    return [_Bar(comparison, arm) for arm in sorted(arms, key=lambda a: order.index(a.name))]


def _both(test: AblationTest | None) -> tuple[Cell, Cell]:
    return (None, None) if test is None else (test.p, test.p_holm)


def _draw_bars(axes: Axes, shown: Sequence[Comparison], bars: Sequence[_Bar]) -> None:
    start, ticks = 0.0, []
    for comparison in shown:
        group = [b for b in bars if b.comparison is comparison and b.name in STYLES]
        for place, bar in enumerate(group):
            _draw_bar(axes, start + place, bar)
        ticks.append(start + (len(group) - 1) / 2)
        start += len(group) + 1.2
    axes.axhline(0.0, color="#000000", linewidth=0.6)
    axes.set_xticks(ticks, [_percent(c) for c in shown])
    axes.tick_params(axis="x", length=0)
    axes.margins(y=0.1)
    axes.set_xlabel("neurons of each layer")
    axes.set_ylabel("increase (nats a token)")


def _draw_bar(axes: Axes, place: float, bar: _Bar) -> None:
    colour, _, hatch = STYLES[bar.name]
    height, error, spread = bar.arm.increase, bar.arm.sem_text or 0.0, bar.arm.sem_draws or 0.0
    axes.bar(place, height, 0.9, color=colour, hatch=hatch, edgecolor="#333333", linewidth=0.5)
    if error:
        axes.errorbar(
            place - 0.15 * (spread > 0), height, error, fmt="none", ecolor="#000000",
            elinewidth=0.7, capsize=1.5, capthick=0.7,
        )  # fmt: skip
    if spread:
        axes.errorbar(place + 0.2, height, spread, fmt="none", ecolor=COLOURS[1], elinewidth=1.6)
    if bar.stars:
        top = max(height, 0.0) + error
        axes.annotate(
            bar.stars, (place, top), (0, 1), textcoords="offset points", ha="center", va="bottom"
        )


def _draw_doses(axes: Axes, bars: Sequence[_Bar]) -> None:
    styles = _find_styles(bars)
    for bar in bars:
        if bar.arm.dose:
            colour, marker, _ = styles[bar.name]
            axes.errorbar(
                bar.arm.dose, bar.arm.increase, bar.arm.sem_text, marker=marker, color="#333333",
                markerfacecolor=colour, markeredgewidth=0.5, markersize=4.5, linestyle="none",
                elinewidth=0.6,
            )  # fmt: skip
    for name in (CHOSEN, RANDOM):
        line = [(b.arm.dose, b.arm.increase) for b in bars if b.name == name and b.arm.dose]
        axes.plot(*zip(*line, strict=True), color=STYLES[name][0], linewidth=0.8, zorder=1)
    _scale_doses(axes, [b.arm.dose for b in bars if b.arm.dose])
    lowest = min(b.arm.increase - (b.arm.sem_text or 0.0) for b in bars)
    highest = max(b.arm.increase + (b.arm.sem_text or 0.0) for b in bars)
    axes.set_yscale("symlog", linthresh=LINEAR)
    axes.set_ylim(min(-0.3 * LINEAR, 2 * lowest), max(LINEAR, 2 * highest))
    axes.yaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=LINEAR, subs=(1.0, 3.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _place: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.axhline(0.0, color="#000000", linewidth=0.6)
    axes.set_xlabel("dose")
    axes.set_ylabel("increase (nats a token)")


def _scale_doses(axes: Axes, doses: Sequence[float]) -> None:
    low, high = min(doses, default=1e-3) / 2, max(doses, default=1e-1) * 2
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    label_logs(axes.xaxis)
    if high / low > CROWDED:
        axes.xaxis.set_major_locator(LogLocator(numticks=6))
    axes.xaxis.set_minor_locator(NullLocator())


def _find_styles(bars: Sequence[_Bar]) -> dict[str, tuple[str, str, str]]:
    """Return the style of every name among the bars, those with a bar first."""
    names = {b.name for b in bars}
    others = sorted(names - set(STYLES))
    styles = {name: style for name, style in STYLES.items() if name in names}
    return styles | {n: (WHITE, FURTHER[i % len(FURTHER)], "") for i, n in enumerate(others)}


def _draw_legend(figure: Figure, bars: Sequence[_Bar], columns: int) -> None:
    handles: list[object] = []
    names = []
    for name, (colour, marker, hatch) in _find_styles(bars).items():
        point = Line2D(
            [], [], color="#333333", markerfacecolor=colour, marker=marker, linestyle="none",
            markeredgewidth=0.5, markersize=4.5,
        )  # fmt: skip
        patch = Patch(facecolor=colour, hatch=hatch, edgecolor="#333333", linewidth=0.5)
        handles.append((patch, point) if name in STYLES else (point,))
        names.append(name)
    figure.legend(
        # The stubs know no pairs, which stand side by side.
        cast("list[Artist]", handles), names, loc="outside upper left",
        ncols=min(columns, len(names)), handler_map={tuple: HandlerTuple(ndivide=None, pad=0.4)},
        fontsize=SMALL, handlelength=2.6, columnspacing=1.2,
    )  # fmt: skip


def _percent(comparison: Comparison) -> str:
    run = comparison.chosen.run
    return f"{run.n_neurons or 0:,} by SQL" if run.percent is None else f"{run.percent:g} %"


def _describe(shown: Sequence[Comparison], bars: Sequence[_Bar], left_out: int) -> str:
    first = shown[0]
    run, n = first.chosen.run, first.n_units
    parts = [
        f"{show(run.recording)}, loss on {show(run.text)} ({run.n_predicted:,} predicted tokens, "
        f"{n:,} {_units(first, n)}): increase over the model as it is (perplexity "
        f"{first.base_perplexity:.2f}) by {run.intervention}{_where(first)} of {_choice(first)}.",
        f"Black: paired standard error over {_units(first)}.",
        _describe_random(shown),
        "Dose: squared change of the MLPs' output over its square.",
        _describe_stars(shown),
        *(_describe_one(c) for c in shown),
    ]
    if any(not bar.arm.dose for bar in bars):
        parts.append("What has no dose has no point.")
    if left_out:
        parts.append(f"Chosen runs of other kinds or on other texts, not shown: {left_out}.")
    return " ".join(part for part in parts if part)


def _units(comparison: Comparison, n: int = 2) -> str:
    return comparison.unit if n == 1 else PLURALS[comparison.unit]


def _where(comparison: Comparison) -> str:
    kind = comparison.chosen.run.where_kind
    return f" at {kind} tokens" if kind else ""


def _choice(comparison: Comparison) -> str:
    metric, side = comparison.rule.get("metric"), comparison.rule.get("side")
    if metric is None:
        return "neurons chosen by SQL"
    end = "lowest" if side == "bottom" else "highest"
    return f"the neurons of {end} {SHORT.get(str(metric), metric)} of each layer"


def _describe_random(shown: Sequence[Comparison]) -> str:
    counts = [len(c.random.trials) for c in shown if c.random]
    if not counts:
        return "No random sets were run."
    spread = "; orange: standard error over them" if max(counts) > 1 else ""
    sets = "1 set" if counts == [1] else f"{' / '.join(f'{n:,}' for n in counts)} sets"
    return f"Random: mean of {sets} of the same size in each layer{spread}."


def _describe_stars(shown: Sequence[Comparison]) -> str:
    ranks = [c.rank for c in shown if c.rank is not None]
    if not ranks:
        return "Not tested against random sets."
    text = "p: of the rank among random sets, at least 1/(sets + 1), and of a sign-flip over text"
    if not any(rank.planned for rank in ranks):
        return f"{text}; no stars, as the tests were not planned before the runs."
    return (
        f"{text}; in brackets adjusted by Holm over the planned percentages. Stars: the adjusted p "
        "of the rank is at most 0.05 (*), 0.01 (**), 0.001 (***)."
    )


def _describe_one(comparison: Comparison) -> str:
    """Return the tests of one percentage, and how much of its increase is lost information."""
    facts = [_describe_p(test) for test in (comparison.rank, comparison.text) if test is not None]
    share = comparison.information_share
    if share is not None:
        facts.append(f"information_share {share:.2g}")
    if EFFECT in comparison.controls:
        facts.append(_describe_effect(comparison.controls[EFFECT], comparison.chosen.increase))
    return f"{_percent(comparison)}: {', '.join(facts)}." if facts else ""


def _describe_effect(arm: Arm, increase: float) -> str:
    run = arm.trials[0].run
    gap = f", {arm.increase / increase - 1:+.1%} off" if increase else ""
    return f"effect matched by {run.n_neurons or 0:,} neurons{gap}"


def _describe_p(test: AblationTest) -> str:
    name = "rank" if test.test == "rank" else "text"
    if test.p is None:
        return f"{name} {test.reason or 'no p'}"
    return f"{name} {test.p:.2g}" + ("" if test.p_holm is None else f" ({test.p_holm:.2g})")
