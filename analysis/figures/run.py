"""Draws the figures that the store holds the numbers of, and writes each beside its rows.

Files go under the folder named and nowhere else; where nothing can be drawn there is no folder.
"""

import csv
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.figures.results import Drawn, NoPlotsError, Skipped
from analysis.figures.settings import FiguresSettings
from store.errors import InputError, NegspaceError
from store.store import Store

if TYPE_CHECKING:
    from analysis.figures.registry import FigureKind
    from analysis.figures.subject import Subject

CAPTIONS = "captions.txt"
_UNSAFE = r"[^A-Za-z0-9.@-]+"


def draw_figures(store: Store, settings: FiguresSettings) -> Iterator[Drawn | Skipped]:
    """Draw the figures asked for, one after the other, or say why not.

    Raises NotFoundError for a recording that is not there, NoPlotsError without matplotlib.
    """
    with needing_matplotlib():
        from analysis.figures.registry import FIGURES
    from analysis.figures.drawing import styled
    from analysis.figures.subject import Subject, choose_recordings

    chosen = choose_recordings(store, settings.recordings)
    whole = Subject(store, settings, chosen)
    for figure in FIGURES:
        if figure.id in settings.ids:
            subjects = _subjects(whole, figure)
            for subject in subjects:
                with styled():
                    found = _draw(figure, subject, len(subjects) > 1)
                yield found


def write_drawn(folder: Path, drawn: Drawn, formats: tuple[str, ...]) -> list[Path]:
    """Write a figure in each form and its rows as csv; returns the files.

    Raises InputError where they cannot be written.
    """
    from analysis.figures.drawing import render

    contents = {f"{drawn.name}.{form}": render(drawn, form) for form in formats}
    contents[f"{drawn.name}.csv"] = _as_csv(drawn)
    return [_write(folder / name, data) for name, data in contents.items()]


def render_smallest(drawn: Drawn) -> bytes:
    """Return a figure without its caption as SVG or PNG, whichever takes fewer bytes."""
    from analysis.figures.drawing import render

    return min((render(drawn, form, caption=False) for form in ("svg", "png")), key=len)


def write_captions(folder: Path, figures: list[Drawn]) -> Path:
    """Write the captions of figures, one a paragraph."""
    text = "\n\n".join(f"{d.name}. {d.title}. {d.caption}" for d in figures)
    return _write(folder / CAPTIONS, f"{text}\n".encode())


@contextmanager
def needing_matplotlib() -> Iterator[None]:
    """Import what draws; raises NegspaceError where matplotlib is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        raise NoPlotsError(
            "Figures need matplotlib, which is not installed; run `pip install "
            "'negspace[figures]'`."
        ) from None


def _subjects(whole: "Subject", figure: "FigureKind") -> "list[Subject]":
    """Return what a figure is drawn of; of one that no recording has rows for the whole, once."""
    if figure.each and figure.known(whole):
        return [whole.of(r) for r in whole.recordings]
    return [whole]


def _draw(figure: "FigureKind", subject: "Subject", several: bool) -> Drawn | Skipped:
    name = subject.recording.name if figure.each and several else None
    try:
        drawn = figure.draw(subject)
    except NegspaceError as error:
        return Skipped(figure.id, str(error).rstrip("."), name)
    stem = figure.id if name is None else f"{figure.id}_{re.sub(_UNSAFE, '_', name)}"
    return replace(drawn, title=figure.title, name=stem, recording=name)


def _as_csv(drawn: Drawn) -> bytes:
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    writer.writerow(drawn.columns)
    writer.writerows(drawn.rows)
    return stream.getvalue().encode()


def _write(path: Path, data: bytes) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror}; name another folder with --out DIR."
        ) from error
    return path
