"""Cohorts matched to another: random neurons of its dose, bottom neurons of its effect (METHODS 8).

The bottom percentages are searched by the cohorts that they choose, so the search ends where no
percentage in between chooses others. It also ends where the increase does not grow with them; the
nearest step is nearest among those taken, not among all.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from analysis.ablation.layer_doses import LayerDose
from analysis.ablation.records import Cohort, Floats, Ints, RuleValue
from store.errors import InputError

TOLERANCE = 0.02
"""Share of the target within which an increase equals it."""
MOST_EVALUATIONS = 12
DOSE_STREAM = 2
"""Keeps the draws of `draw_to_dose` apart from those of other arms of the same seed."""
Ending = Literal["equal", "one neuron", "evaluations", "out of reach"]
_ALIKE = 1e-9  # percentages that differ by less are one, written by layers of different sizes


@dataclass(frozen=True)
class Step:
    """One evaluation: the bottom neurons below a percentage, and what they cost in nats."""

    percent: float
    neurons: int
    increase: float


@dataclass(frozen=True)
class Steps:
    """A search for the increase `target`: its steps in order, and why it ended."""

    target: float
    taken: tuple[Step, ...]
    ending: Ending

    @property
    def nearest(self) -> Step:
        """The step whose increase is nearest to the target; the earlier of equals."""
        return min(self.taken, key=lambda step: abs(step.increase - self.target))

    @property
    def gap(self) -> float:
        """How far the nearest step is above the target, in nats."""
        return self.nearest.increase - self.target

    @property
    def sentence(self) -> str:
        """What was found, with the gap, and why the search ended."""
        near, share = self.nearest, ""
        if self.target:
            share = f" ({self.gap / abs(self.target):+.1%})"
        return (
            f"The bottom {near.percent:g} % ({near.neurons:,} neurons) change the loss by "
            f"{near.increase:.4g} nats, the target is {self.target:.4g}: a gap of "
            f"{self.gap:+.2g}{share}, {_WHY[self.ending]}."
        )


_WHY: dict[Ending, str] = {
    "equal": "within 2 %",
    "one neuron": "and no percentage in between chooses other neurons",
    "evaluations": f"the nearest of {MOST_EVALUATIONS} evaluations",
    "out of reach": "and all bottom neurons together do not reach it",
}


def draw_to_dose(chosen: Cohort, doses: Mapping[int, LayerDose], seed: int, draw: int) -> Cohort:
    """Return random neurons that the cohort does not have, of its predicted dose in each layer.

    Of the neurons in random order as many are taken as come nearest to that dose, at least one.
    Raises InputError where the cohort has all neurons of a layer.
    """
    parts = []
    for layer, neurons in chosen.by_layer.items():
        dose = doses[layer]
        others = np.setdiff1d(np.arange(len(dose.mean)), neurons)
        if not others.size:
            raise InputError(
                f"Layer {layer} has no neuron outside the cohort to match its dose with; choose "
                "fewer neurons, or leave out the control dose."
            )
        order = np.random.default_rng([seed, draw, layer, DOSE_STREAM]).permutation(others)
        gaps = np.abs(dose.predict_prefixes(order) - dose.predict(neurons))
        taken = np.sort(order[: int(gaps.argmin()) + 1])
        parts.append(np.column_stack([np.full_like(taken, layer), taken]))
    rule: dict[str, RuleValue] = {"kind": "dose", "of": chosen.hash, "draw": draw}
    return Cohort(np.concatenate(parts), rule, seed)


def match_effect(
    target: float, evaluate: Callable[[float], float], metric: Mapping[int, Floats]
) -> Steps:
    """Search the percentage of bottom neurons whose increase is `target` nats (METHODS 8).

    `evaluate` returns the increase of the neurons strictly below that percentile of `metric`, (m,)
    float64 of each layer with NaN for NULL; it is asked at most 12 times, at 100 % first. Raises
    InputError where no percentage chooses a neuron.
    """
    rungs = Rungs.of(metric)
    taken = [_take(rungs, len(rungs.neurons), evaluate)]
    low, high, above = 0, len(rungs.neurons), taken[0].increase > target
    while not _equals(taken[-1], target):
        if len(taken) == 1 and (target < 0.0) == above:
            return Steps(target, tuple(taken), "out of reach")
        if high - low < 2:
            return Steps(target, tuple(taken), "one neuron")
        if len(taken) == MOST_EVALUATIONS:
            return Steps(target, tuple(taken), "evaluations")
        middle = (low + high) // 2
        taken.append(_take(rungs, middle, evaluate))
        beyond = (taken[-1].increase > target) == above
        low, high = (low, middle) if beyond else (middle, high)
    return Steps(target, tuple(taken), "equal")


def _take(rungs: "Rungs", place: int, evaluate: Callable[[float], float]) -> Step:
    percent = rungs.percent(place)
    return Step(percent, int(rungs.neurons[place - 1]), evaluate(percent))


def _equals(step: Step, target: float) -> bool:
    return abs(step.increase - target) <= TOLERANCE * abs(target)


@dataclass(frozen=True, eq=False)
class Rungs:
    """All bottom cohorts but the empty one, from small to large; each holds those before it.

    Cohort i (from 1) is that of the percentages above `bounds[i - 1]` and below `bounds[i]`, and
    has `neurons[i - 1]` neurons over all layers: `bounds` (n + 1,) float64, `neurons` (n,) int64.
    """

    bounds: Floats
    neurons: Ints

    @classmethod
    def of(cls, metric: Mapping[int, Floats]) -> "Rungs":
        """Return the cohorts by the values (m,) of each layer; InputError where there are none."""
        steps = [step for values in metric.values() for step in _list_steps(values)]
        if not steps:
            raise InputError(
                "No percentage chooses bottom neurons: each layer's values are equal or NULL. "
                "Choose another --metric, or leave out the control effect."
            )
        bounds, grown = zip(*_join(steps), strict=True)
        return cls(np.array([*bounds, 100.0]), np.cumsum(grown, dtype=np.int64))

    def percent(self, place: int) -> float:
        """Return a percentage of cohort `place`, from 1, with as few digits as tell it apart."""
        low, high = self.bounds[place - 1], self.bounds[place]
        middle, margin = float(low + high) / 2, float(high - low) / 4
        for digits in range(-2, 12):
            if abs(round(middle, digits) - middle) <= margin:
                return round(middle, digits)
        return middle


def _list_steps(values: Floats) -> Iterator[tuple[float, int]]:
    """Yield the percentages above which a layer's bottom cohort grows, and by how many neurons.

    numpy's percentile lies at (n - 1) p / 100 among the sorted values, so it passes a value where
    the next one is higher.
    """
    ordered = np.sort(values[~np.isnan(values)])
    places = np.flatnonzero(np.diff(ordered) > 0.0)
    for place, grown in zip(places, np.diff(places, prepend=-1), strict=True):
        yield 100.0 * float(place) / (len(ordered) - 1), int(grown)


def _join(steps: Iterable[tuple[float, int]]) -> list[tuple[float, int]]:
    """Return the steps ascending, those at one percentage as one."""
    joined: list[tuple[float, int]] = []
    last = -math.inf
    for percent, grown in sorted(steps):
        if percent - last <= _ALIKE:
            joined[-1] = (last, joined[-1][1] + grown)
        else:
            joined.append((percent, grown))
            last = percent
    return joined
