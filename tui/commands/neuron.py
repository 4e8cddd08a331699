"""negspace neuron."""

import os
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from store.errors import InputError
from tui.context import Context, common_options, pass_context

if TYPE_CHECKING:
    from analysis.card import Card
    from store.recording import Recording

FORMS = ("text", "png", "json")


@click.command("neuron")
@click.argument("recording", metavar="RECORDING")
@click.argument("neuron", metavar="LAYER.NEURON")
@click.option(
    "--format",
    type=click.Choice(FORMS),
    default=FORMS[0],
    show_default=True,
    help="Form of the card.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write to a file; a png goes to one named after the neuron if not given.",
)
@click.option("--all", "everything", is_flag=True, help="Show all 20 extremes of each side.")
@common_options
@pass_context
def command(
    context: Context,
    recording: str,
    neuron: str,
    format: str,  # noqa: A002 - the name of the option, and of its key in a settings file
    out: Path | None,
    everything: bool,
) -> None:
    """Show one neuron's card: metrics, histograms, top pairs, extremes and what it writes.

    RECORDING is a name, or a part of it that no other has; LAYER.NEURON is 1.33 for neuron 33 of
    layer 1, both counted from 0. What the neurons of a layer write is read from the checkpoint's
    files when a card of the layer is first asked for, and then kept in the store.
    """
    from analysis.card import gather_card
    from tui.neuron_names import parse_neuron

    layer, number = parse_neuron(neuron)
    store = context.open()
    if out is not None and out.expanduser().resolve().is_relative_to(store.folder):
        raise InputError(f"--out {out} lies in the store; name a file outside of it.")
    found = store.recording(recording)
    writable = os.access(store.folder, os.W_OK) and os.access(store.database.path, os.W_OK)
    card = gather_card(found, layer, number, keep=writable and not context.read_only)
    if format == "png":
        _write_png(context, found, card, out)
    else:
        _write_text(_render(card, format, out, everything=everything), out)


def _render(card: "Card", form: str, out: Path | None, *, everything: bool) -> str:
    if form == "json":
        from tui.card_json import card_json

        return card_json(card)
    from tui.card_text import render_card

    width = shutil.get_terminal_size().columns if out is None and sys.stdout.isatty() else 80
    return render_card(card, width, everything=everything)


def _write_text(text: str, out: Path | None) -> None:
    if out is None:
        click.echo(text)
        return
    from tui.output import replacing

    try:
        with replacing(out) as part:
            part.write_text(f"{text}\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error.strerror}.") from error


def _write_png(context: Context, recording: "Recording", card: "Card", out: Path | None) -> None:
    from analysis.figures.run import needing_matplotlib

    with needing_matplotlib():
        from analysis.figures.card import draw_card
    from tui.output import replacing

    name = re.sub(r"[^\w@.#+-]+", "-", f"{card.recording}-{card.name}")
    path = out or Path(f"{name}.png")
    try:
        with replacing(path) as part:
            draw_card(recording, card, part)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}.") from error
    context.say(f"Written to {path}.")
