"""negspace gc."""

import click

from tui.context import Context, common_options, pass_context
from tui.plans import format_bytes


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
    found = list(find_debris(store))
    for debris in found:
        click.echo(f"{debris.path}  {format_bytes(debris.n_bytes)}")
        if not dry_run:
            remove_debris(debris)
    total = format_bytes(sum(debris.n_bytes for debris in found))
    what = "would be removed" if dry_run else "removed"
    context.say(f"{len(found)} files or folders, {total}, {what}.")
