"""What the tests of read-only statements share: a database, its digests, a fresh interpreter."""

import hashlib
import os
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path

from store.readonly import QueryLimits

ROOT = Path(__file__).parents[2]
SHORT = QueryLimits(seconds=0.3)
ENDLESS = "WITH RECURSIVE t(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM t) "


def make_database(path: Path) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE neurons (neuron INTEGER PRIMARY KEY, wd REAL, name TEXT)")
        connection.execute(
            "CREATE VIEW neuron_names AS SELECT neuron, trim(name) AS n FROM neurons"
        )
        connection.execute("CREATE INDEX by_name ON neurons (name)")
        rows = [(i, i / 8, f" n{i}") for i in range(1, 6)]
        connection.executemany("INSERT INTO neurons VALUES (?, ?, ?)", rows)
        connection.commit()
    return path


def contents(folder: Path) -> dict[str, str]:
    """Digests of all files but SQLite's own -shm and empty -wal."""
    files = [p for p in folder.iterdir() if p.suffix != ".sqlite-shm" and p.stat().st_size]
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def run_in_fresh_python(script: str, path: Path) -> None:
    start = "import sys; from pathlib import Path; from store.errors import InputError\n"
    start += "from store.readonly import QueryLimits, run_query; path = Path(sys.argv[1])\n"
    done = subprocess.run(
        [sys.executable, "-c", start + textwrap.dedent(script), path],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
