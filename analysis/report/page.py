"""A report as one HTML file that needs nothing else: styles, tables and figures are inside.

The template escapes every text; a figure is an image of its own, so nothing in it can act on the
page, and the page forbids itself scripts and the network.
"""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from analysis.pair_kinds_text import tell_pair_kinds
from analysis.report.claims import FAILS, HOLDS, MISSING, Claim, Statement, show_p
from analysis.report.pictures import Pictures
from analysis.report.provenance import Provenance
from store.printable import printable
from store.queries.recordings import RecordingRow
from store.queries.summaries import (
    LayerLine,
    NeuronLine,
    PairLine,
    list_layer_lines,
    list_neuron_lines,
    list_pair_lines,
)
from store.store import Store

TOP_NEURONS = 10
NOTHING = "\u2013"
VERDICTS = (HOLDS, FAILS, MISSING)
_MARKS = {HOLDS: "yes", FAILS: "no", MISSING: "none"}
_TALLIES = {
    HOLDS: ("holds", "hold"),
    FAILS: ("does not hold", "do not hold"),
    MISSING: ("is not measurable here", "are not measurable here"),
}
_FORMS = {b"\x89PNG": "image/png", b"<?xml": "image/svg+xml", b"<svg": "image/svg+xml"}


@dataclass(frozen=True)
class Section:
    """The tables of one recording."""

    recording: str
    layers: Sequence[LayerLine]
    neurons: Sequence[NeuronLine]
    pairs: Sequence[PairLine]
    told: Sequence[str]


def read_sections(store: Store, recordings: Sequence[RecordingRow]) -> list[Section]:
    """Return the tables of each recording, and what the pairs of three of its layers are."""
    return [_read_section(store, r) for r in recordings]


def _read_section(store: Store, recording: RecordingRow) -> Section:
    database, layers = store.database, list_layer_lines(store.database, recording.id)
    whole = store.recording(recording.name)
    texts = [tell_pair_kinds(whole, layer) for layer in _choose_layers(layers)]
    return Section(
        recording.name,
        layers,
        list_neuron_lines(database, recording.id, TOP_NEURONS),
        list_pair_lines(database, recording.id),
        [text for text in texts if text],
    )


def _choose_layers(layers: Sequence[LayerLine]) -> list[int]:
    """Return the first comparable layer above 0, the middle one and the last."""
    found = [row.layer for row in layers if row.comparable == 1]
    if not found:
        return []
    first = next((layer for layer in found if layer > 0), found[0])
    return sorted({first, found[len(found) // 2], found[-1]})


def render_page(
    claims: Sequence[Claim],
    sections: Sequence[Section],
    provenances: Sequence[Provenance],
    pictures: Pictures,
    made: str,
) -> str:
    """Return the page; `made` says when and by what."""
    environment = Environment(
        loader=PackageLoader("analysis.report"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {
        "number": _number, "share": _share, "count": _count, "text": _text, "p": show_p,
        "mark": _MARKS.__getitem__,
    }  # fmt: skip
    return environment.get_template("report.html").render(
        claims=claims,
        groups=_group(claims),
        counts=[_tally(verdict, claims) for verdict in VERDICTS],
        sections=sections,
        provenances=provenances,
        figures=[(p.title, p.caption, _image(p.data)) for p in pictures.drawn],
        notes=pictures.notes,
        made=made,
    )


def _tally(verdict: str, claims: Sequence[Claim]) -> str:
    """Return how many claims have a verdict, as a part of a sentence."""
    n = sum(c.verdict == verdict for c in claims)
    return f"{n} {_TALLIES[verdict][n != 1]}"


def _group(claims: Sequence[Claim]) -> list[tuple[Statement, list[Claim]]]:
    grouped = groupby(claims, key=lambda c: c.finding.statement)
    return [(statement, list(of)) for statement, of in grouped]


def _image(data: bytes) -> Markup:
    """Return the address of an image that holds the image itself."""
    form = next(form for start, form in _FORMS.items() if data.lstrip().startswith(start))
    return Markup(f"data:{form};base64,{b64encode(data).decode()}")


def _number(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3g}"


def _share(value: float | None) -> str:
    return NOTHING if value is None else f"{100 * value:.1f} %"


def _count(value: float | None) -> str:
    return NOTHING if value is None else f"{value:,.0f}"


def _text(value: str | None) -> str:
    return NOTHING if value is None else printable(value)
