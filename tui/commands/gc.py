"""negspace gc."""

import click

from store.printable import printable
from tui.context import Context, common_options, pass_context
from tui.plans import format_bytes, show_lines


@click.command("gc")
@click.option("--dry-run", is_flag=True, help="Only list what would be removed.")
@common_options
@pass_context
def command(context: Context, dry_run: bool) -> None:
    """Find and remove files under arrays/ that the ledger does not know.

    An interrupted ingest leaves such files; the recordings of a running one are left alone.
    """
    from store.maintenance import find_debris, remove_debris

    store = context.open() if dry_run else context.open_for_writing()
    count = total = 0
    for debris in find_debris(store) if dry_run else remove_debris(store):
        click.echo(f"{printable(str(debris.path))}  {format_bytes(debris.n_bytes)}")
        count, total = count + 1, total + debris.n_bytes
    what = "would be removed" if dry_run else "removed"
    line = f"{count:,} files or folders, {format_bytes(total)}, {what}."
    show_lines(context, [line], dry_run=dry_run)
