"""A neuron's card as text: lines of at most a given width, 80 at least."""

from collections.abc import Iterator, Sequence
from textwrap import wrap

from rich.cells import cell_len, set_cell_size

from analysis.bars import Bars, draw_outputs, draw_posts, share_posts
from analysis.card import Card, CardPair, Extreme, Metric, Writes
from store.printable import printable
from store.queries.cards import Context

COLUMNS, ROWS = 60, 6
FEW = 5
LABEL, NEXT = 12, 18
"""Columns of the output before a context, and of the next token behind it."""
BLOCKS = " ▁▂▃▄▅▆▇█"
ELLIPSIS = "…"


def render_card(card: Card, width: int, *, everything: bool) -> str:
    """Return the card; `everything` shows all 20 extremes of each side instead of 5."""
    width = max(width, 80)
    parts = [
        _head(card, width),
        _metrics(card),
        _outputs(card),
        _posts(card),
        _pairs(card, width),
        _pair_kinds(card, width),
        _extremes("Lowest outputs", card.lowest, width, everything=everything),
        _extremes("Highest outputs", card.highest, width, everything=everything),
        _checkpoints(card),
        _writes(card.writes, width),
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


def _metrics(card: Card) -> list[str]:
    """Return two columns of metrics: only those of the first have errors and random directions."""
    half = len(card.metrics) // 2
    head = (
        f"{'metric':<17} {'value':>10}  {'± error':<11}{'below':>7}   {'metric':<14} {'value':>10}"
    )
    rows = zip(card.metrics[:half], card.metrics[half:], strict=True)
    return [head, *(f"{_metric(a)}   {b.name:<14} {_number(b.value):>10}" for a, b in rows)]


def _metric(metric: Metric) -> str:
    error = "" if metric.error is None else f"± {_number(metric.error)}"
    below = "-" if metric.below is None else f"{100 * metric.below:.1f}%"
    return f"{metric.name:<17} {_number(metric.value):>10}  {error:<11}{below:>7}"


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}"


def _outputs(card: Card) -> list[str]:
    bars = draw_outputs(card, COLUMNS)
    notes = [f"{n:,} {side}" for n, side in ((bars.below, "below"), (bars.above, "above")) if n]
    beyond = f" ({', '.join(notes)} the range shown)" if notes else ""
    return [f"Pre-activations y{beyond}", *_bars(bars)]


def _posts(card: Card) -> list[str]:
    bars = draw_posts(card, COLUMNS)
    if bars is None:
        return []
    shares = zip(("below", "at", "above 0"), share_posts(card), strict=True)
    told = ", ".join(f"{100 * share:.1f}% {side}" for side, share in shares)
    return [f"Activations h, a scale each side of 0: {told}", *_bars(bars)]


def _bars(bars: Bars) -> Iterator[str]:
    """Yield rows of bars, an axis with the zero marked, and its numbers."""
    for row in reversed(range(ROWS)):
        yield "".join(
            _cell(height, row, zero=place == bars.zero) for place, height in enumerate(bars.heights)
        )
    axis = "".join("┴" if place == bars.zero else "─" for place in range(len(bars.heights)))
    yield axis
    yield _ticks(bars)


def _cell(height: float, row: int, *, zero: bool) -> str:
    eighths = max(round(height * 8 * ROWS), 1) if height else 0
    block = BLOCKS[min(max(eighths - 8 * row, 0), 8)]
    return "┊" if zero and block == " " else block


def _ticks(bars: Bars) -> str:
    low, high = f"{bars.low:.3g}", f"{bars.high:.3g}"
    width = max(len(bars.heights), len(low) + len(high) + 1)
    line = low + high.rjust(width - len(low))
    place = bars.zero
    if place is None or line[max(place - 1, 0) : place + 2].strip():
        return line
    return f"{line[:place]}0{line[place + 1 :]}"


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


def _extremes(
    heading: str, extremes: Sequence[Extreme], width: int, *, everything: bool
) -> list[str]:
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


def _checkpoints(card: Card) -> list[str]:
    lines = ["WD and MD of this neuron by checkpoint, on the same text"]
    for row in card.checkpoints:
        wd = _number(row.wd) + ("" if row.wd_se is None else f" ± {_number(row.wd_se)}")
        here = "  <" if row.recording == card.recording else ""
        name = printable(row.revision)
        lines.append(f"  {name:<20} wd {wd:<20} md {_number(row.md):<9}{here}")
    return lines


def _writes(writes: Writes, width: int) -> list[str]:
    if writes.reason is not None:
        return wrap(f"What it writes is not known: {printable(writes.reason)}.", width)
    lines = ["What it writes: logits that one unit of it adds, no norm applied"]
    lines.append(f"  {'raised most':<36}lowered most")
    for high, low in zip(writes.raises, writes.lowers, strict=True):
        left = _pad(_keep_start(f"[{printable(high.token)}]", 22), 22)
        right = _keep_start(f"[{printable(low.token)}]", 22)
        lines.append(f"  {high.logit:>+9.4f} {left}    {low.logit:>+9.4f} {right}")
    return lines
