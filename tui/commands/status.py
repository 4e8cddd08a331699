"""negspace status."""

from typing import TYPE_CHECKING

import click

from store.printable import printable
from tui.context import Context, common_options, pass_context
from tui.plans import format_bytes

if TYPE_CHECKING:
    from store.queries.status import JobStatus
    from store.store import Store


SHORT_HASH = 12


@click.command("status")
@click.option(
    "--jobs",
    type=click.IntRange(min=0),
    default=5,
    show_default=True,
    metavar="N",
    help="Newest jobs to list.",
)
@click.option("--checkpoints", is_flag=True, help="List the checkpoints instead.")
@common_options
@pass_context
def command(context: Context, jobs: int, checkpoints: bool) -> None:
    """List models, recordings, their size on disk and state, and the newest jobs."""  # fmt: skip
    store = context.open()
    click.echo(f"Store {printable(str(store.folder))}")
    if checkpoints:
        _list_checkpoints(store)
        return
    _list_models(store)
    _list_recordings(store)
    _list_bare_copies(store)
    if jobs:
        _list_jobs(store, jobs)
    database = store.database.path.stat().st_size
    click.echo(f"Database {format_bytes(database)}.")


def _list_models(store: "Store") -> None:
    from store.queries.status import list_models
    from tui.listing import write_listing

    write_listing(
        "Models",
        ("model", "family", "layers", "neurons", "activation", "parameters", "checkpoints"),
        [
            (m.model, m.family, m.layers, m.neurons, m.activation, m.parameters, m.checkpoints)
            for m in list_models(store.database)
        ],
        "none yet: `negspace ingest MODEL CORPUS` records one, `negspace demo` makes some",
    )


def _list_recordings(store: "Store") -> None:
    from store.queries.status import list_recording_status
    from tui.listing import write_listing

    recordings = list_recording_status(store.database)
    write_listing(
        "Recordings",
        ("recording", "dtype", "tokens", "layers", "complete", "analysed", "size"),
        [
            (r.recording, r.dtype, r.tokens, r.layers, r.complete, r.analysed,
             format_bytes(r.n_bytes))
            for r in recordings
        ],
        "none yet",
    )  # fmt: skip
    click.echo(f"Arrays {format_bytes(sum(r.n_bytes for r in recordings))}.")


def _list_bare_copies(store: "Store") -> None:
    from store.queries.copies import list_bare_copies
    from tui.listing import write_listing

    bare = list_bare_copies(store.database)
    if bare:
        write_listing(
            "Copies without arrays (`negspace copy` brings them)",
            ("recording", "arrays are in", "named there"),
            [(r.recording, r.copied_from, r.copied_name) for r in bare],
            "none",
        )


def _list_jobs(store: "Store", limit: int) -> None:
    from store.queries.status import list_jobs
    from tui.listing import write_listing

    write_listing(
        "Jobs",
        ("id", "kind", "state", "done", "total", "started (UTC)", "command"),
        [
            (j.id, j.kind, _state(store, j), j.done, j.total, _minute(j.started_at),
             j.command)
            for j in list_jobs(store.database, limit)
        ],
        "none yet",
    )  # fmt: skip


def _list_checkpoints(store: "Store") -> None:
    """List what the store knows of each checkpoint; `same as` is whose recordings it has."""
    from store.queries.status import list_checkpoints
    from tui.listing import write_listing

    write_listing(
        "Checkpoints",
        ("model", "revision", "step", "state", "same as", "parameters", "weights", "recordings"),
        [
            (c.model, c.revision, c.step, c.state, c.same_as, c.parameters,
             c.weights_hash and c.weights_hash[:SHORT_HASH], c.recordings)
            for c in list_checkpoints(store.database)
        ],
        "none yet",
    )  # fmt: skip


def _minute(time: str) -> str:
    return time[:16].replace("T", " ")


def _state(store: "Store", job: "JobStatus") -> str:
    """Return the state of a job; one that runs by its row but has no process is lost."""
    from store.liveness import is_lost

    return "lost" if is_lost(store, job.id, job.state, job.host) else job.state
