"""Runs ingests, analyses and searches as jobs: planned, shown, then executed, with progress shown.

The commands of the same names and the demo share these.
"""

import os
import shlex
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from analysis.run import plan_analysis, run_analysis
from analysis.settings import AnalyzeSettings, PairsSettings
from ingest.plan import plan_ingest
from ingest.settings import IngestSettings
from store.errors import InputError
from store.files import free_bytes
from store.jobs import Report, run_job
from store.queries.copies import find_bare_copy
from store.queries.pairs import FoundPair, list_all_pairs
from store.queries.recordings import find_recording, list_recordings
from store.settings import as_json
from store.store import check_creatable, has_store, open_or_create_store
from tui.context import Context
from tui.options import option_words
from tui.plans import (
    show_analysis,
    show_effect,
    show_ingest,
    show_lines,
    show_pairs,
    show_sweep,
)

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from analysis.ablation.costs import Cost
    from analysis.ablation.results import ResultRow
    from analysis.ablation.runs import Runs
    from analysis.ablation.settings import AblateSettings
    from analysis.ablation.sweep import Sweep
    from analysis.scores_only import ScoresPlan
    from ingest.plan import IngestPlan
    from store.store import Store


def record(
    context: Context, model: str, corpus: str, settings: IngestSettings, *, dry_run: bool = False
) -> list[str]:
    """Record what is missing and return the recordings' names; none for a dry run."""
    existing = context.open() if has_store(context.folder) else None
    if existing is None:
        check_creatable(context.folder)
    plan = plan_ingest(existing.database if existing else None, model, corpus, settings)
    if existing is not None:
        _refuse_bare(existing, plan)
    scores = _plan_scores(context, plan)
    show_ingest(context, plan, scores, dry_run=dry_run)
    unfinished = _show_unfinished(context, existing, plan, dry_run=dry_run) if scores else False
    if dry_run:
        return []
    new: list[str] = []
    notes: list[str] = []
    if plan.todo or plan.unrecorded or unfinished:
        from analysis.scores_only import run_scored_ingest
        from ingest.run import run_ingest  # loads torch, which neither plans nor analyses need

        context.require_writing()
        store = context.open_for_writing() if existing else open_or_create_store(context.folder)
        asked = {"model": model, "corpus": corpus, **as_json(settings)}
        words = ("ingest", _place(model), _place(corpus))
        command = command_line(context, words, settings)
        context.resumable = True
        with (
            context.progress() as progress,
            run_job(store, "ingest", asked, command, progress) as job,
        ):
            if scores:
                new = run_scored_ingest(store, scores, AnalyzeSettings(), job, notes.append)
            else:
                new = run_ingest(store, plan, job, notes.append)
    for note in notes:
        context.say(note)
    names = plan.names(new)
    for part, name in zip(plan.checkpoints, names, strict=True):
        if not name.startswith(f"{part.label}/"):
            context.say(f"{part.label} has the weights of a recorded checkpoint: {name}.")
    return list(dict.fromkeys(names))


def _plan_scores(context: Context, plan: "IngestPlan") -> "ScoresPlan | None":
    if plan.settings.keep != "scores":
        return None
    from analysis.scores_only import plan_scores

    return plan_scores(plan, free_bytes(context.folder.expanduser().resolve()))


def _show_unfinished(
    context: Context, store: "Store | None", plan: "IngestPlan", *, dry_run: bool
) -> bool:
    """Say which recordings lack analyses of all their layers together, and whether any does."""
    from analysis.scores_only import find_unfinished

    rows = find_unfinished(store, plan) if store else []
    show_lines(
        context, [f"{row.name}: to be analysed as a whole." for row in rows], dry_run=dry_run
    )
    return bool(rows)


def _refuse_bare(store: "Store", plan: "IngestPlan") -> None:
    """Refuse what is recorded here without its arrays: another machine gives other low bits."""
    for part in plan.checkpoints:
        bare = find_bare_copy(store.database, part.recording.id) if part.recording else None
        if bare is not None and part.done:
            raise InputError(bare.explain(store.folder))


def analyse(
    context: Context,
    names: Sequence[str],
    settings: AnalyzeSettings | None = None,
    *,
    dry_run: bool = False,
) -> None:
    """Analyse what is missing of some recordings, of all where none is named."""
    settings = settings or AnalyzeSettings()
    store = context.open() if dry_run else context.open_for_writing()
    rows = [find_recording(store.database, name) for name in names]
    chosen = rows or list_recordings(store.database)
    plan = plan_analysis(store, chosen, settings.errors, settings.seeds)
    show_analysis(context, plan, dry_run=dry_run)
    if dry_run or not plan.has_work:
        return
    context.resumable = True
    asked = {"recordings": list(names), **as_json(settings)}
    command = command_line(context, ("analyze", *names), settings)
    with (
        context.progress() as progress,
        run_job(store, "analyze", asked, command, progress) as job,
    ):
        busy = run_analysis(store, plan, settings, job)
    for row, layer in busy:
        context.say(f"{row.name} layer {layer} is being analysed by another process.")


def find_pairs(
    context: Context, name: str, settings: PairsSettings, *, dry_run: bool = False
) -> list[FoundPair]:
    """Search all pairs of positions, keep the best and return them; none for a dry run."""
    from analysis.pair_mining import plan_pairs, run_pairs  # loads numba

    store = context.open() if dry_run else context.open_for_writing()
    row = find_recording(store.database, name)
    plan = plan_pairs(store, row, settings)
    show_pairs(context, plan, dry_run=dry_run)
    if dry_run:
        return []
    asked = {"recording": row.name, **as_json(settings)}
    command = command_line(context, ("pairs", row.name), settings)
    with (
        context.progress() as progress,
        run_job(store, "pairs", asked, command, progress) as job,
    ):
        job.update(recording_id=row.id)
        run_pairs(plan, job)
    numbers = [neuron for neuron, _ in plan.neurons]
    return list_all_pairs(store.database, row.name, plan.layer.row.layer, numbers)


def ablate(
    context: Context,
    name: str,
    corpus: str,
    settings: "AblateSettings",
    *,
    dry_run: bool = False,
) -> "list[ResultRow] | None":
    """Make the runs of a sweep that are missing, test them, and return the table.

    Returns None for a dry run.
    """
    from analysis.ablation.costs import estimate_cost
    from analysis.ablation.sweep import plan_sweep

    store = context.open() if dry_run else context.open_for_writing()
    row = find_recording(store.database, name)
    with context.progress() as progress:
        sweep = plan_sweep(store, row, corpus, settings, _hashing(row.name, progress))
    cost = estimate_cost(sweep)
    show_sweep(context, sweep, cost, dry_run=dry_run)
    if dry_run:
        return None
    from analysis.ablation.notes import list_effects, list_notes
    from analysis.ablation.results import tabulate

    runs = _run_sweep(context, store, sweep, cost, corpus)
    for line in list_notes(runs):
        context.say(line)
    for heading, effect in list_effects(runs):
        show_effect(context, heading, effect)
    return tabulate(runs)


def _run_sweep(
    context: Context, store: "Store", sweep: "Sweep", cost: "Cost", corpus: str
) -> "Runs":
    from analysis.ablation.bench import ModelBench
    from analysis.ablation.results import judge_sweep
    from analysis.ablation.runs import read_runs, run_sweep

    if cost.n_evaluations == 0:
        found = read_runs(sweep)
        judge_sweep(found)
        return found
    name, settings = sweep.recording.name, sweep.settings
    asked = {"recording": name, "corpus": corpus, **as_json(settings)}
    command = command_line(context, ("ablate", name, _place(corpus)), settings)
    context.resumable = True
    with (
        context.progress() as progress,
        run_job(store, "ablate", asked, command, progress) as job,
    ):
        job.update(recording_id=sweep.recording.id)
        runs = run_sweep(sweep, cost, job, ModelBench)
        judge_sweep(runs)
    return runs


def _hashing(name: str, report: Report) -> Callable[[int, int], None]:
    return lambda done, total: report(f"{name}: hashing bytes", done, total)


def command_line(context: Context, words: Sequence[str], settings: "DataclassInstance") -> str:
    """Return the command that does the same, from any folder.

    It has only the options that differ from their defaults.
    """
    options = [*option_words(settings), "--store", _absolute(str(context.folder))]
    return shlex.join(["negspace", *words, *options])


def _place(source: str) -> str:
    """Return a path that means the same from every folder; a hub's name or - as it is."""
    return _absolute(source) if os.path.exists(os.path.expanduser(source)) else source  # noqa: PTH110, PTH111


def _absolute(path: str) -> str:
    # Links stay as they are: a model is named by the last part of its path.
    return os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111
