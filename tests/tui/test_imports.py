"""What a command loads, in a fresh interpreter."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.tui.calling import NAME
from tui.main import COMMANDS

HEAVY = (
    "numpy", "torch", "transformers", "zarr", "sqlalchemy", "alembic", "pyarrow", "numba", "rich",
    "textual",
)  # fmt: skip
SLOW = {"torch", "transformers", "zarr", "sqlalchemy"}
PROGRAM = f"""
import atexit, sys
atexit.register(lambda: print([m for m in {HEAVY!r} if m in sys.modules]))
from tui.main import main
main()
"""


def loaded_by(*words: str | Path) -> set[str]:
    """Return which of HEAVY a command has loaded when it ends well."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, check=True
    )
    names = done.stdout.splitlines()[-1]
    return {name for name in HEAVY if repr(name) in names}


def test_help_loads_nothing_heavy() -> None:
    assert loaded_by("--help") == set()
    assert loaded_by("--version") == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_loads_nothing_heavy(name: str) -> None:
    assert loaded_by(name, "--help") == set()


def test_sql_reads_without_a_library(analysed: Path) -> None:
    assert loaded_by("sql", "SELECT 1", "--store", analysed) == set()
    assert loaded_by("sql", "SELECT 1", "--format", "csv", "--store", analysed) == set()
    assert loaded_by("sql", "--schema", "--store", analysed) == set()


def test_analyze_on_the_processor_loads_no_torch(store: Path) -> None:
    with closing(sqlite3.connect(store / "negspace.sqlite")) as connection, connection:
        connection.execute("DELETE FROM layer_analyses")
    loaded = loaded_by("analyze", "--store", store)
    assert loaded & {"numba", "torch", "transformers"} == {"numba"}
    with closing(sqlite3.connect(store / "negspace.sqlite")) as connection:
        assert connection.execute("SELECT count(*) FROM layer_analyses").fetchone() > (0,)


def test_a_neurons_card_loads_no_torch(store: Path) -> None:
    words = ("neuron", NAME, "1.5", "--store", store)
    assert not loaded_by(*words) & {"torch", "transformers"}
    assert not loaded_by(*words) & {"torch", "transformers", "zarr"}
    assert "writes_tokens" in {path.name for path in store.glob("arrays/*/layer.1/*")}


def test_parquet_is_seen_to_be_loaded(analysed: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.parquet"
    words = ("sql", "SELECT 1", "--format", "parquet", "--out", out, "--store", analysed)
    assert loaded_by(*words) >= {"pyarrow"}


@pytest.mark.parametrize("words", [("status",), ("verify",), ("gc", "--dry-run")])
def test_reading_commands_load_nothing_slow(words: tuple[str, ...], analysed: Path) -> None:
    assert loaded_by(*words, "--store", analysed) & SLOW == set()
