"""negspace report."""

from pathlib import Path

import click

from tui.context import Context, common_options, pass_context

DEFAULT_OUT = Path("negspace-report.html")


@click.command("report")
@click.argument("recordings", nargs=-1, metavar="[RECORDING]...")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help=f"File to write.  [default: {DEFAULT_OUT}; of --appendix stdout]",
)
@click.option(
    "--appendix",
    type=click.Choice(("md", "latex")),
    help="Write the provenance only, in Markdown or LaTeX.",
)
@common_options
@pass_context
def command(
    context: Context, recordings: tuple[str, ...], out: Path | None, appendix: str | None
) -> None:
    """Judge the paper's claims on analysed recordings, all or these, in one HTML file.

    Each claim has its numbers, its null, its test and a verdict: holds, does not hold, or not
    measurable here, because. RECORDING is a name, or a part of one that no other name has.
    """
    from analysis.report.build import build_appendix, build_report, require_analysed
    from analysis.report.pictures import draw_pictures
    from store.queries.recordings import find_recording, list_recordings
    from tui.output import write_text

    store = context.open()
    database = store.database
    named = [find_recording(database, name) for name in recordings]
    rows = list({row.id: row for row in named}.values()) or list_recordings(database)
    if appendix is not None:
        text = build_appendix(database, rows, appendix)
        if out is None:
            click.echo(text, nl=False)
            return
    else:
        require_analysed(database, rows)
        text = build_report(store, rows, draw_pictures(store, rows))
        out = out or DEFAULT_OUT
    write_text(text, out)
    context.say(f"Written to {out}.")
