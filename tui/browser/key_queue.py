"""Keys one by one: each waits until the one before has done what it does.

Textual hands a key to the widget that has the focus when it arrives. Of keys that arrive together,
as over a slow line or from a paste, the second would so go where the first took the focus away:
`/layer=1` would be read as commands.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial

from textual import events
from textual.app import App
from textual.message_pump import MessagePump
from textual.timer import Timer

LONGEST_WAIT = 0.5
"""Seconds after which the next key goes all the same: a widget that is closed never answers."""
Send = Callable[[events.Key], Awaitable[None]]


class KeyQueue:
    """The keys that arrived and are not handled yet; `send` hands one to the focus."""

    def __init__(self, app: App[None], send: Send) -> None:
        self._app, self._send = app, send
        self._keys: deque[events.Key] = deque()
        self._patience: Timer | None = None
        self._turn = 0

    async def add(self, key: events.Key) -> None:
        """Send a key, at once where none is under way."""
        self._keys.append(key)
        if self._patience is None:
            await self._send_next()

    async def _send_next(self) -> None:
        if not self._keys:
            return
        app, key = self._app, self._keys.popleft()
        target = app.focused or app.screen
        self._turn += 1
        self._patience = app.set_timer(LONGEST_WAIT, partial(self._go_on, self._turn))
        await self._send(key)
        self._follow(target, self._turn)

    def _follow(self, node: MessagePump | None, turn: int) -> None:
        """Go the way that a key goes which nobody takes: up, behind it in each queue."""
        while node is not None and node is not self._app:
            parent = node._parent
            if node.call_later(self._follow, parent, turn):
                return
            node = parent
        self._app.call_later(self._settle, turn)

    def _settle(self, turn: int) -> None:
        """Let a dialog that the key opened take the focus, and what was told to have it."""
        self._app.screen.call_later(self._app.call_later, self._go_on, turn)

    async def _go_on(self, turn: int) -> None:
        if self._patience is not None and turn == self._turn:
            self._patience.stop()
            self._patience = None
            await self._send_next()
