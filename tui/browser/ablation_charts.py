"""What the bars of the tab Ablations show: the comparisons of a recording, by text and choice."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from analysis.ablation.settings import INTERVENTIONS
from analysis.ablation.units import PLURALS
from store.queries.recordings import find_recording
from store.store import Store
from tui.browser.increase_bars import Bar, Chart, Group

if TYPE_CHECKING:
    from analysis.ablation.comparisons import Comparison


def read_charts(store: Store, recording: str) -> list[Chart]:
    """Return a chart for each baseline of a recording's runs, oldest first."""
    # Loads scipy, which takes longer than the first paint may.
    from analysis.ablation.comparisons import read_comparisons

    row = find_recording(store.database, recording)
    charts: dict[int | None, list[Comparison]] = {}
    for found in read_comparisons(store.database, row.id):
        charts.setdefault(found.chosen.run.baseline_id, []).append(found)
    return [_chart(members) for members in charts.values()]


def _chart(found: "Sequence[Comparison]") -> Chart:
    first = found[0]
    groups: dict[tuple[float, int, str], list[Comparison]] = {}
    for comparison in found:
        run = comparison.chosen.run
        key = (run.percent or 0.0, run.cohort_id or 0, run.where_kind or "")
        groups.setdefault(key, []).append(comparison)
    heading = (
        f"{first.chosen.run.text}: perplexity {first.base_perplexity:.2f} without ablation (0); "
        f"{first.n_units} {PLURALS[first.unit]}"
    )
    return Chart(heading, tuple(_group(groups[key]) for key in sorted(groups)))


def _group(found: "Sequence[Comparison]") -> Group:
    first = found[0]
    bars = [bar for comparison in found for bar in _bars(comparison)]
    where = first.chosen.run.where_kind
    place = f", only at tokens of kind {where}" if where else ""
    return Group(f"{_name(first)}: {first.chosen.run.n_neurons:,} neurons{place}", tuple(bars))


def _name(found: "Comparison") -> str:
    rule, percent = found.rule, found.chosen.run.percent
    if percent is None:
        return f"by {rule.get('sql', 'SQL')}"
    return f"{rule.get('side')} {percent:g} % by {rule.get('metric')}"


def _bars(found: "Comparison") -> "Iterable[Bar]":
    """Yield the chosen run, and what acts on other neurons; other interventions have their own."""
    from analysis.ablation.inference import paired_sem

    chosen = found.chosen
    yield Bar(chosen.run.intervention, chosen.increase, paired_sem(chosen.differences))
    arms = {name: arm for name, arm in found.controls.items() if name not in INTERVENTIONS}
    if found.random is not None:
        arms = {"random": found.random, **arms}
    for name, arm in arms.items():
        draws = f" ({len(arm.trials)})" if len(arm.trials) > 1 else ""
        yield Bar(f"  {name}{draws}", arm.increase, arm.sem_text, arm.sem_draws)
