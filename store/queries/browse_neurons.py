"""Which neurons of a recording stand first by a metric, and where among random directions?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from store.database import Database
from store.metric_descriptions import METRICS
from store.readonly import Value

Floats = npt.NDArray[np.float64]
PLACED = ("wd", "md")
"""The metrics that are shown with their percentile among random directions."""
_FIRST = ("layer", "neuron", "wd", "wd_se", "md", "md_sem", "negative_fraction", "skewness",
          "kurtosis")  # fmt: skip
COLUMNS: Mapping[str, str] = {
    **{name: f"n.{name}" for name in (*_FIRST, *METRICS)},
    "wd_floor": "0.8332 / sqrt(n.n_tokens)",
    "wd_random_p99": "yw.p99",
    "md_random_p99": "ym.p99",
    "reason": "n.reason",
}
"""What a list can be filtered and sorted by: columns of `neuron_metrics` and their SQL, in
the order shown."""
_RANDOM = (
    "LEFT JOIN layer_summaries {y} ON {y}.recording_id = n.recording_id AND {y}.layer = n.layer "
    "AND {y}.population = 'random' AND {y}.metric = '{metric}'\n"
)
_JOINS = {"yw": _RANDOM.format(y="yw", metric="wd"), "ym": _RANDOM.format(y="ym", metric="md")}


@dataclass(frozen=True)
class RecordingChoice:
    """A recording, and whether any of its neurons is measured (1) or none (0)."""

    id: int
    name: str
    measured: int


@dataclass(frozen=True)
class NeuronQuestion:
    """Neurons of a recording that a condition over COLUMNS holds for, first those of a metric."""

    recording_id: int
    sort: str = "wd"
    descending: bool = True
    condition: str = ""
    parameters: tuple[Value, ...] = ()


def list_choices(database: Database) -> list[RecordingChoice]:
    """Return all recordings, oldest first."""
    return database.read(
        RecordingChoice,
        "SELECT r.id, r.name, EXISTS (SELECT 1 FROM neurons n WHERE n.recording_id = r.id) "
        "AS measured FROM recordings r ORDER BY r.id",
    )


def choose_recording(choices: Sequence[RecordingChoice], name: str) -> RecordingChoice | None:
    """Return the recording of a name, else the newest that is measured, else the newest."""
    named = [choice for choice in choices if choice.name == name]
    measured = [choice for choice in choices if choice.measured]
    return next(reversed([*choices, *measured, *named]), None)


def list_statement(question: NeuronQuestion, rows: int) -> tuple[str, tuple[Value, ...]]:
    """Return the SELECT of the first `rows` neurons, those without the metric last."""
    columns = list(COLUMNS)
    if question.sort not in _FIRST:  # what a list is sorted by is seen without scrolling
        columns = list(dict.fromkeys(("layer", "neuron", question.sort, *columns)))
    shown = ", ".join(f"{COLUMNS[name]} AS {name}" for name in columns)
    statement = (
        f"SELECT {shown}\nFROM (\n{_chosen(question, rows)}\n) c CROSS JOIN neurons n ON "
        "n.recording_id = ? AND n.layer = c.layer AND n.neuron = c.neuron\n"
        f"{''.join(_JOINS.values())}ORDER BY {_order(question)}"
    )
    recording = question.recording_id
    return statement, (recording, *question.parameters, recording)


def _chosen(question: NeuronQuestion, rows: int) -> str:
    """Choose the neurons by few columns: an index may have them all, and a sort carries no more."""
    where = f" AND ({question.condition})" if question.condition else ""
    used = question.condition + COLUMNS[question.sort]
    joins = "".join(join for name, join in _JOINS.items() if f"{name}." in used)
    return (
        f"SELECT n.layer, n.neuron FROM neurons n\n{joins}WHERE n.recording_id = ?{where}\n"
        f"ORDER BY {_order(question)} LIMIT {rows}"
    )


def _order(question: NeuronQuestion) -> str:
    direction = "DESC" if question.descending else "ASC"
    if question.sort in ("layer", "neuron"):
        other = "neuron" if question.sort == "layer" else "layer"
        return f"n.{question.sort} {direction}, n.{other}"
    return f"{COLUMNS[question.sort]} {direction} NULLS LAST, n.layer, n.neuron"


def read_directions(database: Database, recording_id: int) -> dict[tuple[str, int], Floats]:
    """Return the metrics of random directions by (metric, layer), ascending (METHODS 11)."""
    found: dict[tuple[str, int], list[float]] = {}
    for name in PLACED:
        rows = database.rows(
            f"SELECT layer, {name} FROM random_directions WHERE recording_id = :id "
            f"AND {name} IS NOT NULL",
            {"id": recording_id},
        )
        for layer, value in rows:
            found.setdefault((name, layer), []).append(value)
    return {key: np.sort(np.array(values, np.float64)) for key, values in found.items()}


def add_percentiles(table: pa.Table, directions: Mapping[tuple[str, int], Floats]) -> pa.Table:
    """Return a list of neurons with the percentile of WD and MD after the error of each.

    A percentile is the share of the layer's random directions strictly below, 0 to 100; null where
    there is no number or no direction.
    """
    layers = table["layer"].to_numpy()
    for name, error in (("wd", "wd_se"), ("md", "md_sem")):
        values = table[name].cast(pa.float64()).to_numpy()
        shares = _place(name, layers, values, directions)
        place = table.column_names.index(error) + 1
        table = table.add_column(place, f"{name}_percentile", pa.array(shares, from_pandas=True))
    return table


def _place(
    name: str,
    layers: npt.NDArray[np.int64],
    values: Floats,
    directions: Mapping[tuple[str, int], Floats],
) -> Floats:
    shares = np.full(values.shape, np.nan)
    for layer in np.unique(layers):
        ascending = directions.get((name, int(layer)))
        if ascending is not None:
            here = (layers == layer) & ~np.isnan(values)
            below = np.searchsorted(ascending, values[here], side="left")
            shares[here] = 100.0 * below / ascending.size
    return shares


def marked_statement(neurons: list[tuple[int, int]]) -> str:
    """Return the SELECT of layer and neuron that gives these and no others."""
    pairs = ", ".join(f"({layer}, {neuron})" for layer, neuron in sorted(neurons))
    return f"WITH marked(layer, neuron) AS (VALUES {pairs}) SELECT layer, neuron FROM marked"
