"""negspace compare."""

import sys
from dataclasses import astuple
from typing import TYPE_CHECKING

import click

from tui.context import Context, common_options, pass_context
from tui.options import form_option

if TYPE_CHECKING:
    from analysis.comparisons import Comparison
    from store.readonly import QueryResult

CORRELATIONS = ("metric", "layer", "n", "spearman", "pearson", "note")
CHANGES = ("metric", "layer", "neuron", "a", "b", "change")
NEURONS = ("layer", "neuron", "wd_a", "wd_b", "md_a", "md_b")


@click.command("compare")
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.option(
    "--show",
    type=click.Choice(("correlations", "changes", "neurons")),
    help="One table only: of layers, of the largest changes, or of all neurons.",
)
@click.option(
    "--top",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    metavar="N",
    help="Largest changes to list, of each metric.",
)
@form_option(
    "Form of the table; one other than table shows the correlations if --show is not given."
)
@common_options
@pass_context
def command(
    context: Context,
    a: str,
    b: str,
    show: str | None,
    top: int,
    format: str,  # noqa: A002 - the name of the option, and of its key in a settings file
) -> None:
    """Compare the same neurons in two analysed recordings: another text, or another checkpoint.

    A and B are names, or parts of names that no other has. WD is correlated by layer and over all
    layers; MD by layer only and for one model and number of pairs only, its change being that of
    the neuron's percentile in its layer. A row says why where a number is left out. All neurons go
    to the table recording_comparisons, whose rows go when `analyze` measures a layer anew.
    """
    from analysis.comparisons import compare_recordings, keep_comparison
    from store.queries.recordings import find_recording

    store = context.open() if context.read_only else context.open_for_writing()
    rows = [find_recording(store.database, name) for name in (a, b)]
    found = compare_recordings(store, *rows)
    if not context.read_only:
        keep_comparison(store, found)
    for note in (f"A is {found.a.name}, B is {found.b.name}.", *found.notes):
        context.say(note)
    _show(found, show or ("" if format == "table" else "correlations"), top, format)


def _show(found: "Comparison", show: str, top: int, form: str) -> None:
    from tui.listing import write_listing
    from tui.output import write_result

    if show:
        write_result(_result(found, show, top), form, sys.stdout)
        return
    for heading, name in (
        (f"WD and MD of the same neurons in {found.a.name} and {found.b.name}", "correlations"),
        ("Largest changes, from A to B", "changes"),
    ):
        table = _result(found, name, top)
        write_listing(heading, table.columns, table.rows, "none")


def _result(found: "Comparison", show: str, top: int) -> "QueryResult":
    from store.readonly import QueryResult

    if show == "neurons":
        return QueryResult(NEURONS, list(found.rows()), truncated=False)
    if show == "changes":
        return QueryResult(CHANGES, [astuple(r) for r in found.changes(top)], truncated=False)
    return QueryResult(CORRELATIONS, [astuple(r) for r in found.correlations()], truncated=False)
