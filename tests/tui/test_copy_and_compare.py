"""negspace copy, compare and upgrade, as a user calls them."""

import csv
import io
import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from alembic import command as alembic_command
from store import schema
from store.database import Database
from store.files import hold_lock
from store.schema import HEAD
from store.store import DATABASE, Store
from store.views import create_statements
from tests.builders import Plan, make_recording
from tests.models import write_text
from tests.torture.contents import read_arrays
from tests.tui.calling import call
from tests.tui.forking import Server

SIZES = ("--window-length", "128", "--windows", "20", "--pairs", "50")
NAMES = ("gpt_neox@main/one", "gpt_neox@main/two")


def ask(store: Path, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(store / DATABASE)) as connection:
        return connection.execute(statement).fetchall()


@pytest.fixture(scope="module")
def ready(models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one model on two texts, analysed; only to be read."""
    folder = tmp_path_factory.mktemp("two")
    for i, name in enumerate(("one", "two")):
        corpus = write_text(folder / f"{name}.txt", 6000, seed=i)
        done = call("ingest", models["gpt_neox"], corpus, *SIZES, "--store", folder / "store")
        assert done.code == 0, done.err
    done = call("analyze", "--store", folder / "store")
    assert done.code == 0, done.err
    return folder / "store"


@pytest.fixture
def store(ready: Path, tmp_path: Path) -> Path:
    """A copy of that store."""
    return Path(shutil.copytree(ready, tmp_path / "store"))


# compare


def test_compare_shows_layers_and_changes(store: Path) -> None:
    done = call("compare", "one", "two", "--store", store, "--top", "3")
    assert done.code == 0, done.err
    assert "A is gpt_neox@main/one, B is gpt_neox@main/two." in done.err
    assert "how well two draws of 50 pairs agree was not measured." in done.err
    assert "WD and MD of the same neurons in" in done.out
    assert "MD is never compared across layers" in done.out
    assert done.out.count("md percentile") == 3
    counted = "SELECT count(*), count(wd_a), count(md_b) FROM recording_comparisons"
    rows, wd, md = ask(store, counted)[0]
    assert (rows, wd) == (80, 80)
    compared = "SELECT count(*) FROM recording_layers WHERE comparable = 0"
    assert (md == 80) == (ask(store, compared)[0][0] == 0)


def test_layers_that_are_not_comparable_are_said(store: Path) -> None:
    with closing(sqlite3.connect(store / DATABASE)) as connection, connection:
        connection.execute(
            "UPDATE recording_layers SET comparable = 0, reason = 'why' WHERE layer = 1"
        )
    done = call("compare", "one", "two", "--store", store, "--quiet", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(done.out)))
    (row,) = [row for row in rows if (row["metric"], row["layer"]) == ("md", "1")]
    assert (row["n"], row["spearman"], row["note"]) == ("0", "", "not comparable (A: why; B: why)")
    assert done.err == ""


def test_compare_in_other_forms(store: Path) -> None:
    words = ("compare", "one", "two", "--store", store, "--quiet")
    rows = list(csv.DictReader(io.StringIO(call(*words, "--format", "csv").out)))
    assert [(row["metric"], row["layer"]) for row in rows] == [
        (metric, layer) for metric in ("wd", "md") for layer in ("0", "1", "all")
    ]
    changes = json.loads(call(*words, "--show", "changes", "--top", "2", "--format", "json").out)
    assert len(changes) == 4
    neurons = call(*words, "--show", "neurons", "--format", "jsonl").out.splitlines()
    assert len(neurons) == 80
    first = json.loads(neurons[0])
    known = ask(store, "SELECT wd_a, wd_b, md_a, md_b FROM recording_comparisons LIMIT 1")[0]
    assert tuple(first[name] for name in ("wd_a", "wd_b", "md_a", "md_b")) == known


def test_rows_go_when_a_layer_is_measured_anew(store: Path) -> None:
    words = ("compare", "one", "two", "--store", store)
    assert call(*words).code == 0
    with closing(sqlite3.connect(store / DATABASE)) as connection, connection:
        connection.execute("DELETE FROM layer_analyses WHERE recording_id = 2 AND layer = 1")
    refused = call(*words)
    assert f"`negspace analyze '{NAMES[1]}'` first" in refused.error
    assert call("analyze", "--store", store).code == 0
    select = "SELECT layer, count(*) FROM recording_comparisons GROUP BY layer"
    assert ask(store, select) == [(0, 40)]
    assert call(*words).code == 0
    assert ask(store, select) == [(0, 40), (1, 40)]


def test_compare_writes_nothing_when_it_may_not(store: Path) -> None:
    done = call("compare", "one", "two", "--store", store, "--read-only")
    assert (done.code, ask(store, "SELECT count(*) FROM recording_comparisons")) == (0, [(0,)])


def test_compare_refuses(store: Path) -> None:
    assert (
        "Both names mean gpt_neox@main/one" in call("compare", "one", "one", "--store", store).error
    )
    done = call("compare", "one", "three", "--store", store)
    assert (done.code, "no recording 'three'" in done.error) == (1, True)
    done = call("compare", "main", "two", "--store", store)
    assert "fits 2 recordings" in done.error


# copy


def test_copy_and_read_there(store: Path, tmp_path: Path) -> None:
    assert call("compare", "one", "two", "--store", store).code == 0
    done = call("copy", "one", "two", "--store", store, "--to", tmp_path / "home")
    assert (done.code, done.out.split()) == (0, list(NAMES)), done.err
    assert f"{NAMES[0]}: 24 files" in done.err
    (last,) = done.err.splitlines()[-1:]
    n_bytes = ask(store, "SELECT sum(n_bytes) FROM blocks")[0][0]
    assert isinstance(n_bytes, int)
    assert last == f"{NAMES[1]} {n_bytes / 1e6:.3g} MB of {n_bytes / 1e6:.3g} MB"
    shutil.rmtree(store)
    home = tmp_path / "home"
    checked = call("verify", "--full", "--store", home)
    assert (checked.code, "no fault" in checked.out) == (0, True)
    again = call("analyze", "--store", home)
    assert (again.code, again.err) == (0, "0 layers, 0 neurons left to analyse.\n")
    assert ask(home, "SELECT count(*) FROM recording_comparisons") == [(80,)]
    kinds = ask(home, "SELECT kind, count(*) FROM jobs GROUP BY kind ORDER BY kind")
    assert kinds == [("analyze", 1), ("copy", 1), ("ingest", 2)]
    (typed,) = ask(home, "SELECT command FROM jobs WHERE kind = 'copy'")[0]
    assert str(typed).startswith(f"negspace copy {NAMES[0]} {NAMES[1]} --store {store} --to {home}")


def test_a_copy_without_arrays_is_of_use(
    store: Path, tmp_path: Path, models: dict[str, Path], ready: Path
) -> None:
    home = tmp_path / "home"
    copying = ("copy", "one", "two", "--store", store, "--to", home)
    assert call(*copying, "--tables-only").code == 0
    done = call("status", "--store", home)
    assert "Copies without arrays" in done.out
    assert f"{NAMES[0]}  {store}" in done.out
    assert call("compare", "one", "two", "--store", home).code == 0
    assert call("verify", "--full", "--store", home).code == 0
    cleaned = call("gc", "--store", home)
    assert (cleaned.code, cleaned.out) == (0, "")
    nothing = call("analyze", "--store", home)
    assert (nothing.code, nothing.err) == (0, "0 layers, 0 neurons left to analyse.\n")
    corpus = ready.parent / "one.txt"
    again = call("ingest", models["gpt_neox"], corpus, *SIZES, "--store", home)
    assert again.code == 1
    assert again.error == (
        f"Error: {NAMES[0]} is a copy without its arrays, which are in {store}: "
        f"`negspace copy {NAMES[0]} --store {store} --to {home}` brings them."
    )
    with closing(sqlite3.connect(home / DATABASE)) as connection, connection:
        connection.execute("UPDATE layer_analyses SET method = 0 WHERE layer = 1")
    older = call("analyze", "one", "--store", home)
    assert (older.code, "is a copy without its arrays" in older.error) == (1, True)
    whole = call(*copying)
    assert whole.code == 0, whole.err
    assert "Copies without arrays" not in call("status", "--store", home).out
    assert call("analyze", "--store", home).code == 0
    assert read_arrays(home) == read_arrays(store)


def test_a_dry_run_of_a_copy_writes_nothing(store: Path, tmp_path: Path) -> None:
    before = set(tmp_path.rglob("*"))
    done = call("copy", "one", "--store", store, "--to", tmp_path / "home", "--dry-run")
    assert (done.code, done.err) == (0, "")
    assert "of files and about" in done.out
    bare = call(
        "copy", "one", "--store", store, "--to", tmp_path / "home", "--dry-run", "--tables-only"
    )
    assert " left out." in bare.out
    assert {
        path for path in tmp_path.rglob("*") if path.suffix not in (".sqlite-shm", ".sqlite-wal")
    } <= before


def test_nothing_is_left_out_that_the_target_has(store: Path, tmp_path: Path) -> None:
    copying = ("copy", "one", "--store", store, "--to", tmp_path / "home")
    assert call(*copying).code == 0
    again = call(*copying, "--tables-only", "--dry-run")
    assert again.out.splitlines()[0] == f"{NAMES[0]}: 0 files, 0 B to copy."
    bare = ("copy", "two", "--store", store, "--to", tmp_path / "home", "--tables-only")
    assert call(*bare).code == 0
    assert " 0 B to copy, " in call(*bare, "--dry-run").out
    assert " left out." in call(*bare, "--dry-run").out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("copy", "three", "--to", "x"), "no recording 'three'"),
        (("copy", "main", "--to", "x"), "fits 2 recordings"),
        (("copy", "one", "--to", "STORE"), "is the store to copy from"),
        (("copy", "one", "--to", "STORE/below"), "lie in one another"),
        (("copy", "one", "--to", "file"), "is a file; name a folder."),
        (("copy", "one", "--to", "full"), "give another --to DIR."),
    ],
)
def test_copy_refuses(words: tuple[str, ...], sentence: str, store: Path) -> None:
    Path("file").write_text("x")
    Path("full").mkdir()
    Path("full/x").write_text("x")
    done = call(*(word.replace("STORE", str(store)) for word in words), "--store", store)
    assert (done.code, done.out) == (1, "")
    assert done.error.startswith("Error: ")
    assert sentence in done.error
    assert not Path("x").exists()


def test_copy_needs_names_and_a_place(store: Path) -> None:
    for words in (("copy", "--to", "x"), ("copy", "one")):
        assert call(*words, "--store", store).code == 2
    done = call("copy", "one", "--to", "x", "--store", store, "--read-only")
    assert (done.code, Path("x").exists()) == (2, False)


def test_a_target_that_cannot_be_written(store: Path, tmp_path: Path, server: Server) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed").chmod(0o555)
    for to in ("closed", "closed/deeper"):
        started = server.start(
            tmp_path, "copy", "one", "--to", tmp_path / to, "--store", store, powerless=True
        )
        done = started.end()
        assert (done.code, "is not writable" in done.error) == (1, True), done.err
    assert list((tmp_path / "closed").iterdir()) == []


def test_a_store_on_a_read_only_medium_is_copied(
    store: Path, tmp_path: Path, server: Server
) -> None:
    everything = [store, *store.rglob("*")]
    for path in everything:
        path.chmod(0o555 if path.is_dir() else 0o444)
    words = ("copy", "one", "--to", tmp_path / "home", "--store", store)
    done = server.start(tmp_path, *words, powerless=True).end()
    for path in everything:
        path.chmod(0o755 if path.is_dir() else 0o644)
    assert done.code == 0, done.err
    assert call("verify", "--full", "--store", tmp_path / "home").code == 0


def test_a_recording_at_work_is_not_copied(store: Path) -> None:
    with hold_lock(store / "locks" / "1", "x"):
        done = call("copy", "one", "--to", "x", "--store", store)
    assert (done.code, "is at work in another process" in done.error) == (1, True)


def test_a_moved_store_serves_every_command(store: Path, tmp_path: Path) -> None:
    moved = Path(shutil.move(store, tmp_path / "else where"))
    for words in (("status",), ("verify", "--full"), ("gc",), ("analyze",),
                  ("compare", "one", "two"), ("upgrade",),
                  ("sql", "SELECT count(*) FROM token_pairs")):  # fmt: skip
        done = call(*words, "--store", moved)
        assert done.code == 0, done.err
        assert str(store) not in done.out


# upgrade


@pytest.fixture
def old(tmp_path: Path) -> Store:
    """A store whose database was made by the first migration, with a recording in it."""
    folder = tmp_path / "old"
    (folder / "arrays").mkdir(parents=True)
    facts = {"store_id": "old", "format": 1, "database": f"sqlite:///{DATABASE}"}
    (folder / "store.json").write_text(json.dumps(facts))
    store = Store(folder, "old")
    with store.database.write() as connection:
        config = schema._config()
        config.attributes["connection"] = connection
        alembic_command.upgrade(config, "0001")
        for statement in create_statements():
            connection.exec_driver_sql(statement)
    make_recording(store, Plan(n_neurons=20, d_model=4, n_windows=8, window_length=50))
    store.database.engine.dispose()
    return store


def test_an_old_store_is_upgraded_and_used(old: Store, tmp_path: Path) -> None:
    folder = old.folder
    tables = "SELECT name FROM sqlite_schema WHERE name = 'recording_comparisons'"
    assert ask(folder, tables) == []
    refused = call("status", "--store", folder)
    assert (refused.code, f"is 0001, this version of negspace needs {HEAD}" in refused.error) == (
        1,
        True,
    )
    refused = call("copy", "tiny", "--store", folder, "--to", tmp_path / "to")
    assert "run `negspace upgrade`" in refused.error
    done = call("upgrade", "--store", folder)
    assert (done.code, f"from 0001 to {HEAD}" in done.err) == (0, True), done.err
    assert ask(folder, tables) == [("recording_comparisons",)]
    (backup,) = (folder / "backups").iterdir()
    assert Database(backup).rows("SELECT version_num FROM alembic_version")[0][0] == "0001"
    make_recording(old, Plan(n_neurons=20, d_model=4, n_windows=8, window_length=50, corpus="b"))
    for words in (("analyze",), ("compare", "words", "/b"), ("status",), ("verify", "--full"),
                  ("sql", "--schema", "recording_comparisons"), ("remove", "/b", "--yes"),
                  ("copy", "words", "--to", str(tmp_path / "to"))):  # fmt: skip
        done = call(*words, "--store", folder)
        assert done.code == 0, (words, done.err)
    assert ask(folder, "SELECT count(*) FROM recording_comparisons") == [(0,)]
    assert ask(tmp_path / "to", "SELECT count(*) FROM neurons") == [(40,)]
