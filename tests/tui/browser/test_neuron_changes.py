"""The page of a neuron while the store changes under it: the browser lives and says a sentence."""

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from unittest.mock import patch

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from analysis.written import compute_written
from store.database import Database, Value
from store.errors import NegspaceError
from store.ledger import remove_recording
from store.store import open_store
from tests.tui.browser.driving import drive
from tests.tui.browser.test_neuron_detail import show, text_of
from tests.tui.calling import NAME
from tui.browser.app import Browser
from tui.browser.neuron_detail import NeuronDetail
from tui.browser.neuron_page import OpenLayers, name_writes, read_page

MOST_READS = 100


def fault_of(detail: NeuronDetail) -> str:
    line = detail.query_one(".fault", Static)
    return str(line.render()) if line.display else ""


@pytest.mark.parametrize("kind", ["IMMEDIATE", "EXCLUSIVE"])
def test_a_page_is_shown_as_it_was_before_an_open_transaction(store: Path, kind: str) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        with closing(sqlite3.connect(store / "negspace.sqlite", isolation_level=None)) as writer:
            writer.execute(f"BEGIN {kind}")
            writer.execute("DELETE FROM neurons")
            detail = await show(app, pilot, 5)
            assert not fault_of(detail)
            assert "neuron 5" in text_of(detail, "head")
            writer.execute("COMMIT")
        await show(app, pilot, 6)
        assert "negspace analyze" in fault_of(detail)

    drive(store, script)


def test_a_recording_that_is_removed_meanwhile_is_told_and_others_are_not_held_up(
    store: Path,
) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        detail = await show(app, pilot, 5)
        there = app.store.recording(NAME)
        remove_recording(open_store(store), there.row.id, NAME)
        await show(app, pilot, 6)
        assert NAME in fault_of(detail)
        assert app.is_running

    drive(store, script)


@pytest.mark.parametrize("name", ["histogram", "extreme_values", "pair_outputs"])
@pytest.mark.parametrize("change", [Path.unlink, lambda f: f.write_bytes(b"short"),
                                    lambda f: f.write_bytes(bytes(f.stat().st_size))])  # fmt: skip
def test_arrays_that_are_being_replaced_are_told(
    store: Path, name: str, change: Callable[[Path], object]
) -> None:
    (file,) = (f for f in store.glob(f"arrays/*/layer.1/{name}/c/**/*") if f.is_file())
    kept = file.read_bytes()

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        change(file)
        detail = await show(app, pilot, 5)
        assert name in fault_of(detail)
        file.write_bytes(kept)
        await show(app, pilot, 5)
        assert not fault_of(detail)

    drive(store, script)


def gone_after(last: int, done: list[int]) -> Callable[..., list[sqlite3.Row]]:
    """Return a `Database.rows` that finds nothing after some reads; `done` gets a 1 for each."""
    real = Database.rows

    def rows(
        self: Database, statement: str, parameters: Mapping[str, Value] | None = None
    ) -> list[sqlite3.Row]:
        done.append(1)
        return real(self, statement, parameters) if len(done) <= last else []

    return rows


def test_a_recording_that_is_removed_between_any_two_reads_is_a_sentence(analysed: Path) -> None:
    store = open_store(analysed)
    card = read_page(OpenLayers(store), NAME, 1, 5).card
    reads: tuple[Callable[[OpenLayers], object], ...] = (
        lambda opened: read_page(opened, NAME, 1, 5),
        lambda opened: name_writes(opened, card, written),
    )
    written = compute_written(store.recording(NAME).layer(1))
    for read in reads:
        n_reads: list[int] = []
        with patch.object(Database, "rows", gone_after(MOST_READS, n_reads)):
            read(OpenLayers(store))
        assert 2 < len(n_reads) < MOST_READS
        for last in range(len(n_reads)):
            with patch.object(Database, "rows", gone_after(last, [])), suppress(NegspaceError):
                read(OpenLayers(store))
