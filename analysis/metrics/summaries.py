"""The summary of one metric over a population, as `layer_summaries` holds it."""

from dataclasses import dataclass

import numpy as np

from analysis.metrics.formats import Floats

_PERCENTS = (0, 5, 25, 50, 75, 95, 99, 100)
_NAN = float("nan")


@dataclass(frozen=True)
class Summary:
    """Count, mean and percentiles of the values that are not NaN; all NaN where n is 0."""

    n: int
    mean: float
    minimum: float
    p05: float
    p25: float
    median: float
    p75: float
    p95: float
    p99: float
    maximum: float


def summarise(values: Floats) -> Summary:
    """Return the summary of values (any,) float64; percentiles are numpy's linear ones."""
    known = values[~np.isnan(values)]
    if known.size == 0:
        return Summary(0, _NAN, _NAN, _NAN, _NAN, _NAN, _NAN, _NAN, _NAN, _NAN)
    low, p05, p25, median, p75, p95, p99, high = np.percentile(known, _PERCENTS).tolist()
    mean = float(known.mean())
    return Summary(known.size, mean, low, p05, p25, median, p75, p95, p99, high)
