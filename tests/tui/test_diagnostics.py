"""What goes wrong is one or two printable lines on stderr and an exit code, never a traceback."""

import os
import shutil
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from store.errors import BusyError, NegspaceError
from tests.builders import Plan, make_recording
from tests.models import write_text
from tests.tui.calling import NEGSPACE, call, call_fresh
from tests.tui.forking import Forked, Server, wait_for

ESCAPE = "\x1b[31mred\x9b\u202e"
SHOWN = "\\x1b[31mred\\x9b\\u202e"


def has_blocks(store: Path) -> bool:
    """Whether an ingest into the store has committed a block."""
    database = store / "negspace.sqlite"
    if not (store / "store.json").exists():
        return False
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return bool(connection.execute("SELECT count(*) FROM blocks").fetchone()[0] > 9)


@pytest.fixture
def running(server: Server, models: dict[str, Path], tmp_path: Path) -> Forked:
    """An ingest into `here`/store that has written some blocks and has many more to write."""
    corpus = write_text(tmp_path / "long.txt", 60_000)
    here = Path.cwd()
    sizes = ("--window-length", "128", "--pairs", "50", "--store", "store")
    forked = server.start(here, "ingest", models["gpt_neox"], corpus, *sizes)
    wait_for(lambda: has_blocks(here / "store"))
    wait_for(lambda: stopped_between_writes(forked, here / "store"))
    return forked


def stopped_between_writes(forked: Forked, store: Path) -> bool:
    """Stop a command, unless it is just then in a transaction: others would wait for that."""
    forked.send(signal.SIGSTOP)
    with closing(sqlite3.connect(store / "negspace.sqlite", timeout=0.2)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            forked.send(signal.SIGCONT)
            return False
    return True


def last_job(store: Path) -> tuple[object, ...]:
    """State and error of the newest job."""
    with closing(sqlite3.connect(store / "negspace.sqlite")) as connection:
        statement = "SELECT state, error FROM jobs ORDER BY id DESC LIMIT 1"
        found: tuple[object, ...] = connection.execute(statement).fetchone()
        return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_says_how_to_go_on(
    number: signal.Signals, running: Forked, models: dict[str, Path], tmp_path: Path
) -> None:
    running.send(signal.SIGCONT)
    running.send(number)
    done = running.end()
    assert (done.code, done.out) == (130, "")
    assert done.error == (
        "Interrupted. What was finished is kept; the same command goes on from there."
    )
    assert "Traceback" not in done.err
    store = Path("store")
    assert last_job(store) == ("interrupted", None)
    words = ("--window-length", "128", "--pairs", "50", "--store", store, "--dry-run")
    again = call("ingest", models["gpt_neox"], tmp_path / "long.txt", *words)
    assert "blocks left" in again.out
    before, _, total = again.out.partition(" blocks left")[0].rpartition(" tokens, ")[2].split()
    assert 0 < int(before.replace(",", "")) < int(total.replace(",", ""))


def test_others_stay_out_of_a_running_ingest(
    running: Forked, models: dict[str, Path], tmp_path: Path
) -> None:
    store = Path("store").resolve()
    words = ("ingest", models["gpt_neox"], tmp_path / "long.txt", "--window-length", "128")
    unknown = store / "arrays" / "1" / "layer.0" / "preactivations" / "c" / "0" / "9999"
    unknown.write_bytes(b"about to be vouched for")
    files = set((store / "arrays").rglob("*"))
    try:
        second = call(*words, "--pairs", "50", "--store", store)
        assert (second.code, second.out) == (1, "")
        assert second.error == (
            "Error: An ingest into gpt_neox@main/long is at work in another process; "
            "wait for it or stop it."
        )
        removal = call("remove", "long", "--yes", "--store", store)
        assert (removal.code, removal.error) == (1, second.error)
        assert call("gc", "--store", store).error == "0 files or folders, 0 B, removed."
        assert set((store / "arrays").rglob("*")) == files
        status = call("status", "--store", store)
        assert "running" in status.out
        analysis = call("analyze", "--store", store)
        assert analysis.code == 0
        assert "gpt_neox@main/long is not complete (layers 0, 1)" in analysis.err
        assert call("verify", "--full", "--store", store).code == 0
    finally:
        running.send(signal.SIGCONT)
        running.send(signal.SIGINT)
        assert running.end().code == 130
    # The interrupt may have left a block's file, too.
    assert str(unknown) in call("gc", "--store", store).out


def test_a_killed_ingest_is_shown_as_lost(running: Forked) -> None:
    running.send(signal.SIGKILL)
    assert running.end().code == -signal.SIGKILL
    assert " lost " in call("status", "--store", "store").out
    assert last_job(Path("store"))[0] == "running"


def test_an_interrupted_question_has_nothing_to_go_on_with(analysed: Path) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("click.confirm", interrupt)
        done = call("remove", "words", "--store", analysed, typed="")
    assert (done.code, done.out, done.err.strip()) == (130, "", "Interrupted.")


def interrupt(*_words: object, **_options: object) -> bool:
    raise KeyboardInterrupt


def fail(error: Exception) -> object:
    def failing(*_words: object, **_options: object) -> None:
        raise error

    return failing


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (NegspaceError("It cannot be done: 7."), "It cannot be done: 7."),
        (BusyError(f"File {ESCAPE} is busy."), f"File {SHOWN} is busy."),
        (OSError(28, "No space left on device"), "No space left on device."),
        (PermissionError(13, "Permission denied", "/a/b"), "/a/b: Permission denied."),
        (
            sqlite3.OperationalError("disk I/O error"),
            "The store's database cannot be used: disk I/O error.",
        ),
        (
            sqlite3.IntegrityError("UNIQUE constraint failed"),
            "IntegrityError: UNIQUE constraint failed. This is a fault of negspace; run again "
            "with --debug and report what it prints.",
        ),
        (
            ZeroDivisionError("division by zero"),
            "ZeroDivisionError: division by zero. This is a fault of negspace; run again with "
            "--debug and report what it prints.",
        ),
        (
            MemoryError(),
            "MemoryError. This is a fault of negspace; run again with --debug and report what it "
            "prints.",
        ),
        (
            RuntimeError(f"{ESCAPE}\nwith more\nlines"),
            f"RuntimeError: {SHOWN}. This is a fault of negspace; run again with --debug and "
            "report what it prints.",
        ),
    ],
)
def test_an_exception_is_one_sentence(
    error: Exception, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.jobs.analyse", fail(error))
    done = call("analyze")
    assert (done.code, done.out, done.err) == (1, "", f"Error: {sentence}\n")


@pytest.mark.parametrize("words", [("--debug", "analyze"), ("analyze", "--debug")])
def test_debug_shows_the_traceback(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.jobs.analyse", fail(NegspaceError("It cannot be done.")))
    with pytest.raises(NegspaceError, match="It cannot be done"):
        call(*words)
    monkeypatch.setenv("NEGSPACE_DEBUG", "1")
    with pytest.raises(NegspaceError, match="It cannot be done"):
        call("analyze")


def test_a_traceback_is_printed_only_for_debug(tmp_path: Path) -> None:
    done = call_fresh("status", "--debug", cwd=tmp_path)
    assert done.code == 1
    assert "Traceback" in done.err
    done = call_fresh("status", cwd=tmp_path)
    assert done.code == 1
    assert done.err == (
        f"Error: There is no store at {tmp_path}/negspace-store: `negspace ingest` or "
        "`negspace demo` makes one, --store DIR names another.\n"
    )


@pytest.mark.parametrize(
    "words",
    [
        ("status", "--store", ESCAPE),
        ("ingest", ESCAPE, "text.txt"),
        ("ingest", ".", ESCAPE),
        ("ingest", "m", "t", "--dtype", ESCAPE),
        ("ingest", "m", "t", "--layers", ESCAPE),
        ("ingest", "m", "t", f"--{ESCAPE}"),
        ("sql", ESCAPE),
        (ESCAPE,),
        ("status", ESCAPE),
        ("status", "--store", "\udcff"),
        ("sql", "\udcff"),
    ],
)
def test_no_control_character_is_written(words: tuple[str, ...], analysed: Path) -> None:
    store = () if "--store" in words else ("--store", str(analysed))
    done = call(*words, *store)
    assert done.code in (1, 2)
    assert (done.err + done.out).replace("\n", "").isprintable()
    assert "fault of negspace" not in done.err


def test_names_with_escapes_are_shown_printable(
    models: dict[str, Path], text: Path, tmp_path: Path
) -> None:
    model = Path(shutil.copytree(models["gpt_neox"], tmp_path / f"m{ESCAPE}"))
    corpus = Path(shutil.copy(text, tmp_path / f"t{ESCAPE}.txt"))
    store = tmp_path / f"s{ESCAPE}"
    sizes = ("--window-length", "128", "--windows", "20", "--pairs", "5")
    for words in (
        ("ingest", model, corpus, *sizes), ("analyze",), ("status",), ("verify", "--full"),
        ("remove", "m", "--dry-run"), ("remove", "m"), ("sql", "SELECT name FROM recordings"),
    ):  # fmt: skip
        done = call(*words, "--store", store)
        assert (done.err + done.out).replace("\n", "").isprintable(), words
        assert "fault of negspace" not in done.err
    (file,) = (store / "arrays" / "1" / "layer.0" / "inputs" / "c" / "0").iterdir()
    file.unlink()
    (store / "arrays" / f"x{ESCAPE}").write_text("")
    for words in (("verify",), ("gc", "--dry-run"), ("remove", "m", "--yes")):
        done = call(*words, "--store", store)
        assert (done.err + done.out).replace("\n", "").isprintable(), words
        assert SHOWN in done.err + done.out


def test_a_token_with_an_escape_stays_in_its_cell(tmp_path: Path) -> None:
    made = make_recording(tmp_path, Plan(corpus=f"c{ESCAPE}"))
    done = call("sql", "SELECT recording FROM recording_overview", "--store", made.store.folder)
    assert SHOWN in done.out
    assert call("status", "--store", made.store.folder).out.replace("\n", "").isprintable()


@pytest.mark.parametrize("form", ["table", "csv", "jsonl"])
def test_a_closed_pipe_is_quiet(form: str, analysed: Path) -> None:
    statement = "WITH t(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM t LIMIT 300000) SELECT i FROM t"
    words = ["sql", statement, "--limit", "0", "--format", form, "--store", str(analysed)]
    read, write = os.pipe()
    process = subprocess.Popen([NEGSPACE, *words], stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    os.read(read, 10)
    os.close(read)
    _, err = process.communicate()
    assert (process.returncode, err) == (1, "")
