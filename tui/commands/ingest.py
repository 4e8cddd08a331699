"""negspace ingest."""

from typing import Any

import click

from ingest.settings import IngestSettings
from store.printable import printable
from tui.context import Context, common_options, pass_context
from tui.options import make_settings, settings_options


@click.command("ingest")
@click.argument("model")
@click.argument("corpus")
@settings_options(IngestSettings)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@common_options
@pass_context
def command(context: Context, /, model: str, corpus: str, dry_run: bool, **options: Any) -> None:
    """Record what a model's MLP neurons do on a text.

    MODEL is a folder with config.json and .safetensors files, a folder of such folders, whose
    names are its revisions, or a model's name on the hub. CORPUS is a .txt, .jsonl or .parquet
    file, compressed or not, a folder of them, - for standard input, or a data set of the hub as
    NAME[/CONFIG]:SPLIT (wikitext-2:test). Running the same again does only what is missing. The
    names of the recordings go to stdout.
    """
    settings = make_settings(IngestSettings, options)
    # Heavy libraries load only after the options were understood.
    from tui.jobs import record

    for name in record(context, model, corpus, settings, dry_run=dry_run):
        click.echo(printable(name))
