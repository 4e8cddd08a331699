"""What a neuron writes, on its page: what the store keeps at once, the rest on the user's word."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from analysis.card import Card, gather_card
from analysis.written import Written, compute_written
from store.errors import InputError, NotFoundError
from store.recording import Layer
from store.store import open_store
from tests.tui.browser.driving import drive, settle
from tests.tui.browser.test_neuron_detail import card_of, show, text_of, until
from tests.tui.calling import NAME, contents
from tui.browser import neuron_detail, written_layers
from tui.browser.app import Browser
from tui.browser.compare import CompareScreen
from tui.browser.dialogs import ConfirmDialog
from tui.browser.neuron_detail import NeuronDetail

KEPT = "writes_tokens"


async def ask_for(app: Browser, pilot: Pilot[None], detail: NeuronDetail, answer: str) -> str:
    """Press the key that computes, answer the question, and return the cost that it told."""
    detail.focus_page()
    await pilot.press("w")
    await until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
    cost = str(app.screen.query_one("#cost", Static).render())
    await pilot.press(answer)
    await pilot.pause()
    return cost


@contextmanager
def counting() -> Iterator[list[int]]:
    """Count the layers that are computed."""
    layers: list[int] = []

    def counted(layer: Layer, stop: threading.Event) -> Written:
        layers.append(layer.row.layer)
        return compute_written(layer, stop)

    with patch.object(written_layers, "compute_written", counted):
        yield layers


def assert_shown(detail: NeuronDetail, card: Card) -> None:
    shown = text_of(detail, "writes")
    for token in (*card.writes.raises, *card.writes.lowers):
        assert f"{token.logit:+.4f}" in shown


def test_what_a_layer_writes_is_computed_once_when_asked_for_and_not_stored(store: Path) -> None:
    before, cards = contents(store), [card_of(store, neuron) for neuron in (5, 6)]

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        detail = await show(app, pilot, 5)
        assert "the store does not keep it. w computes it" in text_of(detail, "writes")
        await ask_for(app, pilot, detail, "n")
        await settle(app, pilot)
        assert not layers
        cost = await ask_for(app, pilot, detail, "y")
        assert "kB of weights from the checkpoint's files" in cost
        await settle(app, pilot)
        await pilot.wait_for_scheduled_animations()
        page, part = detail.query_one("#detail-page"), detail.query_one("#detail-writes")
        assert page.region.contains_point(part.region.offset)
        assert_shown(detail, cards[0])
        await show(app, pilot, 6)
        assert_shown(detail, cards[1])
        await pilot.press("w")
        await settle(app, pilot)
        assert not isinstance(app.screen, ConfirmDialog)
        await app.push_screen(CompareScreen(NAME, [(1, 5), (1, 6)]))
        await until(pilot, lambda: all(d.card for d in app.screen.query(NeuronDetail)))
        await settle(app, pilot)
        for side, card in zip(app.screen.query(NeuronDetail), cards, strict=True):
            assert_shown(side, card)

    with counting() as layers:
        drive(store, script)
    assert layers == [1]
    assert contents(store) == before


def test_what_the_store_keeps_is_shown_without_a_question(store: Path) -> None:
    card = gather_card(open_store(store).recording(NAME), 1, 5, keep=True)

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        assert_shown(await show(app, pilot, 5), card)

    with counting() as layers:
        drive(store, script)
    assert not layers


def test_damage_of_what_the_store_keeps_is_told_in_place(store: Path) -> None:
    gather_card(open_store(store).recording(NAME), 1, 5, keep=True)
    (file,) = (f for f in store.glob(f"arrays/*/layer.1/{KEPT}/c/**/*") if f.is_file())
    file.write_bytes(bytes(file.stat().st_size))

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        detail = await show(app, pilot, 5)
        said = " ".join(text_of(detail, "writes").split())
        assert said.startswith("What it writes is not known: ")
        assert KEPT in said
        assert "neuron 5" in text_of(detail, "head")

    drive(store, script)


def test_a_recording_that_is_removed_before_its_writes_are_read_is_told(analysed: Path) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        detail = await show(app, pilot, 5)
        assert "not known: it was removed" in text_of(detail, "writes")

    error = NotFoundError("it was removed")
    with patch.object(neuron_detail, "read_writes", side_effect=error):
        drive(analysed, script)


@pytest.mark.parametrize("place", ["find_output_tensors", "read_output_weights"])
def test_why_it_cannot_be_computed(analysed: Path, place: str) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        detail = await show(app, pilot, 5)
        if place == "find_output_tensors":
            detail.focus_page()
            await pilot.press("w")
        else:
            await ask_for(app, pilot, detail, "y")
        await settle(app, pilot)
        assert "is not known: the files are gone" in text_of(detail, "writes")
        assert "neuron 5" in text_of(detail, "head")

    with patch(f"analysis.written.{place}", side_effect=NotFoundError("the files are gone")):
        drive(analysed, script)


@contextmanager
def slowly() -> Iterator[None]:
    """Compute until it is stopped, or the block ends."""
    over = threading.Event()

    def compute(_layer: Layer, stop: threading.Event) -> Written:
        while not (stop.wait(0.01) or over.is_set()):
            pass
        raise InputError("it was stopped")

    with patch.object(written_layers, "compute_written", compute):
        yield
        over.set()


def test_the_page_lives_while_it_is_computed_and_the_key_stops_it(analysed: Path) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        detail = await show(app, pilot, 5)
        await ask_for(app, pilot, detail, "y")
        await until(pilot, lambda: "being computed" in text_of(detail, "writes"))
        await detail.show(NAME, 1, 6)
        await until(pilot, lambda: detail.card is not None and detail.card.neuron == 6)
        await until(pilot, lambda: "being computed" in text_of(detail, "writes"))
        await pilot.press("w")
        await until(pilot, lambda: "it was stopped" in text_of(detail, "writes"))
        await ask_for(app, pilot, detail, "n")  # it may be asked for again

    with slowly():
        drive(analysed, script)


def test_the_end_of_the_browser_does_not_wait_for_it(analysed: Path) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        detail = await show(app, pilot, 5)
        await ask_for(app, pilot, detail, "y")
        await until(pilot, lambda: "being computed" in text_of(detail, "writes"))

    with slowly():
        drive(analysed, script)
        (thread,) = (t for t in threading.enumerate() if t.name == "written" and t.is_alive())
        assert thread.daemon
    thread.join()
