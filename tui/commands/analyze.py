"""negspace analyze."""

from typing import Any

import click

from analysis.settings import AnalyzeSettings
from tui.context import Context, common_options, pass_context
from tui.options import make_settings, settings_options


@click.command("analyze")
@click.argument("recordings", nargs=-1, metavar="[RECORDING]...")
@settings_options(AnalyzeSettings)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@common_options
@pass_context
def command(
    context: Context, /, recordings: tuple[str, ...], dry_run: bool, **options: Any
) -> None:
    """Measure the neurons of recordings: all that is missing, of all or of these.

    RECORDING is a name, or a part of one that no other name has.
    """
    settings = make_settings(AnalyzeSettings, options)
    # Heavy libraries load only after the options were understood.
    from tui.jobs import analyse

    analyse(context, recordings, settings, dry_run=dry_run)
