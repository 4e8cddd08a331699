"""Brings the database to the schema of this version, and says how the two compare.

The migrations live in `alembic/` of a checkout, and in `store/migrations` of an installed wheel.
`alembic/env.py` drops the views before the first migration and makes them again after the last.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from store.database import Database, utc_now
from store.errors import InputError
from store.files import make_folders, sync_folders

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0004"
"""The newest migration, known here so that reading commands need not load alembic."""


def migrate(database: Database) -> None:
    """Bring the database to HEAD in one transaction; a failure leaves it as it was."""
    from alembic import command

    with database.write() as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def current_revision(database: Database) -> str:
    """Return the migration that the database is at."""
    return str(database.rows("SELECT version_num FROM alembic_version")[0][0])


def require_head(database: Database) -> None:
    """Raise InputError unless the database has the schema of this version."""
    found = current_revision(database)
    if found < HEAD:
        raise InputError(
            f"The store's schema is {found}, this version of negspace needs {HEAD}: "
            "run `negspace upgrade` (it backs up first)."
        )
    refuse_newer(found)


def refuse_newer(found: str) -> None:
    """Raise InputError for a schema that this version does not know."""
    if found > HEAD:
        raise InputError(
            f"The store's schema is {found}, this version of negspace knows up to {HEAD}: "
            "install a newer negspace."
        )


def back_up(database: Database, folder: Path) -> Path:
    """Copy the database, in a consistent state, into a new file of `folder` and return its path."""
    make_folders(folder)
    stamp = utc_now().replace(":", "").replace("+0000", "Z")
    target = folder / f"{database.path.stem}-{current_revision(database)}-{stamp}.sqlite"
    with (
        closing(sqlite3.connect(database.path)) as source,
        closing(sqlite3.connect(target)) as copy,
    ):
        source.backup(copy)
    sync_folders([folder])
    return target


def _config() -> Config:
    from alembic.config import Config

    here = Path(__file__).parent
    packed = here / "migrations"
    config = Config()
    config.set_main_option(
        "script_location", str(packed if packed.is_dir() else here.parent / "alembic")
    )
    return config
