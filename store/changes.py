"""Keeps how weights moved between checkpoints: one layer of one interval in one transaction."""

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt
from sqlalchemy import delete, insert

from store import tables as t
from store.queries.dynamics import Interval, Measured
from store.scores import without_nan
from store.store import Store


def save_changes(
    store: Store,
    interval: Interval,
    layer: int,
    columns: Mapping[str, npt.NDArray[np.float64]],
) -> None:
    """Write the changes of all neurons of a layer, columns of `weight_changes` (neurons,) each."""
    key = {
        "from_checkpoint_id": interval.first.checkpoint_id,
        "to_checkpoint_id": interval.second.checkpoint_id,
        "projection": interval.first.projection,
        "layer": layer,
    }
    names = list(columns)
    values = np.stack(list(columns.values()), axis=1).tolist()
    rows = [
        {**key, "neuron": neuron, **without_nan(dict(zip(names, row, strict=True)))}
        for neuron, row in enumerate(values)
    ]
    with store.database.write() as connection:
        connection.execute(insert(t.weight_changes), rows)


def drop_changes(store: Store, stale: Iterable[Measured]) -> None:
    """Delete the changes of intervals that are successive no more."""
    c = t.weight_changes.c
    with store.database.write() as connection:
        for old in stale:
            connection.execute(
                delete(t.weight_changes).where(
                    c.from_checkpoint_id == old.from_checkpoint_id,
                    c.to_checkpoint_id == old.to_checkpoint_id,
                    c.projection == old.projection,
                    c.layer == old.layer,
                )
            )
