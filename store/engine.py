"""Runs independent pieces of work: in this process, on threads, results as they come.

Kernels release the GIL, so threads use all cores; BLAS keeps to the thread that calls it, because
its own threads would wait for cores that are taken. An error or an interrupt drops what has not
begun and waits for what has.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import TypeVar

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_items(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int | None = None
) -> Iterator[tuple[Item, Result]]:
    """Yield (item, function(item)) as the results come; at most one more than `workers` wait.

    `workers` is the number of threads, the machine's cores where it is None. The first error of
    a function is raised here.
    """
    count = workers or os.cpu_count() or 1
    left = iter(items)
    pooled = ThreadPoolExecutor(count, thread_name_prefix="negspace")
    with threadpool_limits(1 if count > 1 else None, "blas"), pooled as pool:
        running: dict[Future[Result], Item] = {}
        try:
            while True:
                for item in islice(left, count + 1 - len(running)):
                    running[pool.submit(function, item)] = item
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(future), future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
