"""negspace remove."""

import sys

import click

from store.errors import UsageError
from store.printable import printable
from tui.context import Context, common_options, pass_context
from tui.plans import format_bytes, show_lines


@click.command("remove")
@click.argument("recording")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and do nothing.")
@common_options
@pass_context
def command(context: Context, recording: str, yes: bool, dry_run: bool) -> None:
    """Remove a recording, its metrics, and what only it used.

    RECORDING is a name, or a part of one that no other name has. It cannot be undone.
    """
    from store.ledger import remove_recording
    from store.queries.recordings import find_recording
    from store.queries.status import list_recording_status

    store = context.open() if dry_run else context.open_for_writing()
    row = find_recording(store.database, recording)
    status = next(r for r in list_recording_status(store.database) if r.recording == row.name)
    text = f"{row.name}: {status.layers} layers, {format_bytes(status.n_bytes)}"
    if dry_run:
        show_lines(context, [f"{text} would be removed."], dry_run=True)
        return
    if not (yes or _agreed(f"Remove {printable(text)}?")):
        context.say("Nothing was removed.")
        raise click.exceptions.Exit(1)
    remove_recording(store, row.id, row.name)
    context.say(f"Removed {text}.")


def _agreed(question: str) -> bool:
    """Ask on the terminal; raises UsageError where there is none."""
    if not (sys.stdin and sys.stdin.isatty()):  # it is None where it was closed
        raise UsageError(
            "Standard input is no terminal, so nobody can be asked; --yes removes without asking."
        )
    try:
        return click.confirm(question, err=True)
    except click.Abort as error:
        if not isinstance(error.__context__, EOFError):
            raise
        click.echo(err=True)  # the answer's line is not ended
        return False
