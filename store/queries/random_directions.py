"""Where does a number stand among those of random directions on the same inputs (METHODS 11)?"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from store.database import Database
from store.tables import METRICS

Floats = npt.NDArray[np.float64]
_COLUMNS = (*METRICS, "negative_modes", "negative_dip")


@dataclass(frozen=True)
class RandomDirections:
    """The metrics of a layer's random directions: each ascending, without those undefined.

    `n` is how many directions there are; `reason` says why they have no numbers.
    """

    values: Mapping[str, Floats]
    n: int
    reason: str | None

    def percentile(self, metric: str, values: Floats) -> Floats:
        """Return the share of directions strictly below each value, from 0 to 1.

        NaN for NaN, and where no direction has the metric.
        """
        ascending, asked = self.values[metric], np.asarray(values, np.float64)
        if ascending.size == 0:
            return np.full(asked.shape, np.nan)
        below = np.searchsorted(ascending, asked, side="left") / ascending.size
        return np.where(np.isnan(asked), np.nan, below)


def read_random(database: Database, recording_id: int, layer: int) -> RandomDirections:
    """Return the random directions of a layer; none where it is not analysed."""
    rows = database.rows(
        f"SELECT {', '.join(_COLUMNS)}, reason FROM random_directions "
        "WHERE recording_id = :id AND layer = :layer ORDER BY direction",
        {"id": recording_id, "layer": layer},
    )
    values = {
        name: np.sort([float(row[name]) for row in rows if row[name] is not None])
        for name in _COLUMNS
    }
    unscored = rows and all(array.size == 0 for array in values.values())
    return RandomDirections(values, len(rows), rows[0]["reason"] if unscored else None)
