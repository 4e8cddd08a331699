"""negspace ablate."""

import sys
from dataclasses import astuple, fields
from typing import TYPE_CHECKING, Any

import click

from analysis.ablation.settings import AblateSettings
from tui.context import Context, common_options, pass_context
from tui.options import form_option, make_settings, settings_options

if TYPE_CHECKING:
    from analysis.ablation.results import ResultRow


@click.command("ablate")
@click.argument("recording", metavar="RECORDING")
@click.argument("corpus", metavar="CORPUS")
@settings_options(AblateSettings)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@form_option("Form of the table.")
@common_options
@pass_context
def command(
    context: Context,
    /,
    recording: str,
    corpus: str,
    dry_run: bool,
    format: str,  # noqa: A002 - the name of the option, and of its key in a settings file
    **options: Any,
) -> None:
    """Change what chosen neurons put out, and measure what the model loses on a text.

    RECORDING, a name or a part of one that no other name has, says which neurons are chosen, by its
    metrics, and which model runs: the one at its recorded source, with the recorded weights. CORPUS
    is a text as for `ingest`, best one that was not recorded. Of a text with 20 documents of 256
    tokens or more each gives a window of 256.

    The chosen neurons are compared with random ones and with --controls, which act on other neurons
    (bottom; dose, norm: drawn --draws times; effect: a search) or do something else to the same
    ones (mirror, negative-mean, negative-shuffle). A run that the store has is not made again; the
    same command goes on after a stop. The table goes to stdout, each arm a line, the nats above the
    baseline with their standard error over units of text; runs and tests are in the tables
    ablations and ablation_tests, and in the view ablation_summary. Stars stand only where --plan
    wrote the tests down before, and are of p-values adjusted by Holm.
    """
    settings = make_settings(AblateSettings, options)
    # Heavy libraries load only after the options were understood.
    from tui.jobs import ablate

    found = ablate(context, recording, corpus, settings, dry_run=dry_run)
    if found is not None:
        _show(found, format)


def _show(found: "list[ResultRow]", form: str) -> None:
    from analysis.ablation.results import ResultRow
    from store.readonly import QueryResult
    from tui.output import write_result

    names = tuple(entry.name for entry in fields(ResultRow))
    rows = [astuple(row) for row in found]
    if form == "table":  # more digits push columns off a terminal
        rows = [
            tuple(float(f"{v:.4g}") if isinstance(v, float) else v for v in row) for row in rows
        ]
    result = QueryResult(names, rows, truncated=False)
    write_result(result, form, sys.stdout)
