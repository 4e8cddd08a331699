"""What do the figures draw? One function a question; each returns the rows that are drawn."""

from dataclasses import dataclass

from store.database import Database

SAMPLED = "(SELECT pair_set_id FROM recordings WHERE id = :id)"


@dataclass(frozen=True)
class FigureRecording:
    """A recording as the figures name it; `step` is None where its revision names none."""

    id: int
    name: str
    model: str
    model_id: int
    revision: str
    step: int | None
    corpus: str
    projection: str
    gated: int
    activation: str
    n_tokens: int


@dataclass(frozen=True)
class MetricRow:
    """WD of one neuron, or of one random direction."""

    population: str
    member: int
    wd: float


@dataclass(frozen=True)
class NeuronRow:
    """The metrics of a neuron that a figure of its own needs."""

    layer: int
    neuron: int
    n_tokens: int
    mean: float
    std: float
    post_minimum: float | None
    post_maximum: float | None
    wd: float | None
    dy_median: float | None
    weight_norm: float | None
    negative_modes: int | None


@dataclass(frozen=True)
class PairRow:
    """One pair of the recording's own pair set in one layer, with its tokens."""

    pair: int
    position_1: int
    position_2: int
    input_distance: float
    token_1: str | None
    token_2: str | None
    next_1: str | None
    next_2: str | None


@dataclass(frozen=True)
class ModeRow:
    """How many neurons or random directions of a layer have two modes below 0, or more."""

    population: str
    n: int
    several: int


def list_figure_recordings(database: Database) -> list[FigureRecording]:
    """Return all recordings, oldest first."""
    return database.read(
        FigureRecording,
        "SELECT r.id, r.name, m.name AS model, m.id AS model_id, c.revision, c.step, "
        "k.name AS corpus, r.projection, m.gated, m.activation, s.n_tokens FROM recordings r "
        "JOIN checkpoints c ON c.id = r.checkpoint_id JOIN models m ON m.id = c.model_id "
        "JOIN token_streams s ON s.id = r.stream_id JOIN corpora k ON k.id = s.corpus_id "
        "ORDER BY r.id",
    )


def list_metric(database: Database, recording_id: int, layer: int) -> list[MetricRow]:
    """Return WD of the neurons and of the random directions of a layer, ascending in each."""
    return database.read(
        MetricRow,
        "SELECT 'neurons' AS population, neuron AS member, wd FROM neurons "
        "WHERE recording_id = :id AND layer = :layer AND wd IS NOT NULL "
        "UNION ALL SELECT 'random', direction, wd FROM random_directions "
        "WHERE recording_id = :id AND layer = :layer AND wd IS NOT NULL "
        "ORDER BY population, wd, member",
        {"id": recording_id, "layer": layer},
    )


def list_highest(database: Database, recording_id: int, layer: int, k: int) -> list[NeuronRow]:
    """Return the k neurons of highest WD in a layer, highest first; ties: lower index."""
    return database.read(
        NeuronRow,
        _NEURON + "AND wd IS NOT NULL ORDER BY wd DESC, neuron LIMIT :k",
        {"id": recording_id, "layer": layer, "k": k},
    )


def find_neuron(database: Database, recording_id: int, layer: int, neuron: int) -> NeuronRow | None:
    """Return one neuron that has been measured, or None."""
    found = database.read(
        NeuronRow,
        _NEURON + "AND neuron = :neuron",
        {"id": recording_id, "layer": layer, "neuron": neuron},
    )
    return found[0] if found else None


_NEURON = (
    "SELECT layer, neuron, n_tokens, mean, std, post_minimum, post_maximum, wd, dy_median, "
    "weight_norm, negative_modes FROM neurons WHERE recording_id = :id AND layer = :layer "
    "AND n_tokens IS NOT NULL "
)


def list_modes(database: Database, recording_id: int, layer: int) -> list[ModeRow]:
    """Return what is known of modes below 0, of neurons and then of random directions."""
    counts = " UNION ALL ".join(
        f"SELECT '{name}' AS population, count(negative_modes) AS n, "
        f"sum(negative_modes >= 2) AS several FROM {table} "
        "WHERE recording_id = :id AND layer = :layer"
        for name, table in (("neurons", "neurons"), ("random", "random_directions"))
    )
    return database.read(
        ModeRow,
        f"SELECT population, n, several FROM ({counts}) WHERE n > 0 ORDER BY population",
        {"id": recording_id, "layer": layer},
    )


def list_pairs(database: Database, recording_id: int, layer: int) -> list[PairRow]:
    """Return the pairs of the recording's own pair set with their input distances in a layer."""
    return database.read(
        PairRow,
        "SELECT d.pair, p.position_1, p.position_2, d.input_distance, "
        "v1.text AS token_1, v2.text AS token_2, w1.text AS next_1, w2.text AS next_2 "
        "FROM pair_distances d JOIN recordings r ON r.id = d.recording_id "
        "JOIN token_streams s ON s.id = r.stream_id "
        "JOIN pairs p ON p.pair_set_id = d.pair_set_id AND p.pair = d.pair "
        "JOIN tokens t1 ON t1.stream_id = s.id AND t1.position = p.position_1 "
        "JOIN tokens t2 ON t2.stream_id = s.id AND t2.position = p.position_2 "
        "LEFT JOIN vocabulary v1 ON v1.tokenizer_id = s.tokenizer_id AND v1.token_id = t1.token_id "
        "LEFT JOIN vocabulary v2 ON v2.tokenizer_id = s.tokenizer_id AND v2.token_id = t2.token_id "
        "LEFT JOIN vocabulary w1 ON w1.tokenizer_id = s.tokenizer_id "
        "AND w1.token_id = t1.next_token_id "
        "LEFT JOIN vocabulary w2 ON w2.tokenizer_id = s.tokenizer_id "
        "AND w2.token_id = t2.next_token_id "
        "WHERE d.recording_id = :id AND d.layer = :layer AND d.pair_set_id = r.pair_set_id "
        "AND d.input_distance IS NOT NULL ORDER BY d.pair",
        {"id": recording_id, "layer": layer},
    )
