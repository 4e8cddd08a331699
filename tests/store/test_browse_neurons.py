"""The list of neurons against plain loops: order, limit, percentiles, the SELECT of marked ones."""

import sqlite3
from contextlib import closing
from pathlib import Path
from random import Random

import pyarrow as pa
import pytest

from store.arrow import to_arrow
from store.queries.browse_neurons import (
    NeuronQuestion,
    add_percentiles,
    list_choices,
    list_statement,
    marked_statement,
    read_directions,
)
from store.readonly import QueryLimits, run_query
from tests.builders import Made, Plan, make_recording
from tests.oracles.neuron_lists import first_neurons, percentile

NAMES = ("wd", "md", "skewness")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Two layers of 130 neurons with ties and NULLs, and directions of the first layer only."""
    made = make_recording(tmp_path_factory.mktemp("lists"), Plan(n_windows=2))
    random = Random(3)

    def numbers() -> list[float | None]:
        return [random.choice([None, *(i / 8 for i in range(8))]) for _ in NAMES]

    rows = [(made.id, layer, n, 3000, *numbers()) for layer in (0, 1) for n in range(130)]
    directions = [(made.id, 0, n, 3000, *numbers()) for n in range(50)]
    with closing(sqlite3.connect(made.store.database.path)) as connection, connection:
        for table, key, values in (
            ("neurons", "neuron", rows),
            ("random_directions", "direction", directions),
        ):
            connection.executemany(
                f"INSERT INTO {table} (recording_id, layer, {key}, n_tokens, {', '.join(NAMES)}) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                values,
            )
    return made


def ask(made: Made, question: NeuronQuestion, rows: int = 1000) -> pa.Table:
    statement, parameters = list_statement(question, rows)
    return to_arrow(run_query(made.store.database.path, statement, QueryLimits(), parameters))


@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("sort", NAMES)
def test_the_list_is_in_order(made: Made, sort: str, descending: bool) -> None:
    rows = ask(made, NeuronQuestion(made.id)).to_pylist()
    assert len(rows) == 260
    expected = first_neurons(rows, sort, descending)
    table = ask(made, NeuronQuestion(made.id, sort, descending), 100)
    found = list(zip(table["layer"].to_pylist(), table["neuron"].to_pylist(), strict=True))
    assert found == expected[:100]


@pytest.mark.parametrize("sort", ["layer", "neuron"])
def test_the_list_is_in_order_of_its_keys(made: Made, sort: str) -> None:
    table = ask(made, NeuronQuestion(made.id, sort, descending=False))
    found = table[sort].to_numpy().tolist()
    assert found == sorted(found)
    assert table.num_rows == 260


def test_a_condition_may_name_the_random_directions(made: Made) -> None:
    question = NeuronQuestion(made.id, condition="n.wd > ? AND yw.p99 IS NULL", parameters=(0.5,))
    rows = ask(made, question).to_pylist()
    everything = ask(made, NeuronQuestion(made.id)).to_pylist()
    assert len(rows) == sum(row["wd"] is not None and row["wd"] > 0.5 for row in everything) > 0


def test_only_a_sort_that_has_no_index_reads_all_rows(made: Made) -> None:
    plans = {}
    with closing(sqlite3.connect(made.store.database.path)) as connection:
        for sort in ("wd", "md"):
            statement, parameters = list_statement(NeuronQuestion(made.id, sort), 10)
            rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
            plans[sort] = " ".join(row[3] for row in rows)
    assert "COVERING INDEX ix_neurons_recording_id_wd" in plans["wd"]
    assert "ix_neurons_recording_id_wd" not in plans["md"]


def test_percentiles_are_those_of_plain_loops(made: Made) -> None:
    database = made.store.database
    table = add_percentiles(ask(made, NeuronQuestion(made.id)), read_directions(database, made.id))
    assert table.column_names.index("wd_percentile") == table.column_names.index("wd_se") + 1
    for name in ("wd", "md"):
        rows = database.rows(f"SELECT {name} FROM random_directions WHERE {name} IS NOT NULL")
        directions = [row[0] for row in rows]
        for row in table.to_pylist():
            expected = percentile(row[name], directions if row["layer"] == 0 else [])
            assert row[f"{name}_percentile"] == pytest.approx(expected)


def test_recordings_say_whether_they_are_measured(made: Made) -> None:
    make_recording(made.store, Plan(n_windows=2, revision="step2", weights="b"))
    choices = list_choices(made.store.database)
    assert [(c.name, c.measured) for c in choices] == [
        ("tiny@step1/words", 1),
        ("tiny@step2/words", 0),
    ]


def test_marked_neurons_are_chosen_by_a_readable_select(made: Made) -> None:
    statement = marked_statement([(1, 5), (0, 7)])
    found = run_query(Path(made.store.database.path), statement)
    assert (found.columns, found.rows) == (("layer", "neuron"), [(0, 7), (1, 5)])
