"""What an ablation does beyond one number: where the loss changes, per position and per dose.

The changes by kind of one side add up to the whole change, so their shares add up to 1; a share is
negative, or above 1, where kinds change in opposite directions.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from store.errors import SelfCheckError

SIDES = ("current", "predicted")
COLUMNS = ("side", "kind", "n", "nats_before", "change", "share")
KindLosses = Mapping[tuple[str, str], tuple[float, int]]
"""By side and kind of token: the sum of negative log-likelihood, and predictions."""
EffectRow = tuple[str, str, int, float, float, float | None]


@dataclass(frozen=True)
class KindEffect:
    """The loss at one kind of token: `nats` a prediction in the baseline, and its `change`.

    `share` is of the change summed over all `n` predictions, None where that is 0.
    """

    side: str
    kind: str
    n: int
    nats: float
    change: float
    share: float | None


@dataclass(frozen=True)
class Effect:
    """A run against its baseline.

    `increase` is in nats a prediction; `per_position` is the summed change in nats over the
    positions at which the intervention may act, `per_dose` the increase over the dose. Both are
    None where there is nothing to divide by.
    """

    increase: float
    per_position: float | None
    per_dose: float | None
    kinds: tuple[KindEffect, ...]

    @property
    def rows(self) -> list[EffectRow]:
        """The kinds as rows of COLUMNS, by side, the largest change in the whole first."""
        ordered = sorted(self.kinds, key=lambda k: (SIDES.index(k.side), -abs(k.change * k.n)))
        return [(k.side, k.kind, k.n, k.nats, k.change, k.share) for k in ordered]


def measure_effect(
    run: KindLosses, baseline: KindLosses, dose: float | None, n_positions: int
) -> Effect:
    """Return what a run did to the loss, against the baseline on the same windows (METHODS 8, 9).

    `dose` and `n_positions` are the run's. Raises SelfCheckError where the two did not predict
    equally many tokens of each kind.
    """
    _check_counts(run, baseline)
    changes = {at: nll - baseline[at][0] for at, (nll, n) in run.items() if n}
    whole = sum(change for (side, _), change in changes.items() if side == "predicted")
    increase = whole / sum(n for (side, _), (_, n) in run.items() if side == "predicted")
    return Effect(
        increase,
        whole / n_positions if n_positions else None,
        increase / dose if dose else None,
        tuple(_measure_kind(at, baseline[at], change, whole) for at, change in changes.items()),
    )


def _measure_kind(
    at: tuple[str, str], before: tuple[float, int], change: float, whole: float
) -> KindEffect:
    nll, n = before
    return KindEffect(*at, n, nll / n, change / n, change / whole if whole else None)


def _check_counts(run: KindLosses, baseline: KindLosses) -> None:
    for at in run.keys() | baseline.keys():
        found, wanted = (losses.get(at, (0.0, 0))[1] for losses in (run, baseline))
        if found != wanted:
            raise SelfCheckError(
                f"The run predicted {found:,} tokens where the {at[0]} token's kind is {at[1]}, "
                f"its baseline {wanted:,}; they are not of the same windows."
            )
    if not any(n for (side, _), (_, n) in run.items() if side == "predicted"):
        raise SelfCheckError("The run has no losses by kind of predicted token.")
