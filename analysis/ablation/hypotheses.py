"""What a sweep sets out to test, in sentences, written down before its first forward pass."""

from analysis.ablation.identity import BOTTOM, CHOSEN, PlannedRun
from analysis.ablation.settings import AblateSettings
from analysis.ablation.sweep import Sweep, count_draws
from analysis.ablation.units import PLURALS
from store.ablations import add_plan
from store.database import to_json
from store.settings import as_json


def write_plan(sweep: Sweep) -> int:
    """Write down what the sweep sets out to test and return the plan's id.

    The very same plan is found again, so a sweep that goes on after a kill keeps its own.
    """
    settings = sweep.settings
    asked = as_json(settings) | {"stream": sweep.conditions.stream_hash}
    return add_plan(
        sweep.store, sweep.recording.id, to_json(asked), list_hypotheses(sweep), settings.percents,
        settings.draws_by_percent, sweep.text.unit,
    )  # fmt: skip


def list_hypotheses(sweep: Sweep) -> list[str]:
    """Return what the sweep sets out to test, a sentence for each run and question."""
    settings, sentences = sweep.settings, []
    for run in sweep.runs:
        if run.arm == CHOSEN:
            sentences += _list_questions(run, sweep)
        elif run.reference is not None and run.draw in (None, 0):
            sentences.append(
                f"{_name(run.reference, settings)} raises the loss by another amount than neurons "
                f"matched to it by {run.arm} do, over {PLURALS[sweep.text.unit]} of text."
            )
        elif run.arm == BOTTOM:
            sentences.append(
                f"{_name(run.chosen or run, settings)} raises the loss by another amount than the "
                f"bottom neurons do, over {PLURALS[sweep.text.unit]} of text."
            )
    return sentences


def _list_questions(run: PlannedRun, sweep: Sweep) -> list[str]:
    name = _name(run, sweep.settings)
    drawn = run.intervention in sweep.settings.interventions
    draws = count_draws(sweep.settings, run.percent) if drawn else 0
    found = [f"{name} changes the loss, over {PLURALS[sweep.text.unit]} of text."]
    if draws and not sweep.settings.exclude_top:
        found.append(
            f"{name} raises the loss more than {draws} random draws of as many neurons of each "
            "layer do."
        )
    return found


def _name(run: PlannedRun, settings: AblateSettings) -> str:
    kind = f" where the current token is of kind {settings.where}" if settings.where else ""
    if run.percent is None:
        return f"{run.intervention} of the neurons of the query{kind}"
    which = f"the {settings.side} {run.percent:g} % of each layer by {settings.metric}"
    return f"{run.intervention} of {which}{kind}"
