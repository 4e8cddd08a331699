"""negspace figures: every .csv equals the SQL and the arrays that it came from."""

import csv
import math
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from analysis.figures.registry import FIGURES
from analysis.figures.settings import IDS, FiguresSettings
from store.errors import UsageError
from store.store import DATABASE, create_store, open_store
from tests.models import make_model, save
from tests.tui.calling import Outcome, ask, call

SIZES = ("--window-length", "128", "--windows", "20", "--pairs", "40")
NEOX, OPT, LLAMA = "small@step30/words", "opt@main/words", "llama@main/words"
Rows = list[dict[str, str]]


@pytest.fixture(scope="module")
def ready(models: dict[str, Path], text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with three steps of a GELU model, a ReLU and a gated one; only to be read."""
    folder = tmp_path_factory.mktemp("figures")
    for step in (10, 20, 30):
        save(folder / "small" / f"step{step}", make_model("gpt_neox", seed=step))
    words: tuple[str | Path, ...]
    for words in (
        ("ingest", folder / "small", text, "--revision", "all", *SIZES),
        ("ingest", models["opt"], text, *SIZES),
        ("ingest", models["llama"], text, *SIZES),
        ("analyze",),
    ):
        done = call(*words, "--store", folder / "store")
        assert done.code == 0, done.err
    _add_rows(folder / "store")
    return folder / "store"


def _add_rows(store: Path) -> None:
    """Random directions and a profile, where no analysis has put any."""
    with closing(sqlite3.connect(store / DATABASE)) as connection, connection:
        recordings = connection.execute("SELECT id, pair_set_id FROM recordings").fetchall()
        for recording, pair_set in recordings:
            connection.executemany(
                "INSERT OR IGNORE INTO random_directions (recording_id, layer, direction, wd, "
                "negative_modes) VALUES (?, 1, ?, ?, ?)",
                [(recording, i, 0.01 * (i % 7), 1 + i % 3) for i in range(30)],
            )
            connection.executemany(
                "INSERT OR IGNORE INTO layer_profiles VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
                "?, ?)",
                [
                    (recording, pair_set, variant, s, t, 3.0 - abs(s - t), 0.1, 1.0, 0.1,
                     -1.0 + 0.1 * t, 0.1, 1.0, 4.0, 100)
                    for variant in ("paper", "random", "split")
                    for s in (0, 1)
                    for t in (0, 1)
                ],
            )  # fmt: skip


@pytest.fixture(scope="module")
def drawn(ready: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    """All figures of the last steps, and what the command said."""
    out = tmp_path_factory.mktemp("drawn") / "out"
    return out, call("figures", "--store", ready, "--out", out, "--width", "3.25in")


def read(drawn: tuple[Path, Outcome], name: str, recording: str | None = None) -> Rows:
    """The rows of a .csv."""
    tail = f"_{recording.replace('/', '_')}" if recording else ""
    with (drawn[0] / f"{name}{tail}.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def numbers(rows: Rows, *columns: str) -> list[tuple[float | None, ...]]:
    return [tuple(float(row[c]) if row[c] else None for c in columns) for row in rows]


def recording_id(store: Path, name: str) -> int:
    ((key,),) = ask(store, f"SELECT id FROM recordings WHERE name = '{name}'")
    assert isinstance(key, int)
    return key


def highest(store: Path, name: str, k: int) -> list[tuple[int, float]]:
    """The neurons of highest WD in layer 1."""
    rows = ask(
        store,
        f"SELECT neuron, wd FROM neurons WHERE recording_id = {recording_id(store, name)} "
        f"AND layer = 1 AND wd IS NOT NULL ORDER BY wd DESC, neuron LIMIT {k}",
    )
    return [(int(str(neuron)), float(str(wd))) for neuron, wd in rows]


def test_all_are_drawn_or_skipped_with_a_reason(drawn: tuple[Path, Outcome]) -> None:
    out, done = drawn
    assert done.code == 0, done.err
    assert done.err.splitlines() == ["Figure 4e is skipped: no ablation has been run."]
    assert [figure.id for figure in FIGURES] == list(IDS)
    whole = {"1a", "1b", "4a", "4b", "4c", "4d"}
    stems = whole | {
        f"{key}_{name.replace('/', '_')}"
        for key in ("2a", "2b", "3a", "3b", "3c", "5", "6", "7", "8")
        for name in (NEOX, OPT, LLAMA)
    }
    files = {path.name for path in out.iterdir()}
    assert files == {"captions.txt"} | {f"{s}.{end}" for s in stems for end in ("png", "csv")}
    assert {Path(line) for line in done.out.splitlines()} == {out / name for name in files}
    captions = (out / "captions.txt").read_text()
    assert all(f"{stem}. " in captions for stem in stems)
    assert captions.count("n = ") >= len(stems) - 6  # tables say how many pairs


def test_prevalence(drawn: tuple[Path, Outcome], ready: Path) -> None:
    rows = read(drawn, "1a")
    for name in (NEOX, OPT, LLAMA):
        key = recording_id(ready, name)
        for population, table in (("neurons", "neurons"), ("random", "random_directions")):
            values = [
                float(str(wd))
                for (wd,) in ask(
                    ready,
                    f"SELECT wd FROM {table} WHERE recording_id = {key} AND layer = 1 "
                    "AND wd IS NOT NULL ORDER BY wd",
                )
            ]
            shown = [r for r in rows if (r["recording"], r["population"]) == (name, population)]
            n = len(values)
            expected = [pytest.approx((v, sum(w >= v for w in values) / n)) for v in values]
            assert values
            assert numbers(shown, "wd", "share_at_least") == expected


def test_weight_changes(drawn: tuple[Path, Outcome], ready: Path) -> None:
    rows = read(drawn, "1b")
    cohort = {neuron for neuron, _ in highest(ready, NEOX, 10)}
    half = {neuron for neuron, _ in highest(ready, "small@step10/words", 10)}
    assert numbers(rows, "from_step", "to_step") == [(10, 20), (20, 30)]
    for row in rows:
        changes = {
            int(str(neuron)): float(str(l2))
            for neuron, l2 in ask(
                ready,
                "SELECT w.neuron, w.l2 FROM weight_changes w "
                "JOIN checkpoints b ON b.id = w.to_checkpoint_id "
                f"WHERE w.layer = 1 AND b.step = {row['to_step']}",
            )
        }
        means = [sum(changes[j] for j in chosen) / 10 for chosen in (cohort, half)]
        assert numbers([row], "top_at_last", "top_at_half") == [pytest.approx(tuple(means))]
        low, median, high = numbers([row], "random_low", "random_median", "random_high")[0]
        assert low is not None
        assert median is not None
        assert high is not None
        assert min(changes.values()) < low < median < high < max(changes.values())


@pytest.mark.parametrize("name", [NEOX, LLAMA])
def test_profiles(drawn: tuple[Path, Outcome], ready: Path, name: str) -> None:
    for key, where in (("2a", ""), ("2b", "AND source_layer = layer")):
        rows = read(drawn, key, name)
        columns = list(rows[0])
        found = ask(
            ready,
            f"SELECT {', '.join(columns)} FROM layer_profiles "
            f"WHERE recording_id = {recording_id(ready, name)} {where} "
            "ORDER BY variant, source_layer, layer",
        )
        assert [tuple(row.values()) for row in rows] == [
            tuple("" if cell is None else str(cell) for cell in row) for row in found
        ]


def oi_of(store: Path, name: str, neuron: int) -> dict[int, tuple[float, float, float]]:
    """(dx / max, dy / median, OI) of each pair of a neuron of layer 1, from the stored arrays."""
    layer = open_store(store).recording(name).layer(1)
    inputs, outputs = layer.small("pair_inputs"), layer.small("pair_outputs")
    distances = {}
    for pair in range(len(inputs) // 2):
        a, b = (inputs[2 * pair + i].astype(float) for i in (0, 1))
        dx = math.dist(a.tolist(), b.tolist())
        y = [float(outputs[neuron, 2 * pair + i]) for i in (0, 1)]
        if dx > 0:
            distances[pair] = (dx, abs(y[0] - y[1]))
    furthest = max(dx for dx, _ in distances.values())
    spread = sorted(dy for _, dy in distances.values())
    half = len(spread) // 2
    median = spread[half] if len(spread) % 2 else (spread[half - 1] + spread[half]) / 2
    return {
        p: (dx / furthest, dy / median, (dy / median) / (dx / furthest))
        for p, (dx, dy) in distances.items()
    }


@pytest.mark.parametrize(("key", "k"), [("3c", 1), ("6", 6)])
def test_scatters(drawn: tuple[Path, Outcome], ready: Path, key: str, k: int) -> None:
    rows = read(drawn, key, OPT)
    neurons = [neuron for neuron, _ in highest(ready, OPT, k)]
    assert list(dict.fromkeys(int(row["neuron"]) for row in rows)) == neurons
    for neuron in neurons:
        expected = oi_of(ready, OPT, neuron)
        shown = [row for row in rows if row["neuron"] == str(neuron)]
        assert [int(row["pair"]) for row in shown] == sorted(expected)
        points = numbers(shown, "dx_over_max", "dy_over_median", "oi")
        assert points == [pytest.approx(expected[p], rel=1e-5) for p in sorted(expected)]
        marked = {int(row["pair"]): int(row["top_rank"]) for row in shown if row["top_rank"]}
        order = sorted(expected, key=lambda p: -expected[p][2])
        assert marked == {pair: rank for rank, pair in enumerate(order[:5])}


@pytest.mark.parametrize(("key", "k"), [("3a", 1), ("5", 5)])
def test_tables_of_pairs(drawn: tuple[Path, Outcome], ready: Path, key: str, k: int) -> None:
    rows = read(drawn, key, NEOX)
    neurons = highest(ready, NEOX, k)
    assert [int(row["neuron"]) for row in rows] == [j for j, _ in neurons for _ in range(5)]
    text = (
        "SELECT v.text FROM recordings r JOIN token_streams s ON s.id = r.stream_id "
        "JOIN tokens t ON t.stream_id = s.id JOIN vocabulary v "
        "ON v.tokenizer_id = s.tokenizer_id AND v.token_id = t.{column} "
        "WHERE r.name = '{name}' AND t.position = {position}"
    )
    for neuron, wd in neurons:
        expected = oi_of(ready, NEOX, neuron)
        shown = [row for row in rows if row["neuron"] == str(neuron)]
        order = sorted(expected, key=lambda p: -expected[p][2])[:5]
        assert [int(row["pair"]) for row in shown] == order
        for row in shown:
            assert float(row["wd"]) == wd
            for side in "12":
                for kind, column in (("token", "token_id"), ("next", "next_token_id")):
                    found = ask(
                        ready,
                        text.format(column=column, name=NEOX, position=row[f"position_{side}"]),
                    )
                    assert [(row[f"{kind}_{side}"],)] == found


def test_marks_on_a_distribution(drawn: tuple[Path, Outcome], ready: Path) -> None:
    rows = read(drawn, "3b", LLAMA)
    neuron = highest(ready, LLAMA, 1)[0][0]
    bins = [row for row in rows if row["kind"] == "bin"]
    values = open_store(ready).recording(LLAMA).layer(1).preactivations(neurons=[neuron])[0]
    assert sum(int(row["count"]) for row in bins) == len(values)
    for row in bins:
        inside = sum(float(row["low"]) <= float(v) < float(row["high"]) for v in values)
        assert inside == int(row["count"])
    pairs = [row for row in rows if row["kind"] == "pair"]
    expected = oi_of(ready, LLAMA, neuron)
    assert [int(r["pair"]) for r in pairs] == sorted(expected, key=lambda p: -expected[p][2])[:5]
    outputs = open_store(ready).recording(LLAMA).layer(1).small("pair_outputs")[neuron]
    for row in pairs:
        at = 2 * int(row["pair"])
        assert numbers([row], "output_1", "output_2") == [(outputs[at], outputs[at + 1])]


def test_before_and_after_relu(drawn: tuple[Path, Outcome], ready: Path) -> None:
    neuron = highest(ready, OPT, 1)[0][0]
    values = open_store(ready).recording(OPT).layer(1).preactivations(neurons=[neuron])[0]
    before, after = read(drawn, "4a"), read(drawn, "4b")
    assert sum(int(row["count"]) for row in before) == len(values)
    assert {row["kind"] for row in after} == {"post", "zero"}
    (zero,) = [row for row in after if row["kind"] == "zero"]
    negative = sum(float(v) <= 0 for v in values)
    assert (int(zero["count"]), float(zero["share"])) == (negative, negative / len(values))
    assert all(float(row["low"]) >= 0 for row in after)
    assert sum(int(row["count"]) for row in after) == len(values)


def test_before_and_after_gelu(drawn: tuple[Path, Outcome], ready: Path) -> None:
    neuron = highest(ready, NEOX, 1)[0][0]
    values = open_store(ready).recording(NEOX).layer(1).preactivations(neurons=[neuron])[0]
    after = [row for row in read(drawn, "4d") if row["kind"] == "post"]
    assert {row["recording"] for row in after} == {NEOX}
    below = sum(int(row["count"]) for row in after if float(row["high"]) <= 0)
    assert below == sum(float(v) < 0 for v in values)
    assert len(after) == 256


@pytest.mark.parametrize("key", ["7", "8"])
def test_grids(drawn: tuple[Path, Outcome], ready: Path, key: str) -> None:
    rows = read(drawn, key, NEOX)
    top = highest(ready, NEOX, 25)
    assert list(dict.fromkeys(int(row["neuron"]) for row in rows)) == [j for j, _ in top]
    layer = open_store(ready).recording(NEOX).layer(1)
    for rank, (neuron, wd) in enumerate(top):
        shown = [row for row in rows if row["neuron"] == str(neuron)]
        ((mean, std, modes),) = ask(
            ready,
            "SELECT mean, std, negative_modes FROM neurons WHERE layer = 1 "
            f"AND neuron = {neuron} AND recording_id = {recording_id(ready, NEOX)}",
        )
        lowest = float(str(mean)) - 8 * float(str(std))
        counts = layer.small("histogram")[neuron]
        for row in shown:
            assert (int(row["rank"]), float(row["wd"])) == (rank, wd)
            assert row["negative_modes"] == ("" if modes is None else str(modes))
            place = round((float(row["low"]) - lowest) / (16 * float(str(std)) / 256))
            assert int(row["count"]) == counts[1 + place]
        left_out = counts.sum() - sum(int(row["count"]) for row in shown)
        if key == "7":
            assert 0 <= left_out <= 0.002 * counts.sum()
        else:
            assert all(float(row["high"]) <= 0 for row in shown)


def test_formats_are_equal_byte_for_byte(ready: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        done = call(
            "figures", "--store", ready, "--only", "3c,4b", "--format", "png,svg,pdf",
            "--recording", "opt", "--out", tmp_path / name,
        )  # fmt: skip
        assert done.code == 0, done.err
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert files == sorted(
        ["captions.txt", *(f"{s}.{e}" for s in ("3c", "4b") for e in ("csv", "pdf", "png", "svg"))]
    )
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    starts = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}
    for form, start in starts.items():
        assert (tmp_path / "a" / f"3c.{form}").read_bytes().startswith(start)


def test_the_width_is_that_of_the_picture(ready: Path, tmp_path: Path) -> None:
    done = call(
        "figures", "--store", ready, "--only", "3c", "--recording", "opt", "--format", "svg",
        "--width", "8cm", "--out", tmp_path / "out",
    )  # fmt: skip
    assert done.code == 0, done.err
    points = 8 / 2.54 * 72
    assert f'width="{points:.6f}'[:13] in (tmp_path / "out" / "3c.svg").read_text()[:2000]


def test_a_chosen_neuron_is_drawn(ready: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ("figures", "--store", ready, "--recording", "opt", "--out", out)
    assert call(*words, "--only", "3a", "--neuron", "0.7").code == 0
    rows = read((out, Outcome(0, "", "")), "3a")
    assert {(row["layer"], row["neuron"]) for row in rows} == {("0", "7")}
    done = call(*words, "--only", "3a", "--neuron", "0.7000")
    assert done.code == 1
    assert "Figure 3a is skipped: opt@main/words has no measured neuron 0.7000." in done.err


def test_nothing_is_written_where_nothing_can_be_drawn(ready: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = call("figures", "--store", ready, "--only", "4e", "--out", out)
    assert (done.code, done.out) == (1, "")
    assert done.err.splitlines() == [
        "Figure 4e is skipped: no ablation has been run.",
        "Error: Nothing could be drawn, and nothing was written.",
    ]
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--only", "1b", "--recording", "opt"), "fewer than two checkpoints of a model"),
        (("--only", "4a", "--recording", "llama"), "no model with relu is among the recordings"),
        (("--only", "4c", "--recording", "opt"), "no model with gelu or"),
        (("--only", "1a", "--layer", "9"), "no recording has a measured layer 9"),
        (("--only", "7", "--layer", "9", "--recording", "opt"),
         "layer 9 of opt@main/words is not measured; run `negspace analyze`"),
        (("--only", "1b", "--layer", "9"), "layer 9"),
    ],
)  # fmt: skip
def test_reasons(ready: Path, tmp_path: Path, words: tuple[str, ...], reason: str) -> None:
    done = call("figures", "--store", ready, "--out", tmp_path / "out", *words)
    assert done.code == 1
    line = done.err.splitlines()[0]
    assert line.startswith(f"Figure {words[1]} is skipped: ")
    assert reason in line
    assert not (tmp_path / "out").exists()


def test_missing_profiles_are_said(ready: Path, store: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(store / DATABASE)) as connection, connection:
        connection.execute("DELETE FROM layer_profiles")
    done = call("figures", "--store", store, "--only", "2a,2b", "--out", tmp_path / "out")
    assert done.code == 1
    assert done.err.count("no profile over layers of gpt_neox@main/words is in the store") == 2


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--only", "9"), "--only is '9'; choose from 1a, 1b, 2a"),
        (("--format", "gif"), "--format is 'gif'; choose from png, svg, pdf."),
        (("--width", "wide"), "--width is 'wide'; give a length such as 3.25in, 8cm or 80mm."),
        (("--width", "3.25"), "--width is '3.25'; give a length"),
        (("--width", "0.1in"), "--width is '0.1in'; give from 2in to 40in."),
        (("--neuron", "17"), "--neuron is '17'; give LAYER.NEURON, such as 1.17."),
        (("--layer", "-1"), "--layer is -1; give 0 or more."),
    ],
)
def test_wrong_options(ready: Path, words: tuple[str, ...], sentence: str) -> None:
    done = call("figures", "--store", ready, *words)
    assert done.code == 2
    assert sentence in done.error
    assert not Path("figures").exists()


@pytest.mark.parametrize(
    ("width", "inches"), [("3.25in", 3.25), ("8cm", 8 / 2.54), (" 80 mm", 80 / 25.4)]
)
def test_widths(width: str, inches: float) -> None:
    assert FiguresSettings(width=width).inches == pytest.approx(inches)


def test_settings_of_another_type_are_refused() -> None:
    with pytest.raises(UsageError, match="--width is '3e1in'"):
        FiguresSettings(width="3e1in")


def test_folders_that_cannot_be_used(ready: Path, tmp_path: Path) -> None:
    words = ("figures", "--store", ready, "--only", "1a")
    done = call(*words, "--out", ready / "figures")
    assert (done.code, "lies in the store" in done.error) == (1, True)
    (tmp_path / "file").write_text("")
    done = call(*words, "--out", tmp_path / "file" / "deep")
    assert done.code == 1
    assert "cannot be written" in done.error
    assert "name another folder with --out DIR" in done.error


def test_an_empty_store_and_an_unknown_name(ready: Path, tmp_path: Path) -> None:
    create_store(tmp_path / "empty")
    done = call("figures", "--store", tmp_path / "empty")
    assert done.code == 1
    assert "has no recording yet; `negspace ingest` makes one." in done.error
    done = call("figures", "--store", ready, "--recording", "nobody")
    assert (done.code, "no recording 'nobody'" in done.error) == (1, True)


def test_without_matplotlib_the_extra_is_named(
    ready: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [n for n in sys.modules if n.startswith(("matplotlib", "analysis.figures"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = call("figures", "--store", ready)
    assert done.code == 1
    assert done.error == (
        "Error: Figures need matplotlib, which is not installed; "
        "run `pip install 'negspace[figures]'`."
    )
