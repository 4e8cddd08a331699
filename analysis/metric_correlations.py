"""How the metrics of a layer's neurons go together: the table `metric_correlations`."""

from itertools import combinations

from analysis.metrics.correlations import Floats, correlate
from store.queries.metrics import read_metrics
from store.recording import Recording
from store.scores import Cell

METRICS = ("wd", "md", "md_stable", "skewness", "kurtosis", "weight_norm", "alignment")
"""The columns of `neurons` that are correlated; metric_1 comes before metric_2 here."""


def correlate_metrics(recording: Recording) -> dict[str, list[dict[str, Cell]]]:
    """Return the correlations of every two metrics in every layer that is measured.

    None where fewer than three neurons have both, or one of the two does not vary.
    """
    columns = read_metrics(recording.store.database, recording.row.id, METRICS)
    rows = [row for layer, values in columns.items() for row in _correlate_layer(layer, values)]
    return {"metric_correlations": rows}


def _correlate_layer(layer: int, values: Floats) -> list[dict[str, Cell]]:
    rows: list[dict[str, Cell]] = []
    for (i, first), (j, second) in combinations(enumerate(METRICS), 2):
        found = correlate(values[:, i], values[:, j])
        rows.append({
            "layer": layer, "metric_1": first, "metric_2": second,
            "spearman": found.spearman, "pearson": found.pearson, "n": found.n,
        })  # fmt: skip
    return rows
