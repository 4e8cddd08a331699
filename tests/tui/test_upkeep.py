"""Commands that look after a store: verify, gc, remove, upgrade."""

import shlex
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from store.schema import HEAD
from tests.tui.calling import NAME, NEGSPACE, ask, call, contents

# verify


def shard(store: Path, layer: int = 1, place: str = "preactivations/c/0/1") -> Path:
    """The second block of an array."""
    return store / "arrays" / "1" / f"layer.{layer}" / place


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[777] ^= 4
    path.write_bytes(data)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def test_verify_finds_no_fault(store: Path) -> None:
    ((total,),) = ask(store, "SELECT count(*) FROM blocks")
    quick = call("verify", "--store", store)
    assert (quick.code, quick.out) == (
        0, f"{total} files checked (presence and size): no fault.\n",
    )  # fmt: skip
    full = call("verify", "words", "--full", "--store", store)
    assert full.code == 0
    assert full.out.startswith(f"{total} files checked (digests of ")


@pytest.mark.parametrize(
    ("damage", "sentence", "quick"),
    [
        (flip, "rows 0 to 63 are not what was written", False),
        (truncate, "bytes, ", True),
        (Path.unlink, "cannot be read: No such file or directory.", True),
    ],
)
def test_verify_names_the_damage(
    damage: Callable[[Path], None], sentence: str, quick: bool, store: Path
) -> None:
    path = shard(store)
    damage(path)
    full = call("verify", "--full", "--store", store)
    assert full.code == 1
    (line,) = full.out.splitlines()
    assert line.startswith(f"{NAME} layer 1 preactivations block 1: {path}")
    assert sentence in line
    assert full.error.startswith("Error: 1 of ")
    assert "`negspace remove` the recording and ingest it again." in full.error
    short = call("verify", "--store", store)
    assert (short.code, short.out) == ((1, full.out) if quick else (0, short.out))


def test_verify_goes_on_after_a_fault(store: Path) -> None:
    flip(shard(store, layer=0))
    shard(store, layer=1, place="inputs/c/1/0").unlink()
    done = call("verify", "--full", "--store", store)
    assert [line.split(":")[0] for line in done.out.splitlines()] == [
        f"{NAME} layer 0 preactivations block 1", f"{NAME} layer 1 inputs block 1",
    ]  # fmt: skip


# gc


def make_debris(store: Path) -> set[Path]:
    """Put debris of each kind into the store."""
    arrays = store / "arrays"
    home = arrays / "1" / "layer.0"
    made = {
        arrays / "7" / "layer.0" / "x": arrays / "7",
        arrays / "note.txt": arrays / "note.txt",
        arrays / "01" / "zarr.json": arrays / "01",
        home / "preactivations" / "c" / "0" / "99": None,
        home / "preactivations" / "c" / "0" / "1.partial": None,
        home / "unknown" / "zarr.json": None,
        arrays / "1" / "layer.9" / "zarr.json": None,
    }
    for path in made:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12345")
    (home / "link").symlink_to(store / "store.json")
    return {found or path for path, found in made.items()} | {home / "link"}


def test_gc_removes_debris_and_nothing_else(store: Path) -> None:
    before = contents(store)
    debris = make_debris(store)
    dry = call("gc", "--dry-run", "--store", store)
    *listed, total = dry.out.splitlines(keepends=True)
    assert {Path(line.rpartition("  ")[0]) for line in listed} == debris
    assert total.startswith("8 files or folders, ")
    assert total.endswith(", would be removed.\n")
    assert all(path.exists() for path in debris)
    done = call("gc", "--store", store)
    assert (done.code, done.out) == (0, "".join(listed))
    assert done.error.startswith("8 files or folders, ")
    assert not any(path.exists() for path in debris)
    assert (store / "store.json").exists()
    assert contents(store) == before
    assert call("gc", "--store", store).error == "0 files or folders, 0 B, removed."
    assert call("verify", "--full", "--store", store).code == 0


# remove


def test_remove_asks(store: Path) -> None:
    before = contents(store)
    no = call("remove", "words", "--store", store, typed="n\n")
    ((size,),) = ask(store, "SELECT sum(n_bytes) FROM blocks")
    assert isinstance(size, int)
    assert f"Remove {NAME}: 2 layers, {size / 1e6:.3g} MB? [y/N]: " in no.err
    assert (no.code, no.out, no.error) == (1, "", no.error)
    assert no.error.endswith("Nothing was removed.")
    ended = call("remove", "words", "--store", store, typed="")
    assert (ended.code, ended.error) == (1, "Nothing was removed.")
    dry = call("remove", "words", "--dry-run", "--store", store)
    assert dry.out == f"{NAME}: 2 layers, {size / 1e6:.3g} MB would be removed.\n"
    assert contents(store) == before


def test_remove_with_a_closed_stdin(store: Path) -> None:
    words = [str(NEGSPACE), "remove", "words", "--store", str(store)]
    line = f"{shlex.join(words)} <&-"
    done = subprocess.run(line, shell=True, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Error: Standard input is no terminal, so nobody can be asked;")


@pytest.mark.parametrize("stdin", ["", "y\n"])
def test_remove_asks_at_a_terminal_only(stdin: str, store: Path) -> None:
    before = contents(store)
    done = call("remove", "words", "--store", store, stdin=stdin)
    assert (done.code, done.out, done.err) == (
        2,
        "",
        "Error: Standard input is no terminal, so nobody can be asked; --yes removes without "
        "asking.\n",
    )
    assert contents(store) == before


@pytest.mark.parametrize(("options", "typed"), [(("--yes",), None), ((), "y\n")])
def test_remove_leaves_nothing_of_the_recording(
    options: tuple[str, ...], typed: str | None, store: Path
) -> None:
    done = call("remove", NAME, *options, "--store", store, typed=typed)
    assert (done.code, done.out) == (0, "")
    assert f"Removed {NAME}: 2 layers" in done.error
    assert list((store / "arrays").iterdir()) == []
    for table in ("recordings", "recording_layers", "blocks", "neurons", "token_streams", "pairs"):
        assert ask(store, f"SELECT count(*) FROM {table}") == [(0,)]
    again = call("remove", NAME, "--yes", "--store", store)
    assert again.code == 1
    assert again.error.startswith(f"Error: The store has no recording '{NAME}'")


# upgrade


def set_revision(store: Path, revision: str) -> None:
    with closing(sqlite3.connect(store / "negspace.sqlite")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        connection.commit()


def test_upgrade_at_head(store: Path) -> None:
    before = contents(store)
    done = call("upgrade", "--store", store)
    assert (done.code, done.err) == (0, f"The store's schema is {HEAD} already.\n")
    assert contents(store) == before
    assert not (store / "backups").exists()


def test_upgrade_keeps_the_database_before_it(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_revision(store, "0000")
    monkeypatch.setattr("store.schema.migrate", lambda database: set_revision(store, HEAD))
    other = call("status", "--store", store)
    assert (other.code, "run `negspace upgrade`" in other.error) == (1, True)
    dry = call("upgrade", "--dry-run", "--store", store)
    assert (dry.out, dry.err) == (f"The schema would go from 0000 to {HEAD}.\n", "")
    assert not (store / "backups").exists()
    done = call("upgrade", "--store", store)
    assert done.code == 0
    (copy,) = (store / "backups").iterdir()
    assert done.err == (f"The schema went from 0000 to {HEAD}; the database before it is {copy}.\n")
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("0000",)
        assert connection.execute("SELECT count(*) FROM neurons").fetchone() == (80,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert call("status", "--store", store).code == 0


def test_upgrade_refuses_a_newer_store(store: Path) -> None:
    set_revision(store, "9999")
    for name in ("upgrade", "status"):
        done = call(name, "--store", store)
        assert done.code == 1
        assert done.error == (
            f"Error: The store's schema is 9999, this version of negspace knows up to {HEAD}: "
            "install a newer negspace."
        )
