"""What a claim is and how it is judged: all findings of a report together (METHODS 5 to 13).

A claim holds when its test, adjusted for all tests of the report, is passed at 5 % and its effect
is as large as was said beforehand. Else it does not hold here: that these data do not show it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.report.statistics import holm

LEVEL = 0.05
HOLDS, FAILS, MISSING = "holds", "does not hold", "not measurable here"


@dataclass(frozen=True)
class Statement:
    """A claim of the paper: its null, its test with the unit, and the least effect that counts."""

    key: str
    title: str
    null: str
    test: str
    effect: str


@dataclass(frozen=True)
class Finding:
    """What was measured of a claim in one subject: a recording, a model, or several.

    `numbers` are (what, value). `p` is of the claim's test; `short` names the effects that are too
    small; `missing` says why there is no p.
    """

    statement: Statement
    subject: str
    numbers: tuple[tuple[str, str], ...] = ()
    p: float | None = None
    short: tuple[str, ...] = ()
    missing: str = ""


@dataclass(frozen=True)
class Claim:
    """A judged finding: the verdict and the sentence that gives its reason."""

    finding: Finding
    verdict: str
    reason: str
    p_holm: float | None


def judge(findings: Sequence[Finding]) -> list[Claim]:
    """Return the findings with their verdicts, p-values adjusted by Holm over all of them."""
    tested = [f.p for f in findings if f.p is not None]
    adjusted = iter(holm(tested))
    return [_judge(f, None if f.p is None else next(adjusted), len(tested)) for f in findings]


def _judge(finding: Finding, p_holm: float | None, n_tests: int) -> Claim:
    if p_holm is None:
        return Claim(finding, MISSING, f"because {finding.missing}.", None)
    passed = p_holm <= LEVEL
    tests = "1 test" if n_tests == 1 else f"{n_tests} tests"
    text = f"p {show_p(p_holm)} after Holm over {tests}"
    verdict = HOLDS if passed and not finding.short else FAILS
    if not passed:
        text += f", above {LEVEL:g}"
    if finding.short:
        text += f"{'; ' if not passed else ', but '}too small: {'; '.join(finding.short)}"
    return Claim(finding, verdict, f"{text}.", p_holm)


def show_p(p: float) -> str:
    """Return a p-value as text that follows the letter p."""
    return "< 0.0001" if p < 1e-4 else f"= {p:.2g}"


def show(value: float) -> str:
    """Return a measured number as text of three digits."""
    return f"{value:.3g}"


def show_points(difference: float) -> str:
    """Return a difference of shares as text, in percentage points."""
    return f"{100 * difference:.1f} points"


def show_share(value: float) -> str:
    """Return a share as text, in percent."""
    return f"{100 * value:.1f} %"
