"""What every command shares: which store, how loud, and whether it may write."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from store.printable import printable

if TYPE_CHECKING:
    from store.store import Store
    from tui.progress import Progress

Command = TypeVar("Command", bound=Callable[..., Any])
DEFAULT_STORE = "negspace-store"
STRENGTH = {
    ParameterSource.DEFAULT_MAP: 1,
    ParameterSource.ENVIRONMENT: 2,
    ParameterSource.COMMANDLINE: 3,
}


@dataclass
class Context:
    """The common options of one call.

    Options beat variables, which beat settings files; of equals, the command's beats that of
    `negspace` itself. `resumable` is set by work that the same command goes on with.
    """

    folder: Path = Path(DEFAULT_STORE)
    quiet: bool = False
    read_only: bool = False
    debug: bool = False
    resumable: bool = False
    _strength: dict[str, int] = field(default_factory=dict)

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

    def choose(self, name: str, value: object, source: ParameterSource | None) -> None:
        """Take the value of an option, unless a stronger source gave one before."""
        strength = STRENGTH.get(source, 0) if source else 0
        if strength >= self._strength.get(name, 0):
            self._strength[name] = strength
            setattr(self, name, value)

    def require_writing(self) -> None:
        """Refuse a command that writes under --read-only."""
        if self.read_only:
            raise click.UsageError("--read-only: this command writes; leave the option out.")

    def say(self, text: str) -> None:
        """Tell the user something on stderr, unless --quiet."""
        if not self.quiet:
            write_note(text)

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


def write_note(text: str) -> None:
    """Write one line on stderr, made printable: a name may hold a newline."""
    click.echo(printable(text), err=True)


def _set(name: str) -> Callable[[click.Context, click.Parameter, object], None]:
    def callback(ctx: click.Context, param: click.Parameter, value: object) -> None:
        if name == "folder" and value is not None and not str(value).strip():
            raise click.UsageError("--store is empty; name the folder of a store.")
        if value is not None:
            given = Path(str(value)) if name == "folder" else value
            source = ctx.get_parameter_source(str(param.name))
            ctx.ensure_object(Context).choose(name, given, source)

    return callback


pass_context = click.make_pass_decorator(Context, ensure=True)
