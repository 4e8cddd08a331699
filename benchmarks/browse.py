"""The browser on a million neurons: its first paint, a neuron's page, and sorts of the list.

The first paint is that of the command in a pseudo-terminal, from its start to the first row. Pages
and sorts are those of the application without a terminal, from the call that a key makes to the
drawn screen; each page is of a neuron that was not shown before. The first page of a session loads
what reads it and decodes its layer, so it is measured in processes of its own; the other pages are
of one layer, after its first.
"""

import asyncio
import os
import pty
import select
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from dataclasses import replace
from unittest.mock import patch

from textual.pilot import Pilot

from benchmarks.harness import MILLISECONDS, ROOT, Measure, Result, Series
from benchmarks.sizes import Bench
from benchmarks.startup import PROGRAM
from benchmarks.synthetic import LARGE, make_store
from store.store import Store, open_store
from tui.browser.app import Browser
from tui.browser.looks import WIDE
from tui.browser.neuron_detail import NeuronDetail
from tui.browser.neurons import NeuronsPane
from tui.context import Context

TARGETS = {"paint": 1000.0, "page": 200.0, "page.first": 200.0}
FIRST_PAGE = "from benchmarks.browse import tell_first_page; tell_first_page()"
"""Run with a store's folder."""
SORTS = ("md", "negative_fraction", "wd")
ROWS, COLUMNS = 40, 120
WAIT_SECONDS = 120.0
PAGES = 4
"""Pages of a round."""


def run(bench: Bench) -> list[Result]:
    """Measure on a store of layers as wide as Pythia-12B's."""
    width = bench.sizes.page_neurons
    plan = LARGE if width >= 1000 else replace(LARGE, n_neurons=width, d_model=8, n_windows=2)
    store = make_store(bench.folder / "neurons", bench.sizes.page_layers * width, plan)
    # What the browser remembers of the store goes with it.
    with patch.dict(os.environ, {"XDG_CONFIG_HOME": str(bench.folder)}):
        alone: dict[str, Callable[[Store], float]] = {"paint": _paint, "page.first": _first_page}
        found = {
            name: Series(tuple([side(store) for _ in range(1 + bench.rounds)][1:]))
            for name, side in alone.items()
        } | asyncio.run(_use(store, bench.rounds))
    return [_tell(name, series, bench) for name, series in found.items()]


def _tell(name: str, series: Series, bench: Bench) -> Result:
    what = {
        "paint": "`negspace browse` to the first row on the screen",
        "page.first": f"the first page of a session, of a layer of {bench.sizes.page_neurons:,}",
        "page": f"any other neuron's page, of a layer of {bench.sizes.page_neurons:,}",
        "sort.wd": "10,000 neurons by wd, which has an index",
    }
    n = bench.sizes.page_layers * bench.sizes.page_neurons
    measure = Measure(
        name=f"browse.{name}",
        what=what.get(name, f"10,000 neurons by {name.removeprefix('sort.')}, without an index"),
        shape=f"{n:,} neurons, terminal of {COLUMNS}x{ROWS}",
        baseline="none: milliseconds",
        figure=MILLISECONDS,
        target=TARGETS.get(name),
        unit="ms",
    )
    return Result(measure, series)


def _paint(store: Store) -> float:
    """Return the seconds from the start of the command until its first row is on the screen."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (ROWS, COLUMNS))
    words = [sys.executable, "-c", PROGRAM, "browse", "--store", str(store.folder), "--read-only"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TERM": "xterm-256color"}
    start = time.perf_counter()
    child = subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    try:
        _await_text(ours, f"{LARGE.model}@{LARGE.revision}".encode())
        return time.perf_counter() - start
    finally:
        child.kill()
        child.wait()
        os.close(ours)
        os.close(theirs)


def _await_text(terminal: int, text: bytes) -> None:
    seen, end = b"", time.monotonic() + WAIT_SECONDS
    while text not in seen:
        ready, _, _ = select.select([terminal], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            raise TimeoutError(f"{text!r} did not appear in {WAIT_SECONDS} s; last {seen[-200:]!r}")
        seen += os.read(terminal, 65536)


def _first_page(store: Store) -> float:
    words = [sys.executable, "-c", FIRST_PAGE, str(store.folder)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, stdout=subprocess.PIPE, env=environment, check=True)
    return float(done.stdout)


def tell_first_page() -> None:
    """Print the seconds of a session's first page, of the store that the arguments say."""
    print(asyncio.run(_open_page(open_store(sys.argv[1]))))


async def _open_page(store: Store) -> float:
    """Return the seconds of the page that is opened over the list where both do not fit beside."""
    app = Browser(store, Context(folder=store.folder, read_only=True))
    async with app.run_test(size=(WIDE - 1, ROWS)) as pilot:
        pane = await _list(app, pilot)
        return (await _visit(pane, range(1)))[0]


async def _use(store: Store, rounds: int) -> dict[str, Series]:
    """Return the seconds of pages and sorts, after one of each that does not count."""
    app = Browser(store, Context(folder=store.folder, read_only=True))
    async with app.run_test(size=(COLUMNS, ROWS)) as pilot:
        pane = await _list(app, pilot)
        pages = await _visit(pane, range(1 + PAGES * rounds))
        sorts: dict[str, list[float]] = {name: [] for name in SORTS}
        for _ in range(1 + rounds):
            for name in SORTS:
                sorts[name].append(await _sort(pane, name))
                await _settle(app, pilot)
    found = {f"sort.{name}": Series(tuple(values[1:])) for name, values in sorts.items()}
    return {"page": Series(tuple(pages[1:])), **found}


async def _list(app: Browser, pilot: Pilot[None]) -> NeuronsPane:
    """Return the tab of the neurons once all of its rows are there."""
    pane = await app.pane("neurons")
    assert isinstance(pane, NeuronsPane)
    while not pane.query("#neurons-grid") or pane.grid.answer is None:
        await asyncio.sleep(0.001)
    await _settle(app, pilot)
    return pane


async def _settle(app: Browser, pilot: Pilot[None]) -> None:
    await app.workers.wait_for_complete()
    await pilot.pause()


async def _visit(pane: NeuronsPane, neurons: range) -> list[float]:
    detail = pane.query_one(NeuronDetail)
    seconds = []
    for neuron in neurons:
        start = time.perf_counter()
        pane.go_to(0, neuron)
        while detail.card is None or detail.card.neuron != neuron:
            await asyncio.sleep(0.001)
        await _drawn(pane)
        seconds.append(time.perf_counter() - start)
        await pane.app.workers.wait_for_complete()
    return seconds


async def _sort(pane: NeuronsPane, column: str) -> float:
    before, start = pane.grid.answer, time.perf_counter()
    pane.sort_by(column)
    while pane.grid.answer is before:
        await asyncio.sleep(0.001)
    await _drawn(pane)
    return time.perf_counter() - start


async def _drawn(pane: NeuronsPane) -> None:
    """Wait until what was changed is laid out and drawn."""
    drawn = asyncio.Event()
    pane.call_after_refresh(drawn.set)
    await drawn.wait()
