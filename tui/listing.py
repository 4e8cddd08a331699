"""Short tables for people, with a heading: the form of `negspace status` and its like."""

import sys
from collections.abc import Sequence

import click

from store.printable import printable
from store.readonly import QueryResult, Row
from tui.table import write_table


def write_listing(heading: str, columns: Sequence[str], rows: Sequence[Row], empty: str) -> None:
    """Write a heading and a table on stdout, or what `empty` says where there are no rows."""
    click.echo(f"\n{printable(heading)}")
    if rows:
        write_table(QueryResult(tuple(columns), list(rows), truncated=False), sys.stdout)
    else:
        click.echo(empty)
