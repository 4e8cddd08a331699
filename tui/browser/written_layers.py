"""What layers write, computed when it is asked for, on a thread a layer that ends with the program.

The threads of asyncio's own executor are few, others read on them, and the program's end waits for
them; what is computed here may take minutes.
"""

import threading
from concurrent.futures import Future
from dataclasses import dataclass, field

from analysis.written import Written, compute_written
from store.recording import Layer

MOST_LAYERS = 8
"""Layers that are kept in memory: (neurons, 20) ids and logits each."""
Key = tuple[str, int]
"""A recording's name and a layer."""


@dataclass(frozen=True)
class Computation:
    """What is being computed of a layer, or was."""

    found: Future[Written] = field(default_factory=Future)
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self, layer: Layer) -> None:
        """Compute, and keep what comes of it."""
        try:
            self.found.set_result(compute_written(layer, self.stop))
        except Exception as error:
            self.found.set_exception(error)


@dataclass(frozen=True)
class WrittenLayers:
    """The layers whose writing was asked for last; those that failed may be asked for again."""

    _known: dict[Key, Computation] = field(default_factory=dict, repr=False)

    def find(self, key: Key) -> Computation | None:
        """Return what is known or being computed of a layer, None where nobody asked for it."""
        known = self._known.get(key)
        if known is not None and known.found.done() and known.found.exception():
            return None
        return known

    def start(self, key: Key, layer: Layer) -> Computation:
        """Return what is known or begun of what a layer writes, begun now where nothing is."""
        known = self.find(key)
        if known is not None:
            return known
        begun = self._known[key] = Computation()
        begun.found.set_running_or_notify_cancel()  # who no longer waits for it stops nothing
        threading.Thread(target=begun.run, args=(layer,), name="written", daemon=True).start()
        for old in list(self._known)[:-MOST_LAYERS]:
            self._known.pop(old).stop.set()
        return begun
