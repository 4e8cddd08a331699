"""How every figure looks: its size, colours, letters and caption; and how it becomes a file.

The colours are Okabe and Ito's, told apart with any colour vision; line styles and markers differ
as well, so that a grey print tells the same. Grey itself is kept for random directions. Equal rows
give equal bytes: no dates, a fixed salt for SVG's ids, and no settings of the user's own.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont
from matplotlib.ft2font import FT2Font, LoadFlags
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from matplotlib.transforms import Bbox

from analysis.figures.results import Drawn
from store.printable import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.typing import RcKeyType

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (7, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GREY, PALE = "#7f7f7f", "#d9d9d9"
POINTS = 72.0
SMALL = 6.5
CAPTION_POINTS = 6.5
_LEADING = 1.21
_MARGIN = 0.06
_STYLE: "dict[RcKeyType, object]" = {
    "font.family": "DejaVu Sans",
    "font.size": 7.5,
    "axes.titlesize": 7.5,
    "axes.labelsize": 7.5,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.parse_math": False,
    "axes.formatter.use_mathtext": False,
    "svg.hashsalt": "negspace",
    "pdf.fonttype": 42,
    "savefig.dpi": 200,
}
_METADATA: dict[str, dict[str, str | None]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": "negspace"},
    "pdf": {"CreationDate": None, "Creator": "negspace", "Producer": "negspace"},
}


@contextmanager
def styled() -> Iterator[None]:
    """Make and render figures in the house's style, whatever the user's settings."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def make_figure(width: float, height: float, caption: str) -> Figure:
    """Return an empty figure of `width` x `height` inches with its caption in a strip below."""
    text = "\n".join(wrap(show(caption), (width - 2 * _MARGIN) * POINTS))
    strip = (text.count("\n") + 1) * CAPTION_POINTS * _LEADING / POINTS + 2 * _MARGIN
    whole = height + strip
    layout = ConstrainedLayoutEngine(
        w_pad=0.03, h_pad=0.03, rect=(0.0, strip / whole, 1.0, (height - _MARGIN) / whole)
    )
    figure = Figure(figsize=(width, whole), layout=layout)
    figure.text(
        _MARGIN / width, (strip - _MARGIN) / whole, text, va="top", ha="left",
        fontsize=CAPTION_POINTS, linespacing=_LEADING, color="#333333", in_layout=False,
    )  # fmt: skip
    return figure


def make_grid(figure: Figure, n: int, columns: int) -> list[Axes]:
    """Return n axes of a figure in rows of at most `columns`."""
    wide = min(n, columns)
    tall = -(-n // wide)
    return [figure.add_subplot(tall, wide, i + 1) for i in range(n)]


def render(drawn: Drawn, form: str, *, caption: bool = True) -> bytes:
    """Return the bytes of a figure as png, svg or pdf, with its caption or without the strip."""
    stream = io.BytesIO()
    area = None if caption else _find_area(drawn.figure)
    strip = drawn.figure.texts[0]
    strip.set_visible(caption)
    with styled():
        drawn.figure.savefig(stream, format=form, metadata=_METADATA[form], bbox_inches=area)
    strip.set_visible(True)
    return stream.getvalue()


def _find_area(figure: Figure) -> Bbox:
    """Return what lies above the caption's strip, in inches."""
    (width, height), engine = figure.get_size_inches(), figure.get_layout_engine()
    assert isinstance(engine, ConstrainedLayoutEngine)
    return Bbox.from_extents(0.0, engine.get()["rect"][1] * height, width, height)


def show(text: str) -> str:
    """Return text on one line, letters that the font lacks as codes."""
    letters = _letters()
    return "".join(c if ord(c) in letters else _code(c) for c in printable(text))


def show_token(text: str | None) -> str:
    """Return a token in the marks that a table shows it with; - where there is none."""
    return "-" if text is None else f"[{show(text)}]"


def wrap(text: str, points: float) -> list[str]:
    """Return text in lines of at most so many points in the caption's size."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".lstrip()
        if lines[-1] and measure(longer, CAPTION_POINTS) > points:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def shorten(text: str, points: float, size: float = SMALL) -> str:
    """Return text of at most so many points, its middle left out where it is longer."""
    kept, short = len(text), text
    while kept > 1 and measure(short, size) > points:
        kept -= 1
        head = kept - kept // 2
        short = f"{text[:head]}…{text[len(text) - kept // 2 :]}"
    return short


def measure(text: str, size: float) -> float:
    """Return the width of a line of text in points."""
    font = _font()
    font.set_size(size, POINTS)
    font.set_text(text, 0.0, flags=LoadFlags.NO_HINTING)
    return float(font.get_width_height()[0]) / 64


def label_logs(axis: Axis) -> None:
    """Label 1 and 3 of each power of ten on a logarithmic axis as plain numbers."""
    axis.set_major_locator(LogLocator(subs=(1.0, 3.0), numticks=8))
    axis.set_major_formatter(FuncFormatter(lambda value, _place: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _code(letter: str) -> str:
    return f"\\u{ord(letter):04x}"


@cache
def _font() -> FT2Font:
    return FT2Font(findfont(FontProperties(family="DejaVu Sans")))


@cache
def _letters() -> "Mapping[int, int]":
    return _font().get_charmap()
