"""Runs the migrations: views are dropped first, and made again with the docs after the last."""

import os
from typing import Any

from sqlalchemy import Connection, create_engine, insert, inspect, text

from alembic import context
from store.descriptions import DESCRIPTIONS
from store.tables import metadata, schema_docs
from store.views import create_statements, drop_statements


def describe(connection: Connection) -> None:
    """Write the descriptions of every table and column, where the tables are those of today."""
    if not set(metadata.tables) <= set(inspect(connection).get_table_names()):
        return
    connection.execute(schema_docs.delete())
    connection.execute(
        insert(schema_docs),
        [
            {"table_name": table, "column_name": column, "description": sentence}
            for table, columns in DESCRIPTIONS.items()
            for column, sentence in columns.items()
        ],
    )
    for statement in create_statements():
        connection.execute(text(statement))


def include(_object: Any, name: str | None, kind: str, _reflected: bool, _other: Any) -> bool:
    """Leave SQLite's own tables out of `alembic check`."""
    return not (kind == "table" and name is not None and name.startswith("sqlite_"))


def run(connection: Connection) -> None:
    """Run what was asked for on an open connection, inside its transaction."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_object=include,
        transaction_per_migration=False,
    )
    for statement in drop_statements():
        connection.execute(text(statement))
    context.run_migrations()
    describe(connection)


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:  # the alembic command itself, as `make check` runs it
    url = os.environ.get("NEGSPACE_ALEMBIC_URL", "sqlite:///:memory:")
    with create_engine(url).begin() as connection:
        run(connection)
