"""negspace report, as a user calls it."""

import re
import shutil
import sqlite3
import sys
from base64 import b64decode
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from analysis.figures.results import Drawn
from analysis.figures.settings import FiguresSettings
from analysis.report import pictures
from analysis.report.build import build_report
from analysis.report.page import NOTHING
from analysis.report.pictures import MOST_RECORDINGS, SHOWN, Picture, Pictures, draw_pictures
from store.queries.figures import list_figure_recordings
from store.queries.recordings import list_recordings
from store.store import Store, open_store
from tests.tui.calling import NAME, call
from tests.tui.test_refusals import refuses

EVIL = "<script>alert('x')</script>\" & {{ 7 * 7 }}"
PIXEL = b"\x89PNG\r\n\x1a\n<script>"
DRAWING = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script/></svg>'


class Page(HTMLParser):
    """A page's tags, attributes, and text; fails on a tag that is closed by another."""

    VOID = ("meta", "img", "br", "link", "input")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data.split()

    @property
    def text(self) -> str:
        return " ".join(self.words)


def change(store: Path, statement: str, *values: str) -> None:
    with closing(sqlite3.connect(store / "negspace.sqlite")) as connection, connection:
        connection.execute(statement, values)


def test_a_report_is_one_file_that_needs_nothing(analysed: Path) -> None:
    done = call("report", "--store", analysed, "--out", "r.html")
    assert (done.code, done.out) == (0, ""), done.err
    assert done.err == "Written to r.html.\n"
    page = Page(Path("r.html").read_text(encoding="utf-8"))
    names = {tag for tag, _ in page.tags}
    assert names >= {"table", "thead", "th", "caption", "main", "figure", "img", "figcaption"}
    assert not names & {"script", "link", "iframe", "object"}
    addresses = [a[k] or "" for _, a in page.tags for k in ("href", "src") if k in a]
    ids = {f"#{a['id']}" for _, a in page.tags if "id" in a}
    assert {a for a in addresses if not a.startswith("data:image/")} <= ids
    assert "prefers-color-scheme: dark" in Path("r.html").read_text(encoding="utf-8")


def test_a_report_on_random_weights_holds_nothing(analysed: Path) -> None:
    """The store's one recording is of a model with random weights."""
    done = call("report", NAME, "--store", analysed)
    assert done.code == 0, done.err
    page = Page(Path("negspace-report.html").read_text(encoding="utf-8"))
    verdicts = [a["class"] for tag, a in page.tags if "verdict" in str(a.get("class"))]
    assert len(verdicts) == 2 * 8
    assert set(verdicts) <= {"verdict no", "verdict none"}
    assert "Of 8 judgements 0 hold," in page.text
    assert "not measurable here , because no ablation has been run." in page.text


def test_the_tables_are_those_of_the_store(analysed: Path) -> None:
    assert call("report", "--store", analysed, "--out", "r.html").code == 0
    page = Page(Path("r.html").read_text(encoding="utf-8"))
    with closing(sqlite3.connect(analysed / "negspace.sqlite")) as connection:
        neuron, wd = connection.execute(
            "SELECT neuron, wd FROM neurons ORDER BY wd DESC LIMIT 1"
        ).fetchone()
        medians = connection.execute(
            "SELECT median FROM layer_summaries WHERE metric = 'wd' AND population = 'neurons'"
        ).fetchall()
        (weights,) = connection.execute("SELECT weights_hash FROM checkpoints").fetchone()
    assert f"{neuron} {wd:.3g}" in page.text
    for (median,) in medians:
        assert f"{median:.3g}" in page.words
    assert weights in page.words


def test_what_a_store_holds_cannot_write_the_page(store: Path) -> None:
    change(store, "UPDATE vocabulary SET text = ?", EVIL)
    change(store, "UPDATE jobs SET command = ?", EVIL)
    change(store, "UPDATE recording_layers SET comparable = 0, reason = ?", EVIL)
    change(store, "UPDATE models SET name = ?, source = ?", EVIL, EVIL)
    change(store, "UPDATE recordings SET name = ?", EVIL + "\x1b[2J\u202e")
    assert call("report", "--store", store, "--out", "r.html").code == 0
    text = Path("r.html").read_text(encoding="utf-8")
    assert "\x1b" not in text
    assert "\u202e" not in text
    page = Page(text)
    assert "script" not in {tag for tag, _ in page.tags}
    assert page.text.count(EVIL) > 20


def test_figures_are_inside_as_images(analysed: Path) -> None:
    store = open_store(analysed)
    drawn = (Picture("1 <b>", "Blue: <i>", PIXEL), Picture("2", "Red.", DRAWING))
    notes = ("Not <b> drawn.",)
    page = Page(build_report(store, list_recordings(store.database), Pictures(drawn, notes)))
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert [str(i["src"])[:26] for i in images] == [
        "data:image/png;base64,iVBO", "data:image/svg+xml;base64,",
    ]  # fmt: skip
    assert [i["alt"] for i in images] == ["Figure 1 <b>", "Figure 2"]
    assert not {"b", "i"} & {tag for tag, _ in page.tags}
    for text in ("Figure 1 <b>. Blue: <i>", "Figure 2. Red.", "Not <b> drawn."):
        assert text in page.text


def test_a_report_holds_the_figures_of_its_recording(analysed: Path) -> None:
    done = call("report", "--store", analysed, "--out", "r.html")
    assert done.code == 0, done.err
    page = Page(Path("r.html").read_text(encoding="utf-8"))
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    drawn = [str(i["alt"]).split(".")[0].removeprefix("Figure ") for i in images]
    missing = [name for name in SHOWN if f"Figure {name} is not drawn: " in page.text]
    assert sorted(drawn + missing) == sorted(SHOWN)
    assert {"1a", "3a", "3b", "3c", "6", "8"} <= set(drawn)
    for image in images:
        assert b64decode(str(image["src"]).partition(",")[2]).lstrip()[:5] in (b"<?xml", PIXEL[:5])


def test_without_matplotlib_a_report_has_no_figures_and_says_so(
    analysed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = ("matplotlib", "analysis.figures", "analysis.report")
    for name in [name for name in sys.modules if name.startswith(gone)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = call("report", "--store", analysed, "--out", "r.html")
    assert (done.code, done.err) == (0, "Written to r.html.\n")
    page = Page(Path("r.html").read_text(encoding="utf-8"))
    assert "img" not in {tag for tag, _ in page.tags}
    assert page.text.count("Figures need matplotlib, which is not installed") == 1


def test_figures_are_of_the_last_step_of_each_model(
    analysed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(analysed)
    (row,) = list_figure_recordings(store.database)
    rows = [
        replace(row, id=i, name=f"r{i}", model_id=i // 2, step=i, revision=f"step{i}")
        for i in range(2 * MOST_RECORDINGS + 2)
    ]
    monkeypatch.setattr(pictures, "list_figure_recordings", lambda _database: rows)
    asked: list[tuple[str, ...]] = []

    def draw(_store: Store, settings: FiguresSettings) -> Iterator[Drawn]:
        asked.append(settings.recordings)
        return iter(())

    monkeypatch.setattr(pictures, "draw_figures", draw)
    (known,) = list_recordings(store.database)
    found = draw_pictures(store, [replace(known, id=r.id, name=r.name) for r in rows])
    assert asked == [tuple(f"r{2 * i + 1}" for i in range(MOST_RECORDINGS))]
    assert found.notes == (
        "Figures are of the last step of each model: r1, r3, r5, r7, r9.",
        "To keep the page small, 4 of these are drawn; `negspace figures` draws all.",
    )


def test_what_was_not_measured_is_a_dash(store: Path) -> None:
    change(store, "UPDATE neurons SET md = NULL")
    change(store, "DELETE FROM layer_summaries")
    opened = open_store(store)
    page = Page(build_report(opened, list_recordings(opened.database), Pictures()))
    assert page.words.count(NOTHING) > 10
    assert not {"nan", "None"} & set(page.words)


@pytest.mark.parametrize("form", ["md", "latex"])
def test_the_appendix_has_hashes_seeds_versions_and_commands(analysed: Path, form: str) -> None:
    done = call("report", "--store", analysed, "--appendix", form)
    assert (done.code, done.err) == (0, "")
    with closing(sqlite3.connect(analysed / "negspace.sqlite")) as connection:
        hashes = connection.execute(
            "SELECT c.weights_hash, k.text_hash, s.hash FROM checkpoints c, corpora k, "
            "token_streams s"
        ).fetchone()
        commands = [row[0] for row in connection.execute("SELECT command FROM jobs")]
    plain = re.sub(r"\\allowbreak\{\}|\\texttt|\\(?=_)|(?<=-)\{\}(?=-)", "", done.out)
    for found in (*hashes, *commands, "numpy", "seed 0", "stored float16, computed float32"):
        assert found in plain
    words = ("report", "--store", analysed, "--appendix", form, "--out", "appendix.txt")
    assert call(*words, "--quiet").out == ""
    assert Path("appendix.txt").read_text(encoding="utf-8") == done.out


def test_the_appendix_escapes_what_would_be_markup(store: Path) -> None:
    change(store, "UPDATE corpora SET name = ?", "a_b & 50 % {x} \\input{y} | <i> $z$ ^ ~ # \"'`")
    latex = call("report", "--store", store, "--appendix", "latex").out
    assert r"a\_b \& 50 \% \{x\} \textbackslash{}input\{y\} \textbar{}" in latex
    markdown = call("report", "--store", store, "--appendix", "md").out
    assert r"a\_b \& 50 % \{x\} \\input\{y\} \| \<i\> \$z\$" in markdown


def test_reports_that_cannot_be_made(analysed: Path, store: Path) -> None:
    assert refuses("report", "none", "--store", analysed) == (
        f"The store has no recording 'none'; it has: {NAME}."
    )
    assert refuses("report", "--store", analysed, "--out", "no/such/r.html") == (
        "no/such/r.html cannot be written: No such file or directory."
    )
    change(store, "DELETE FROM layer_analyses")
    assert refuses("report", "--store", store) == (
        f"{NAME} is not analysed; run `negspace analyze`, then this again."
    )
    for table in ("neurons", "blocks", "recording_layers", "recordings"):
        change(store, f"DELETE FROM {table}")
    assert refuses("report", "--store", store) == (
        "The store has no recordings to report on; `negspace ingest` makes some."
    )


def test_a_report_replaces_a_file_only_when_it_is_whole(analysed: Path, tmp_path: Path) -> None:
    out = tmp_path / "r.html"
    out.write_text("before")
    shutil.copy(out, tmp_path / "kept")
    assert call("report", "none", "--store", analysed, "--out", out).code == 1
    assert out.read_text() == "before"
