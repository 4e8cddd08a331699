"""Statements that take too long or too much end, and what was left out is known."""

import _thread
import threading
from pathlib import Path

import pytest

from store.errors import InputError
from store.readonly import BATCH_ROWS, QueryLimits, run_query, stream_query
from tests.store.querying import ENDLESS, SHORT, contents, run_in_fresh_python

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


@pytest.mark.parametrize("statement", GREEDY)
def test_greedy_statements_end(path: Path, statement: str) -> None:
    before = contents(path.parent)
    with pytest.raises(InputError):
        run_query(path, statement, SHORT)
    assert contents(path.parent) == before


def test_refusals_leave_memory_alone(path: Path) -> None:
    run_in_fresh_python(
        """
        from tests.store.test_readonly_limits import GREEDY
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
