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
        # A view names a recording once for every revision that has its weights.
        "SELECT DISTINCT layer, neuron, token_1, next_1, token_2, next_2, oi, input_distance, "
        "output_1, output_2 FROM token_pairs WHERE recording = (SELECT name FROM recordings WHERE "
        "id = :id) AND source = 'sampled' AND neuron_rank = 0 AND pair_rank = 0 ORDER BY layer",
        {"id": recording_id},
    )
