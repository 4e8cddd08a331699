"""Copies rows from one database into another, ids remapped, led by the tables' own references.

No table is named here for being copied, so a new one is copied by what it refers to. Its role:

    root     recordings
    owned    has a reference, never NULL, to a recording or to an owned row: goes with it
    finding  owned, numbered, but nothing names its rows or refers to them: replaced with its owner
    shared   numbered and referred to: found in the target, or added
    part     its key begins with a reference to a shared row: added with that row
    between  its key refers twice to one table: copied where both ends were copied
    files    blocks: the files' own rows, which `store/copying.py` writes

A row that is found must say the same as the source's, but for where something was read from.
"""

import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import product

from sqlalchemy import (
    Column,
    Connection,
    MetaData,
    Row,
    Table,
    UniqueConstraint,
    delete,
    insert,
    select,
    update,
)

from store import tables as t
from store.catalog import config_hash
from store.database import add_row, to_json
from store.errors import InputError
from store.queries.copies import Origin

Cell = str | int | float | bytes | None
Values = dict[str, Cell]
BATCH_ROWS = 10_000
MAY_DIFFER = {
    "models": {"source", "n_parameters"},
    "checkpoints": {"files", "same_as", "commit_hash"},
    "tokenizers": {"name"},
    "corpora": {"source"},
    "recordings": {"name", "settings", "created_at"},
    "ablations": {
        "cohort_id",
        "perplexity",
        "nll_sum",
        "dose",
        "reference_id",
        "plan_id",
        "job_id",
        "settings",
        "created_at",
    },
}
"""Columns that two stores may write differently about the same thing.

The same run on two machines differs in the low bits of its loss.
"""


def roles(metadata: MetaData = t.metadata) -> dict[str, str]:
    """Return the role of every table; "" for what belongs to the store itself."""
    found: dict[str, str] = {}
    for table in metadata.sorted_tables:
        found[table.name] = _role(table, found)
    return found


def _role(table: Table, known: Mapping[str, str]) -> str:
    if table.name in ("recordings", "blocks"):
        return {"recordings": "root", "blocks": "files"}[table.name]
    keys = [_referred(c).name for c in table.primary_key.columns if c.foreign_keys]
    if len(set(keys)) < len(keys):
        return "between"
    needed = {known.get(_referred(c).name) for c in _references(table) if not c.nullable}
    if needed & {"root", "owned"}:
        return "finding" if _is_nameless(table) else "owned"
    if "id" in table.c:
        return "shared"
    return "part" if keys else ""


def _is_nameless(table: Table) -> bool:
    unique = any(isinstance(c, UniqueConstraint) for c in table.constraints)
    return "id" in table.c and not unique and not _is_referred(table)


def _is_referred(table: Table) -> bool:
    return any(t.references(other, table) for other in table.metadata.tables.values())


def _references(table: Table) -> list[Column[int]]:
    return [column for column in table.columns if column.foreign_keys]


def _owner(table: Table, known: Mapping[str, str]) -> Column[int]:
    """Return the column of an owned row that says what it belongs to."""
    return next(
        column
        for column in _references(table)
        if not column.nullable and known[_referred(column).name] in ("root", "owned")
    )


def path_to_recording(table: Table, known: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the steps from an owned table to recordings: a column and what it refers to."""
    path = []
    while table is not t.recordings:
        column = _owner(table, known)
        table = _referred(column)
        path.append((column.name, table.name))
    return path


def _referred(column: Column[int]) -> Table:
    return next(iter(column.foreign_keys)).column.table


def identity(table: Table) -> tuple[str, ...]:
    """Return the columns by which a numbered row is found: its widest unique ones, or all."""
    unique = [c for c in table.constraints if isinstance(c, UniqueConstraint)]
    if not unique:
        return tuple(name for name in table.c.keys() if name != "id")  # noqa: SIM118
    return tuple(max(unique, key=lambda c: len(c.columns)).columns.keys())


@dataclass
class RowCopier:
    """Copies rows in one transaction of the target.

    `keys` maps (table, id in the source) to the id in the target and outlives the transaction;
    `origin` is what a new recording's settings name as its source.
    """

    source: sqlite3.Connection
    target: Connection
    origin: Origin | None
    keys: dict[tuple[str, int], int]
    _roles: dict[str, str] = field(default_factory=roles)

    def carry_recording(self, key: int) -> tuple[int, bool]:
        """Return a recording's id in the target, and whether it was added.

        Raises InputError where the target has something else under a name that it needs.
        """
        values = self._remap(t.recordings, self._row(t.recordings, key))
        found = self._find(t.recordings, values)
        if found is not None:
            if found.pair_set_id != values["pair_set_id"]:
                raise InputError(
                    f"The target has {found.name!r} with another pair set; `negspace remove` it "
                    "there, or copy into another store with --to DIR."
                )
            _refuse_other(t.recordings, found, values)
            self.keys["recordings", key] = int(found.id)
            return int(found.id), False
        values["name"] = self._free_name(str(values["name"]))
        if self.origin is not None:
            settings = {**json.loads(str(values["settings"])), **asdict(self.origin)}
            values["settings"] = to_json(settings)
        self.keys["recordings", key] = add_row(self.target, t.recordings, values)
        return self.keys["recordings", key], True

    def copy_layers(self, key: int, layers: Iterable[int]) -> None:
        """Replace what the target has of some layers of a recording (-1: of all of it)."""
        replaced = list(layers)
        for table in self._owned():
            column = t.references(table, t.recordings)
            if not column or "id" in table.c:
                continue
            if "layer" in table.c:
                for layer in replaced:
                    self._replace(table, {column[0].name: key, "layer": layer})
            elif replaced:
                self._replace(table, {column[0].name: key})
        self._forget_between(key, replaced)

    def _forget_between(self, key: int, layers: list[int]) -> None:
        """Drop what was found between these layers and those of other recordings."""
        for name, role in self._roles.items():
            table = t.metadata.tables[name]
            for end in t.references(table, t.recordings) if role == "between" else ():
                old = delete(table).where(end == self.keys["recordings", key])
                self.target.execute(old.where(table.c.layer.in_(layers)))

    def carry_rest(self, key: int) -> None:
        """Find or add the recording's numbered rows: jobs, and whatever else has ids."""
        for table in t.metadata.sorted_tables:
            if "id" in table.c and self._roles[table.name] in ("owned", "shared"):
                for column in t.references(table, t.recordings):
                    for child in self._ids(table, column, key):
                        self.carry(table, child)
        self._replace_findings(t.recordings, key)

    def copy_between(self) -> None:
        """Copy the rows between two things that were both copied."""
        for name, role in self._roles.items():
            if role == "between":
                self._copy_between(t.metadata.tables[name])

    def carry(self, table: Table, key: int) -> int:
        """Return a row's id in the target; added, with what belongs to it, where it is new."""
        known = self.keys.get((table.name, key))
        if known is not None:
            return known
        values = self._remap(table, self._row(table, key))
        known = self.keys.get((table.name, key))  # carried with what this one refers to
        if known is not None:
            return known
        found = self._find(table, values)
        if found is None:
            new = add_row(self.target, table, values)
            self.keys[table.name, key] = self._settle(table, new)
            self._add_parts(table, key, new)
        else:
            _refuse_other(table, found, values)
            self.keys[table.name, key] = self._settle(table, int(found.id))
        self._carry_kin(table, key)
        return self.keys[table.name, key]

    def _owned(self) -> list[Table]:
        return [x for x in t.metadata.sorted_tables if self._roles[x.name] == "owned"]

    def _row(self, table: Table, key: int) -> Values:
        rows = self._rows(table, {"id": key})
        return next(rows)[0]

    def _rows(self, table: Table, where: Mapping[str, int]) -> Iterator[list[Values]]:
        condition = " AND ".join(f"{name} = :{name}" for name in where)
        # The columns' names come from the tables of the code.
        cursor = self.source.execute(f"SELECT * FROM {table.name} WHERE {condition}", where)
        names = [column[0] for column in cursor.description]
        while batch := cursor.fetchmany(BATCH_ROWS):
            yield [dict(zip(names, row, strict=True)) for row in batch]

    def _ids(self, table: Table, column: Column[int], key: int) -> list[int]:
        return [
            int(str(row["id"])) for rows in self._rows(table, {column.name: key}) for row in rows
        ]

    def _remap(self, table: Table, row: Values) -> Values:
        """Return a row's values for the target, without its id; what it refers to is carried."""
        values = {name: value for name, value in row.items() if name != "id"}
        for column in _references(table):
            value, referred = values[column.name], _referred(column)
            if table is t.checkpoints and referred is table:
                values[column.name] = None  # `_settle` finds it anew
            elif isinstance(value, int):
                other = referred is t.recordings
                values[column.name] = (
                    self.keys.get(("recordings", value)) if other else self.carry(referred, value)
                )
        if table is t.jobs and values["state"] == "running":
            values |= {"state": "lost", "error": "copied while it was running"}
        return values

    def _find(self, table: Table, values: Values) -> "Row[tuple[object, ...]] | None":
        same = [table.c[name].is_not_distinct_from(values[name]) for name in identity(table)]
        found = self.target.execute(select(table).where(*same).order_by(table.c.id)).first()
        if found is not None and table is t.checkpoints and found.state == "missing":
            self.target.execute(delete(table).where(table.c.id == found.id))
            return None
        return found

    def _settle(self, table: Table, key: int) -> int:
        """Return the row that stands for a row: of equal checkpoints, the target's oldest."""
        if table is not t.checkpoints:
            return key
        c = t.checkpoints.c
        own = self.target.execute(select(t.checkpoints).where(c.id == key)).one()
        if own.same_as is not None:
            return int(own.same_as)
        equal = self.target.execute(
            select(c.id, c.files)
            .where(c.weights_hash == own.weights_hash, c.same_as.is_(None), c.id < key)
            .order_by(c.id)
        )
        for row in equal:
            if config_hash(row.files) == config_hash(own.files):
                self.target.execute(update(t.checkpoints).where(c.id == key).values(same_as=row.id))
                return int(row.id)
        return key

    def _add_parts(self, table: Table, key: int, new: int) -> None:
        for child in t.metadata.sorted_tables:
            if "id" in child.c or self._roles[child.name] not in ("part", "owned"):
                continue
            first = next(iter(child.primary_key.columns))
            if first.references(table.c.id):
                for rows in self._rows(child, {first.name: key}):
                    self._insert(child, [{**self._remap(child, r), first.name: new} for r in rows])

    def _carry_kin(self, table: Table, key: int) -> None:
        """Carry the rows that refer to this one within its table, and its own numbered rows."""
        for child in t.metadata.sorted_tables:
            owned = self._roles[child.name] == "owned" and self._roles[table.name] == "owned"
            if "id" in child.c and (child is table or owned):
                for column in t.references(child, table):
                    for other in self._ids(child, column, key):
                        self.carry(child, other)
        self._replace_findings(table, key)

    def _replace_findings(self, table: Table, key: int) -> None:
        """Bring what was found about a row, if anything was, in place of what the target has."""
        for child in t.metadata.sorted_tables:
            if self._roles[child.name] != "finding":
                continue
            owner = _owner(child, self._roles)
            if _referred(owner) is table and self._ids(child, owner, key):
                self._replace(child, {owner.name: key})

    def _replace(self, table: Table, where: Mapping[str, int]) -> None:
        mapped = {
            name: self.keys[_referred(table.c[name]).name, value]
            if table.c[name].foreign_keys
            else value
            for name, value in where.items()
        }
        self.target.execute(delete(table).where(*(table.c[n] == v for n, v in mapped.items())))
        for rows in self._rows(table, where):
            self._insert(table, [self._remap(table, row) for row in rows])

    def _insert(self, table: Table, rows: list[Values]) -> None:
        if rows:
            self.target.execute(insert(table), rows)

    def _copy_between(self, table: Table) -> None:
        ends = [column for column in table.primary_key.columns if column.foreign_keys]
        known = [
            [key for name, key in self.keys if name == _referred(column).name] for column in ends
        ]
        for keys in product(*known):
            mapped = [self.keys[_referred(c).name, key] for c, key in zip(ends, keys, strict=True)]
            rows = list(self._rows(table, dict(zip([c.name for c in ends], keys, strict=True))))
            if rows:
                same = (c == key for c, key in zip(ends, mapped, strict=True))
                self.target.execute(delete(table).where(*same))
            for batch in rows:
                self._insert(table, [self._remap(table, row) for row in batch])

    def _free_name(self, name: str) -> str:
        taken = set(self.target.execute(select(t.recordings.c.name)).scalars())
        base = re.sub(r"#\d+$", "", name)
        names = [name, base, *(f"{base}#{i}" for i in range(2, len(taken) + 3))]
        return next(candidate for candidate in names if candidate not in taken)


def _refuse_other(table: Table, found: "Row[tuple[object, ...]]", values: Values) -> None:
    for name, value in _sayings(table, values).items():
        there = _sayings(table, dict(found._mapping))[name]
        if there != value:
            what = values.get("name") or values.get("revision") or f"of {table.name}"
            raise InputError(
                f"The target has {what!r} in {table.name} with {name} {there!r}, the source "
                f"with {value!r}; copy into another store with --to DIR."
            )


def _sayings(table: Table, values: Mapping[str, Cell]) -> Values:
    """Return what a row says that may not differ; of a checkpoint's files, the config's hash."""
    said = {k: v for k, v in values.items() if k not in MAY_DIFFER.get(table.name, set())}
    if table is t.checkpoints:
        said["config"] = config_hash(str(values["files"]))
    return said
