"""What are the metrics of all neurons of a recording?"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from store.database import Database


def read_metrics(
    database: Database, recording_id: int, names: Sequence[str]
) -> dict[int, npt.NDArray[np.float64]]:
    """Return columns of `neurons`, (neurons, columns) by layer; NaN where one has no value."""
    rows = database.rows(
        # The names are columns of the code's own.
        f"SELECT layer, {', '.join(names)} FROM neurons WHERE recording_id = :id "
        "ORDER BY layer, neuron",
        {"id": recording_id},
    )
    found: dict[int, list[tuple[float | None, ...]]] = {}
    for layer, *values in rows:
        found.setdefault(layer, []).append(tuple(values))
    return {layer: np.array(values, dtype=np.float64) for layer, values in found.items()}
