"""Records what keeps its scores only (`--keep scores`): layers in groups, measured, then dropped.

A group is recorded as with `--keep all`. Its layers lose their pre-activations and inputs only when
all that the analyses found is committed, so a kill at any moment costs the layers at work and no
more. Every group is a forward pass over the text, and at most one group is on disk. `analyze` never
touches such layers, so that nobody measures what is being dropped.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

from analysis.directions import N_DIRECTIONS
from analysis.layer_scores import SCORE_ARRAYS
from analysis.recording_scores import list_left, measure_recording
from analysis.run import AnalysisPlan, list_unmeasured, run_analysis
from analysis.settings import AnalyzeSettings
from ingest.estimate import MARGIN
from ingest.plan import CheckpointPlan, IngestPlan
from ingest.registration import Note
from ingest.rounds import Round, Rounds
from ingest.run import run_ingest
from store.dropping import drop_blocks, find_undropped
from store.errors import BusyError, InputError
from store.jobs import Job, Progress
from store.layout import DTYPES, PAIR_ARRAYS
from store.queries.recordings import RecordingRow, list_recordings
from store.shards import file_bytes
from store.store import Store

ROW_BYTES = 400
"""Of a neuron or random direction in the tables, with its share of the layer's pairs."""


@dataclass(frozen=True)
class ScoresPlan:
    """How a recording that keeps scores is made, and what it takes on disk, in bytes.

    `passes` is the ingest's plan with a part for each group of layers; `room` is for the blocks of
    a group, `peak` is the most at a time, of which `final` stays and `added` is not there yet.
    """

    ingest: IngestPlan
    passes: IngestPlan
    room: int
    peak: int
    final: int
    added: int
    free: int

    @property
    def most_layers(self) -> int:
        """Layers of the largest group."""
        return max((len(part.missing) for part in self.passes.checkpoints), default=0)


def plan_scores(plan: IngestPlan, free: int) -> ScoresPlan:
    """Return the groups for a disk with `free` bytes: each takes half of them, or is one layer.

    What an interrupted run left counts as free, because it goes first.
    """
    there = sum(map(_bytes_there, plan.todo))
    final = sum(_kept_bytes(plan, part) for part in plan.todo)
    room = min((free + there) // 2, free + there - final - MARGIN)
    parts = tuple(group for part in plan.todo for group in split_part(part, room))
    added = _count_added(plan, room)
    return ScoresPlan(
        plan,
        replace(plan, checkpoints=parts),
        room,
        there + added + final,
        final,
        added + final,
        free,
    )


def check_room(plan: ScoresPlan, folder: Path) -> None:
    """Raise InputError where the disk cannot hold one layer and the scores of all."""
    need = plan.added + MARGIN
    if need > plan.free:
        raise InputError(
            f"The recording needs {need / 1e9:.2f} GB even with one layer on disk at a time, and "
            f"the disk of {folder} has {plan.free / 1e9:.2f} GB free; record fewer --windows or "
            "--layers."
        )


def split_part(part: CheckpointPlan, room: int) -> tuple[CheckpointPlan, ...]:
    """Return a part for each group of missing layers, as many layers as have room for their blocks.

    Layers that have blocks come first, then the others, each ascending.
    """
    size = max(1, room // _layer_bytes(part))
    layers = sorted(part.missing, key=lambda n: (len(part.missing[n]) == part.form.n_blocks, n))
    groups = (tuple(sorted(layers[i : i + size])) for i in range(0, len(layers), size))
    return tuple(
        replace(part, layers=group, missing={layer: part.missing[layer] for layer in group})
        for group in groups
    )


def _layer_bytes(part: CheckpointPlan) -> int:
    """Return the bytes of all blocks of a layer."""
    return part.form.n_blocks * _block_bytes(part)


def _block_bytes(part: CheckpointPlan) -> int:
    return sum(file_bytes(part.form.array(name)) for name in part.arrays)


def _bytes_missing(part: CheckpointPlan) -> int:
    return _block_bytes(part) * sum(map(len, part.missing.values()))


def _bytes_there(part: CheckpointPlan) -> int:
    """Return the bytes of the blocks that an interrupted run left."""
    layers = len(part.missing) + len(part.undropped)
    return layers * _layer_bytes(part) - _bytes_missing(part)


def _kept_bytes(plan: IngestPlan, part: CheckpointPlan) -> int:
    """Return the most bytes that stay of the layers left: small arrays, weights, rows."""
    form, largest = part.form, max(part.tensors, key=lambda t: prod(t.shape), default=None)
    dtype = largest.dtype if largest and largest.dtype in DTYPES else "float32"
    names = (*PAIR_ARRAYS, *SCORE_ARRAYS)
    each = sum(file_bytes(form.small(name)) for name in names) + ROW_BYTES * (
        form.n_neurons + N_DIRECTIONS
    )
    if plan.settings.weights:
        each += file_bytes(form.small("projection", dtype))
    return each * (len(part.missing) + len(part.undropped))


def _count_added(plan: IngestPlan, room: int) -> int:
    """Return the most bytes of blocks at a time beyond those that are there now."""
    now = most = 0
    for part in plan.todo:
        now -= len(part.undropped) * _layer_bytes(part)
        for group in split_part(part, room):
            now += _bytes_missing(group)
            most = max(most, now)
            now -= len(group.missing) * _layer_bytes(part)
    return most


def find_unfinished(store: Store, plan: IngestPlan) -> list[RecordingRow]:
    """Return the recordings whose layers are done, but not the analyses of them together."""
    done = {p.recording.name for p in plan.checkpoints if p.done and p.recording}
    rows = [row for row in list_recordings(store.database) if row.name in done]
    return [row for row in rows if list_left(store, row)]


def run_scored_ingest(
    store: Store, plan: ScoresPlan, settings: AnalyzeSettings, job: Job, note: Note
) -> list[str]:
    """Record, measure and drop what the plan says is missing; returns the recordings' names.

    Analyses of whole recordings come last. `note` is told what the user should know about the
    weights.
    """
    names = run_ingest(store, plan.ingest, job, note, _Groups(store, plan.room, settings))
    for row in list_recordings(store.database):
        if row.name in plan.ingest.names(names):
            measure_recording(store, row, Progress(_Unheard(job), 0), job)
    return names


@dataclass(frozen=True)
class _Groups(Rounds):
    """Rounds whose layers are measured and dropped after each."""

    store: Store
    room: int
    settings: AnalyzeSettings

    def begin(self, recording: RecordingRow, progress: Progress) -> None:
        """Measure and drop the complete layers that an interrupted run left."""
        left = find_undropped(self.store.database, recording.id)
        self._end(recording, left, recording.name, progress)

    def split(self, part: CheckpointPlan) -> tuple[Round, ...]:
        """Return a round for each group of layers."""
        groups = split_part(part, self.room)
        return tuple(
            Round(group, f" group {number} of {len(groups)}")
            for number, group in enumerate(groups, start=1)
        )

    def finish(self, recording: RecordingRow, done: Round, progress: Progress) -> None:
        """Measure and drop the layers of a round."""
        self._end(recording, done.part.missing, f"{recording.name}{done.title}", progress)

    def _end(
        self, recording: RecordingRow, layers: Iterable[int], title: str, progress: Progress
    ) -> None:
        for layer in layers:
            progress.label = f"{title}, measuring layer {layer}: tokens"
            progress.advance(0)
            self._measure(recording, layer, progress)
            drop_blocks(self.store, recording.id, layer)

    def _measure(self, recording: RecordingRow, layer: int, progress: Progress) -> None:
        rows = [
            r
            for r in list_unmeasured(self.store, recording, self.settings.errors)
            if r.layer == layer
        ]
        plan = AnalysisPlan(tuple((recording, row.layer, row.n_neurons) for row in rows))
        if run_analysis(self.store, plan, self.settings, _Unheard(progress.job)):
            raise BusyError(
                f"{recording.name} layer {layer} is being analysed by another process; run the "
                "same command again when that is done."
            )


class _Unheard(Job):
    """A job of whose neurons nothing is reported: the bar counts the tokens of all passes."""

    def __init__(self, job: Job) -> None:
        """Stand in for a job."""
        super().__init__(job.store, job.id, job.report)

    def __call__(self, label: str, done: int, total: int) -> None:
        """Report nothing."""
