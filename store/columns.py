"""Columns and tables as this store makes them: names of constraints, keys, descriptions.

Every column takes its description from `store/descriptions.py`. Keys of big tables are composite,
WITHOUT ROWID on SQLite.
"""

from sqlalchemy import Column, Float, ForeignKey, Integer, MetaData, Table, Text
from sqlalchemy.schema import SchemaItem

from store.descriptions import DESCRIPTIONS

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def key(name: str, reference: str | None = None) -> Column[int]:
    """Return a column of a key, an id of another table where `reference` names one."""
    if reference is None:
        return Column(name, Integer, primary_key=True, autoincrement=False)
    return Column(name, Integer, ForeignKey(reference), primary_key=True, autoincrement=False)


def integer(name: str, reference: str | None = None, *, null: bool = False) -> Column[int]:
    """Return a column of whole numbers, ids of another table where `reference` names one."""
    if reference is None:
        return Column(name, Integer, nullable=null)
    return Column(name, Integer, ForeignKey(reference), nullable=null)


def text_column(name: str, *, null: bool = False, key: bool = False) -> Column[str]:
    """Return a column of text, a part of the key where said."""
    return Column(name, Text, nullable=null, primary_key=key)


def real(name: str, *, null: bool = True) -> Column[float]:
    """Return a column of double precision."""
    return Column(name, Float(53), nullable=null)


def table(name: str, *items: SchemaItem, rowid: bool = True) -> Table:
    """Return a described table; without `rowid` it is kept in the order of its key."""
    made = Table(name, metadata, *items, sqlite_with_rowid=rowid)
    for column in made.columns:
        column.comment = DESCRIPTIONS[name][column.name]
    made.comment = DESCRIPTIONS[name][""]
    return made


def numbered(name: str, *items: SchemaItem) -> Table:
    """Return a table whose ids are never given out twice, so that debris cannot pass for new."""
    made = table(name, Column("id", Integer, primary_key=True), *items)
    made.dialect_options["sqlite"]["autoincrement"] = True
    return made
