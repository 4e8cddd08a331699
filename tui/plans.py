"""What a plan says to the user before costly or destructive work.

Before the work it is a note on stderr; of a dry run it is what was asked for: on stdout, and not
silenced by --quiet.
"""

import io
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from store.printable import printable
from store.readonly import QueryResult
from tui.context import Context
from tui.table import write_table

if TYPE_CHECKING:
    from analysis.ablation.costs import Cost
    from analysis.ablation.effects import Effect
    from analysis.ablation.sweep import Sweep
    from analysis.pair_mining import PairsPlan
    from analysis.run import AnalysisPlan
    from analysis.scores_only import ScoresPlan
    from analysis.weight_changes import ChangesPlan
    from ingest.plan import CheckpointPlan, IngestPlan
    from store.copying import CopyPlan
    from store.queries.dynamics import Interval


def show_lines(context: Context, lines: Sequence[str], *, dry_run: bool) -> None:
    """Show lines of a plan where they belong."""
    for line in lines:
        if dry_run:
            click.echo(printable(line))
        else:
            context.say(line)


def show_ingest(
    context: Context, plan: "IngestPlan", scores: "ScoresPlan | None", *, dry_run: bool
) -> None:
    """Say what an ingest will do, its time and its disk; refuse what the disk cannot hold.

    `scores` is how it is done where only scores are kept.
    """
    from analysis.scores_only import check_room
    from ingest.estimate import check_disk, estimate

    lines = [*map(_describe_checkpoint, plan.checkpoints), *plan.notes]
    if plan.download:
        lines.append(f"{format_bytes(plan.download)} of weights to download from the hub.")
    show_lines(context, lines, dry_run=dry_run)
    if not plan.todo:
        return
    work = scores.passes if scores else plan
    found = estimate(work, context.folder.expanduser().resolve())
    total = (
        f"{work.n_tokens:,} tokens to run, {format_bytes(found.n_bytes)} to write "
        f"({format_bytes(found.free)} free), about {format_seconds(found.seconds)}."
    )
    show_lines(context, [*_describe_scores(scores), total], dry_run=dry_run)
    if scores:
        check_room(scores, context.folder)
    else:
        check_disk(found, context.folder)


def _describe_scores(plan: "ScoresPlan | None") -> list[str]:
    if plan is None or not plan.passes.checkpoints:
        return []
    return [
        f"Only scores are kept: as many passes over the text as groups of layers, "
        f"{len(plan.passes.checkpoints)} of at most {plan.most_layers} layers; at most "
        f"{format_bytes(plan.peak)} on disk at a time, {format_bytes(plan.final)} at the end."
    ]


def _describe_checkpoint(part: "CheckpointPlan") -> str:
    stream = part.text.stream
    if part.done:
        return f"{part.label}: {len(part.layers)} layers are recorded already."
    left = len(part.undropped)
    begun = f", {left} layers left to measure and drop" if left else ""
    return (
        f"{part.label}: {len(part.missing)} of {len(part.layers)} layers x {part.model.d_mlp:,} "
        f"neurons, {stream.n_windows:,} windows of {stream.window_length:,} tokens, "
        f"{len(part.blocks)} of {part.form.n_blocks} blocks left{begun}."
    )


def show_analysis(context: Context, plan: "AnalysisPlan", *, dry_run: bool) -> None:
    """Say what an analysis will measure, and which recordings are not complete."""
    lines = []
    for name in dict.fromkeys(row.name for row, _ in plan.incomplete):
        layers = ", ".join(str(layer) for row, layer in plan.incomplete if row.name == name)
        lines.append(f"{name} is not complete (layers {layers}); run its ingest, or copy, again.")
    for name in dict.fromkeys(row.name for row, _ in plan.dropped):
        layers = ", ".join(str(layer) for row, layer in plan.dropped if row.name == name)
        lines.append(
            f"{name} keeps scores only, so what is new in these analyses needs a new recording "
            f"(layers {layers}): `negspace remove` it and run its ingest again, or --keep all."
        )
    lines += [_describe_equal(interval) for interval in plan.weights.equal]
    lines += _describe_unread(plan.weights)
    lines += plan.seeds.notes
    if plan.seeds.layers:
        lines.append(f"{len(plan.seeds.layers)} layers left to measure by further pair sets.")
    lines.append(f"{len(plan.layers)} layers, {plan.n_neurons:,} neurons left to analyse.")
    if plan.weights.changes:
        left = len(plan.weights.changes)
        lines.append(f"{left} changes of a layer's weights between checkpoints left to measure.")
    show_lines(context, lines, dry_run=dry_run)


def _describe_equal(interval: "Interval") -> str:
    first, second = interval.first, interval.second
    return (
        f"{first.model}: {first.revision} and {second.revision} have equal weights, so no change "
        "between them is measured."
    )


def _describe_unread(plan: "ChangesPlan") -> list[str]:
    lines = []
    for interval, reason in dict.fromkeys(
        (interval, reason) for interval, _, reason in plan.unread
    ):
        layers = [str(at) for i, at, why in plan.unread if (i, why) == (interval, reason)]
        first, second = interval.first, interval.second
        lines.append(
            f"{first.model}: the change from {first.revision} to {second.revision} is not measured "
            f"(layers {', '.join(layers)}), because weights were not kept and {reason}."
        )
    return lines


def show_pairs(context: Context, plan: "PairsPlan", *, dry_run: bool) -> None:
    """Say how many pairs of how many neurons a search looks at, and its time."""
    line = (
        f"{plan.layer.recording.name} layer {plan.layer.row.layer}: {plan.n_pairs:,} pairs of "
        f"{len(plan.positions):,} positions, {len(plan.neurons)} neurons, about "
        f"{format_seconds(plan.seconds)}."
    )
    show_lines(context, [line], dry_run=dry_run)


def show_sweep(context: Context, sweep: "Sweep", cost: "Cost", *, dry_run: bool) -> None:
    """Say what a sweep will run, on which text, and its time."""
    from analysis.ablation.units import PLURALS

    stream = sweep.text.stream
    arms = Counter(run.arm for run in sweep.runs)
    lines = [
        f"{sweep.recording.name} on {sweep.text.corpus.name}: {stream.n_windows:,} windows of "
        f"{stream.window_length:,} tokens, tested over {PLURALS[sweep.text.unit]}.",
        f"Runs: {', '.join(f'{count} {arm}' for arm, count in arms.items())}"
        f"{', effect being a search of up to 12' if sweep.searches else ''}.",
        *stream.notes,
    ]
    if cost.n_evaluations == 0:
        lines.append("All of them are in the store: 0 forward passes.")
    else:
        most = "at most " if cost.searched else ""
        lines.append(
            f"{cost.n_found} in the store, {most}{cost.runs} left: {most}{cost.n_passes:,} forward "
            f"passes, {cost.n_tokens:,} tokens, about {format_seconds(cost.seconds)}."
        )
    show_lines(context, lines, dry_run=dry_run)


def show_effect(context: Context, heading: str, effect: "Effect") -> None:
    """Show on stderr where the loss changes, by kind of token."""
    from analysis.ablation.effects import COLUMNS

    text = io.StringIO()
    write_table(QueryResult(COLUMNS, list(effect.rows), truncated=False), text)
    parts = [f"{effect.increase:+.4g} nats a token"]
    if effect.per_position is not None:
        parts.append(f"{effect.per_position:+.4g} a position at which it acts")
    if effect.per_dose is not None:
        parts.append(f"{effect.per_dose:+.4g} per unit of dose")
    show_lines(context, [f"{heading}: {', '.join(parts)}."], dry_run=False)
    for line in text.getvalue().splitlines():
        context.say(line)


def show_copy(context: Context, plan: "CopyPlan", *, dry_run: bool) -> None:
    """Say what a copy will bring, and what it leaves out of what the target lacks."""
    lines = []
    for part in plan.recordings:
        left = f", {format_bytes(part.left_out)} left out" if part.left_out else ""
        what = f"{len(part.files):,} files, {format_bytes(part.n_bytes)} to copy{left}"
        lines.append(f"{part.row.name}: {what}.")
    lines.append(
        f"{format_bytes(plan.n_bytes)} of files and about {format_bytes(plan.row_bytes)} of rows "
        f"to {plan.folder} ({format_bytes(plan.free)} free)."
    )
    show_lines(context, lines, dry_run=dry_run)


def format_bytes(count: float) -> str:
    """Return bytes in a unit that a person reads: 950 B, 1.2 MB, 113 GB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} TB"


def format_seconds(seconds: float) -> str:
    """Return a duration that a person reads: 12 s, 3 min, 2.5 h."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
