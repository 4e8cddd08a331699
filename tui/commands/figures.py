"""negspace figures."""

from pathlib import Path
from typing import Any

import click

from analysis.figures.settings import FiguresSettings
from tui.context import Context, common_options, pass_context
from tui.options import make_settings, settings_options


@click.command("figures")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("figures"),
    show_default=True,
    metavar="DIR",
    help="Folder to write to; files of the same names are replaced.",
)
@settings_options(FiguresSettings)
@common_options
@pass_context
def command(context: Context, /, out: Path, **options: Any) -> None:
    """Draw the figures of the paper, each with a .csv of exactly what it shows.

    The figures are 1a, 1b, 2a, 2b, 3a, 3b, 3c, 4a to 4e, 5, 6, 7 and 8. What the store does not
    hold is skipped, and a line says why. Captions stand in the figures and in captions.txt.
    """
    settings = make_settings(FiguresSettings, options)
    from analysis.figures.results import Skipped
    from analysis.figures.run import draw_figures, write_captions, write_drawn
    from store.errors import InputError, NotFoundError

    store, folder = context.open(), out.expanduser()
    if folder.resolve().is_relative_to(store.folder):
        raise InputError(f"--out {out} lies in the store; name a folder outside of it.")
    drawn = []
    for found in draw_figures(store, settings):
        if isinstance(found, Skipped):
            of = f" of {found.recording}" if found.recording else ""
            context.say(f"Figure {found.id}{of} is skipped: {found.reason}.")
            continue
        for path in write_drawn(folder, found, settings.formats):
            click.echo(path)
        drawn.append(found)
    if not drawn:
        raise NotFoundError("Nothing could be drawn, and nothing was written.")
    click.echo(write_captions(folder, drawn))
