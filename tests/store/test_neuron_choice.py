"""Which neurons are there to be chosen: by a metric, or by a user's query."""

import numpy as np
import pytest

from store.errors import InputError
from store.metric_descriptions import METRICS
from store.queries import ablations
from store.queries.ablations import read_metric, read_neuron_choice
from store.store import Store
from tests.builders import Made, Plan, make_recording
from tests.copies import change

SMALL = Plan(n_neurons=4, d_model=2, n_windows=3, n_pairs=2)
CHOICES: list[tuple[str, list[list[int]]]] = [
    ("SELECT layer, neuron FROM neurons WHERE wd > 0.32", [[0, 3], [1, 1], [1, 2], [1, 3]]),
    ("SELECT neuron, layer FROM neurons WHERE wd IS NULL", [[1, 0]]),
    ("SELECT 7 AS Neuron, 2 AS LAYER", [[2, 7]]),
    (
        "SELECT layer, neuron FROM neurons WHERE layer = 0 UNION ALL SELECT 0, 1",
        [[0, n] for n in range(4)],
    ),
]


@pytest.fixture
def made(store: Store) -> Made:
    """A recording with WD 0.1 a neuron, half as much again a layer, and one without."""
    made = make_recording(store, SMALL)
    rows = ", ".join(
        f"({made.id}, {layer}, {neuron}, 300, {'NULL' if (layer, neuron) == (1, 0) else wd})"
        for layer in (1, 0)
        for neuron in reversed(range(4))
        for wd in [0.1 + 0.1 * neuron + 0.15 * layer]
    )
    change(store, f"INSERT INTO neurons (recording_id, layer, neuron, n_tokens, wd) VALUES {rows}")
    return made


def test_a_metric_comes_by_layer(made: Made) -> None:
    found = read_metric(made.store.database, made.id, "wd", [1, 0])
    assert list(found) == [1, 0]
    assert found[0].tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert np.isnan(found[1][0])
    assert found[1][1:].tolist() == pytest.approx([0.35, 0.45, 0.55])
    assert found[0].dtype == np.dtype(np.float64)
    assert list(read_metric(made.store.database, made.id, "wd", [0])) == [0]


def test_every_metric_is_a_column_of_neurons(made: Made) -> None:
    columns = {
        r[0] for r in made.store.database.rows("SELECT name FROM pragma_table_info('neurons')")
    }
    assert columns - set(METRICS) == {"recording_id", "layer", "neuron", "reason"}
    for metric in METRICS:
        assert len(read_metric(made.store.database, made.id, metric, [0])[0]) == 4


@pytest.mark.parametrize("metric", ["layer", "wd_floor", "wd, md", ""])
def test_what_is_no_metric_is_refused(made: Made, metric: str) -> None:
    with pytest.raises(InputError, match=r"no metric '.*'; choose of .* wd, wd_se, md,"):
        read_metric(made.store.database, made.id, metric, [0])


def test_a_layer_that_is_not_measured_is_refused(made: Made) -> None:
    with pytest.raises(InputError, match="Layer 5 of tiny@step1/words is not measured"):
        read_metric(made.store.database, made.id, "wd", [0, 5])


@pytest.mark.parametrize(("sql", "neurons"), CHOICES)
def test_a_query_chooses_neurons(made: Made, sql: str, neurons: list[list[int]]) -> None:
    found = read_neuron_choice(made.store, sql)
    assert found.tolist() == neurons
    assert found.dtype == np.dtype(np.int64)


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT layer, neuron, wd FROM neurons", "returns layer, neuron, wd; write SELECT layer"),
        ("SELECT layer FROM neurons", "returns layer; write"),
        ("SELECT layer, layer AS b FROM neurons", "returns layer, b; write"),
        ("SELECT layer, NULL AS neuron FROM neurons", r"\(\d, None\); layer and neuron are whole"),
        ("SELECT layer, neuron + 0.0 AS neuron FROM neurons", r"\(\d, \d\.0\)"),
        ("SELECT layer, 'x' AS neuron FROM neurons", r"\(\d, 'x'\)"),
        ("SELECT layer, neuron FROM neurons WHERE wd > 9", "returns none"),
        ("DELETE FROM neurons", "read"),
        ("SELECT layer, neuron FROM neurons; DELETE FROM neurons", "several statements"),
        ("SELECT layer, neuron FROM absent", "no such table"),
        ("", "SELECT"),
    ],
)
def test_other_queries_are_refused(made: Made, sql: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_neuron_choice(made.store, sql)
    assert made.store.database.rows("SELECT count(*) FROM neurons")[0][0] == 8


def test_an_endless_choice_is_refused(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ablations, "MOST_ROWS", 7)
    with pytest.raises(InputError, match="returns over 7 rows; choose fewer"):
        read_neuron_choice(made.store, "SELECT layer, neuron FROM neurons")
    monkeypatch.setattr(ablations, "MOST_ROWS", 8)
    assert len(read_neuron_choice(made.store, "SELECT layer, neuron FROM neurons")) == 8
