"""Figure 1b: how far the weights of Wasserstein neurons move in training (METHODS 7)."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from analysis.dynamics import COHORT, RANDOM_COHORTS, Dynamics, read_dynamics
from analysis.figures.drawing import (
    COLOURS,
    GREY,
    LINES,
    MARKERS,
    PALE,
    make_figure,
    make_grid,
    show,
)
from analysis.figures.results import Cell, Drawn
from analysis.figures.subject import ANALYSE, CannotDrawError, Subject
from store.queries.dynamics import Interval, Step, list_steps

FEWEST_CHECKPOINTS = 2
COLUMNS = (
    "model", "layer", "from_step", "to_step", "top_at_last", "top_at_half", "random_median",
    "random_low", "random_high",
)  # fmt: skip


@dataclass(frozen=True)
class _Course:
    """The changes of one model's layer."""

    model: str
    layer: int
    found: Dynamics

    def rows(self) -> list[tuple[Cell, ...]]:
        """Return a row an interval."""
        return [
            (
                self.model, self.layer, c.interval.first.step, c.interval.second.step, c.cohort,
                c.half, c.median, c.low, c.high,
            )
            for c in self.found.changes
        ]  # fmt: skip

    def notes(self) -> str:
        """Return what the caption says of the model: what is left out, and why."""
        found = self.found
        parts = [f"{_steps(found.changes[0].interval)} steps apart", f"half way {_at(found.half)}"]
        for intervals, reason in (
            (found.equal, "equal weights, so nothing to draw"),
            (found.other, "another length"),
            (found.unmeasured, "not measured"),
        ):
            if intervals:
                parts.append(f"left out: {', '.join(map(_name, intervals))} ({reason})")
        return f"{show(self.model)}: {'; '.join(parts)}."


def draw_changes(subject: Subject) -> Drawn:
    """Draw the mean weight change of the ten neurons of highest WD against random cohorts."""
    courses = _read(subject)
    caption = (
        f"Mean weight change ||w' - w|| of {COHORT} neurons of layer {subject.layer} between "
        "successive recorded steps, at the later one. Top ten: those of highest WD at the last "
        "step, which looks ahead, and at half way. Grey: median and 95 % of "
        f"{RANDOM_COHORTS:,} random cohorts of ten. " + " ".join(c.notes() for c in courses)
    )
    columns = 1 if subject.narrow else 2
    tall = -(-len(courses) // columns) * (2.0 if subject.narrow else 2.5)
    figure = make_figure(subject.width, tall, caption)
    for axes, course in zip(make_grid(figure, len(courses), columns), courses, strict=True):
        _draw(axes, course)
    rows = [row for course in courses for row in course.rows()]
    return Drawn("1b", figure, COLUMNS, rows, caption)


def _read(subject: Subject) -> list[_Course]:
    database, layer = subject.store.database, subject.layer
    branches = {(r.model, r.projection): None for r in subject.recordings}
    found = [
        _Course(model, layer, read_dynamics(database, model, layer, projection))
        for model, projection in branches
    ]
    if not any(course.found.changes for course in found):
        raise CannotDrawError(_explain(list_steps(database), list(branches), found))
    return [course for course in found if course.found.changes]


def _explain(
    steps: Sequence[Step], branches: Sequence[tuple[str, str]], found: Sequence[_Course]
) -> str:
    layer = found[0].layer
    counts = [sum((s.model, s.projection) == branch for s in steps) for branch in branches]
    if max(counts) < FEWEST_CHECKPOINTS:
        return "fewer than two checkpoints of a model, with a step each, are recorded"
    if any(course.found.unmeasured for course in found):
        return f"no weight changes of layer {layer} are measured; {ANALYSE}"
    return f"the recorded checkpoints have equal weights in layer {layer}"


def _name(interval: Interval) -> str:
    return f"{interval.first.step:,} to {interval.second.step:,}"


def _steps(interval: Interval) -> str:
    return f"{interval.steps:,}"


def _at(step: Step | None) -> str:
    return "unknown" if step is None else f"is step {step.step:,}"


def _draw(axes: Axes, course: _Course) -> None:
    changes = course.found.changes
    steps = [c.interval.second.step for c in changes]
    low, median, high = ([getattr(c, name) for c in changes] for name in ("low", "median", "high"))
    middle = [(b + a) / 2 for a, b in zip(low, high, strict=True)]
    reach = [(b - a) / 2 for a, b in zip(low, high, strict=True)]
    # Whiskers as well as a band: a model of two checkpoints has one interval, and no band.
    axes.errorbar(steps, middle, yerr=reach, fmt="none", ecolor=GREY, elinewidth=0.8, capsize=2)
    axes.fill_between(steps, low, high, color=PALE, linewidth=0)
    axes.plot(steps, median, color=GREY, marker="_", label="random ten")
    for i, (name, values) in enumerate(
        (("top ten at last", [c.cohort for c in changes]),
         ("top ten at half", [c.half for c in changes]))
    ):  # fmt: skip
        axes.plot(
            steps, values, color=COLOURS[i], linestyle=LINES[i], marker=MARKERS[i], label=name
        )
    axes.set_title(show(course.model))
    axes.set_xlabel("training step")
    axes.set_ylabel("weight change (L2)")
    axes.set_ylim(bottom=0.0)
    axes.legend(loc="best")
