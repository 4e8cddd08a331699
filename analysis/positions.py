"""The positions of a recording that count: all but the first of each window (METHODS 2)."""

import numpy as np
import numpy.typing as npt

from store.queries.recordings import RecordingRow


def eligible_positions(recording: RecordingRow) -> npt.NDArray[np.int64]:
    """Return the positions that metrics count, ascending (`--skip-first`, METHODS 2)."""
    positions = np.arange(recording.n_tokens)
    return positions[positions % recording.window_length >= recording.skip_first]
