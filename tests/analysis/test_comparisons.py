"""The same neurons in two recordings, from rows that the test writes."""

import math
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analysis.comparisons import ALL_LAYERS, Comparison, compare_recordings, keep_comparison
from store.errors import InputError
from store.ledger import remove_recording
from store.queries.comparisons import read_comparison
from store.store import Store
from tests.builders import Made, Plan, make_recording
from tests.oracles.correlations import pearson, ranks, spearman

PLAN = Plan(n_neurons=20, d_model=4, n_windows=8, window_length=50)
OTHER = {"corpus": "other", "seed": 1}


def measure(made: Made, *, scale: float = 1.0, constant: bool = False) -> None:
    """Finish the analyses of a recording with random WD and MD; a neuron without each."""
    rng = np.random.default_rng(made.id)
    with closing(sqlite3.connect(made.store.database.path)) as connection, connection:
        connection.execute(
            "INSERT INTO jobs (kind, settings, command, state, done, total, started_at, "
            "heartbeat_at, pid, host, versions) VALUES ('analyze', '{}', '', 'done', 0, 0, '', '', "
            "1, '', '{}')"
        )
        for layer in made.plan.layers:
            for analysis in ("wd", "pairs"):
                connection.execute(
                    "INSERT INTO layer_analyses VALUES (?, ?, ?, 1, 1, NULL, NULL, 'now')",
                    (made.id, layer, analysis),
                )
            for neuron in range(made.plan.n_neurons):
                wd = None if neuron == 3 else 0.5 if constant else round(float(rng.random()), 1)
                md = None if neuron == 5 else scale * float(rng.random())
                connection.execute(
                    "INSERT INTO neurons (recording_id, layer, neuron, wd, md) "
                    "VALUES (?, ?, ?, ?, ?)",
                    (made.id, layer, neuron, wd, md),
                )


def change(store: Store, *statements: str) -> None:
    with closing(sqlite3.connect(store.database.path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


@pytest.fixture
def two(tmp_path: Path) -> tuple[Made, Made]:
    """Two measured recordings of one model, on two texts."""
    return pair(tmp_path, **OTHER)


def pair(tmp_path: Path, **changes: object) -> tuple[Made, Made]:
    first = make_recording(tmp_path, PLAN)
    second = make_recording(first.store, Plan(**vars(PLAN) | changes))
    for made in (first, second):
        measure(made)
    return first, second


def compare(first: Made, second: Made) -> Comparison:
    return compare_recordings(first.store, first.recording.row, second.recording.row)


def column(made: Made, name: str, layer: int) -> list[float]:
    rows = made.store.database.rows(
        f"SELECT {name} FROM neurons WHERE recording_id = {made.id} AND layer = {layer} "
        "ORDER BY neuron"
    )
    return [math.nan if row[0] is None else float(row[0]) for row in rows]


def test_correlations_by_layer_and_over_all(two: tuple[Made, Made]) -> None:
    found = {(row.metric, row.layer): row for row in compare(*two).correlations()}
    pooled: list[list[float]] = [[], []]
    for layer in PLAN.layers:
        for metric in ("wd", "md"):
            a, b = (column(made, metric, layer) for made in two)
            row = found[metric, str(layer)]
            assert (row.n, row.note) == (19, None)
            assert row.spearman == pytest.approx(spearman(a, b))
            assert row.pearson == pytest.approx(pearson(a, b))
            if metric == "wd":
                pooled = [pooled[0] + a, pooled[1] + b]
    assert found["wd", ALL_LAYERS].n == 38
    assert found["wd", ALL_LAYERS].spearman == pytest.approx(spearman(*pooled))
    assert found["wd", ALL_LAYERS].pearson == pytest.approx(pearson(*pooled))
    all_md = found["md", ALL_LAYERS]
    assert (all_md.n, all_md.spearman, all_md.note) == (
        0, None, "MD is never compared across layers",
    )  # fmt: skip


def test_the_largest_changes(two: tuple[Made, Made]) -> None:
    rows = compare(*two).changes(4)
    expected = []
    for layer in PLAN.layers:
        a, b = (column(made, "wd", layer) for made in two)
        expected += [(-abs(y - x), layer, j) for j, (x, y) in enumerate(zip(a, b, strict=True))]
    wanted = sorted(row for row in expected if not math.isnan(row[0]))[:4]
    assert [(-abs(r.change), r.layer, r.neuron) for r in rows[:4]] == wanted
    assert [row.metric for row in rows] == ["wd"] * 4 + ["md percentile"] * 4
    top = rows[4]
    neurons = [j for j in range(20) if j != 5]
    places = []
    for made in two:
        values = column(made, "md", top.layer)
        order = ranks([values[j] for j in neurons])
        places.append(100 * (order[neurons.index(top.neuron)] - 0.5) / 19)
    assert (top.a, top.b) == pytest.approx(places)
    assert top.change == pytest.approx(places[1] - places[0])
    assert abs(top.change) >= abs(rows[5].change) >= abs(rows[7].change)


def test_a_scale_of_md_changes_nothing(tmp_path: Path) -> None:
    first = make_recording(tmp_path, PLAN)
    second = make_recording(first.store, Plan(**vars(PLAN) | OTHER))
    measure(first)
    measure(second)
    before = compare(first, second)
    change(first.store, f"UPDATE neurons SET md = 7 * md WHERE recording_id = {second.id}")
    after = compare(first, second)
    assert after.changes(10) == before.changes(10)
    for old, new in zip(before.correlations(), after.correlations(), strict=True):
        assert new.spearman == old.spearman
        assert new.pearson == pytest.approx(old.pearson)


def test_the_rows_are_kept_and_redone(two: tuple[Made, Made]) -> None:
    first, second = two
    found = compare(first, second)
    assert keep_comparison(first.store, found)
    assert not keep_comparison(first.store, found)
    database = first.store.database
    rows = read_comparison(database, first.id, second.id)
    assert len(rows) == 40
    expected = [
        (layer, neuron, *(made[neuron] for made in columns))
        for layer in PLAN.layers
        for columns in [[column(made, m, layer) for m in ("wd", "md") for made in two]]
        for neuron in range(20)
    ]
    cells = [tuple(None if v != v else v for v in row) for row in expected]
    assert rows == cells
    change(first.store, f"UPDATE neurons SET wd = 0.25 WHERE recording_id = {first.id}")
    assert keep_comparison(first.store, compare(first, second))
    assert {row[2] for row in read_comparison(database, first.id, second.id)} == {0.25}
    assert keep_comparison(first.store, compare(second, first))
    assert len(read_comparison(database, first.id, second.id)) == 40


def test_a_compared_recording_can_be_removed(two: tuple[Made, Made]) -> None:
    first, second = two
    keep_comparison(first.store, compare(first, second))
    keep_comparison(first.store, compare(second, first))
    remove_recording(first.store, second.id, second.name)
    left = first.store.database.rows("SELECT count(*) FROM recording_comparisons")
    assert left[0][0] == 0


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({**OTHER, "n_pairs": 4}, "MD is never compared across numbers of pairs (6 and 4)"),
        ({"model": "big", "weights": "b", "seed": 1}, "MD is never compared across models"),
    ],
)
def test_md_of_other_models_or_pairs_is_left_out(
    changes: dict[str, object], sentence: str, tmp_path: Path
) -> None:
    found = compare(*pair(tmp_path, **changes))
    rows = [row for row in found.correlations() if row.metric == "md" and row.layer != ALL_LAYERS]
    assert [(row.n, row.spearman, row.note) for row in rows] == [(0, None, sentence)] * 2
    assert any(f"MD is left out in layers 0, 1: {sentence}." in note for note in found.notes)
    assert {row[4:] for row in found.rows()} == {(None, None)}
    assert {row.metric for row in found.changes(5)} == {"wd"}
    assert any("the same ones only where" in note for note in found.notes) == ("model" in changes)


def test_how_draws_agree_is_said_for_the_number_of_pairs_that_was_measured(
    two: tuple[Made, Made],
) -> None:
    found = compare(*two)
    for n_pairs, sentence in (
        (1000, "two draws of 1,000 pairs agree by 0.16 to 0.51 alone (METHODS 5)."),
        (6, "how well two draws of 6 pairs agree was not measured."),
    ):
        a, b = (replace(recording, n_pairs=n_pairs) for recording in (found.a, found.b))
        assert replace(found, a=a, b=b).notes[-1] == (
            f"MD is compared by its order within a layer; {sentence}"
        )


def test_layers_that_are_not_comparable_are_named(two: tuple[Made, Made]) -> None:
    change(
        two[0].store,
        "UPDATE recording_layers SET comparable = 0, reason = '23 of 1000 pairs are degenerate' "
        f"WHERE layer = 0 AND recording_id = {two[1].id}",
    )
    found = compare(*two)
    note = "not comparable (B: 23 of 1000 pairs are degenerate)"
    rows = {(row.metric, row.layer): row for row in found.correlations()}
    assert rows["md", "0"].note == note
    assert (rows["md", "1"].note, rows["md", "1"].n) == (None, 19)
    assert f"MD is left out in layers 0: {note}." in found.notes
    assert {row[0] for row in found.rows() if row[4] is not None} == {1}


def test_a_column_that_does_not_vary_has_a_note(tmp_path: Path) -> None:
    first = make_recording(tmp_path, PLAN)
    second = make_recording(first.store, Plan(**vars(PLAN) | OTHER))
    measure(first, constant=True)
    measure(second)
    row = compare(first, second).correlations()[0]
    assert (row.n, row.spearman, row.note) == (19, None, "too few values, or all are equal")


@pytest.mark.parametrize(
    ("changes", "update", "sentence"),
    [
        ({"model": "big", "weights": "b", "layers": (0,)}, "",
         "tiny@step1/words has the layers 0, 1, big@step1/words has 0; record"),
        ({"model": "big", "weights": "b", "n_neurons": 30}, "",
         "Layer 0 has 20 neurons in tiny@step1/words and 30 in big@step1/words"),
        ({**OTHER, "projection": "up"}, "", "(the branch: gate and up)"),
        ({"model": "big", "weights": "b"}, "UPDATE models SET gated = 1 WHERE name = 'big'",
         "(a gated MLP: no and yes)"),
        (OTHER, "DELETE FROM layer_analyses WHERE recording_id = 2 AND layer = 1",
         "Layer 1 of tiny@step1/other is not analysed yet; run `negspace analyze 'tiny@"),
        (OTHER, "UPDATE layer_analyses SET finished_at = NULL WHERE analysis = 'pairs'",
         "Layer 0 of tiny@step1/words is not analysed yet"),
        (OTHER, "UPDATE recording_layers SET state = 'recording' WHERE recording_id = 2",
         "Layer 0 of tiny@step1/other is not complete; run its `negspace ingest` again"),
        (OTHER, "UPDATE layer_analyses SET method = 2 WHERE recording_id = 1 AND analysis = 'wd'",
         "version 2 of 'wd' in tiny@step1/words and by version 1 in tiny@step1/other; run "
         "`negspace analyze 'tiny@step1/other'`"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared(
    changes: dict[str, object], update: str, sentence: str, tmp_path: Path
) -> None:
    first = make_recording(tmp_path, PLAN)
    second = make_recording(first.store, Plan(**vars(PLAN) | changes))
    for made in (first, second):
        measure(made)
    if update:
        change(first.store, update)
    with pytest.raises(InputError) as caught:
        compare(first, second)
    assert sentence in str(caught.value)


def test_a_recording_is_not_compared_with_itself(two: tuple[Made, Made]) -> None:
    with pytest.raises(InputError, match="Both names mean tiny@step1/words; name two"):
        compare(two[0], two[0])
