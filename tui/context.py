"""What every command shares: which store, how loud, and whether it may write."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from store.store import Store
    from tui.progress import Progress

Command = TypeVar("Command", bound=Callable[..., Any])
DEFAULT_STORE = "negspace-store"


@dataclass
class Context:
    """The common options of one call; those of the command beat those of `negspace` itself."""

    folder: Path = Path(DEFAULT_STORE)
    quiet: bool = False
    read_only: bool = False
    debug: bool = False

    def open(self) -> "Store":
        """Open the store, which must exist."""
        from store.store import open_store

        return open_store(self.folder)

    def open_for_writing(self) -> "Store":
        """Open the store for a command that writes."""
        from store.store import check_writable, open_store

        self.require_writing()
        store = open_store(self.folder)
        check_writable(store)
        return store

    def require_writing(self) -> None:
        """Refuse a command that writes under --read-only."""
        if self.read_only:
            raise click.UsageError("--read-only: this command writes; leave the option out.")

    def say(self, text: str) -> None:
        """Tell the user something on stderr, unless --quiet."""
        if not self.quiet:
            click.echo(text, err=True)

    def progress(self) -> "AbstractContextManager[Progress]":
        """Return the progress display of a long command."""
        from tui.progress import show_progress

        return show_progress(quiet=self.quiet)


def common_options(command: Command) -> Command:
    """Add --store, --quiet, --read-only and --debug; the command gets a `context`."""
    for option in (
        click.option("--debug", is_flag=True, default=None, help="Show tracebacks.",
                     expose_value=False, callback=_set("debug")),
        click.option("--read-only", is_flag=True, default=None, help="Refuse to write anything.",
                     expose_value=False, callback=_set("read_only")),
        click.option("--quiet", is_flag=True, default=None, help="No progress and no notes.",
                     expose_value=False, callback=_set("quiet")),
        click.option("--store", metavar="DIR", default=None, expose_value=False,
                     callback=_set("folder"),
                     help=f"Folder of the store.  [default: ./{DEFAULT_STORE}]"),
    ):  # fmt: skip
        command = option(command)
    return command


def _set(name: str) -> Callable[[click.Context, click.Parameter, object], None]:
    def callback(ctx: click.Context, _param: click.Parameter, value: object) -> None:
        context = ctx.ensure_object(Context)
        if value is not None:
            setattr(context, name, Path(str(value)) if name == "folder" else value)

    return callback


pass_context = click.make_pass_decorator(Context, ensure=True)
