"""Taking the negative outputs of Wasserstein neurons away hurts far more than others' (METHODS 8).

Only runs that were planned before they began can hold. Which of them is judged does not depend on
what they measured: see `choose`.
"""

from collections.abc import Sequence

from analysis.ablation.comparisons import Arm, Comparison
from analysis.ablation.inference import sign_flip
from analysis.report.claims import LEVEL, Finding, Statement, show, show_p

INTERVENTION, METRIC, SIDE = "clamp-negative", "wd", "top"
FEWEST_DRAWS = 19
"""Fewer random draws cannot give a rank p of 5 %."""
PAPER_PERCENT = 5.0
LEAST_TIMES = 2.0
CLAMPING = Statement(
    "h",
    "Clamping the negative outputs of Wasserstein neurons hurts far more than of random neurons",
    "Random sets of as many neurons in each layer, clamped in the same way, drawn from all neurons "
    "of the layer.",
    "Increase of the loss over the model as it is: its rank among random sets (unit: draw), and a "
    "two-sided sign-flip over text of the difference to the mean of the random sets (unit: "
    "document, window or stretch); the larger of the two p. Only of runs planned before they "
    f"began, the percentage being that of most random draws, or the one nearest to "
    f"{PAPER_PERCENT:g} %.",
    f"An increase above 0 and at least {LEAST_TIMES:g} times the mean of the random sets.",
)


def judge_clamping(subject: str, comparisons: Sequence[Comparison] = ()) -> Finding:
    """Return what the runs of one recording on one text show of the claim."""
    found = choose(comparisons)
    if found is None:
        return Finding(CLAMPING, subject, missing=_explain_none(comparisons))
    missing = _find_missing(found)
    if missing or found.random is None or found.rank is None or found.rank.p is None:
        return Finding(CLAMPING, subject, _show(found), missing=missing or "it was not tested")
    over_text = sign_flip(found.chosen.differences - found.random.differences)
    if over_text.p is None:
        reason = f"the text is too little: {found.n_units} units of the kind {found.unit}"
        return Finding(CLAMPING, subject, _show(found), missing=reason)
    numbers = (*_show(found), *_show_tests(found, over_text.p))
    p = max(found.rank.p, over_text.p)
    return Finding(CLAMPING, subject, numbers, p, _shortfalls(found.chosen.increase, found.random))


def choose(comparisons: Sequence[Comparison]) -> Comparison | None:
    """Return the run that is judged: planned before unplanned, then most draws, nearest to 5 %."""
    fitting = [c for c in comparisons if _fits(c)]
    return min(fitting, key=_order, default=None)


def _fits(comparison: Comparison) -> bool:
    run, rule = comparison.chosen.run, comparison.rule
    chosen = (rule.get("metric"), rule.get("side")) == (METRIC, SIDE)
    return chosen and run.intervention == INTERVENTION and run.where_kind is None


def _order(comparison: Comparison) -> tuple[bool, int, float, int]:
    run = comparison.chosen.run
    far = abs((run.percent or 0.0) - PAPER_PERCENT)
    return not comparison.planned, -_count_draws(comparison), far, run.id


def _count_draws(comparison: Comparison) -> int:
    """Return the random draws of the rank test; without one those that were planned, too."""
    if comparison.rank is not None:
        return comparison.rank.n
    trials = comparison.random.trials if comparison.random else ()
    return sum(t.run.plan_id is not None for t in trials)


def _explain_none(comparisons: Sequence[Comparison]) -> str:
    if not comparisons:
        return "no ablation has been run"
    return f"no run of {INTERVENTION} on the neurons of highest WD, at every token, is there"


def _find_missing(found: Comparison) -> str:
    draws = _count_draws(found)
    if not found.planned:
        return (
            "its runs were not planned before they began; `negspace ablate --plan` with another "
            "text or seed makes such"
        )
    if draws < FEWEST_DRAWS:
        return (
            f"it needs {FEWEST_DRAWS} random draws for a p of {LEVEL:g}; "
            f"there are {draws} planned ones"
        )
    if found.rank is None:
        return "its runs are not tested yet; the same `negspace ablate` again tests them"
    if not found.rank.planned:
        return "its random draws are not those that its plan declared"
    return found.rank.reason or ""


def _show(found: Comparison) -> tuple[tuple[str, str], ...]:
    run, random, share = found.chosen.run, found.random, found.information_share
    numbers = [
        ("neurons clamped, share of each layer", f"{run.n_neurons or 0:,}, {run.percent:g} %"),
        ("perplexity without / with", f"{found.base_perplexity:.2f} / {run.perplexity:.2f}"),
        ("increase, nats a token", _with_error(found.chosen.increase, Arm("", (found.chosen,)))),
        ("dose", "unknown" if run.dose is None else show(run.dose)),
    ]
    if random:
        low, high = (f(t.increase for t in random.trials) for f in (min, max))
        text = f"{_with_error(random.increase, random)}, {show(low)} to {show(high)}"
        numbers.append((f"the same of {len(random.trials)} random sets", text))
        numbers.append(("dose of the random sets", show(random.dose or 0.0)))
    text = "not measured" if share is None else show(share)
    numbers.append(("information_share: increase of negative-mean over this one's", text))
    numbers += [
        (f"increase of the control {name}, dose", f"{show(arm.increase)}, {show(arm.dose or 0.0)}")
        for name, arm in found.controls.items()
    ]
    return tuple(numbers)


def _with_error(increase: float, arm: Arm) -> str:
    error = arm.sem_text
    return show(increase) if error is None else f"{show(increase)} ± {show(error)}"


def _show_tests(found: Comparison, p_text: float) -> tuple[tuple[str, str], ...]:
    rank = found.rank
    assert rank is not None
    floor = "" if rank.p_floor is None else f", cannot be below {show(rank.p_floor)}"
    holm = "" if rank.p_holm is None else f", {show_p(rank.p_holm)[2:]} over all planned fractions"
    return (
        ("p of the rank", f"{show(rank.p or 0.0)}{floor}{holm}"),
        (f"p over text, {found.n_units} units ({found.unit})", show(p_text)),
    )


def _shortfalls(increase: float, random: Arm) -> tuple[str, ...]:
    if increase <= 0:
        return (f"increase {show(increase)} nats",)
    if increase >= LEAST_TIMES * random.increase:
        return ()
    return (f"{show(increase / random.increase)} times the mean of the random sets",)
