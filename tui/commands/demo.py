"""negspace demo."""

import click

from tui.context import Context, common_options, pass_context

WINDOW = 256


@click.command("demo")
@common_options
@pass_context
def command(context: Context) -> None:
    """Train two small models on the text that ships with Python, record and measure them.

    Needs no network and no file. Two GPT-NeoX models and their tokenizer are made under
    DIR/demo/, every checkpoint is recorded on the whole text, and what was found is printed with
    the next commands to try. Run again, it reuses what exists.
    """
    # Heavy libraries load only when there is something to do.
    from ingest.demo import make_demo
    from ingest.settings import IngestSettings
    from store.store import check_creatable, has_store, open_or_create_store
    from tui.findings import show_findings
    from tui.jobs import analyse, record

    context.require_writing()
    folder = context.folder.expanduser().resolve()
    if has_store(folder):
        context.open_for_writing()
    else:
        check_creatable(folder)
    context.resumable = True
    with context.progress() as progress:
        files = make_demo(
            folder / "demo",
            lambda name, done, total: progress(f"{name}: training steps", done, total),
        )
    open_or_create_store(folder)
    for model in files.models:
        revisions = tuple(f"step{step}" for step in model.steps)
        settings = IngestSettings(window_length=WINDOW, revisions=revisions)
        names = record(context, str(model.folder), str(files.corpus), settings)
    analyse(context, ())
    show_findings(context, names[-1])
