"""What can be asked in SQL: the tables with their meaning, and questions to begin with."""

from dataclasses import dataclass

from store.database import Database
from store.queries.status import list_columns, list_docs
from store.views import VIEWS


@dataclass(frozen=True)
class SchemaColumn:
    """A column; `kind` is its declared type, empty for what a view computes."""

    name: str
    kind: str
    description: str


@dataclass(frozen=True)
class SchemaTable:
    """A table or view with its columns in order."""

    name: str
    description: str
    is_view: bool
    columns: tuple[SchemaColumn, ...]


@dataclass(frozen=True)
class Question:
    """A question in words, and the statement that answers it."""

    title: str
    statement: str


def list_schema(database: Database) -> list[SchemaTable]:
    """Return the views and then the tables that the store has, as its descriptions order them."""
    columns = list_columns(database)
    docs = {(row.table_name, row.column_name): row.description for row in list_docs(database)}
    tables = [
        SchemaTable(table, docs[table, ""], table in VIEWS, _columns(table, columns[table], docs))
        for table, column in docs
        if column == "" and table in columns
    ]
    return sorted(tables, key=lambda table: not table.is_view)


def newest_recording(database: Database) -> str:
    """Return the name of the newest analysed recording, or of the newest; empty if none is."""
    rows = database.rows(
        "SELECT r.name FROM recordings r ORDER BY EXISTS (SELECT 1 FROM layer_analyses a "
        "WHERE a.recording_id = r.id AND a.analysis = 'summaries' AND a.finished_at IS NOT NULL) "
        "DESC, r.id DESC LIMIT 1"
    )
    return str(rows[0][0]) if rows else ""


def list_questions(recording: str) -> list[Question]:
    """Return the questions, those about one recording about this one."""
    literal = "'" + recording.replace("'", "''") + "'"
    return [Question(title, text.strip().replace("$R", literal)) for title, text in _QUESTIONS]


def _columns(
    table: str, columns: list[tuple[str, str]], docs: dict[tuple[str, str], str]
) -> tuple[SchemaColumn, ...]:
    return tuple(SchemaColumn(name, kind, docs.get((table, name), "")) for name, kind in columns)


_QUESTIONS = (
    (
        "Neurons farthest from a normal (highest WD)",
        """
SELECT layer, neuron, wd, wd_se, wd_random_p99, md, negative_fraction, skewness, kurtosis
FROM neuron_metrics
WHERE recording = $R AND wd IS NOT NULL
ORDER BY wd DESC
LIMIT 50""",
    ),
    (
        "Neurons above the 99th percentile of random directions, by layer",
        """
SELECT layer, count(*) AS neurons, avg(wd > wd_random_p99) AS above_wd,
       avg(md > md_random_p99) AS above_md
FROM neuron_metrics
WHERE recording = $R
GROUP BY layer""",
    ),
    (
        "Figure 1a: WD by training step",
        """
SELECT model, corpus, step, population, n, mean, median, p95, p99, maximum
FROM wd_by_checkpoint
WHERE layer = 1
ORDER BY model, corpus, population, step""",
    ),
    (
        "Figure 1b: weight change by training step, layer 1",
        """
SELECT m.name AS model, a.step AS from_step, b.step AS to_step, w.projection,
       avg(w.l2) AS mean_l2, max(w.l2) AS highest_l2, avg(w.l2_relative) AS mean_relative,
       avg(w.cosine) AS mean_cosine
FROM weight_changes w
JOIN checkpoints a ON a.id = w.from_checkpoint_id
JOIN checkpoints b ON b.id = w.to_checkpoint_id
JOIN models m ON m.id = a.model_id
WHERE w.layer = 1
GROUP BY w.from_checkpoint_id, w.to_checkpoint_id, w.projection
ORDER BY model, to_step""",
    ),
    (
        "Figure 2: separation of each layer's top pairs in every layer",
        """
SELECT p.variant, p.source_layer, p.layer, p.oi_z, p.oi_z_sem, p.oi_z_relative, p.distance_z,
       p.low, p.high, p.n_pairs
FROM layer_profiles p
JOIN recordings r ON r.id = p.recording_id
WHERE r.name = $R
ORDER BY p.variant, p.source_layer, p.layer""",
    ),
    (
        "Figures 3a and 5: top pairs of a layer's neurons, with the tokens that follow",
        """
SELECT neuron, pair_rank, token_1, next_1, token_2, next_2, output_1, output_2,
       input_distance, oi, survival
FROM token_pairs
WHERE recording = $R AND layer = 1 AND source = 'sampled' AND neuron_rank < 5 AND pair_rank < 5
ORDER BY neuron_rank, pair_rank""",
    ),
    (
        "Perplexity after ablations, with their tests",
        """
SELECT recording, text, intervention, arm, percent, draw, n_neurons, perplexity, increase, dose,
       p_rank_holm, p_text_holm, planned
FROM ablation_summary
ORDER BY recording, text, intervention, percent, arm, draw""",
    ),
    (
        "What the top pairs are made of, beside three bases",
        """
SELECT k.layer, k.family, k.kind, k.share, k.low, k.high, k.base_all, k.base_matched,
       k.base_random, k.n
FROM pair_kinds k
JOIN recordings r ON r.id = k.recording_id
WHERE r.name = $R AND k.neuron = -1
ORDER BY k.layer, k.family, k.share DESC""",
    ),
    (
        "Figures 7 and 8: modes of the negative side, by layer",
        """
SELECT layer, negative_modes, count(*) AS neurons, avg(negative_dip) AS mean_dip
FROM neuron_metrics
WHERE recording = $R
GROUP BY layer, negative_modes""",
    ),
    (
        "How the metrics of a layer's neurons go together",
        """
SELECT c.layer, c.metric_1, c.metric_2, c.spearman, c.pearson, c.n
FROM metric_correlations c
JOIN recordings r ON r.id = c.recording_id
WHERE r.name = $R
ORDER BY c.layer, abs(c.spearman) DESC""",
    ),
    (
        "Checkpoints whose weights are those of another",
        """
SELECT m.name AS model, c.revision, c.step, o.revision AS same_as
FROM checkpoints c
JOIN models m ON m.id = c.model_id
JOIN checkpoints o ON o.id = c.same_as
ORDER BY model, c.step""",
    ),
    (
        "What the tables hold",
        """
SELECT table_name, column_name, description
FROM schema_docs
ORDER BY rowid""",
    ),
)
