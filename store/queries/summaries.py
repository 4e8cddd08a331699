"""What stands out in a recording, by layer: how neurons lie beside random directions."""

from dataclasses import dataclass

from store.database import Database


@dataclass(frozen=True)
class LayerLine:
    """WD and MD of a layer's neurons beside those of random directions; None where there is none.

    `above` is the share of neurons above the 99th percentile of WD of random directions.
    """

    layer: int
    comparable: int | None
    reason: str | None
    n: int
    wd_median: float | None
    wd_p99: float | None
    wd_random_median: float | None
    wd_random_p99: float | None
    above: float | None
    md_median: float | None
    md_random_median: float | None


@dataclass(frozen=True)
class NeuronLine:
    """One of the neurons of highest WD; percentiles are among random directions, 0 to 100."""

    layer: int
    neuron: int
    wd: float
    wd_se: float | None
    wd_percentile: float | None
    md: float | None
    md_percentile: float | None
    negative_fraction: float | None
    negative_modes: int | None


_SUMMARY = (
    "(SELECT {column} FROM layer_summaries s WHERE s.recording_id = l.recording_id AND "
    "s.layer = l.layer AND s.population = '{population}' AND s.metric = '{metric}')"
)
_PERCENTILE = (
    "(SELECT 100.0 * avg(d.{metric} < n.{metric}) FROM random_directions d WHERE "
    "d.recording_id = n.recording_id AND d.layer = n.layer AND d.{metric} IS NOT NULL)"
)


def _summary(metric: str, population: str, column: str) -> str:
    return _SUMMARY.format(metric=metric, population=population, column=column)


def list_layer_lines(database: Database, recording_id: int) -> list[LayerLine]:
    """Return the measured layers of a recording, ascending."""
    p99 = _summary("wd", "random", "p99")
    return database.read(
        LayerLine,
        "SELECT l.layer, l.comparable, l.reason, l.n_neurons AS n, "
        f"{_summary('wd', 'neurons', 'median')} AS wd_median, "
        f"{_summary('wd', 'neurons', 'p99')} AS wd_p99, "
        f"{_summary('wd', 'random', 'median')} AS wd_random_median, {p99} AS wd_random_p99, "
        f"(SELECT avg(n.wd > {p99}) FROM neurons n WHERE n.recording_id = l.recording_id "
        "AND n.layer = l.layer AND n.wd IS NOT NULL) AS above, "
        f"{_summary('md', 'neurons', 'median')} AS md_median, "
        f"{_summary('md', 'random', 'median')} AS md_random_median "
        "FROM recording_layers l WHERE l.recording_id = :id AND EXISTS (SELECT 1 FROM neurons n "
        "WHERE n.recording_id = l.recording_id AND n.layer = l.layer) ORDER BY l.layer",
        {"id": recording_id},
    )


def list_neuron_lines(database: Database, recording_id: int, limit: int) -> list[NeuronLine]:
    """Return the neurons of highest WD of a recording."""
    return database.read(
        NeuronLine,
        "SELECT n.layer, n.neuron, n.wd, n.wd_se, "
        f"{_PERCENTILE.format(metric='wd')} AS wd_percentile, n.md, "
        f"{_PERCENTILE.format(metric='md')} AS md_percentile, n.negative_fraction, "
        "n.negative_modes FROM neurons n WHERE n.recording_id = :id AND n.wd IS NOT NULL "
        "ORDER BY n.wd DESC, n.layer, n.neuron LIMIT :limit",
        {"id": recording_id, "limit": limit},
    )


@dataclass(frozen=True)
class PairLine:
    """The pair of highest OI ratio of the neuron of highest MD of a layer."""

    layer: int
    neuron: int
    token_1: str | None
    next_1: str | None
    token_2: str | None
    next_2: str | None
    oi: float
    input_distance: float
    output_1: float
    output_2: float


def list_pair_lines(database: Database, recording_id: int) -> list[PairLine]:
    """Return the pair of highest OI ratio of the neuron of highest MD of every layer."""
    return database.read(
        PairLine,
        "SELECT p.layer, p.neuron, v1.text AS token_1, w1.text AS next_1, v2.text AS token_2, "
        "w2.text AS next_2, p.oi, p.input_distance, p.output_1, p.output_2 FROM top_pairs p "
        "JOIN recordings r ON r.id = p.recording_id AND r.pair_set_id = p.pair_set_id "
        "JOIN token_streams s ON s.id = r.stream_id "
        "JOIN tokens t1 ON t1.stream_id = s.id AND t1.position = p.position_1 "
        "JOIN tokens t2 ON t2.stream_id = s.id AND t2.position = p.position_2 "
        + "".join(
            f"LEFT JOIN vocabulary {name} ON {name}.tokenizer_id = s.tokenizer_id "
            f"AND {name}.token_id = {token} "
            for name, token in (
                ("v1", "t1.token_id"),
                ("v2", "t2.token_id"),
                ("w1", "t1.next_token_id"),
                ("w2", "t2.next_token_id"),
            )
        )
        + "WHERE r.id = :id AND p.source = 'sampled' AND p.neuron_rank = 0 AND p.pair_rank = 0 "
        "ORDER BY p.layer",
        {"id": recording_id},
    )
