"""negspace sql."""

import sys
from pathlib import Path

import click

from store.errors import InputError
from tui.context import Context, common_options, pass_context
from tui.options import form_option


@click.command("sql")
@click.argument("statement", required=False)
@form_option("Form of the result.")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=1000,
    show_default=True,
    metavar="N",
    help="Rows at most; 0 for all.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="Time that the statement may take.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write to a file instead of stdout.",
)
@click.option(
    "--schema",
    is_flag=True,
    help="Explain tables, views and columns; STATEMENT may name one of them.",
)
@common_options
@pass_context
def command(
    context: Context,
    statement: str | None,
    format: str,  # noqa: A002 - the name of the option, and of its key in a settings file
    limit: int,
    timeout: float,
    out: Path | None,
    schema: bool,
) -> None:
    """Ask the store in SQL, read-only: nothing that STATEMENT says can change it.

    STATEMENT is one SELECT (SQLite's dialect), or - to read it from stdin. `--schema` lists the
    tables and views; the views neuron_metrics and token_pairs are where to begin.
    """  # fmt: skip
    from store.readonly import QueryLimits, stream_query
    from tui.output import write_file, write_result

    store = context.open()
    if schema:
        from tui.schema_text import schema_text

        click.echo(schema_text(store.database, statement))
        return
    if statement is None:
        raise click.UsageError("Give a SELECT, - for stdin, or --schema.")
    text = _read_stdin() if statement == "-" else statement
    if out is not None and out.expanduser().resolve().is_relative_to(store.folder):
        raise InputError(f"--out {out} lies in the store; name a file outside of it.")
    limits = QueryLimits(seconds=timeout, rows=limit or None)
    with stream_query(store.database.path, text, limits) as result:
        if out is not None:
            write_file(result, format, out)
        else:
            write_result(result, format, sys.stdout)


def _read_stdin() -> str:
    try:
        return sys.stdin.read()
    except UnicodeDecodeError as error:
        raise click.UsageError(f"What came on stdin is not UTF-8 at byte {error.start}.") from error
