"""The text of `negspace sql --schema`."""

from store.database import Database
from store.errors import NotFoundError
from store.queries.status import list_columns, list_docs


def schema_text(database: Database, name: str | None) -> str:
    """Return what the tables and views, or one of them, hold."""
    columns = list_columns(database)
    if name is not None and name not in columns:
        raise NotFoundError(f"There is no table or view {name!r}; there are {', '.join(columns)}.")
    docs = {(row.table_name, row.column_name): row.description for row in list_docs(database)}
    tables = [table for table, column in docs if column == "" and table in columns]
    return "\n\n".join(
        _table_text(table, columns[table], docs) for table in tables if name in (None, table)
    )


def _table_text(
    table: str, columns: list[tuple[str, str]], docs: dict[tuple[str, str], str]
) -> str:
    width = max(len(column) for column, _ in columns)
    lines = [f"{table}: {docs[table, '']}"]
    lines += [f"  {column:<{width}}  {docs[table, column]}" for column, _ in columns]
    return "\n".join(lines)
