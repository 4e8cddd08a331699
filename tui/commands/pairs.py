"""negspace pairs."""

import sys
from dataclasses import astuple, fields
from typing import TYPE_CHECKING, Any

import click

from analysis.settings import PairsSettings
from tui.context import Context, common_options, pass_context
from tui.options import form_option, make_settings, settings_options

if TYPE_CHECKING:
    from store.queries.pairs import FoundPair


@click.command("pairs")
@click.argument("recording", metavar="RECORDING")
@settings_options(PairsSettings)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@form_option("Form of the table.")
@common_options
@pass_context
def command(
    context: Context,
    /,
    recording: str,
    dry_run: bool,
    format: str,  # noqa: A002 - the name of the option, and of its key in a settings file
    **options: Any,
) -> None:
    """Find the best of all pairs of positions: those that a neuron pulls apart most.

    RECORDING is a name, or a part of one that no other name has. OI is divided by the distances of
    the sampled pairs, so it compares with theirs. Left out are pairs of equal inputs and pairs with
    the same 8 tokens before them; a position appears once. The rows go to the table top_pairs, with
    the source `all`; `analyze` drops them when it measures the layer anew.
    """
    settings = make_settings(PairsSettings, options)
    # Heavy libraries load only after the options were understood.
    from tui.jobs import find_pairs

    found = find_pairs(context, recording, settings, dry_run=dry_run)
    if not dry_run:
        _show(context, found, format)


def _show(context: Context, found: "list[FoundPair]", form: str) -> None:
    from store.queries.pairs import FoundPair, count_positions
    from store.readonly import QueryResult
    from tui.output import write_result

    names = tuple(entry.name for entry in fields(FoundPair))
    result = QueryResult(names, [astuple(row) for row in found], truncated=False)
    write_result(result, form, sys.stdout)
    counts = ", ".join(f"{n} in neuron {key}" for key, n in count_positions(found).items())
    context.say(f"Distinct positions among the pairs: {counts or 'none'}.")
