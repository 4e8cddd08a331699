"""The harness by a clock that only tasks move, and memory by pages that are known to be touched."""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CalledProcessError

import pytest

from benchmarks.harness import (
    COST,
    HOURS,
    MILLISECONDS,
    SPEED_UP,
    Measure,
    Result,
    Series,
    Task,
    interleave,
    race,
    run_child,
    watch_memory,
)

MB = 10**6


class FakeClock:
    """A clock that stands still until a task takes time."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def takes(self, *seconds: float) -> Callable[[], None]:
        """A task that takes so long, turn after turn."""
        left: Iterator[float] = iter(seconds)

        def run() -> None:
            self.now += next(left)

        return run


def make(figure: str, target: float | None, ours: float, baseline: float) -> Result:
    measure = Measure("a.b", "what", "shape", "base", figure, target)
    return Result(measure, Series((ours,)), Series((baseline,)))


def test_sides_take_turns() -> None:
    seen: list[str] = []

    def side(name: str) -> Callable[[], float]:
        def turn() -> float:
            seen.append(name)
            return float(len(seen))

        return turn

    costs = interleave({"a": side("a"), "b": side("b"), "c": side("c")}, 2)
    assert "".join(seen) == "abcabc"
    assert costs == {"a": (1.0, 4.0), "b": (2.0, 5.0), "c": (3.0, 6.0)}


def test_the_turns_that_warm_up_do_not_count() -> None:
    clock = FakeClock()
    tasks = {"a": Task(clock.takes(50, 30, 1, 2, 9)), "b": Task(clock.takes(7, 7, 4, 4, 4))}
    series = race(tasks, 3, clock)
    assert series["a"].values == (1.0, 2.0, 9.0)
    assert series["a"].median == 2.0
    assert series["b"].values == (4.0, 4.0, 4.0)


def test_memory_is_that_of_one_turn() -> None:
    def hold() -> None:
        held = bytearray(b"x") * (60 * MB)
        time.sleep(0.2)
        del held

    series = race({"a": Task(hold), "b": Task(lambda: None)}, 1)
    assert 55 * MB < (series["a"].peak or 0) < 90 * MB
    assert (series["b"].peak or 0) < 20 * MB


def test_preparing_is_not_timed_and_comes_before_each_turn() -> None:
    clock, order = FakeClock(), list[str]()

    def prepare() -> None:
        order.append("prepare")
        clock.now += 1000

    def run() -> None:
        order.append("run")
        clock.now += 6

    series = race({"a": Task(run, prepare, units=3)}, 2, clock)
    assert series["a"].values == (2.0, 2.0)
    assert order == ["prepare", "run"] * 4


@pytest.mark.parametrize(
    ("figure", "target", "ours", "baseline", "value", "missed"),
    [
        (SPEED_UP, 0.85, 2.0, 1.8, 0.9, 0.0),
        (SPEED_UP, 200.0, 1.0, 150.0, 150.0, 0.25),
        (COST, 2.0, 3.0, 2.0, 1.5, 0.0),
        (COST, 2.0, 5.0, 2.0, 2.5, 0.25),
        (COST, None, 5.0, 2.0, 2.5, None),
        (MILLISECONDS, 5.0, 0.006, 1.0, 6.0, 0.2),
        (HOURS, None, 7200.0, 1.0, 2.0, None),
    ],
)
def test_figures_and_targets(
    figure: str, target: float | None, ours: float, baseline: float, value: float, missed: float
) -> None:
    result = make(figure, target, ours, baseline)
    assert result.value == pytest.approx(value)
    assert result.missed_by == (None if missed is None else pytest.approx(missed))


def test_the_figure_is_of_the_medians_and_the_spread_of_the_rounds() -> None:
    measure = Measure("a.b", "what", "shape", "base")
    result = Result(measure, Series((1.0, 2.0, 4.0)), Series((10.0, 10.0, 60.0)))
    assert result.value == 5.0
    assert result.spread == (5.0, 15.0)


def test_memory_counts_what_was_touched_and_freed_again() -> None:
    with watch_memory() as memory:
        held = bytearray(b"x") * (80 * MB)
        memory.look()
        del held
    assert 75 * MB < memory.growth < 120 * MB


def test_a_child_is_watched(tmp_path: Path) -> None:
    program = "import time; x = bytearray(b'x') * 200_000_000; time.sleep(0.3)"
    child = run_child([sys.executable, "-c", program], tmp_path)
    assert 200 * MB < child.peak < 300 * MB
    assert 0 < child.cpu < child.seconds + 1


def test_a_child_that_fails_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CalledProcessError) as failure:
        run_child([sys.executable, "-c", "raise SystemExit('no such thing')"], tmp_path)
    assert failure.value.stderr == "no such thing\n"
