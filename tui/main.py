"""The command `negspace`: its commands are imported when they are called, not before.

`negspace --help` loads the standard library, click and settings only.
"""

import importlib

import click

from tui.context import common_options
from tui.diagnostics import guarded
from tui.settings_files import read_settings_files

COMMANDS = {
    "ingest": "Record what a model's MLP neurons do on a text.",
    "analyze": "Measure the neurons of recordings: all that is missing.",
    "demo": "Train two small models, record and measure them; needs no network.",
    "browse": "Look through a store in the terminal.",
    "sql": "Ask the store in SQL, read-only.",
    "pairs": "Find the pairs of positions that a neuron pulls apart most, among all pairs.",
    "figures": "Draw the figures of the paper, each with its numbers.",
    "ablate": "Take chosen neurons' outputs away and measure what the model loses on a text.",
    "neuron": "Show one neuron: metrics, histograms, pairs, extremes, what it writes.",
    "compare": "Compare the same neurons in two recordings.",
    "report": "Judge the paper's claims on recordings, in one HTML file.",
    "status": "List models, recordings, their size and state, and jobs.",
    "verify": "Check the arrays against the ledger.",
    "copy": "Copy recordings into another store, whole or without their arrays.",
    "gc": "Find and remove files that the ledger does not know.",
    "remove": "Remove a recording and what only it used.",
    "upgrade": "Bring the store to the schema of this version.",
}


class LazyGroup(click.Group):
    """A group that knows its commands' names and imports each when it is called."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the names in the order in which a user meets them."""
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        """Import one command."""
        if name not in COMMANDS:
            return None
        command = importlib.import_module(f"tui.commands.{name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=LazyGroup,
    context_settings={
        "auto_envvar_prefix": "NEGSPACE",
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
    },
)
@click.version_option(
    package_name="negspace", message="negspace %(version)s", allow_from_autoenv=False
)
@common_options
def negspace() -> None:
    """Record, measure and query the MLP neurons of language models.

    Options beat NEGSPACE_* variables, which beat ./negspace.toml, which beats the user's own.
    """


def main() -> None:
    """Run the command line and exit: 0 done, 1 it could not be done, 2 usage, 130 interrupted."""
    raise SystemExit(guarded(negspace, lambda: read_settings_files(negspace)))
