"""negspace upgrade."""

import click

from tui.context import Context, common_options, pass_context
from tui.plans import show_lines


@click.command("upgrade")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@common_options
@pass_context
def command(context: Context, dry_run: bool) -> None:
    """Bring the store's database to the schema of this version; a copy is kept in backups/."""
    from store.schema import HEAD, back_up, current_revision, migrate, refuse_newer
    from store.store import check_writable, read_store

    store = read_store(context.folder)
    found = current_revision(store.database)
    refuse_newer(found)
    if found == HEAD:
        show_lines(context, [f"The store's schema is {HEAD} already."], dry_run=dry_run)
        return
    if dry_run:
        show_lines(context, [f"The schema would go from {found} to {HEAD}."], dry_run=True)
        return
    context.require_writing()
    check_writable(store)
    copy = back_up(store.database, store.folder / "backups")
    migrate(store.database)
    context.say(f"The schema went from {found} to {HEAD}; the database before it is {copy}.")
