"""Lines that are drawn anew for the width there is."""

from collections.abc import Callable

from rich.text import Text
from textual.geometry import Size
from textual.widget import Widget

Draw = Callable[[int], Text]


def _nothing(_width: int) -> Text:
    return Text("")


class Drawn(Widget):
    """As many lines as a function draws for the width."""

    DEFAULT_CSS = """
    Drawn { height: auto; width: 1fr; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._draw: Draw = _nothing

    def show(self, draw: Draw) -> None:
        """Draw by another function from now on."""
        self._draw = draw
        self.refresh(layout=True)

    @property
    def text(self) -> str:
        """What is shown at the present width, without styles."""
        return self._draw(self.size.width).plain

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Return the lines that the width needs."""
        return self._draw(width).plain.count("\n") + 1

    def render(self) -> Text:
        """Return the lines for the present width."""
        return self._draw(self.size.width)
