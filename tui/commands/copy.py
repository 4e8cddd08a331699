"""negspace copy."""

import shlex
from pathlib import Path

import click

from store.printable import printable
from tui.context import Context, common_options, pass_context
from tui.plans import show_copy


@click.command("copy")
@click.argument("recordings", nargs=-1, required=True, metavar="RECORDING...")
@click.option(
    "--to",
    "to",
    type=click.Path(path_type=Path),
    required=True,
    metavar="DIR",
    help="Folder of the other store; made if it is not there, added to if it is.",
)
@click.option(
    "--tables-only",
    is_flag=True,
    help="Leave out pre-activations, inputs and weights, most of the bytes.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be copied, and do nothing.")
@common_options
@pass_context
def command(
    context: Context, recordings: tuple[str, ...], to: Path, tables_only: bool, dry_run: bool
) -> None:
    """Copy recordings, with all that belongs to them, into the store in another folder.

    RECORDING is a name, or a part of one that no other name has. Every file is checked against the
    ledger on its way; what an interrupted copy lacks, the same command adds. --tables-only brings
    metrics, tokens, pairs, pair rows, histograms and extremes; the same command without it brings
    the rest later.
    """
    from store.copying import plan_copy, run_copy
    from store.jobs import run_job
    from store.queries.recordings import find_recording
    from store.store import open_or_create_store

    store = context.open()
    rows = [find_recording(store.database, name) for name in recordings]
    plan = plan_copy(store, rows, to, tables_only=tables_only)
    show_copy(context, plan, dry_run=dry_run)
    if dry_run:
        return
    context.require_writing()
    context.resumable = True
    target = open_or_create_store(to)
    names = [part.row.name for part in plan.recordings]
    asked = {"recordings": names, "to": str(target.folder), "tables_only": tables_only}
    words = ["negspace", "copy", *names, "--store", str(store.folder), "--to", str(target.folder)]
    line = shlex.join([*words, *(["--tables-only"] if tables_only else [])])
    with context.progress() as progress, run_job(target, "copy", asked, line, progress) as job:
        copied = run_copy(plan, target, job)
    for name in copied:
        click.echo(printable(name))
