"""Draws the README's pictures of the browser: `python docs/screens.py STORE`, of `make demo`."""

import asyncio
import os
import sys
import tempfile
from pathlib import Path
from unittest.mock import patch

from textual.pilot import Pilot
from textual.widgets import Static

from store.store import open_store
from tui.browser.app import Browser
from tui.browser.state import state_file, write_state
from tui.context import Context

HERE = Path(__file__).resolve().parent
RECORDING = "demo-medium@step300/pydoc-topics"
STATEMENT = f"""\
-- What do the neurons of layer 1 pull apart?
SELECT token_1, next_1, token_2, next_2, oi, output_1, output_2, survival
FROM token_pairs
WHERE recording = '{RECORDING}' AND layer = 1 AND pair_rank < 3
ORDER BY oi DESC
"""
STATE: dict[str, dict[str, object]] = {
    "neurons": {"recording": RECORDING, "filter": "layer=1 and wd>0.08"},
    "sql": {"text": STATEMENT},
}
SIZES = {"neurons": (150, 46), "sql": (132, 30)}


def main(folder: Path) -> None:
    """Draw each picture into docs/images."""
    with tempfile.TemporaryDirectory() as config, patch.dict(os.environ, XDG_CONFIG_HOME=config):
        for name in SIZES:
            write_state(state_file(open_store(folder)), STATE)
            picture = asyncio.run(draw(folder, name))
            (HERE / "images" / f"browse-{name}.svg").write_text(picture, encoding="utf-8")


async def draw(folder: Path, name: str) -> str:
    """Return a tab as it looks once all is read, as SVG."""
    app = Browser(open_store(folder), Context(folder=folder, read_only=True))
    async with app.run_test(size=SIZES[name]) as pilot:
        # Where the store lies here means nothing to a reader.
        app.query_one("#head", Static).update(f"? keys   read-only   {folder.name}")
        await app.pane(name)
        await _settle(app, pilot)
        if name == "sql":
            await pilot.press("f5")
            await _settle(app, pilot)
        return app.export_screenshot(title="negspace browse")


async def _settle(app: Browser, pilot: Pilot[None]) -> None:
    # What one worker reads starts the next one: a page follows the cursor of a list.
    for _ in range(4):
        await pilot.pause(0.3)
        await app.workers.wait_for_complete()
    await pilot.pause()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
