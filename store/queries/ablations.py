"""Which ablations were run, and what did they find? And: which neurons may be chosen, by what?"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from store.database import Database
from store.errors import InputError, NotFoundError
from store.metric_descriptions import METRICS
from store.queries.recordings import read_recording
from store.readonly import QueryLimits, Row, run_query
from store.records import IntArray, RunFacts
from store.store import Store

Floats = npt.NDArray[np.float64]
MOST_ROWS = 2_000_000
"""Rows that a query for neurons may return: over four times the neurons of the largest models."""


@dataclass(frozen=True)
class RunRow(RunFacts):
    """A run, with the names of what it is about.

    `text` is the corpus of its loss, `n_neurons` the size of its cohort, `baseline_nats` the
    baseline's loss a token; both are None for the baseline.
    """

    id: int
    created_at: str
    recording: str
    model: str
    revision: str
    gated: int
    text: str
    n_neurons: int | None
    baseline_nats: float | None

    @property
    def nats(self) -> float:
        """The mean negative log-likelihood, in nats a token."""
        return self.nll_sum / self.n_predicted

    @property
    def increase(self) -> float | None:
        """The nats a token above the baseline; None for the baseline."""
        return None if self.baseline_nats is None else self.nats - self.baseline_nats


class WindowLosses(NamedTuple):
    """The losses of a run: `documents` and `nll` (windows,), and the predictions of a window."""

    documents: IntArray
    nll: Floats
    n_predicted: int


@dataclass(frozen=True)
class AblationTest:
    """A test of a run against another, or against all draws of an arm."""

    id: int
    ablation_id: int
    reference_id: int | None
    reference_group: str | None
    test: str
    unit: str
    n: int
    sides: int
    statistic: float | None
    p: float | None
    p_floor: float | None
    p_holm: float | None
    planned: int
    reason: str | None


@dataclass(frozen=True)
class AblationPlan:
    """What a sweep set out to test; `draws` maps percentages to random draws."""

    id: int
    recording_id: int
    created_at: str
    settings: str
    hypotheses: tuple[str, ...]
    fractions: tuple[float, ...]
    draws: Mapping[float, int]
    unit: str


@dataclass(frozen=True)
class CohortRow:
    """A cohort: the rule and seed that chose it, and how many neurons each layer has in it."""

    id: int
    rule: Mapping[str, object]
    seed: int | None
    sizes: Mapping[int, int]


_RUNS = f"""
SELECT a.id, {", ".join(f"a.{field.name}" for field in fields(RunFacts))}, a.created_at,
       r.name AS recording, m.name AS model, c.revision, m.gated, k.name AS text,
       h.n AS n_neurons, b.nll_sum / b.n_predicted AS baseline_nats
FROM ablations a
JOIN recordings r ON r.id = a.recording_id
JOIN checkpoints c ON c.id = a.checkpoint_id JOIN models m ON m.id = c.model_id
JOIN token_streams s ON s.id = a.stream_id JOIN corpora k ON k.id = s.corpus_id
LEFT JOIN cohorts h ON h.id = a.cohort_id
LEFT JOIN ablations b ON b.id = a.baseline_id
"""


def list_runs(database: Database, recording_id: int | None = None) -> list[RunRow]:
    """Return the runs of a recording, or of all where none is named; oldest first."""
    return database.read(
        RunRow,
        _RUNS + "WHERE :id IS NULL OR a.recording_id = :id ORDER BY a.id",
        {"id": recording_id},
    )


def find_run(database: Database, recording_id: int, run_hash: str) -> RunRow | None:
    """Return the run of this hash, or None."""
    where = "WHERE a.recording_id = :id AND a.hash = :hash"
    found = database.read(RunRow, _RUNS + where, {"id": recording_id, "hash": run_hash})
    return found[0] if found else None


def read_window_losses(database: Database, ablation_ids: Sequence[int]) -> dict[int, WindowLosses]:
    """Return the losses of some runs on each of their windows."""
    rows = database.rows(
        "SELECT ablation_id, document, nll_sum, n_predicted FROM ablation_windows "
        "WHERE ablation_id IN (SELECT value FROM json_each(:ids)) "
        "ORDER BY ablation_id, window_index",
        {"ids": _as_list(ablation_ids)},
    )
    losses: dict[int, list[tuple[int, float, int]]] = {}
    for key, document, nll, n in rows:
        losses.setdefault(key, []).append((document, nll, n))
    return {key: _window_losses(found) for key, found in losses.items()}


def _window_losses(rows: list[tuple[int, float, int]]) -> WindowLosses:
    documents = np.array([row[0] for row in rows], dtype=np.int64)
    nll = np.array([row[1] for row in rows], dtype=np.float64)
    return WindowLosses(documents, nll, rows[0][2])


def read_token_kind_losses(
    database: Database, ablation_id: int
) -> dict[tuple[str, str], tuple[float, int]]:
    """Return the loss of a run by kind of token: (side, kind) to (nll_sum, n_predicted)."""
    rows = database.rows(
        "SELECT side, kind, nll_sum, n_predicted FROM ablation_token_kinds "
        "WHERE ablation_id = :id ORDER BY side, kind",
        {"id": ablation_id},
    )
    return {(side, kind): (nll, n) for side, kind, nll, n in rows}


def list_tests(database: Database, ablation_ids: Sequence[int]) -> list[AblationTest]:
    """Return the tests of some runs, as they were written."""
    return database.read(
        AblationTest,
        "SELECT id, ablation_id, reference_id, reference_group, test, unit, n, sides, statistic, "
        "p, p_floor, p_holm, planned, reason FROM ablation_tests "
        "WHERE ablation_id IN (SELECT value FROM json_each(:ids)) ORDER BY id",
        {"ids": _as_list(ablation_ids)},
    )


def read_plan(database: Database, plan_id: int) -> AblationPlan:
    """Return a plan; raises NotFoundError where there is none of this id."""
    rows = database.rows("SELECT * FROM ablation_plans WHERE id = :id", {"id": plan_id})
    if not rows:
        raise NotFoundError(f"The store has no ablation plan {plan_id}.")
    row = rows[0]
    return AblationPlan(
        id=row["id"],
        recording_id=row["recording_id"],
        created_at=row["created_at"],
        settings=row["settings"],
        hypotheses=tuple(json.loads(row["hypotheses"])),
        fractions=tuple(json.loads(row["fractions"])),
        draws={float(percent): n for percent, n in json.loads(row["draws"]).items()},
        unit=row["unit"],
    )


def list_cohorts(database: Database, cohort_ids: Sequence[int]) -> dict[int, CohortRow]:
    """Return some cohorts by id; the neurons themselves are in `cohort_neurons`."""
    ids = {"ids": _as_list(cohort_ids)}
    sizes: dict[int, dict[int, int]] = {}
    for key, layer, n in database.rows(
        "SELECT cohort_id, layer, count(*) FROM cohort_neurons WHERE cohort_id IN "
        "(SELECT value FROM json_each(:ids)) GROUP BY cohort_id, layer",
        ids,
    ):
        sizes.setdefault(key, {})[layer] = n
    rows = database.rows(
        "SELECT id, rule, seed FROM cohorts WHERE id IN (SELECT value FROM json_each(:ids)) "
        "ORDER BY id",
        ids,
    )
    return {
        key: CohortRow(key, json.loads(rule), seed, sizes.get(key, {})) for key, rule, seed in rows
    }


def _as_list(ids: Sequence[int]) -> str:
    return json.dumps([int(key) for key in ids])


def read_metric(
    database: Database, recording_id: int, metric: str, layers: Sequence[int]
) -> dict[int, Floats]:
    """Return a metric of all neurons of some layers, (neurons,) float64, NaN for NULL.

    Raises InputError for what is no metric of `neurons`, and for a layer that is not measured.
    """
    if metric not in METRICS:
        raise InputError(f"There is no metric {metric!r}; choose of {', '.join(METRICS)}.")
    return {layer: _read_layer(database, recording_id, metric, layer) for layer in layers}


def _read_layer(database: Database, recording_id: int, metric: str, layer: int) -> Floats:
    rows = database.rows(
        # The metric is one of a fixed list.
        f"SELECT {metric} FROM neurons WHERE recording_id = :id AND layer = :layer ORDER BY neuron",
        {"id": recording_id, "layer": layer},
    )
    if not rows:
        name = read_recording(database, recording_id).name
        raise InputError(
            f"Layer {layer} of {name} is not measured; `negspace analyze {name}` measures what is "
            "recorded."
        )
    return np.array([np.nan if row[0] is None else row[0] for row in rows], dtype=np.float64)


def read_neuron_choice(store: Store, sql: str) -> IntArray:
    """Return the neurons that a user's SELECT chooses, (n, 2) of (layer, neuron) ascending.

    It is read-only and returns layer and neuron, in any order; a neuron named twice is taken once.
    Raises InputError for anything else.
    """
    result = run_query(store.database.path, sql, QueryLimits(rows=MOST_ROWS))
    names = [name.lower() for name in result.columns]
    if sorted(names) != ["layer", "neuron"]:
        raise InputError(
            f"The query for neurons returns {', '.join(result.columns)}; write SELECT layer, "
            "neuron FROM ..."
        )
    if result.truncated:
        raise InputError(f"The query for neurons returns over {MOST_ROWS:,} rows; choose fewer.")
    if not result.rows:
        raise InputError("The query for neurons returns none; ask with `negspace sql` what fits.")
    order = [names.index("layer"), names.index("neuron")]
    whole = [tuple(_whole(row, row[i]) for i in order) for row in result.rows]
    return np.unique(np.array(whole, dtype=np.int64), axis=0)


def _whole(row: Row, value: object) -> int:
    if not isinstance(value, int):
        raise InputError(
            f"The query for neurons returns {row}; layer and neuron are whole numbers, as in the "
            "table neurons."
        )
    return value
