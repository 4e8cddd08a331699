"""kill -9 at random moments of an ingest and of an analysis; the same command then ends as if
nothing had happened."""

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from analysis.scores_only import plan_scores
from ingest.estimate import MARGIN
from ingest.settings import IngestSettings
from store.maintenance import verify_files
from store.queries.recordings import list_recordings
from store.store import open_store
from tests.models import make_model, plan, save, write_text
from tests.torture.contents import read_arrays, read_tables

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("NEGSPACE_TEST_KILLS", "5"))
SIGKILL = -9


class Runner:
    """The process that forks the commands."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.torture.runner"],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(
        self, argv: list[str], kill_after: float | None = None, free: int | None = None
    ) -> tuple[int, float]:
        """Run a command to its end, or to its death; returns its exit code and seconds."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        request = {"argv": argv, "kill_after": kill_after, "free": free}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        return answer["code"], answer["seconds"]


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    runner = Runner()
    yield runner
    runner.process.communicate()


@pytest.fixture(scope="module", params=["all", "inputs"])
def files(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, ...]:
    """A model, a text, and what is kept of them."""
    folder = tmp_path_factory.mktemp("killed")
    model = save(folder / "tiny", make_model("gpt_neox"))
    return str(model), str(write_text(folder / "text.txt", 30_000)), "--keep", str(request.param)


def commands(files: tuple[str, ...], store: Path) -> tuple[list[str], list[str]]:
    common = ["--store", str(store), "--quiet"]
    ingest = ["ingest", *files, "--window-length", "100", "--pairs", "50", *common]
    return ingest, ["analyze", *common]


@pytest.fixture(scope="module")
def undisturbed(
    runner: Runner, files: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, float, float]:
    """A store made without a kill, and the seconds that its ingest and its analysis took."""
    store = tmp_path_factory.mktemp("whole") / "store"
    ingest, analyze = commands(files, store)
    first, ingest_seconds = runner.run(ingest)
    second, analyze_seconds = runner.run(analyze)
    assert (first, second) == (0, 0)
    return store, ingest_seconds, analyze_seconds


def ingest_scores(files: tuple[str, str], store: Path) -> list[str]:
    return [*commands(files, store)[0], "--keep", "scores"]


def one_layer_at_a_time(files: tuple[str, str], folder: Path) -> int:
    """The free bytes with which a group has one layer."""
    settings = IngestSettings(window_length=100, pairs=50, keep="scores")
    work = plan(folder / "none", Path(files[0]), Path(files[1]), settings)
    return plan_scores(work, 0).added + MARGIN


def assert_equal_stores(store: Path, whole: Path) -> None:
    tables, expected = (
        read_tables(store / "negspace.sqlite"),
        read_tables(whole / "negspace.sqlite"),
    )
    assert tables.keys() == expected.keys()
    for name, rows in expected.items():
        assert tables[name] == rows, name
    assert read_arrays(store) == read_arrays(whole)
    opened = open_store(store)
    faults = verify_files(opened, list_recordings(opened.database), full=True)
    assert [file for file in faults if file.fault] == []


def test_killed_ingest_ends_as_undisturbed(
    runner: Runner, files: tuple[str, ...], undisturbed: tuple[Path, float, float], tmp_path: Path
) -> None:
    whole, seconds, _ = undisturbed
    generator, killed = random.Random(0), 0
    for attempt in range(4 * KILLS):
        store = tmp_path / str(attempt)
        ingest, analyze = commands(files, store)
        code, took = runner.run(ingest, kill_after=generator.uniform(0.0, seconds))
        if code == 0:  # the kill came too late and does not count
            seconds = min(seconds, took)
            continue
        assert code == SIGKILL
        killed += 1
        assert runner.run(ingest)[0] == 0
        assert runner.run(analyze)[0] == 0
        assert_equal_stores(store, whole)
        shutil.rmtree(store)
        if killed == KILLS:
            break
    assert killed == KILLS


def test_killed_analysis_ends_as_undisturbed(
    runner: Runner, files: tuple[str, ...], undisturbed: tuple[Path, float, float], tmp_path: Path
) -> None:
    whole, _, seconds = undisturbed
    ingest, analyze = commands(files, tmp_path / "store")
    assert runner.run(ingest)[0] == 0
    generator = random.Random(1)
    for _ in range(3):
        code, _ = runner.run(analyze, kill_after=generator.uniform(0.0, seconds))
        assert code in (SIGKILL, 0)
    assert runner.run(analyze)[0] == 0
    assert_equal_stores(tmp_path / "store", whole)
    jobs = open_store(tmp_path / "store").sql("SELECT state FROM jobs WHERE state = 'running'")
    assert jobs.num_rows == 0


@pytest.mark.parametrize("files", ["all"], indirect=True)
def test_killed_ingest_of_scores_ends_as_undisturbed(
    runner: Runner, files: tuple[str, str], undisturbed: tuple[Path, float, float], tmp_path: Path
) -> None:
    free, calm = one_layer_at_a_time(files, tmp_path), tmp_path / "calm"
    code, seconds = runner.run(ingest_scores(files, calm), free=free)
    assert code == 0
    opened = open_store(calm)
    assert opened.sql("SELECT done / 2 AS done FROM jobs").to_pylist() == [
        {"done": opened.sql("SELECT n_tokens FROM token_streams").to_pylist()[0]["n_tokens"]}
    ]
    for name in ("neurons", "layer_summaries", "top_pairs", "pair_distances", "recording_layers"):
        stores = (calm, undisturbed[0])
        scores, whole = (read_tables(store / "negspace.sqlite")[name] for store in stores)
        assert scores == whole, name
    generator, killed = random.Random(2), 0
    for attempt in range(4 * KILLS):
        store = tmp_path / str(attempt)
        words = ingest_scores(files, store)
        code, took = runner.run(words, generator.uniform(0.0, seconds), free)
        if code == 0:  # the kill came too late and does not count
            seconds = min(seconds, took)
            continue
        assert code == SIGKILL
        killed += 1
        # Killed again and again, it goes on.
        runner.run(words, generator.uniform(0.0, seconds), free)
        assert runner.run(words, free=free)[0] == 0
        assert_equal_stores(store, calm)
        shutil.rmtree(store)
        if killed == KILLS:
            break
    assert killed == KILLS
