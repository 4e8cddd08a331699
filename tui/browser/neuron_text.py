"""The words and numbers on the page of one neuron."""

import shlex
from textwrap import wrap

import pyarrow as pa
from rich.cells import cell_len, set_cell_size
from rich.text import Text

from analysis.card import UNKEPT, UNREAD, Card, CardPair, Metric, Writes
from analysis.written import WrittenPlan
from store.printable import printable
from store.queries.cards import Context, pairs_statement
from tui.browser.reader import Answer, write_out
from tui.card_text import extreme_lines, metric_lines, number_text, written_lines
from tui.plans import format_bytes

TOKEN = 12
"""Cells of a token in the table of pairs; the context below shows all of it."""


def draw_head(card: Card, width: int) -> Text:
    """Return which neuron it is, and the metrics that are asked for first."""
    lines = [
        printable(card.recording),
        _measure("WD", card.metric("wd"), card.n_random, f"floor {_short(card, 'wd_floor')}"),
        _measure("MD", card.metric("md"), card.n_random, ""),
        f"neg {_percent(card.metric('negative_fraction').value)}  skew {_short(card, 'skewness')}"
        f"  kurt {_short(card, 'kurtosis')}  n {card.n_tokens:,}",
    ]
    if card.reason:
        lines.append(f"undefined: {printable(card.reason)}")
    title = f"layer {card.layer} . neuron {card.neuron}\n"
    room = max(width, 20)
    wrapped = (part for line in lines for part in wrap(line, room, subsequent_indent="  "))
    return Text.assemble((title, "bold"), "\n".join(wrapped))


def _measure(name: str, metric: Metric, n_random: int, more: str) -> str:
    error = "" if metric.error is None else f" ± {metric.error:.2g}"
    below = (
        f"above {100 * metric.below:.1f} % of {n_random:,} random"
        if metric.below is not None
        else ""
    )
    notes = ", ".join(note for note in (more, below) if note)
    return f"{name} {number_text(metric.value)}{error}" + (f" ({notes})" if notes else "")


def _short(card: Card, name: str) -> str:
    value = card.metric(name).value
    return "-" if value is None else f"{value:.3g}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def draw_metrics(card: Card, width: int) -> Text:
    """Return all metrics, in one column where two do not fit."""
    head, *rows = metric_lines(card, columns=2 if width >= 76 else 1)
    return Text.assemble((f"{head}\n", "bold"), "\n".join(rows))


def draw_extremes(card: Card, width: int) -> Text:
    """Return the lowest and the highest outputs, each in its context."""
    text = Text("")
    for heading, extremes in (("lowest outputs", card.lowest), ("highest outputs", card.highest)):
        title, *lines = extreme_lines(heading, extremes, max(width, 40), everything=True)
        text.append(f"{title}\n", "bold")
        text.append("\n".join(lines) + "\n")
    text.rstrip()
    return text


def draw_writes(writes: Writes | None, width: int) -> Text:
    """Return what the neuron writes, or why it is not known; None is for what is being computed."""
    if writes is None:
        return Text("What it writes is being computed for the whole layer; w stops it.")
    if writes is UNREAD:
        return Text("What it writes is being read ...")
    if writes is UNKEPT:
        said = f"What it writes: {UNKEPT.reason}. w computes it; `negspace neuron` keeps it, too."
        return Text("\n".join(wrap(said, max(width, 20))))
    title, *lines = written_lines(writes, max(width, 40))
    return Text.assemble((f"{title}\n", "bold"), "\n".join(lines)) if lines else Text(title)


def tell_cost(plan: WrittenPlan, card: Card) -> str:
    """Return what it costs to compute what the layer of a card writes."""
    return (
        f"It reads {format_bytes(plan.n_bytes)} of weights from the checkpoint's files in "
        f"{plan.folder}, compares their sha256, and computes {plan.n_neurons:,} x "
        f"{plan.n_tokens:,} logits: seconds for a small model, minutes for one of 12 billion "
        f"parameters. The page stays alive, w stops it. The browser keeps it until it is closed; "
        f"`negspace neuron {shlex.quote(card.recording)} {card.name}` keeps it in the store."
    )


def pair_context(found: CardPair | None) -> Text:
    """Return the words around both tokens of a pair, each token in brackets and reversed."""
    if found is None:
        return Text("No top pairs: the OI ratio of this neuron is undefined.")
    pair = found.pair
    first = _in_context("1", pair.output_1, found.first)
    second = _in_context("2", pair.output_2, found.second)
    return Text.assemble(first, "\n", second)


def _in_context(sign: str, output: float, context: Context) -> Text:
    following = "(end)" if context.next_token is None else f"[{printable(context.next_token)}]"
    return Text.assemble(
        (f"{sign} ", "bold"),
        f"at {context.position:,}, output {output:.4g}, next {following}\n  ",
        printable(context.before),
        (f"[{printable(context.token)}]", "bold reverse"),
        printable(context.after),
    )


def pairs_answer(card: Card) -> Answer:
    """Return the top pairs as a table: both tokens, the next ones, distance, outputs, OI."""
    rows = [_pair_row(found) for found in card.pairs]
    columns = {name: [row[place] for row in rows] for place, name in enumerate(_COLUMNS)}
    types = {name: pa.string() if place < 4 else pa.float64() for place, name in enumerate(columns)}
    table = pa.table({name: pa.array(cells, types[name]) for name, cells in columns.items()})
    statement = write_out(*pairs_statement(card.recording, card.layer, card.neuron))
    return Answer(statement, table, truncated=False)


_COLUMNS = ("T1", "T2", "next1", "next2", "dx", "out1", "out2", "oi")


def _pair_row(found: CardPair) -> tuple[str | float | None, ...]:
    contexts, pair = (found.first, found.second), found.pair
    texts = (*(c.token for c in contexts), *(c.next_token for c in contexts))
    cells = (None if text is None else _in_cell(text) for text in texts)
    return (*cells, pair.input_distance, pair.output_1, pair.output_2, pair.oi)


def _in_cell(token: str) -> str:
    """Return a token cut to the room of a cell; many spaces are counted."""
    if len(token) > 3 and token.isspace():
        return f"({len(token)} spaces)"
    shown = printable(token)
    return shown if cell_len(shown) <= TOKEN else set_cell_size(shown, TOKEN - 1) + "…"
