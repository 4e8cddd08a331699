"""Asks before a costly command is started: shows its plan, and starts it if the user agrees."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from store.errors import InputError
from store.printable import printable
from tui.browser.dialogs import ConfirmDialog
from tui.browser.pane import Pane
from tui.browser.processes import Started, preview, show_command, start_command

if TYPE_CHECKING:
    from textual.worker import Worker

LOOK_SECONDS = 0.2
PLANNING = "start"
"""The group of the workers that show a plan and start it."""


def require_starting(pane: Pane) -> None:
    """Raise InputError under --read-only."""
    if pane.context.read_only:
        raise InputError(
            "--read-only: nothing can be started, stopped or removed; open the store without it."
        )


def at_work(pane: Pane, group: str) -> "list[Worker[object]]":
    """Return the workers of a pane and group that have not ended."""
    return [w for w in pane.workers if w.node is pane and w.group == group and not w.is_finished]


def stop_planning(pane: Pane) -> bool:
    """Stop what plans or asks for a pane, and say whether anything did."""
    planning = at_work(pane, PLANNING)
    for worker in planning:
        worker.cancel()
    if planning:
        pane.notify("The plan was stopped.")
    return bool(planning)


async def _come_back(pane: Pane, verb: str) -> None:
    """Wait until the user looks at the pane: a question over something else would take its keys."""

    def looks() -> bool:
        return pane.browser.shown is pane and pane.app.screen is pane.screen

    if not looks():
        pane.notify(f"The plan of {verb} is ready: the tab {pane.name_shown} asks for a yes.")
    while not looks():
        await asyncio.sleep(LOOK_SECONDS)


async def ask_and_start(pane: Pane, words: Sequence[str], question: str) -> Started | None:
    """Show what a command would do, and start it after a yes; None after a no.

    It is waited for the plan and for the answer, so this runs in a worker. Raises NegspaceError
    where the plan fails, where it cannot be started, and under --read-only.
    """
    require_starting(pane)
    folder, line = pane.browser.store.folder, show_command(words, pane.browser.store.folder)
    pane.notify(printable(f"Planning: {line}"), markup=False)
    pane.browser.tell(f"planning {words[0]} ... (Esc in {pane.name_shown} stops it)")
    try:
        cost = await preview(words, folder)
    finally:
        pane.browser.tell("")
    await _come_back(pane, words[0])
    if not await pane.app.push_screen_wait(ConfirmDialog(question, f"{cost}\n\n{line}")):
        return None
    started = start_command(words, folder)
    pane.notify("Started; the tab Jobs shows how far it is.")
    return started
