"""negspace verify."""

import click

from store.printable import printable
from tui.context import Context, common_options, pass_context


@click.command("verify")
@click.argument("recordings", nargs=-1, metavar="[RECORDING]...")
@click.option("--full", is_flag=True, help="Check every digest, not only presence and size.")
@common_options
@pass_context
def command(context: Context, recordings: tuple[str, ...], full: bool) -> None:
    """Check the arrays of all recordings, or of these, against the ledger.

    Each fault is a line on stdout with recording, layer, array, block and what is wrong; the exit
    code is 1 where there is any.
    """
    from store.errors import DamageError
    from store.maintenance import count_files, verify_files
    from store.queries.recordings import find_recording, list_recordings

    store = context.open()
    named = [find_recording(store.database, name) for name in recordings]
    rows = named or list_recordings(store.database)
    total, done, checked = count_files(store.database, rows), 0, 0
    faults: list[str] = []
    with context.progress() as progress:
        for file in verify_files(store, rows, full=full):
            done, checked = done + 1, checked + file.n_bytes
            progress("verify: files", done, total)
            if file.fault:
                place = f"layer {file.layer} {file.array_name} block {file.block}"
                faults.append(printable(f"{file.recording} {place}: {file.fault}"))
    # Written when the bar is gone, which would tear lines on a terminal.
    for fault in faults:
        click.echo(fault)
    if faults:
        raise DamageError(
            f"{len(faults)} of {total} files are damaged; `negspace remove` the recording and "
            "ingest it again."
        )
    what = f"digests of {checked:,} bytes" if full else "presence and size"
    click.echo(f"{total} files checked ({what}): no fault.")
