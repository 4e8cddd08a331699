"""A neuron's card as text: lines of at most a given width, 80 at least."""

from collections.abc import Iterator, Sequence
from textwrap import wrap

from rich.cells import cell_len, set_cell_size

from analysis.bars import draw_outputs, draw_posts, share_posts
from analysis.card import Card, CardPair, Extreme, Metric, Writes
from store.printable import printable
from store.queries.cards import Context
from tui.bars_text import bar_lines, tell_beyond

COLUMNS, ROWS = 60, 6
FEW = 5
LABEL, NEXT = 12, 18
"""Columns of the output before a context, and of the next token behind it."""
ELLIPSIS = "…"
EIGHTHS = " ▏▎▍▌▋▊▉"
BAR = 12
"""Columns of the longest bar of WD by checkpoint."""


def render_card(card: Card, width: int, *, everything: bool) -> str:
    """Return the card; `everything` shows all 20 extremes of each side instead of 5."""
    width = max(width, 80)
    parts = [
        _head(card, width),
        metric_lines(card),
        _outputs(card),
        _posts(card),
        _pairs(card, width),
        _pair_kinds(card, width),
        extreme_lines("Lowest outputs", card.lowest, width, everything=everything),
        extreme_lines("Highest outputs", card.highest, width, everything=everything),
        checkpoint_lines("WD and MD of this neuron by checkpoint, on the same text", card, width),
        written_lines(card.writes, width),
    ]
    return "\n\n".join("\n".join(line.rstrip() for line in part) for part in parts if part)


def _head(card: Card, width: int) -> list[str]:
    branch = "" if card.projection == "gate" else f" ({printable(card.projection)})"
    compared = (
        f"below: share of {card.n_random:,} random directions under it"
        if card.n_random
        else "no random directions measured"
    )
    lines = [
        f"Neuron {card.name} of {printable(card.recording)}{branch}",
        f"{card.n_tokens:,} tokens, {card.n_pairs:,} pairs; {compared}",
    ]
    return [*lines, *wrap(f"Undefined: {printable(card.reason)}", width)] if card.reason else lines


def metric_lines(card: Card, *, columns: int = 2) -> list[str]:
    """Return the metrics below a head, in one column or two: those of a second have no errors."""
    heads = f"{'metric':<17} {'value':>10}  {'± error':<11}{'below':>7}", _second("metric", "value")
    half = len(card.metrics) // 2
    left = [_metric(metric) for metric in card.metrics[:half]]
    right = [_second(m.name, number_text(m.value)) for m in card.metrics[half:]]
    if columns == 1:
        return [heads[0], *left, *(f"{line[:14]:<17} {line[15:]}" for line in right)]
    return [f"{a}   {b}" for a, b in zip((heads[0], *left), (heads[1], *right), strict=True)]


def _second(name: str, value: str) -> str:
    return f"{name:<14} {value:>10}"


def _metric(metric: Metric) -> str:
    error = "" if metric.error is None else f"± {number_text(metric.error)}"
    below = "-" if metric.below is None else f"{100 * metric.below:.1f}%"
    return f"{metric.name:<17} {number_text(metric.value):>10}  {error:<11}{below:>7}"


def number_text(value: float | None) -> str:
    """Return four digits of a value, a dash for none."""
    if value is None:
        return "-"
    return f"{value:.4g}"


def _outputs(card: Card) -> list[str]:
    bars = draw_outputs(card, COLUMNS)
    beyond = tell_beyond(bars)
    told = f" ({beyond} the range shown)" if beyond else ""
    return [f"Pre-activations y{told}", *bar_lines(bars, ROWS)]


def _posts(card: Card) -> list[str]:
    bars = draw_posts(card, COLUMNS)
    if bars is None:
        return []
    shares = zip(("below", "at", "above 0"), share_posts(card), strict=True)
    told = ", ".join(f"{100 * share:.1f}% {side}" for side, share in shares)
    return [f"Activations h, a scale each side of 0: {told}", *bar_lines(bars, ROWS)]


def _pairs(card: Card, width: int) -> list[str]:
    if not card.pairs:
        return ["Top pairs: none, the OI ratio of this neuron is undefined"]
    lines = ["Top pairs: OI ratio, input distance, and the output at each token [next token]"]
    for number, found in enumerate(card.pairs, start=1):
        lines += _pair(number, found, width)
    return lines


def _pair_kinds(card: Card, width: int) -> list[str]:
    return wrap(printable(card.pair_kinds), width) if card.pair_kinds else []


def _pair(number: int, found: CardPair, width: int) -> Iterator[str]:
    pair = found.pair
    survival = "" if pair.survival is None else f"  survival {pair.survival:.3g}"
    yield f"{number:>2}  oi {pair.oi:.4g}  dx {pair.input_distance:.4g}{survival}"
    for output, context in ((pair.output_1, found.first), (pair.output_2, found.second)):
        yield _in_context(output, context, width, following=True)


def extreme_lines(
    heading: str, extremes: Sequence[Extreme], width: int, *, everything: bool
) -> list[str]:
    """Return a heading and the extremes in their context, the first few or all."""
    shown = extremes if everything else extremes[:FEW]
    more = "" if len(shown) == len(extremes) else f" ({len(shown)} of {len(extremes)}: --all)"
    lines = (_in_context(e.value, e.context, width, following=False) for e in shown)
    return [f"{heading}{more}", *lines]


def _in_context(value: float, context: Context, width: int, *, following: bool) -> str:
    """Return a value and the words around a token, whose bracket is in the same column always.

    `following` adds the next token in a column of its own.
    """
    left = (width - LABEL - NEXT) // 2
    right = width - LABEL - left - (NEXT if following else 0)
    before = _keep_end(printable(context.before), left)
    shown = _keep_start(f"[{printable(context.token)}]{printable(context.after)}", right)
    line = f"  {value:>9.4g} {_pad(before, left, right=True)}"
    if not following:
        return line + shown
    token = "(end)" if context.next_token is None else f"[{printable(context.next_token)}]"
    return f"{line}{_pad(shown, right)}  {_keep_start(token, NEXT - 2)}"


def _pad(text: str, width: int, *, right: bool = False) -> str:
    gap = " " * (width - cell_len(text))
    return gap + text if right else text + gap


def _keep_start(text: str, room: int) -> str:
    return text if cell_len(text) <= room else set_cell_size(text, room - 1) + ELLIPSIS


def _keep_end(text: str, room: int) -> str:
    if cell_len(text) <= room:
        return text
    while cell_len(text) > room - 1:
        text = text[1:]
    return ELLIPSIS + text


def checkpoint_lines(heading: str, card: Card, width: int) -> list[str]:
    """Return a heading, and WD and MD by checkpoint, with a bar that is longest at the top WD.

    The card's own is marked; the bars are left out where there is no room for them.
    """
    most = max((row.wd or 0.0 for row in card.checkpoints), default=0.0)
    names = [printable(row.revision) for row in card.checkpoints]
    values = [_with_error(row.wd, row.wd_se) for row in card.checkpoints]
    room, wide = max(map(len, names), default=0), max(map(len, values), default=0)
    lines = [heading]
    for row, name, value in zip(card.checkpoints, names, values, strict=True):
        here = "<" if row.recording == card.recording else " "
        bar = f"{_bar(row.wd, most)} " if width >= room + BAR + wide + 16 else ""
        lines.append(f"{here} {name:<{room}} {bar}wd {value:<{wide}} md {number_text(row.md)}")
    return lines


def _with_error(value: float | None, error: float | None) -> str:
    return number_text(value) + ("" if error is None else f" ± {error:.2g}")


def _bar(value: float | None, most: float) -> str:
    whole, rest = divmod(round(8 * BAR * (value or 0.0) / most) if most else 0, 8)
    return f"{'█' * whole}{EIGHTHS[rest].strip()}".ljust(BAR)


def written_lines(writes: Writes, width: int) -> list[str]:
    """Return a heading and the logits that a neuron changes most, or why they are not known."""
    if writes.reason is not None:
        return wrap(f"What it writes is not known: {printable(writes.reason)}.", width)
    room = min((width - 26) // 2, 22)
    lines = wrap("What it writes: logits that one unit of it adds, no norm applied", width)
    lines.append(f"  {'raised most':<{14 + room}}lowered most")
    for high, low in zip(writes.raises, writes.lowers, strict=True):
        left = _pad(_keep_start(f"[{printable(high.token)}]", room), room)
        right = _keep_start(f"[{printable(low.token)}]", room)
        lines.append(f"  {high.logit:>+9.4f} {left}    {low.logit:>+9.4f} {right}")
    return lines
