"""A user's statement reads and does nothing else: refusals, limits, and a fuzz over both."""

import _thread
import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
import textwrap
import threading
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store.errors import BusyError, DamageError, InputError, NotFoundError
from store.readonly import (
    BATCH_ROWS,
    QueryLimits,
    connect_readonly,
    run_query,
    stream_query,
    unique_names,
)

ROOT = Path(__file__).parents[2]
SHORT = QueryLimits(seconds=0.3)
ENDLESS = "WITH RECURSIVE t(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM t) "
# Each of these succeeds on an ordinary connection; a test below makes sure.
WRITES = [
    "INSERT INTO neurons VALUES (9, 0.5, 'x')",
    "INSERT INTO neurons VALUES (9, 0.5, 'x') RETURNING neuron",
    "REPLACE INTO neurons VALUES (1, 0.5, 'x')",
    "WITH n AS (SELECT 1) INSERT INTO neurons SELECT 10, 0.5, 'x' FROM n",
    "UPDATE neurons SET wd = 0 RETURNING neuron",
    "DELETE FROM neurons",
    "DROP TABLE neurons",
    "DROP VIEW neuron_names",
    "ALTER TABLE neurons RENAME TO others",
    "CREATE TABLE t (a)",
    "CREATE TEMP TABLE t (a)",
    "CREATE TEMP VIEW t AS SELECT 1",
    "CREATE INDEX by_wd ON neurons (wd)",
    "CREATE TRIGGER t AFTER INSERT ON neurons BEGIN DELETE FROM neurons; END",
    "CREATE VIRTUAL TABLE t USING fts5(a)",
    "ATTACH 'other.sqlite' AS other",
    "ATTACH ':memory:' AS other",
    "VACUUM",
    "VACUUM INTO 'copy.sqlite'",
    "REINDEX",
    "ANALYZE",
    "BEGIN",
    "BEGIN IMMEDIATE",
    "BEGIN EXCLUSIVE",
    "SAVEPOINT s",
    "PRAGMA journal_mode = DELETE",
    "PRAGMA journal_mode",
    "PRAGMA writable_schema = ON",
    "PRAGMA query_only = OFF",
    "PRAGMA user_version = 7",
    "PRAGMA temp_store_directory = '/'",
    "PRAGMA wal_checkpoint(TRUNCATE)",
    "EXPLAIN DELETE FROM neurons",
    "/* SELECT */ DELETE FROM neurons -- SELECT 1",
]
# These fail on an ordinary connection too, or are about more than writing.
REFUSED = [
    "COMMIT",
    "ROLLBACK",
    "DETACH main",
    "SELECT load_extension('x')",
    "SELECT fts3_tokenizer('simple')",
    "SELECT sqlite_log(1, 'x')",
    "SELECT json_group_array(wd) FROM neurons",
    "SELECT * FROM pragma_table_info('neurons')",
    "SELECT * FROM pragma_journal_mode('DELETE')",
    "SELECT * FROM dbstat",
    "SELECT * FROM sqlite_stmt",
    "SELECT * FROM sqlite_temp_master",
    "SELECT 1; SELECT 2",
    "SELECT 1; -- done\nDROP TABLE neurons",
    "SELECT 1 /* ; */; /* SELECT */ DELETE FROM neurons",
    "SELEC 1",
    "SELECT * FROM nowhere",
    "SELECT ?",
    "SELECT 1\0; DROP TABLE neurons",
    "SELECT '\udc80'",
    "SELECT CAST(x'ff' AS TEXT)",
    "SELECT abs(-9223372036854775807 - 1)",
    "SELECT " + "1, " * 300 + "1",
    "SELECT '" + "a" * 1_000_001 + "'",
]
BIG = "printf('%.*c', 999000, 'a')"
GREEDY = [
    "SELECT hex(printf('%2000000000d', 1)) || zeroblob(2000000000)",
    "SELECT hex(printf('%.2000000000f', 1.0)) || zeroblob(2000000000)",
    "SELECT zeroblob(2000000000)",
    "SELECT randomblob(2000000000)",
    f"SELECT replace({BIG}, 'a', {BIG})",
    f"SELECT {BIG} || {BIG}",
    f"SELECT hex({BIG})",
    f"SELECT json_array({', '.join([BIG] * 50)})",
    f"SELECT {BIG} LIKE {BIG}",
    ENDLESS + f"SELECT group_concat({BIG}) FROM t",
    ENDLESS + f"SELECT count(DISTINCT i || {BIG}) FROM t",
    ENDLESS + f"SELECT i FROM t ORDER BY {BIG} || i",
    ENDLESS + f"SELECT lag({BIG} || i, 1000000) OVER (ORDER BY i) FROM t",
]


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return make_database(tmp_path / "negspace.sqlite")


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


def test_a_select_gives_names_and_values(path: Path) -> None:
    result = run_query(path, "SELECT neuron, wd, name, NULL AS none, x'00ff' FROM neurons")
    assert result.columns == ("neuron", "wd", "name", "none", "x'00ff'")
    assert result.rows[1] == (2, 0.25, " n2", None, b"\x00\xff")
    assert not result.truncated


def test_what_reads_is_allowed(path: Path) -> None:
    for statement, expected in [
        ("SELECT n FROM neuron_names WHERE neuron = ?", [("n3",)]),
        ("SELECT value FROM json_each('[3, 4]') WHERE value > ?", [(4,)]),
        ("SELECT sum(atom) + ? FROM json_tree('[1, [2]]')", [(6,)]),
        ("WITH t AS (SELECT 1) SELECT count(*) + ? FROM t, NEURONS", [(8,)]),
        ("SELECT name FROM sqlite_master WHERE type = 'view' AND ? = 3", [("neuron_names",)]),
        ("SELECT name FROM sqlite_schema WHERE type = 'table' AND ? = 3", [("neurons",)]),
        ("SELECT sum(wd) OVER (ORDER BY neuron) FROM neurons LIMIT 1 OFFSET ? - 2", [(0.375,)]),
        ("SELECT NEURON FROM NEURONS WHERE nAmE GLOB '*n3' AND neuron = ? ;  -- end", [(3,)]),
    ]:
        assert run_query(path, statement, parameters=[3]).rows == expected
    assert run_query(path, "SELECT :a", parameters={"a": "x"}).rows == [("x",)]
    assert run_query(path, "EXPLAIN QUERY PLAN SELECT * FROM neurons").rows


def test_a_recursion_that_finishes_is_allowed(path: Path) -> None:
    result = run_query(path, ENDLESS + "SELECT sum(i) FROM (SELECT i FROM t LIMIT 1000)")
    assert result.rows == [(500_500,)]


@pytest.mark.parametrize("statement", WRITES)
def test_the_writes_are_real(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement).fetchall()


@pytest.mark.parametrize("statement", WRITES + REFUSED)
def test_refusals_change_nothing(path: Path, statement: str) -> None:
    before = contents(path.parent)
    with pytest.raises(InputError) as caught:
        run_query(path, statement)
    assert len(str(caught.value)) < 300
    if statement in WRITES:
        assert str(caught.value).startswith(
            ("negspace sql only reads", "negspace sql has no PRAGMA")
        )
    assert contents(path.parent) == before


@pytest.mark.parametrize("statement", GREEDY)
def test_greedy_statements_end(path: Path, statement: str) -> None:
    before = contents(path.parent)
    with pytest.raises(InputError):
        run_query(path, statement, SHORT)
    assert contents(path.parent) == before


def test_refusals_leave_memory_alone(path: Path) -> None:
    run_in_fresh_python(
        """
        from tests.store.test_readonly import GREEDY
        for statement in GREEDY:
            try:
                run_query(path, statement, QueryLimits(seconds=0.2))
            except InputError:
                continue
            raise AssertionError(statement)
        status = Path("/proc/self/status").read_text()  # getrusage counts the parent's, too
        peak = int(status.split("VmHWM:")[1].split()[0])
        assert peak < 300 * 1024, peak
        """,
        path,
    )


def test_a_statement_that_doubles_forty_times_ends(path: Path) -> None:
    steps = [f"c{i + 1} AS (SELECT x FROM c{i} UNION ALL SELECT x FROM c{i})" for i in range(40)]
    statement = f"WITH c0 AS (SELECT 1 AS x), {', '.join(steps)} SELECT count(*) FROM c40"
    run_in_fresh_python(
        f"""
        try:
            run_query(path, {statement!r})
        except InputError as error:
            assert "memory" in str(error), error
        else:
            raise AssertionError
        """,
        path,
    )


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("SELECT * FROM pragma_table_info('neurons')", "only reads the tables"),
        ("DELETE FROM neurons", "only reads"),
        ("PRAGMA query_only", "--schema"),
        ("SELECT load_extension('x')", "load_extension"),
        ("SELECT 1; SELECT 2", "several statements"),
        ("SELECT * FROM nowhere", "no such table: nowhere"),
        ("SELECT 1 FROM neurons WHERE", "incomplete input"),
        ("", "empty"),
        ("  -- nothing\n /* at all */ ", "empty"),
        (";", "empty"),
    ],
)
def test_messages_say_what_to_do(path: Path, statement: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        run_query(path, statement)


def test_a_slow_statement_names_the_option(path: Path) -> None:
    with pytest.raises(InputError, match=r"longer than 0\.3 s .* --timeout"):
        run_query(path, ENDLESS + "SELECT count(*) FROM t", SHORT)


def test_slow_rows_are_counted_too(path: Path) -> None:
    limits = QueryLimits(seconds=0.3, rows=None)
    with stream_query(path, ENDLESS + "SELECT i FROM t", limits) as stream:
        batches = stream.batches()
        assert next(batches)[0] == (1,)
        with pytest.raises(InputError, match="--timeout"):
            list(batches)


def test_another_thread_can_stop_it(path: Path) -> None:
    stop = threading.Event()
    timer = threading.Timer(0.1, stop.set)
    timer.start()
    with pytest.raises(InputError, match="stopped before"):
        run_query(path, ENDLESS + "SELECT count(*) FROM t", stop=stop)
    timer.join()


def test_ctrl_c_stays_ctrl_c(path: Path) -> None:
    timer = threading.Timer(0.1, _thread.interrupt_main)
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            run_query(path, ENDLESS + "SELECT count(*) FROM t")
    finally:
        timer.cancel()


@pytest.mark.parametrize(("rows", "truncated"), [(4, True), (5, False), (6, False)])
def test_truncated_is_exact(path: Path, rows: int, truncated: bool) -> None:
    result = run_query(path, "SELECT * FROM neurons", QueryLimits(rows=rows))
    assert (len(result.rows), result.truncated) == (min(rows, 5), truncated)


@pytest.mark.parametrize("rows", [BATCH_ROWS - 1, BATCH_ROWS, BATCH_ROWS + 1, 3 * BATCH_ROWS])
def test_truncated_is_exact_at_the_batches(path: Path, rows: int) -> None:
    statement = ENDLESS + "SELECT i FROM t LIMIT ?"
    for total in (rows - 1, rows, rows + 1):
        with stream_query(path, statement, QueryLimits(rows=rows), [total]) as stream:
            seen = [i for batch in stream.batches() for (i,) in batch]
        assert seen == list(range(1, min(rows, total) + 1))
        assert stream.truncated == (total > rows)


def test_size_truncates_unless_every_row_is_wanted(path: Path) -> None:
    statement = ENDLESS + "SELECT printf('%.*c', 1000, 'a') FROM t LIMIT 50"
    small = run_query(path, statement, QueryLimits(size=10_000))
    assert (len(small.rows), small.truncated) == (10, True)
    assert len(run_query(path, statement, QueryLimits(rows=None, size=10_000)).rows) == 50


def test_limits_are_checked() -> None:
    for seconds in (0.0, -1.0, float("nan")):
        with pytest.raises(InputError, match="--timeout"):
            QueryLimits(seconds=seconds)
    with pytest.raises(InputError, match="--limit"):
        QueryLimits(rows=-1)


def test_reading_goes_on_while_another_writes(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO neurons VALUES (6, 0.75, 'n6')")
        assert run_query(path, "SELECT count(*) FROM neurons").rows == [(5,)]
        with stream_query(path, "SELECT neuron FROM neurons") as stream:
            writer.execute("COMMIT")
            writer.execute("DELETE FROM neurons WHERE neuron = 1")
            assert [n for batch in stream.batches() for (n,) in batch] == [1, 2, 3, 4, 5]
        assert run_query(path, "SELECT min(neuron), max(neuron) FROM neurons").rows == [(2, 6)]


def test_a_locked_database_waits_then_says_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.readonly.BUSY_SECONDS", 0.05)
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = DELETE")
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(BusyError, match="try again"):
            run_query(path, "SELECT 1 FROM neurons")
        monkeypatch.setattr("store.readonly.BUSY_SECONDS", 30.0)
        results: list[int] = []
        reader = threading.Thread(
            target=lambda: results.append(len(run_query(path, "SELECT * FROM neurons").rows))
        )
        reader.start()
        writer.execute("COMMIT")
        reader.join()
    assert results == [5]


@pytest.mark.parametrize("name", ["a b", "q?mode=rwc", "h#x", "100%41", "neurön", "'\";"])
def test_any_file_name_is_opened_readonly(path: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    shutil.copy(path, folder / f"{name}.sqlite")
    with closing(connect_readonly(folder / f"{name}.sqlite")) as connection:
        assert connection.execute("SELECT count(*) FROM neurons").fetchone() == (5,)
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute("DELETE FROM neurons")


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="--store"):
        connect_readonly(tmp_path / "none.sqlite")
    assert not list(tmp_path.iterdir())
    (tmp_path / "text.sqlite").write_text("this is not a database " * 100)
    with pytest.raises(DamageError, match="not a database"):
        connect_readonly(tmp_path / "text.sqlite")


# Root may write anywhere; without capabilities it may not.
IN_READONLY_FOLDER = """
    import ctypes, os
    if os.geteuid() == 0:
        nothing = (ctypes.c_uint32 * 6)()
        assert ctypes.CDLL(None).capset((ctypes.c_uint32 * 2)(0x20080522, 0), nothing) == 0
    os.chmod(path.parent, 0o555)
    try:
        (path.parent / "x").touch()
    except PermissionError:
        pass
    else:
        raise AssertionError("the folder can be written")
    """


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


def test_a_readonly_folder_is_read(path: Path) -> None:
    assert sorted(p.name for p in path.parent.iterdir()) == [path.name]
    check = "assert run_query(path, 'SELECT count(*) FROM neurons').rows == [(5,)]"
    try:
        run_in_fresh_python(textwrap.dedent(IN_READONLY_FOLDER) + check, path)
    finally:
        path.parent.chmod(0o755)


def test_a_readonly_folder_with_a_log_alone_is_refused(path: Path, tmp_path: Path) -> None:
    left = tmp_path / "left"
    left.mkdir()
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("DELETE FROM neurons WHERE neuron = 1")
        writer.commit()
        for name in (path.name, path.name + "-wal"):
            shutil.copy(path.with_name(name), left / name)
    check = """
        try:
            run_query(path, "SELECT 1")
        except InputError as error:
            assert "-wal" in str(error), error
        else:
            raise AssertionError
        """
    script = textwrap.dedent(IN_READONLY_FOLDER) + textwrap.dedent(check)
    try:
        run_in_fresh_python(script, left / path.name)
    finally:
        left.chmod(0o755)
    assert run_query(left / path.name, "SELECT count(*) FROM neurons").rows == [(4,)]


def test_nothing_heavy_is_loaded() -> None:
    heavy = ["torch", "transformers", "zarr", "sqlalchemy", "pyarrow", "numpy", "rich"]
    script = (
        f"import store.readonly, tui.output, sys; print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@given(st.lists(st.sampled_from(["a", "b", "a_2", "a_3", "a_2_2", ""]), max_size=8))
def test_unique_names_are_unique_and_keep_the_first(names: list[str]) -> None:
    made = unique_names(names)
    assert len(set(made)) == len(made) == len(names)
    for position, name in enumerate(names):
        assert made[position].startswith(name)
        if name not in names[:position]:
            assert made[position] == name


TOKENS = """
SELECT INSERT INTO UPDATE DELETE FROM neurons SET wd = 1 ( ) , ; * WHERE neuron VALUES CREATE TEMP
TABLE VIEW INDEX TRIGGER DROP ALTER RENAME TO ATTACH DETACH AS 'x.sqlite' VACUUM REINDEX PRAGMA
journal_mode writable_schema user_version main . temp BEGIN COMMIT ROLLBACK IMMEDIATE WITH RECURSIVE
t UNION ALL EXPLAIN QUERY PLAN RETURNING -- /* */ load_extension sqlite_master NULL ON CONFLICT DO
OR REPLACE IF EXISTS NOT ORDER BY LIMIT JOIN json_each '[1]' "wd" x'00' ?
"""
WORDS = TOKENS.split()
BEFORE = ["", "EXPLAIN ", "WITH n AS (SELECT 1) ", "/* a */ ", "SELECT 1; ", "-- a\n", "SELECT ("]
AFTER = ["", ";", " -- a", "; SELECT 1", " RETURNING *", " UNION SELECT 1", ")"]
statements = st.one_of(
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=14).map(" ".join),
    st.tuples(st.sampled_from(BEFORE), st.sampled_from(WRITES), st.sampled_from(AFTER)).map(
        "".join
    ),
    st.tuples(st.sampled_from(WRITES), st.sampled_from(WORDS), st.integers(0, 40)).map(
        lambda parts: f"{parts[0][: parts[2]]} {parts[1]} {parts[0][parts[2] :]}"
    ),
)


@settings(
    max_examples=600,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(statement=statements)
def test_no_statement_changes_the_folder(path: Path, statement: str) -> None:
    before = contents(path.parent)
    with suppress(InputError):
        run_query(path, statement, SHORT)
    assert contents(path.parent) == before
