"""One neuron: its metrics, where it stands among random directions, its pairs and their context."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from sqlite3 import Row

from store.database import Database

SCALE_FREE = (
    "skewness", "kurtosis", "negative_fraction", "wd", "md", "md_stable", "alignment",
    "negative_modes", "negative_dip",
)  # fmt: skip
"""Metrics that do not depend on the length of the weight row, which random directions lack."""
_CONTEXTS = """
WITH places (place, first, last) AS (VALUES {places})
SELECT p.place, t.position, v.text, t.next_token_id, t.token_id, w.text AS next_text
FROM places p CROSS JOIN tokens t JOIN token_streams s ON s.id = t.stream_id
LEFT JOIN vocabulary v ON v.tokenizer_id = s.tokenizer_id AND v.token_id = t.token_id
LEFT JOIN vocabulary w ON w.tokenizer_id = s.tokenizer_id AND w.token_id = t.next_token_id
WHERE t.stream_id = :stream AND t.position BETWEEN p.first AND p.last
ORDER BY p.place, t.position
"""


@dataclass(frozen=True)
class NeuronRow:
    """A neuron's row of `neurons`, with the floor of its WD."""

    n_tokens: int
    mean: float
    std: float
    skewness: float | None
    kurtosis: float | None
    minimum: float
    maximum: float
    negative_fraction: float
    post_mean: float | None
    post_minimum: float | None
    post_maximum: float | None
    rounding_step: float | None
    wd: float | None
    wd_se: float | None
    wd_floor: float
    md: float | None
    md_sem: float | None
    md_stable: float | None
    md_stable_se: float | None
    dy_median: float | None
    alignment: float | None
    weight_norm: float | None
    negative_modes: int | None
    negative_dip: float | None
    reason: str | None


@dataclass(frozen=True)
class Percentile:
    """The share of n random directions of a layer with a metric strictly below the neuron's."""

    metric: str
    share: float
    n: int


@dataclass(frozen=True)
class TopPair:
    """A pair of positions that a neuron pulls apart; rank 0 has the highest OI."""

    pair_rank: int
    position_1: int
    position_2: int
    input_distance: float
    output_1: float
    output_2: float
    post_1: float | None
    post_2: float | None
    survival: float | None
    oi: float


@dataclass(frozen=True)
class Context:
    """A token with those around it in its window, and the one that follows in the text."""

    position: int
    before: str
    token: str
    after: str
    next_token: str | None


@dataclass(frozen=True)
class CheckpointWd:
    """The same neuron in a recording of the same model, text and projection."""

    recording: str
    revision: str
    step: int | None
    wd: float | None
    wd_se: float | None
    md: float | None


@dataclass(frozen=True)
class _TokenText:
    token_id: int
    text: str


def find_neuron(database: Database, recording_id: int, layer: int, neuron: int) -> NeuronRow | None:
    """Return the metrics of a neuron, or None where it is not measured."""
    columns = ", ".join(field.name for field in fields(NeuronRow) if field.name != "wd_floor")
    found = database.read(
        NeuronRow,
        f"SELECT {columns}, 0.8332 / sqrt(n_tokens) AS wd_floor FROM neurons "
        "WHERE recording_id = :id AND layer = :layer AND neuron = :neuron",
        {"id": recording_id, "layer": layer, "neuron": neuron},
    )
    return found[0] if found else None


def read_percentiles(
    database: Database, recording_id: int, layer: int, neuron: int
) -> list[Percentile]:
    """Return where a neuron stands among the random directions of its layer (METHODS 11)."""
    parts = [
        f"SELECT '{name}' AS metric, count(*) AS n, "
        f"1.0 * sum(CASE WHEN r.{name} < n.{name} THEN 1 ELSE 0 END) / count(*) AS share "
        "FROM neurons n JOIN random_directions r ON r.recording_id = n.recording_id "
        f"AND r.layer = n.layer AND r.{name} IS NOT NULL AND n.{name} IS NOT NULL "
        "WHERE n.recording_id = :id AND n.layer = :layer AND n.neuron = :neuron"
        for name in SCALE_FREE
    ]
    statement = f"SELECT metric, share, n FROM ({' UNION ALL '.join(parts)}) WHERE n > 0"
    return database.read(
        Percentile, statement, {"id": recording_id, "layer": layer, "neuron": neuron}
    )


def list_neuron_pairs(
    database: Database, recording_id: int, layer: int, neuron: int, pair_set_id: int
) -> list[TopPair]:
    """Return the top pairs of a neuron that is among its layer's top ten, none of another one."""
    columns = ", ".join(field.name for field in fields(TopPair))
    return database.read(
        TopPair,
        f"SELECT {columns} FROM top_pairs WHERE recording_id = :id AND layer = :layer "
        "AND pair_set_id = :set AND source = 'sampled' AND neuron = :neuron ORDER BY pair_rank",
        {"id": recording_id, "layer": layer, "set": pair_set_id, "neuron": neuron},
    )


def pairs_statement(recording: str, layer: int, neuron: int) -> tuple[str, tuple[str | int, ...]]:
    """Return a statement, for people, of the pairs that `list_neuron_pairs` finds, as text."""
    return (
        "SELECT pair_rank, token_1, token_2, next_1, next_2, input_distance, output_1, output_2, "
        "oi FROM token_pairs WHERE recording = ? AND layer = ? AND neuron = ? "
        "AND source = 'sampled' ORDER BY pair_rank",
        (recording, layer, neuron),
    )


def read_contexts(
    database: Database, stream_id: int, window_length: int, positions: Sequence[int], reach: int
) -> list[Context]:
    """Return the tokens at some positions with up to `reach` around each in its window."""
    if not positions:
        return []
    spans = [_span(int(position), window_length, reach) for position in positions]
    places = ", ".join(f"({place}, {span[0]}, {span[1]})" for place, span in enumerate(spans))
    rows = database.rows(_CONTEXTS.format(places=places), {"stream": stream_id})
    around: list[list[Row]] = [[] for _ in positions]
    for row in rows:
        around[row["place"]].append(row)
    return [
        _context(found, position - span[0])
        for found, position, span in zip(around, positions, spans, strict=True)
    ]


def _span(position: int, window_length: int, reach: int) -> tuple[int, int]:
    """Return the first and the last position around one in its window."""
    start = position - position % window_length
    return max(position - reach, start), min(position + reach, start + window_length - 1)


def _context(rows: Sequence[Row], here: int) -> Context:
    texts = [row["text"] or f"<{row['token_id']}>" for row in rows]
    token = rows[here]
    next_token = token["next_text"]
    if next_token is None and token["next_token_id"] is not None:
        next_token = f"<{token['next_token_id']}>"
    before, after = "".join(texts[:here]), "".join(texts[here + 1 :])
    return Context(token["position"], before, texts[here], after, next_token)


def list_checkpoint_wd(
    database: Database, recording_id: int, layer: int, neuron: int
) -> list[CheckpointWd]:
    """Return WD and MD of the same neuron on the same text by step, of this recording, too."""
    return database.read(
        CheckpointWd,
        "SELECT r.name AS recording, c.revision, c.step, n.wd, n.wd_se, n.md "
        "FROM recordings o JOIN checkpoints h ON h.id = o.checkpoint_id "
        "JOIN recordings r ON r.stream_id = o.stream_id AND r.projection = o.projection "
        "JOIN checkpoints c ON coalesce(c.same_as, c.id) = r.checkpoint_id "
        "AND c.model_id = h.model_id "
        "JOIN neurons n ON n.recording_id = r.id AND n.layer = :layer AND n.neuron = :neuron "
        "WHERE o.id = :id ORDER BY c.step, c.revision, r.name",
        {"id": recording_id, "layer": layer, "neuron": neuron},
    )


def count_token_ids(database: Database, tokenizer_id: int) -> int:
    """Return one more than the highest id of a tokenizer."""
    statement = "SELECT coalesce(max(token_id) + 1, 0) FROM vocabulary WHERE tokenizer_id = :id"
    return int(database.rows(statement, {"id": tokenizer_id})[0][0])


def read_token_texts(database: Database, tokenizer_id: int, ids: Sequence[int]) -> dict[int, str]:
    """Return the texts of some tokens by id; one that the tokenizer leaves out is <id>."""
    rows = database.read(
        _TokenText,
        f"SELECT token_id, text FROM vocabulary WHERE tokenizer_id = :id "
        f"AND token_id IN ({', '.join(str(int(token)) for token in ids)})",
        {"id": tokenizer_id},
    )
    return {token: f"<{token}>" for token in ids} | {row.token_id: row.text for row in rows}
