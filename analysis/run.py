"""Runs what is missing: every layer that is complete and whose analyses are not of today's METHODS.

A layer is claimed, scored and written whole; an interrupt loses the layer at work, no more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from analysis.layer_scores import LayerScores, choose_scorer, score_layer
from analysis.pair_seeds import SeedsPlan, plan_seeds, run_seeds
from analysis.recording_scores import ANALYSES, list_left, measure_recording
from analysis.settings import AnalyzeSettings
from analysis.weight_changes import NO_CHANGES, ChangesPlan, plan_changes, run_changes
from store.dropping import find_undropped
from store.jobs import Job, Progress
from store.queries.analyses import list_analyses
from store.queries.dynamics import Step
from store.queries.recordings import LayerRow, RecordingRow, list_layers
from store.recording import Layer, Recording
from store.scores import WHOLE, claim, save_layer
from store.store import Store
from store.writer import ArrayWriter

METHODS = {
    "moments": 1,
    "wd": 1,
    "histograms": 1,
    "extremes": 1,
    "pairs": 1,
    "stability": 1,
    "alignment": 1,
    "random": 1,
    "summaries": 1,
    "shape": 1,
    "errors": 1,
}
"""Version of each analysis of a layer; a changed definition raises it, and `analyze` redoes it."""
ERRORS_ALL = "errors_all"
"""The further analysis of a layer that `--errors all` was asked for, of the version of errors."""


@dataclass(frozen=True)
class AnalysisPlan:
    """The layers left to analyse, of each recording, and what cannot be analysed yet or any more.

    `recordings` have analyses of the whole left, or will when their layers are measured; `weights`
    are the changes between checkpoints left to measure; `dropped` are layers measured by other
    METHODS whose blocks are gone (`--keep scores`).
    """

    layers: tuple[tuple[RecordingRow, int, int], ...]
    recordings: tuple[RecordingRow, ...] = ()
    weights: ChangesPlan = NO_CHANGES
    incomplete: tuple[tuple[RecordingRow, int], ...] = ()
    dropped: tuple[tuple[RecordingRow, int], ...] = ()
    seeds: SeedsPlan = field(default_factory=SeedsPlan)

    @property
    def has_work(self) -> bool:
        """Whether anything is left to do."""
        weights = self.weights.changes or self.weights.stale
        return bool(self.layers or self.recordings or weights or self.seeds.layers)

    @property
    def n_units(self) -> int:
        """Units of progress: neurons, whole recordings, and layers whose weights changed."""
        return self.n_neurons + len(self.recordings) + len(self.weights.changes)

    @property
    def n_neurons(self) -> int:
        """Neurons left to score."""
        return sum(neurons for _, _, neurons in self.layers)


def plan_analysis(
    store: Store,
    recordings: Sequence[RecordingRow],
    errors: str = "top",
    seeds: Sequence[int] = (),
) -> AnalysisPlan:
    """Return what is left to analyse of some recordings; `errors`, `seeds` are the settings'.

    A layer that keeps scores is measured while its recording is made: `analyze` leaves it to that.
    """
    left: list[tuple[RecordingRow, int, int]] = []
    incomplete: list[tuple[RecordingRow, int]] = []
    dropped: list[tuple[RecordingRow, int]] = []
    for recording in recordings:
        unmeasured = {row.layer for row in list_unmeasured(store, recording, errors)}
        undropped = find_undropped(store.database, recording.id)
        for layer in list_layers(store.database, recording.id):
            if layer.state != "complete":
                incomplete.append((recording, layer.layer))
            elif layer.layer not in unmeasured:
                continue
            elif recording.keep != "scores":
                left.append((recording, layer.layer, layer.n_neurons))
            else:
                places = incomplete if layer.layer in undropped else dropped
                places.append((recording, layer.layer))
    return AnalysisPlan(
        tuple(left),
        tuple(r for r in recordings if _has_whole_left(store, r, left)),
        plan_changes(store, {recording.model for recording in recordings}),
        tuple(incomplete),
        tuple(dropped),
        plan_seeds(store, recordings, seeds, [(row.id, layer) for row, layer, _ in left]),
    )


def _has_whole_left(
    store: Store, recording: RecordingRow, left: Sequence[tuple[RecordingRow, int, int]]
) -> bool:
    """Say whether analyses of the whole recording are left, now or when its layers are measured."""
    if not ANALYSES:
        return False
    if any(row.id == recording.id for row, _, _ in left):
        return True
    return bool(_finished(store, recording.id) and list_left(store, recording))


def list_unmeasured(store: Store, recording: RecordingRow, errors: str) -> list[LayerRow]:
    """Return the complete layers of a recording whose analyses are not of today's METHODS."""
    done, methods = _finished(store, recording.id), list_methods(errors)
    rows = list_layers(store.database, recording.id)
    return [
        row
        for row in rows
        if row.state == "complete" and not methods.items() <= done.get(row.layer, {}).items()
    ]


def list_methods(errors: str) -> dict[str, int]:
    """Return the analyses of a layer and their versions, for `errors` top or all."""
    return METHODS | ({ERRORS_ALL: METHODS["errors"]} if errors == "all" else {})


def _choose_errors(store: Store, recording: RecordingRow, layer: int, errors: str) -> str:
    """Return `errors`, or all where they were asked for once: measuring anew loses none."""
    asked = {(a.layer, a.analysis) for a in list_analyses(store.database, recording.id)}
    return "all" if (layer, ERRORS_ALL) in asked else errors


def _finished(store: Store, recording_id: int) -> dict[int, dict[str, int]]:
    done: dict[int, dict[str, int]] = {}
    for row in list_analyses(store.database, recording_id):
        if row.finished_at is not None and row.layer != WHOLE:
            done.setdefault(row.layer, {})[row.analysis] = row.method
    return done


def run_analysis(
    store: Store, plan: AnalysisPlan, settings: AnalyzeSettings, job: Job
) -> list[tuple[RecordingRow, int]]:
    """Analyse what the plan says is left; returns the layers that another job is at work on."""
    progress, busy = Progress(job, plan.n_units), []
    scorer = choose_scorer(settings.device)
    for recording, number, neurons in plan.layers:
        errors = _choose_errors(store, recording, number, settings.errors)
        methods = list_methods(errors)
        if claim(store, recording.id, number, methods, job.id):
            progress.label = f"{recording.name} layer {number}: neurons"
            layer = Recording(store, recording).layer(number)
            scores = score_layer(layer, scorer, settings.threads, errors, progress.advance)
            _save(store, layer, scores, methods, job)
        else:
            busy.append((recording, number))
            progress.advance(neurons)
    run_seeds(plan.seeds, store, progress, job)
    for recording in plan.recordings:
        measure_recording(store, recording, progress, job)
        progress.advance(1)
    _measure_changes(store, plan.weights, progress)
    return busy


def _measure_changes(store: Store, plan: ChangesPlan, progress: Progress) -> None:
    def report(first: Step, second: Step) -> None:
        progress.label = f"{first.model}: weights from {first.revision} to {second.revision}"
        progress.advance(1)

    run_changes(store, plan, report)


def _save(
    store: Store, layer: Layer, scores: LayerScores, methods: Mapping[str, int], job: Job
) -> None:
    recording = layer.recording.row
    form = layer.arrays.format
    writer = ArrayWriter(store, recording.name, {form.layer: form})
    save_layer(
        store,
        recording.id,
        form.layer,
        methods,
        job.id,
        facts=scores.facts,
        rows=scores.rows,
        blocks=writer.write_small(form.layer, scores.arrays),
    )
