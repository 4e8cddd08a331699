"""Two neurons of a recording side by side; in a narrow terminal one below the other."""

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.screen import ModalScreen
from textual.widgets import Footer

from tui.browser.looks import WIDE
from tui.browser.neuron_detail import NeuronDetail


class CompareScreen(ModalScreen[None]):
    """The pages of two neurons; Tab goes from one to the other, Esc back to the list."""

    DEFAULT_CSS = """
    CompareScreen #pair { layout: horizontal; height: 1fr; }
    CompareScreen.-narrow #pair { layout: vertical; }
    CompareScreen #pair > Vertical { width: 1fr; height: 1fr; border: round $panel; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss", "Back")]

    def __init__(self, recording: str, neurons: list[tuple[int, int]]) -> None:
        super().__init__()
        self._recording, self._neurons = recording, neurons

    def compose(self) -> ComposeResult:
        """Yield the two pages, each under its name."""
        with Container(id="pair"):
            for layer, neuron in self._neurons:
                with Vertical() as side:
                    side.border_title = f"layer {layer} · neuron {neuron}"
                    yield NeuronDetail()
        yield Footer()

    def on_mount(self) -> None:
        """Read both."""
        for side, neuron in zip(self.query("#pair > Vertical"), self._neurons, strict=True):
            assert isinstance(side, Vertical)
            self.call_later(side.query_one(NeuronDetail).show, self._recording, *neuron)

    def on_resize(self, event: events.Resize) -> None:
        """Put them below each other where there is no room beside."""
        self.set_class(event.size.width < WIDE, "-narrow")
