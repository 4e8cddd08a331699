"""Work on threads: all results, the first error, nothing begun after either."""

import _thread
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.engine import map_items


@settings(max_examples=30, deadline=None)
@given(items=st.lists(st.integers(), max_size=30), workers=st.sampled_from([None, 1, 2, 5]))
def test_every_item_gives_its_result_once(items: list[int], workers: int | None) -> None:
    found = list(map_items(lambda item: item * item, items, workers))
    assert sorted(found) == sorted((item, item * item) for item in items)


def test_one_worker_keeps_the_order_of_the_items() -> None:
    begun: list[int] = []
    assert len(list(map_items(begun.append, range(50), 1))) == 50
    assert begun == list(range(50))


def test_results_come_before_all_items_are_taken() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(100):
            taken.append(item)
            yield item

    results = map_items(lambda item: item, items(), 2)
    assert next(results)[0] in (0, 1, 2)
    assert len(taken) <= 3
    results.close()  # type: ignore[attr-defined]
    assert len(taken) <= 3


def test_workers_run_side_by_side() -> None:
    meeting = threading.Barrier(3, timeout=30)
    assert len(list(map_items(lambda _: meeting.wait(), range(3), 3))) == 3


def test_items_run_on_other_threads_that_end() -> None:
    here = threading.get_ident()
    names = {result for _, result in map_items(lambda _: threading.get_ident(), range(9), 2)}
    assert here not in names
    assert not [t for t in threading.enumerate() if t.name.startswith("negspace")]


def test_an_error_is_raised_and_ends_the_work() -> None:
    begun = []

    def work(item: int) -> int:
        begun.append(item)
        if item == 2:
            raise ValueError(f"item {item}")
        return item

    results = map_items(work, range(1000), 1)
    with pytest.raises(ValueError, match="item 2"):
        list(results)
    assert len(begun) <= 5
    assert not [t for t in threading.enumerate() if t.name.startswith("negspace")]


def test_work_that_has_begun_is_waited_for_after_an_error() -> None:
    ended = []
    started = threading.Event()

    def work(item: int) -> None:
        if item == 0:
            started.wait(30)
            raise ValueError("first")
        started.set()
        time.sleep(0.2)
        ended.append(item)

    with pytest.raises(ValueError, match="first"):
        list(map_items(work, range(2), 2))
    assert ended == [1]


def test_an_error_of_the_items_is_raised() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise RuntimeError("no more items")

    with pytest.raises(RuntimeError, match="no more items"):
        list(map_items(lambda item: item, items(), 1))


def test_an_interrupt_waits_for_what_has_begun() -> None:
    begun, ended = [], []
    second = threading.Event()

    def items() -> Iterator[int]:
        yield 0
        second.set()
        yield from range(1, 1000)

    def work(item: int) -> None:
        begun.append(item)
        second.wait(30)
        if item == 1:
            _thread.interrupt_main()
            time.sleep(0.3)
        ended.append(item)

    with pytest.raises(KeyboardInterrupt):
        list(map_items(work, items(), 1))
    assert begun == ended
    assert len(begun) <= 4
