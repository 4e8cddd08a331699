"""What a plan says to the user before costly work starts."""

from typing import TYPE_CHECKING

from tui.context import Context

if TYPE_CHECKING:
    from ingest.plan import CheckpointPlan, IngestPlan


def show_ingest(context: Context, plan: "IngestPlan") -> None:
    """Say what an ingest will do, its time and its disk; refuse what the disk cannot hold."""
    from ingest.estimate import check_disk, estimate

    for part in plan.checkpoints:
        context.say(_describe(part))
    for note in plan.notes:
        context.say(note)
    if plan.download:
        context.say(f"{format_bytes(plan.download)} of weights to download from the hub.")
    if not plan.todo:
        return
    found = estimate(plan, context.folder.expanduser().resolve())
    context.say(
        f"{plan.n_tokens:,} tokens to run, {format_bytes(found.n_bytes)} to write "
        f"({format_bytes(found.free)} free), about {format_seconds(found.seconds)}."
    )
    check_disk(found, context.folder)


def _describe(part: "CheckpointPlan") -> str:
    stream = part.text.stream
    if part.done:
        return f"{part.label}: {len(part.layers)} layers are recorded already."
    return (
        f"{part.label}: {len(part.missing)} of {len(part.layers)} layers x {part.model.d_mlp:,} "
        f"neurons, {stream.n_windows:,} windows of {stream.window_length:,} tokens, "
        f"{len(part.blocks)} of {part.form.n_blocks} blocks left."
    )


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
