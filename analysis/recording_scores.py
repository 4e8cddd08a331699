"""Analyses of whole recordings: what follows from the pair rows and tables of all layers together.

They come after the layers, and again whenever a layer is measured anew (`store/scores.py` forgets
them then). Each writes its tables whole.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from analysis.metric_correlations import correlate_metrics
from analysis.pair_kinds import measure_pair_kinds
from analysis.profiles import measure_profiles
from store.jobs import Job, Progress
from store.queries.analyses import list_analyses
from store.queries.recordings import RecordingRow
from store.recording import Recording
from store.scores import WHOLE, Cell, claim, save_recording
from store.store import Store

Rows = Mapping[str, Sequence[Mapping[str, Cell]]]


@dataclass(frozen=True)
class Analysis:
    """An analysis of a whole recording: its name, its version of METHODS, and what computes it."""

    name: str
    method: int
    measure: Callable[[Recording], Rows]


ANALYSES: tuple[Analysis, ...] = (
    Analysis("correlations", 1, correlate_metrics),
    Analysis("profiles", 1, measure_profiles),
    Analysis("kinds", 1, measure_pair_kinds),
)


def list_left(store: Store, recording: RecordingRow) -> list[Analysis]:
    """Return the analyses of a whole recording that are not of today's METHODS."""
    done = {
        (row.analysis, row.method)
        for row in list_analyses(store.database, recording.id)
        if row.layer == WHOLE and row.finished_at is not None
    }
    return [a for a in ANALYSES if (a.name, a.method) not in done]


def measure_recording(store: Store, recording: RecordingRow, progress: Progress, job: Job) -> None:
    """Run the analyses of a whole recording that are left, one after the other."""
    for analysis in list_left(store, recording):
        methods = {analysis.name: analysis.method}
        if not claim(store, recording.id, WHOLE, methods, job.id):
            continue
        progress.label = f"{recording.name}: {analysis.name}"
        progress.advance(0)
        rows = analysis.measure(Recording(store, recording))
        save_recording(store, recording.id, analysis.name, analysis.method, job.id, rows)
