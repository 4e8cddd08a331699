"""A recording as Python sees it: its windows, its layers, their arrays.

>>> r = open_store("negspace-store").recording("demo-small@step300")    # doctest: +SKIP
>>> r.layer(1).preactivations(neurons=[5, 7]).shape                     # doctest: +SKIP
(2, 129024)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from store.arrays import LayerArrays, check_range, to_float
from store.errors import NotFoundError
from store.queries.copies import find_bare_copy
from store.queries.recordings import (
    LayerRow,
    RecordingRow,
    explain_dropped,
    layer_format,
    list_layers,
    read_digests,
    read_token_ids,
)

if TYPE_CHECKING:
    from store.store import Store

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Recording:
    """What one checkpoint did on one token stream."""

    store: Store
    row: RecordingRow

    @property
    def name(self) -> str:
        """The name, MODEL@REVISION/CORPUS."""
        return self.row.name

    @cached_property
    def layers(self) -> tuple[int, ...]:
        """The layers recorded, ascending."""
        return tuple(self._layer_rows)

    def windows(self) -> npt.NDArray[np.int64]:
        """Return the token ids, (n_windows, window_length)."""
        ids = read_token_ids(self.store.database, self.row.stream_id)
        return ids.reshape(self.row.n_windows, self.row.window_length)

    def layer(self, layer: int) -> Layer:
        """Return one layer; raises NotFoundError where it is not recorded."""
        if layer not in self._layer_rows:
            there = ", ".join(map(str, self.layers))
            raise NotFoundError(f"{self.name} has no layer {layer}; it has {there}.")
        return Layer(self, self._layer_rows[layer])

    @cached_property
    def _layer_rows(self) -> dict[int, LayerRow]:
        return {row.layer: row for row in list_layers(self.store.database, self.row.id)}


@dataclass(frozen=True)
class Layer:
    """One layer of a recording. Values are checked against the ledger as they are read."""

    recording: Recording
    row: LayerRow

    @cached_property
    def arrays(self) -> LayerArrays:
        """The arrays as stored."""
        store, recording = self.recording.store, self.recording.row
        digests = read_digests(store.database, recording.id, self.row.layer)
        bare = find_bare_copy(store.database, recording.id)
        elsewhere = bare.explain(store.folder) if bare else explain_dropped(recording, self.row)
        return LayerArrays(store.arrays, layer_format(recording, self.row), digests, elsewhere)

    def preactivations(
        self, neurons: Sequence[int] | None = None, windows: Sequence[int] | None = None
    ) -> Floats:
        """Return pre-activations, (neurons, tokens) in the stored dtype, bfloat16 as float32.

        `neurons` reads only those; `windows` keeps only the tokens of those, window after window.
        Raises InputError for an index that is not there, DamageError for damaged bytes.
        """
        chosen = np.arange(self.row.n_neurons) if neurons is None else _indices(neurons)
        if windows is None:
            values = self.arrays.preactivations(chosen)
        else:
            values = self.arrays.preactivations_at(self._positions(windows), chosen)
        return to_float(values, self.recording.row.dtype)

    def inputs(
        self, positions: Sequence[int] | None = None, windows: Sequence[int] | None = None
    ) -> Floats:
        """Return the vectors that enter the up-projection, (positions, d_model) in stored dtype.

        Without `positions` or `windows` those of all tokens. Raises as `preactivations` does.
        """
        if windows is not None:
            chosen = self._positions(windows)
        elif positions is not None:
            chosen = _indices(positions)
        else:
            chosen = np.arange(self.recording.row.n_tokens)
        return to_float(self.arrays.inputs(chosen), self.recording.row.dtype)

    def small(self, name: str, rows: Sequence[int] | None = None) -> Floats | npt.NDArray[np.int64]:
        """Return a small array or some of its rows: pair_inputs, histogram, projection, ..."""
        chosen = None if rows is None else _indices(rows)
        return to_float(self.arrays.small(name, chosen), self.arrays.dtype_of(name))

    def _positions(self, windows: Sequence[int]) -> npt.NDArray[np.int64]:
        row, chosen = self.recording.row, _indices(windows)
        check_range("window", chosen, row.n_windows)
        return (chosen[:, None] * row.window_length + np.arange(row.window_length)).ravel()


def _indices(values: Sequence[int]) -> npt.NDArray[np.int64]:
    return np.atleast_1d(np.asarray(values, dtype=np.int64))
