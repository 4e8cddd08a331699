"""negspace browse."""

import gc
import sys
from typing import Any

import click

from store.errors import UsageError
from tui.browser.settings import BrowseSettings
from tui.context import Context, common_options, pass_context
from tui.options import make_settings, settings_options


def has_terminal() -> bool:
    """Return whether there are keys to read and a screen to draw on (Textual draws on stderr)."""
    return sys.stdin.isatty() and sys.stderr.isatty()


@click.command("browse")
@settings_options(BrowseSettings)
@common_options
@pass_context
def command(context: Context, /, **options: Any) -> None:
    """Look through a store in the terminal: neurons, pairs, ablations, SQL, text.

    Reads only; what costs time is started as a command of its own, after a question with its cost.
    With --read-only nothing can be started. Press ? for the keys.
    """
    if not has_terminal():
        raise UsageError(
            "browse needs a terminal for what it shows and for its keys; `negspace sql` and "
            "`negspace neuron` print instead."
        )
    # Collections while libraries are loaded take a sixth of the time, and find nothing.
    gc.disable()
    try:
        from tui.browser.app import Browser
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("textual", "textual_fastdatatable"):
            raise
        raise click.ClickException(
            "The browser needs textual, which is not installed; run `pip install "
            "'negspace[browser]'`."
        ) from None
    finally:
        gc.freeze()
        gc.enable()
    settings = make_settings(BrowseSettings, options)
    Browser(context.open(), context, settings).run()
