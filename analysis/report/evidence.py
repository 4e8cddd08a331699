"""Which recordings of a report speak to which claim, and what they say."""

from collections.abc import Mapping, Sequence
from itertools import groupby

from analysis.ablation.comparisons import Comparison, read_comparisons
from analysis.report.claims import Claim, Finding, judge
from analysis.report.claims_ablation import judge_clamping
from analysis.report.claims_neurons import judge_negative, judge_together
from analysis.report.claims_pairs import judge_closer, judge_early, judge_peak
from analysis.report.claims_size import LAYER, SizedLayer, judge_size
from analysis.report.claims_training import judge_moves
from store.database import Database
from store.queries.claims import (
    LayerPopulations,
    SubjectFacts,
    list_changes,
    read_populations,
    read_subject,
    read_wd_by_step,
)
from store.queries.pair_kinds import list_layer_kinds
from store.queries.profiles import list_profile
from store.queries.recordings import RecordingRow

Populations = Mapping[int, Sequence[LayerPopulations]]


def judge_claims(database: Database, recordings: Sequence[RecordingRow]) -> list[Claim]:
    """Return every claim about these recordings and their models, judged together, by claim."""
    subjects = [read_subject(database, r.id) for r in recordings]
    populations = {s.id: read_populations(database, s.id) for s in subjects}
    findings = [judge_size(_sized(subjects, populations)), *_judge_ablations(database, subjects)]
    findings += [_judge_training(database, of_model) for of_model in _by_model(subjects)]
    for subject in subjects:
        findings += _judge_recording(database, subject, populations[subject.id])
    return judge(sorted(findings, key=lambda f: f.statement.key))


def _judge_recording(
    database: Database, subject: SubjectFacts, layers: Sequence[LayerPopulations]
) -> list[Finding]:
    profile, kinds = list_profile(database, subject.id), list_layer_kinds(database, subject.id)
    return [
        judge_peak(subject.name, profile),
        judge_closer(subject.name, profile),
        judge_early(subject.name, kinds),
        judge_negative(subject.name, layers, kinds),
        judge_together(subject.name, layers),
    ]


def _judge_ablations(database: Database, subjects: Sequence[SubjectFacts]) -> list[Finding]:
    """Judge the runs of each recording on each text; one finding without any where none is."""
    findings = []
    for subject in subjects:
        groups: dict[int | None, list[Comparison]] = {}
        for comparison in read_comparisons(database, subject.id):
            groups.setdefault(comparison.chosen.run.baseline_id, []).append(comparison)
        findings += [
            judge_clamping(f"{subject.name} on {of[0].chosen.run.text}", of)
            for of in groups.values()
        ]
    return findings or [judge_clamping("all recordings")]


def _by_model(subjects: Sequence[SubjectFacts]) -> list[list[SubjectFacts]]:
    ordered = sorted(subjects, key=lambda s: (s.model, s.model_id))
    return [list(of) for _, of in groupby(ordered, key=lambda s: s.model_id)]


def _judge_training(database: Database, subjects: Sequence[SubjectFacts]) -> Finding:
    """Judge a model by the text of its latest recording."""
    last = max(subjects, key=_lateness)
    intervals = list_changes(database, last, LAYER)
    return judge_moves(last.model, intervals, read_wd_by_step(database, last, LAYER))


def _lateness(subject: SubjectFacts) -> float:
    return float("inf") if subject.step is None else subject.step


def _sized(subjects: Sequence[SubjectFacts], populations: Populations) -> list[SizedLayer]:
    """Return layer 1 of one recording a model: of the text with most models, at one step if any.

    Gated and ungated models, and other branches, never stand side by side.
    """
    groups: dict[tuple[str, int, str], list[SubjectFacts]] = {}
    for subject in subjects:
        if any(layer.layer == LAYER for layer in populations[subject.id]):
            key = (subject.text_hash, subject.gated, subject.projection)
            groups.setdefault(key, []).append(subject)
    models = [_by_model(group) for group in groups.values()]
    chosen = _same_step(max(models, key=len, default=[]))
    return [_size(s, populations[s.id]) for s in chosen]


def _same_step(models: Sequence[Sequence[SubjectFacts]]) -> list[SubjectFacts]:
    """Return a recording of each model: of the highest step that all have, or else the latest."""
    steps = [{_lateness(s) for s in of_model} for of_model in models]
    common = set.intersection(*steps) if steps else set()
    if common:
        step = max(common)
        return [next(s for s in of_model if _lateness(s) == step) for of_model in models]
    return [max(of_model, key=_lateness) for of_model in models]


def _size(subject: SubjectFacts, layers: Sequence[LayerPopulations]) -> SizedLayer:
    layer = next(each for each in layers if each.layer == LAYER)
    name = subject.name
    return SizedLayer(name, subject.n_parameters, layer.neurons.wd, layer.directions.wd)
