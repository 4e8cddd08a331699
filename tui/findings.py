"""What the demo prints when it is done: what was found, and what to try next."""

import shlex

import click

from store.printable import printable
from store.queries.findings import highest_wd, top_pairs_of, wd_by_step
from tui.context import Context
from tui.listing import write_listing

LAYER = 1
"""The paper's "layer two", which its figures look at."""


def show_findings(context: Context, recording: str) -> None:
    """Print what stands out in a recording, WD by checkpoint, and commands to try."""
    database = context.open().database
    _show_neurons(context, recording)
    _show_pairs(context, recording)
    write_listing(
        f"WD of the neurons of layer {LAYER}, by model and training step",
        ("model", "step", "median", "maximum"),
        [(r.model, r.step, r.median, r.maximum) for r in wd_by_step(database, recording, LAYER)],
        "none",
    )
    click.echo(_next_commands(context, recording))


def _show_neurons(context: Context, recording: str) -> None:
    rows = highest_wd(context.open().database, recording, 5)
    floor = f"{rows[0].wd_floor:.4f}" if rows else "-"
    write_listing(
        f"Neurons of highest WD in {recording} (floor {floor})",
        ("layer", "neuron", "wd", "md", "negative"),
        [(r.layer, r.neuron, r.wd, r.md, r.negative_fraction) for r in rows],
        "none",
    )


def _show_pairs(context: Context, recording: str) -> None:
    write_listing(
        f"What the neurons of highest MD in layer {LAYER} pull apart (next tokens in brackets)",
        ("neuron", "token 1", "token 2", "output 1", "output 2", "oi"),
        [
            (r.neuron, f"{r.token_1} [{r.next_1}]", f"{r.token_2} [{r.next_2}]", r.output_1,
             r.output_2, r.oi)
            for r in top_pairs_of(context.open().database, recording, LAYER, 8)
        ],
        "none",
    )  # fmt: skip


def _next_commands(context: Context, recording: str) -> str:
    store = f"--store {shlex.quote(printable(str(context.folder)))}"
    return f"""
Try next:
  negspace status {store}
  negspace sql --schema neuron_metrics {store}
  negspace sql "SELECT layer, neuron, wd, md, skewness FROM neuron_metrics
    WHERE recording = '{recording}' ORDER BY wd DESC LIMIT 20" {store}
  negspace sql "SELECT * FROM token_pairs WHERE layer = {LAYER}" --format csv {store}
  negspace verify --full {store}"""
