"""Copies text: to the terminal's clipboard (OSC 52), and to a file where it takes no such thing."""

from pathlib import Path

import click
from textual.widget import Widget

from store.printable import printable

FILE = "copied.txt"
TOLD = 60


def copy(widget: Widget, text: str, told: str = "") -> None:
    """Copy a text, and say what (`told`, or its beginning) and in which file it is, too.

    Whether a terminal takes OSC 52 cannot be asked, so the file is always written.
    """
    widget.app.copy_to_clipboard(text)
    file = _keep(text)
    where = f"; it is in {file}, too" if file else ""
    widget.notify(printable(f"Copied: {told or text[:TOLD]}{where}"), markup=False)


def _keep(text: str) -> Path | None:
    file = Path(click.get_app_dir("negspace")) / "browser" / FILE
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8", errors="surrogatepass")
    except OSError:
        return None
    return file
