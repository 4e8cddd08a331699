"""What cannot be done is said in one sentence that names the value and what to do, and leaves
nothing behind."""

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from store.schema import HEAD
from tests.tui.calling import Outcome, call
from tests.tui.forking import Server

Files = dict[Path, bytes | None]


def files(folder: Path) -> Files:
    """What is under a folder: files with their bytes, and folders."""
    return {
        path: path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
        if not path.name.endswith(("-wal", "-shm"))
    }


def refuses(*words: str | Path, code: int = 1) -> str:
    """Call a command that fails, see that nothing changed, and return its one sentence."""
    here = files(Path.cwd())
    done = call(*words)
    assert (done.code, done.out) == (code, "")
    assert done.error.startswith("Error: ")
    assert done.err.count("Error: ") == 1
    if code == 1:
        assert done.err.count("\n") == 1, done.err
    assert files(Path.cwd()) == here
    return done.error.removeprefix("Error: ")


@pytest.fixture
def model(models: dict[str, Path]) -> Path:
    """A model with 512 positions and layers 0 and 1."""
    return models["gpt_neox"]


def write(name: str, text: str | bytes) -> Path:
    path = Path(name)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


# the model


def test_no_such_model(text: Path) -> None:
    assert refuses("ingest", "none", text) == (
        "There is no folder 'none', and the hub's cache lacks that model, or a part of it; unset "
        "HF_HUB_OFFLINE to download it."
    )
    assert refuses("ingest", "./none", text) == (
        "There is no folder './none'; give one with config.json and .safetensors files, one whose "
        "subfolders have them (its revisions), or a model of the hub as ORG/NAME."
    )


def test_every_without_all(model: Path, text: Path) -> None:
    assert refuses("ingest", model, text, "--every", "5", code=2) == (
        "--every 5 needs --revision all; leave it out, or add that."
    )


def test_a_folder_without_a_model(text: Path) -> None:
    Path("empty").mkdir()
    assert refuses("ingest", "empty", text) == (
        f"{Path('empty').resolve()} holds no model: neither it nor a subfolder has a config.json."
    )


def test_no_such_revision(model: Path, text: Path) -> None:
    assert refuses("ingest", model, text, "--revision", "step5") == (
        f"{model} has no revision 'step5'; it has main."
    )


def test_a_folder_of_revisions_without_steps(model: Path, text: Path) -> None:
    for name in ("final", "best"):
        shutil.copytree(model, f"m/{name}")
    assert refuses("ingest", "m", text) == (
        "m has the revisions best, final, of which none is named after a step; choose with "
        "--revision."
    )


def test_nothing_to_prune_in_a_folder(model: Path, text: Path) -> None:
    words = ("ingest", model, text, "--window-length", "50", "--dry-run")
    said = "--prune: gpt_neox is not from the hub, so nothing is freed."
    assert said in call(*words, "--prune").out.splitlines()
    assert "--prune" not in call(*words).out


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ('{"model_type": "bloom"}', "has the model type 'bloom'; negspace knows gpt_neox, opt"),
        ("{}", "is not a model's config (KeyError('model_type')); fetch or save it again."),
        ("[", "is not a model's config (JSONDecodeError("),
    ],
)
def test_an_unknown_family(config: str, sentence: str, text: Path) -> None:
    Path("m").mkdir()
    path = write("m/config.json", config)
    found = refuses("ingest", "m", text)
    assert found.startswith(f"{path.resolve()} {sentence}")


def test_a_model_without_weights_or_tokenizer(model: Path, text: Path) -> None:
    shutil.copytree(model, "m")
    Path("m/tokenizer.json").unlink()
    assert "has no tokenizer (tokenizer.json, or vocab.json and merges.txt)" in refuses(
        "ingest", "m", text
    )
    Path("m/model.safetensors").unlink()
    assert "safetensors" in refuses("ingest", "m", text)


def test_a_window_longer_than_the_positions(model: Path, text: Path) -> None:
    assert refuses("ingest", model, text, "--window-length", "513") == (
        "--window-length is 513, but gpt_neox has 512 positions; give 512 or less."
    )


def test_a_layer_out_of_range(model: Path, text: Path) -> None:
    assert refuses("ingest", model, text, "--layers", "0,1-2") == (
        "--layers: gpt_neox has no layer 2; its layers are 0 to 1."
    )


def test_the_up_branch_of_a_model_without_a_gate(model: Path, text: Path) -> None:
    assert refuses("ingest", model, text, "--projection", "up") == (
        "gpt_neox has no gate, so no up branch of its own; leave --projection out."
    )


# the corpus


def test_no_such_corpus(model: Path) -> None:
    assert refuses("ingest", model, "none.txt") == (
        "There is no file 'none.txt'; give the path of a .txt, .jsonl or .parquet file, or one "
        "compressed as .gz, .bz2, .xz, .zst."
    )


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("t.txt", b"", "t.txt' holds no text; give a file with some."),
        ("t.txt", b" \n\n", "t.txt' holds no text; give a file with some."),
        ("t.jsonl", b"", "t.jsonl' holds no text; give a file with some."),
        ("t.txt", b"ab\xff", "t.txt is not UTF-8 at byte 2; save it as UTF-8."),
        ("t.md", b"words", "'t.md' is not a text negspace can read; give a .txt, .jsonl or"),
        (
            "t.jsonl",
            b'{"body": "x"}',
            "t.jsonl, line 1 has no key 'text' or 'messages'; its keys are 'body'.",
        ),
        ("t.jsonl", b'{"text": 3}', "t.jsonl, line 1: 'text' is int, not a string; leave such"),
        ("t.jsonl", b'{"text": ', "t.jsonl, line 1 is not JSON"),
        ("t.parquet", b"words", "t.parquet is not a whole parquet file"),
    ],
)
def test_a_corpus_without_usable_text(name: str, data: bytes, sentence: str, model: Path) -> None:
    write(name, data)
    assert sentence in refuses("ingest", model, name)


def test_parquet_without_the_column_text(model: Path) -> None:
    parquet.write_table(pa.table({"body": ["x"]}), "t.parquet")
    assert refuses("ingest", model, "t.parquet") == (
        "t.parquet has no column 'text' or 'messages'; its columns are 'body'."
    )


def test_a_folder_as_corpus(model: Path) -> None:
    Path("texts").mkdir()
    assert refuses("ingest", model, "texts").startswith("'texts' has no text among its 0 files;")


def test_a_corpus_shorter_than_one_window(model: Path) -> None:
    write("t.txt", "the cat sat on the mat")
    found = refuses("ingest", model, "t.txt", "--window-length", "500")
    assert "500" in found
    assert "--window-length" in found


def test_a_corpus_shorter_than_the_pair_set_needs(model: Path) -> None:
    write("t.txt", "the cat sat on the mat " * 20)
    found = refuses("ingest", model, "t.txt", "--window-length", "50", "--pairs", "1000")
    assert "1,000" in found or "1000" in found
    assert "--pairs" in found


# the store


def test_a_file_in_the_way_of_the_store(model: Path, text: Path) -> None:
    path = write("store", "mine").resolve()
    for words in (("ingest", model, text), ("demo",)):
        for place in ("store", "store/inner"):
            assert refuses(*words, "--store", place) == (
                f"{path} is a file; --store DIR names a folder."
            )
    for command in ("status", "verify", "gc", "upgrade"):
        for below in (path, path / "inner"):
            assert refuses(command, "--store", below) == (
                f"{below} is a file, or lies in one; --store DIR names a folder."
            )


def test_a_store_where_no_folder_can_be_made(model: Path, text: Path) -> None:
    for words in (("ingest", model, text), ("ingest", model, text, "--dry-run"), ("demo",)):
        assert refuses(*words, "--store", "/proc/x/y") == (
            "Cannot make a store at /proc/x/y: /proc is no disk; name a folder on one."
        )


def test_a_folder_of_other_things_in_place_of_the_store(model: Path, text: Path) -> None:
    Path("store").mkdir()
    write("store/mine.txt", "mine")
    assert refuses("ingest", model, text, "--store", "store") == (
        f"{Path('store').resolve()} is not empty and holds no store; give another --store DIR."
    )


def test_no_store_to_read() -> None:
    for words in (("status",), ("sql", "SELECT 1"), ("verify",), ("gc",), ("analyze",)):
        assert refuses(*words, "--store", "none") == (
            f"There is no store at {Path('none').resolve()}: `negspace ingest` or `negspace demo` "
            "makes one, --store DIR names another."
        )


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Take away the right to write into a folder."""
    folder.chmod(0o555)
    try:
        yield
    finally:
        folder.chmod(0o755)


def powerless(server: Server, *words: str | Path) -> Outcome:
    """Run a command without the rights of root; its streams are files beside the test's folder."""
    streams = Path.cwd().with_name(f"{Path.cwd().name}-streams")
    streams.mkdir(exist_ok=True)
    return server.start(streams, *words, powerless=True).end()


def test_a_store_in_a_read_only_folder(server: Server, model: Path, text: Path) -> None:
    folder = Path.cwd()
    with read_only(folder):
        for words in (("ingest", model, text), ("demo",)):
            done = powerless(server, *words, "--store", folder / "store")
            assert (done.code, done.out) == (1, "")
            assert done.err == (
                f"Error: Cannot make a store at {folder / 'store'}: {folder} is not writable.\n"
            )
    assert files(folder) == {}


def test_a_read_only_store_can_be_read(
    server: Server, analysed: Path, model: Path, text: Path
) -> None:
    store = Path(shutil.copytree(analysed, "store")).resolve()
    before = files(store)
    sizes = ("--window-length", "64", "--windows", "20", "--pairs", "9", "--store", store)
    with read_only(store):
        for words in (("status",), ("sql", "SELECT count(*) FROM neurons"), ("verify", "--full")):
            done = powerless(server, *words, "--store", store)
            shown = any(word in done.out for word in ("words", "80", "no fault"))
            assert (done.code, shown) == (0, True), done.err
        for writing in (("analyze",), ("gc",), ("remove", "words", "--yes")):
            done = powerless(server, *writing, "--store", store)
            assert (done.code, done.out) == (1, "")
            assert done.error == f"Error: The store cannot be written: {store} is read-only."
        done = powerless(server, "ingest", model, text, *sizes)
        assert (done.code, done.out) == (1, "")
        assert done.error == f"Error: The store cannot be written: {store} is read-only."
    assert files(store) == before


def test_a_store_of_a_newer_version(analysed: Path, model: Path, text: Path) -> None:
    store = Path(shutil.copytree(analysed, "store")).resolve()
    facts = json.loads((store / "store.json").read_text())
    write("store/store.json", json.dumps(facts | {"format": 99}))
    calls = (("status",), ("sql", "SELECT 1"), ("ingest", model, text), ("upgrade",), ("demo",))
    for words in calls:
        assert refuses(*words, "--store", "store") == (
            f"The store at {store} has format 99, this version of negspace knows up to 2: install "
            "a newer negspace."
        )


def test_a_schema_of_a_newer_version(analysed: Path, model: Path, text: Path) -> None:
    store = Path(shutil.copytree(analysed, "store")).resolve()
    with closing(sqlite3.connect(store / "negspace.sqlite")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    for words in (("status",), ("sql", "SELECT 1"), ("ingest", model, text), ("demo",)):
        assert refuses(*words, "--store", "store") == (
            f"The store's schema is 9999, this version of negspace knows up to {HEAD}: install a "
            "newer negspace."
        )


@pytest.mark.parametrize("data", ["", "{", "[]", '{"format": "x"}', '{"format": 1}'])
def test_a_broken_store_json(data: str) -> None:
    Path("store").mkdir()
    write("store/store.json", data)
    found = refuses("status", "--store", "store")
    assert found.startswith(f"{Path('store/store.json').resolve()} cannot be read as a store's")


@pytest.mark.parametrize("data", [b"", b"no database" * 500])
def test_a_broken_database(data: bytes, analysed: Path) -> None:
    shutil.copytree(analysed, "store")
    for name in ("-wal", "-shm"):
        Path(f"store/negspace.sqlite{name}").unlink(missing_ok=True)
    write("store/negspace.sqlite", data)
    for words in (("status",), ("verify",), ("upgrade",)):
        found = refuses(*words, "--store", "store")
        assert "database" in found
        assert "fault of negspace" not in found


def test_another_recording_with_these_names(
    analysed: Path, models: dict[str, Path], text: Path
) -> None:
    shutil.copytree(analysed, "store")
    shutil.copytree(models["llama"], "gpt_neox")
    found = refuses("ingest", "gpt_neox", text, "--store", "store")
    assert found.endswith("another name with --name NAME.")
    write("words.txt", "the cat " * 2000)
    found = refuses("ingest", models["gpt_neox"], "words.txt", "--store", "store")
    assert "The store has a corpus 'words' from" in found


def test_another_pair_set_of_a_recording(analysed: Path, model: Path, text: Path) -> None:
    words = ("ingest", model, text, "--window-length", "128", "--windows", "40")
    assert refuses(*words, "--pairs", "51", "--store", analysed) == (
        "gpt_neox@main/words was begun with --pairs 50 --pair-seed 0; give the same, because a "
        "recording's pair set is fixed."
    )


def test_no_such_recording(analysed: Path) -> None:
    for words in (("analyze", "none"), ("verify", "none"), ("remove", "none", "--yes")):
        assert refuses(*words, "--store", analysed) == (
            "The store has no recording 'none'; it has: gpt_neox@main/words."
        )
