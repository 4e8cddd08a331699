"""Two neurons of a recording side by side; in a narrow terminal one below the other."""

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.screen import ModalScreen
from textual.widgets import Footer

from tui.browser.dialogs import TextDialog
from tui.browser.looks import WIDE
from tui.browser.neuron_detail import NeuronDetail


class CompareScreen(ModalScreen[None]):
    """The pages of two neurons; Tab goes from one to the other, Esc back to the list."""

    DEFAULT_CSS = """
    CompareScreen #pair { layout: horizontal; height: 1fr; }
    CompareScreen.-narrow #pair { layout: vertical; }
    CompareScreen #pair > Vertical { width: 1fr; height: 1fr; border: round $panel; }
    """
    # The application's keys do not reach a dialog; these go by the same names.
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "Back"),
        Binding("s", "show_sql", "SQL behind", id="app.sql-behind"),
        Binding("question_mark", "app.help", "Help", id="app.help"),
    ]

    def __init__(self, recording: str, neurons: list[tuple[int, int]]) -> None:
        super().__init__()
        self._recording, self._neurons = recording, neurons

    def compose(self) -> ComposeResult:
        """Yield the two pages, each under its name."""
        beside = self.app.screen_stack[0].query(NeuronDetail)
        opened = beside.first().opened if beside else None  # what its layers write is there, too
        with Container(id="pair"):
            for layer, neuron in self._neurons:
                with Vertical() as side:
                    side.border_title = f"layer {layer} · neuron {neuron}"
                    yield NeuronDetail(opened)
        yield Footer()

    def on_mount(self) -> None:
        """Read both."""
        for side, neuron in zip(self.query("#pair > Vertical"), self._neurons, strict=True):
            assert isinstance(side, Vertical)
            self.call_later(side.query_one(NeuronDetail).show, self._recording, *neuron)

    def action_show_sql(self) -> None:
        """Show the SQL behind the page that has the keys, and the command that shows the same."""
        pages = list(self.query(NeuronDetail))
        page = next((page for page in pages if page.has_focus_within), pages[0])
        text = page.statement or "nothing yet"
        self.app.push_screen(TextDialog("Behind this page", text, page.command))

    def on_resize(self, event: events.Resize) -> None:
        """Put them below each other where there is no room beside."""
        self.set_class(event.size.width < WIDE, "-narrow")
