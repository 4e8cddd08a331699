"""The figures of a report: of one recording a model, each in the form that takes fewer bytes."""

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.figures.results import Drawn, NoPlotsError, Skipped
from analysis.figures.run import draw_figures, render_smallest
from analysis.figures.settings import FiguresSettings
from analysis.figures.subject import keep_last
from store.queries.figures import FigureRecording, list_figure_recordings
from store.queries.recordings import RecordingRow
from store.store import Store

SHOWN = ("1a", "1b", "2a", "2b", "3a", "3b", "3c", "4a", "4b", "4c", "4d", "4e", "6", "8")
MOST_RECORDINGS = 4
"""A recording takes about a megabyte and four seconds."""


@dataclass(frozen=True)
class Picture:
    """A figure as PNG or SVG, with its title and the caption to print below."""

    title: str
    caption: str
    data: bytes


@dataclass(frozen=True)
class Pictures:
    """The figures of a report, and sentences on what they are of and what is not drawn."""

    drawn: tuple[Picture, ...] = ()
    notes: tuple[str, ...] = ()


def draw_pictures(store: Store, recordings: Sequence[RecordingRow]) -> Pictures:
    """Draw a recording of each model, its last step; without matplotlib none, and a note."""
    ids = {r.id for r in recordings}
    last = keep_last([r for r in list_figure_recordings(store.database) if r.id in ids])
    shown = last[:MOST_RECORDINGS]
    settings = FiguresSettings(only=SHOWN, recordings=tuple(r.name for r in shown))
    try:
        found = list(draw_figures(store, settings))
    except NoPlotsError as error:
        return Pictures(notes=(str(error),))
    drawn = tuple(_picture(each, shown) for each in found if isinstance(each, Drawn))
    skipped = [_explain(each) for each in found if isinstance(each, Skipped)]
    return Pictures(drawn, (*_notes(shown, last, ids), *skipped))


def _picture(drawn: Drawn, shown: Sequence[FigureRecording]) -> Picture:
    of = f", {drawn.recording}" if drawn.recording and len(shown) > 1 else ""
    return Picture(f"{drawn.id}. {drawn.title}{of}", drawn.caption, render_smallest(drawn))


def _notes(
    shown: Sequence[FigureRecording], last: Sequence[FigureRecording], ids: set[int]
) -> list[str]:
    notes = []
    if len(last) < len(ids):
        names = ", ".join(r.name for r in last)
        notes.append(f"Figures are of the last step of each model: {names}.")
    if len(shown) < len(last):
        count = f"To keep the page small, {len(shown)} of these are drawn"
        notes.append(f"{count}; `negspace figures` draws all.")
    return notes


def _explain(skipped: Skipped) -> str:
    of = f" of {skipped.recording}" if skipped.recording else ""
    return f"Figure {skipped.id}{of} is not drawn: {skipped.reason}."
