"""Drives the browser in a test: no terminal, real store, keys as a user presses them."""

import asyncio
import html
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from textual.pilot import Pilot
from textual.widgets import Input
from textual.worker import WorkerCancelled

from store.store import open_store
from tui.browser.app import DEFAULTS, Browser
from tui.browser.settings import BrowseSettings
from tui.context import Context

Script = Callable[[Browser, Pilot[None]], Awaitable[None]]


async def settle(app: Browser, pilot: Pilot[None]) -> None:
    """Wait until nothing is being read any more."""
    await pilot.pause()
    while running := [worker for worker in app.workers if not worker.is_finished]:
        for worker in running:
            with suppress(WorkerCancelled):  # another took its place
                await worker.wait()
        await pilot.pause()
    await pilot.pause()


def drive(
    store: Path,
    script: Script,
    *,
    size: tuple[int, int] = (120, 40),
    read_only: bool = False,
    settings: BrowseSettings = DEFAULTS,
) -> None:
    """Run a script against the browser of a store."""

    async def run() -> None:
        context = Context(folder=store, read_only=read_only)
        app = Browser(open_store(store), context, settings)
        async with app.run_test(size=size) as pilot:
            await settle(app, pilot)
            await script(app, pilot)
            await app.action_quit()

    asyncio.run(run())


def read_screen(app: Browser) -> str:
    """Return the words that stand on the screen, a line for each piece of one style."""
    pieces = re.findall(r"<text[^>]*>([^<]*)</text>", app.export_screenshot())
    return "\n".join(html.unescape(piece).replace("\xa0", " ") for piece in pieces)


async def export_to(app: Browser, pilot: Pilot[None], path: Path) -> None:
    """Press the key of the export, and give it a file."""
    await pilot.press("e")
    await pilot.pause()
    app.screen.query_one(Input).value = str(path)
    await pilot.press("enter")
    await settle(app, pilot)
