"""What stands beside a sweep's table: is it information, are the controls fair, what is lost?"""

from collections.abc import Iterator

from analysis.ablation.comparisons import CLAMP, SHIFT, read_comparisons, show_stars
from analysis.ablation.effects import Effect, measure_effect
from analysis.ablation.identity import BASELINE, CHOSEN, DOSE, NORM
from analysis.ablation.results import Group, group_runs
from analysis.ablation.runs import Runs
from analysis.ablation.units import PLURALS
from store.queries.ablations import AblationTest, RunRow, list_tests, read_token_kind_losses


def list_notes(runs: Runs) -> list[str]:
    """Return the sentences that stand beside the table."""
    groups = group_runs(runs)
    return [
        *_share_information(runs, groups),
        *_compare_matched(groups),
        *_describe_searches(runs),
        *_test_controls(runs, groups),
        *_explain_missing(runs),
        *_explain_unplanned(runs, groups),
    ]


def list_effects(runs: Runs) -> list[tuple[str, Effect]]:
    """Return what the first intervention does by kind of token, with a heading for each.

    It is of the chosen neurons, at the percentages that get controls.
    """
    settings = runs.sweep.settings
    return [
        (_head(group), _measure(runs, group.rows[0]))
        for group in group_runs(runs)
        if (group.run.arm, group.run.intervention) == (CHOSEN, settings.interventions[0])
        and (group.run.percent is None or group.run.percent in settings.control_percents)
    ]


def _head(group: Group) -> str:
    return f"Loss by kind of token: {name_run(group.rows[0])}"


def name_run(row: RunRow) -> str:
    """Return what a run of chosen neurons is called: clamp-negative at 5 %."""
    return row.intervention if row.percent is None else f"{row.intervention} at {row.percent:g} %"


def _measure(runs: Runs, row: RunRow) -> Effect:
    database = runs.sweep.store.database
    return measure_effect(
        read_token_kind_losses(database, row.id),
        read_token_kind_losses(database, runs.baseline.id),
        row.dose,
        row.n_positions,
    )


def _share_information(runs: Runs, groups: list[Group]) -> Iterator[str]:
    found = read_comparisons(runs.sweep.store.database, runs.sweep.recording.id)
    known = {comparison.chosen.run.id: comparison for comparison in found}
    for group in groups:
        row = group.rows[0]
        if (row.arm, row.intervention) != (CHOSEN, CLAMP):
            continue
        share, shift = known[row.id].information_share, known[row.id].controls.get(SHIFT)
        if shift is None:
            yield (
                f"information_share of {name_run(row)} is not known; --controls {SHIFT} measures "
                "it."
            )
        elif share is not None:
            yield (
                f"information_share of {name_run(row)}: {share:.3g} "
                f"({SHIFT} {shift.increase:+.4g} nats over {row.increase:+.4g})."
            )


def _describe_searches(runs: Runs) -> Iterator[str]:
    for run, search in runs.searches.items():
        assert run.chosen is not None
        yield f"effect, matched to {name_run(runs.rows[run.chosen])}: {search.steps.sentence}"


def _compare_matched(groups: list[Group]) -> Iterator[str]:
    chosen = {group.run: group for group in groups}
    for group in groups:
        if group.run.arm not in (DOSE, NORM) or group.run.chosen is None:
            continue
        of = chosen[group.run.chosen]
        if group.dose is not None and of.dose:
            yield (
                f"{group.run.arm}: dose {group.dose:.3g} where {name_run(of.rows[0])} has "
                f"{of.dose:.3g} ({group.dose / of.dose - 1:+.1%}); increase {group.increase:+.4g} "
                f"nats against {of.increase:+.4g}."
            )


def _test_controls(runs: Runs, groups: list[Group]) -> Iterator[str]:
    """Say how the chosen differ from each of their controls over text, the weakest draw first."""
    arms = {row.id: group.run.arm for group in groups for row in group.rows}
    for group in groups:
        row, weakest = group.rows[0], dict[str, AblationTest]()
        if group.run.arm != CHOSEN:
            continue
        for test in list_tests(runs.sweep.store.database, [row.id]):
            arm = arms.get(test.reference_id or 0, BASELINE)
            if test.p is not None and arm != BASELINE and _is_weaker(test, weakest.get(arm)):
                weakest[arm] = test
        for arm, test in weakest.items():
            which = ", of the draw that differs least" if arm in (DOSE, NORM) else ""
            adjusted = "" if test.p_holm is None else f", {test.p_holm:.3g} after Holm"
            yield (
                f"{name_run(row)} against {arm}: {test.statistic:+.4g} nats over "
                f"{PLURALS[test.unit]}, p = {test.p:.3g} (smallest possible {test.p_floor:.3g})"
                f"{adjusted}{show_stars(test)}{which}."
            )


def _is_weaker(test: AblationTest, other: AblationTest | None) -> bool:
    return other is None or abs(test.statistic or 0.0) < abs(other.statistic or 0.0)


def _explain_missing(runs: Runs) -> Iterator[str]:
    found: dict[tuple[str, str], int] = {}
    for test in list_tests(runs.sweep.store.database, runs.ids):
        if test.p is None and test.reason:
            found.setdefault((test.test, test.reason), test.n)
    for (name, reason), n in found.items():
        yield f"{name} has no p: {reason} (n = {n})."


def _explain_unplanned(runs: Runs, groups: list[Group]) -> Iterator[str]:
    chosen = [group.rows[0] for group in groups if group.run.arm == CHOSEN]
    before = [row for row in chosen if row.plan_id is None]
    if runs.sweep.settings.plan and before:
        yield (
            f"{len(before)} of {len(chosen)} runs of chosen neurons were made before the plan, so "
            "their tests get no stars."
        )
