"""Every command end to end, as a user calls it, on tiny models."""

import csv
import io
import json
import re
import shlex
import shutil
import socket
from pathlib import Path

import pytest
from pyarrow import parquet

import ingest.demo
import ingest.run
from ingest.demo_plan import DemoPlan, DemoSize
from ingest.demo_text import read_topics
from store.jobs import run_job
from store.store import create_store
from tests.models import make_model
from tests.tui.calling import NAME, ask, call, contents


@pytest.fixture
def words(models: dict[str, Path], text: Path, store: Path) -> list[str]:
    """The ingest that made the store."""
    sizes = ("--window-length", "128", "--windows", "40", "--pairs", "50")
    return ["ingest", str(models["gpt_neox"]), str(text), *sizes, "--store", str(store)]


def files(folder: Path) -> set[Path]:
    """All files and folders under a folder."""
    return set(folder.rglob("*"))


# ingest and analyze


def test_ingest_and_analyze_say_their_plans_and_give_names(
    models: dict[str, Path], text: Path, tmp_path: Path
) -> None:
    store = tmp_path / "new"
    sizes = ("--window-length", "128", "--windows", "20", "--pairs", "50", "--layers", "1")
    made = call("ingest", models["gpt_neox"], text, *sizes, "--store", store)
    assert (made.code, made.out) == (0, f"{NAME}\n")
    assert "gpt_neox@main: 1 of 1 layers x 40 neurons, 20 windows of 128 tokens" in made.err
    assert "2,560 tokens to run" in made.err
    assert f"{NAME}: tokens 2,560 of 2,560" in made.err
    done = call("analyze", "words", "--store", store)
    assert (done.code, done.out) == (0, "")
    assert "1 layers, 40 neurons left to analyse." in done.err
    assert ask(store, "SELECT count(*) FROM neurons WHERE wd IS NOT NULL") == [(40,)]
    again = call("analyze", "--store", store)
    assert (again.code, again.err) == (0, "0 layers, 0 neurons left to analyse.\n")


def test_the_same_ingest_again_says_so_and_loads_no_model(
    words: list[str], store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest.run, "load_model", None)
    before = contents(store)
    done = call(*words)
    assert (done.code, done.out) == (0, f"{NAME}\n")
    assert done.err == "gpt_neox@main: 2 layers are recorded already.\n"
    assert call(*words, "--read-only").code == 0
    assert contents(store) == before


def test_equal_weights_are_recorded_once(
    words: list[str], store: Path, models: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copytree(models["gpt_neox"], tmp_path / "twin")
    done = call("ingest", tmp_path / "twin", *words[2:])
    assert (done.code, done.out) == (0, f"{NAME}\n")
    assert f"twin@main has the weights of a recorded checkpoint: {NAME}." in done.err


def test_the_command_of_a_job_can_be_typed_again(
    words: list[str], store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = [str(row[0]) for row in ask(store, "SELECT command FROM jobs ORDER BY id")]
    assert commands[0].split()[:2] == ["negspace", "ingest"]
    assert commands[1].split()[:2] == ["negspace", "analyze"]
    monkeypatch.chdir(tmp_path)
    typed = shlex.split(commands[0])[1:]
    typed[typed.index("--store") + 1] = str(store)
    done = call(*typed)
    assert (done.code, done.err) == (0, "gpt_neox@main: 2 layers are recorded already.\n")


def test_paths_in_the_command_of_a_job_are_whole(
    models: dict[str, Path], text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(models["gpt_neox"], "a model")
    shutil.copy(text, "t.txt")
    sizes = ("--window-length", "128", "--windows", "20", "--pairs", "5", "--layers", "0")
    assert call("ingest", "a model", "t.txt", *sizes).code == 0
    ((command,),) = ask(Path("negspace-store"), "SELECT command FROM jobs")
    here = Path.cwd()
    assert shlex.split(str(command))[1:] == [
        "ingest", str(here / "a model"), str(here / "t.txt"), "--window-length", "128",
        "--windows", "20", "--layers", "0", "--pairs", "5", "--store",
        str(here / "negspace-store"),
    ]  # fmt: skip


def test_a_dry_run_writes_nothing(words: list[str], store: Path, tmp_path: Path) -> None:
    before, here = contents(store), files(tmp_path)
    done = call(*words, "--dtype", "float32", "--dry-run")
    assert (done.code, done.err) == (0, "")
    assert "5,120 tokens to run" in done.out
    (new := words.copy())[-1] = str(tmp_path / "none")
    assert call(*new, "--dry-run").code == 0
    for rest in (("analyze",), ("remove", "words"), ("gc",), ("upgrade",)):
        assert call(*rest, "--dry-run", "--store", store).code == 0
    assert contents(store) == before
    assert files(tmp_path) == here


def test_a_dry_run_prints_its_plan_and_nothing_else(
    words: list[str], store: Path, tmp_path: Path
) -> None:
    for plan, sentence in (
        ((*words, "--dtype", "float32"), "5,120 tokens to run"),
        (words, f"{NAME.partition('/')[0]}: 2 layers are recorded already."),
        (("analyze", "--store", store), "0 layers, 0 neurons left to analyse."),
        (("copy", "words", "--to", tmp_path / "to", "--store", store), "of files and about"),
        (("remove", "words", "--store", store), "would be removed."),
        (("gc", "--store", store), "0 files or folders, 0 B, would be removed."),
        (("upgrade", "--store", store), "The store's schema is"),
    ):
        done = call(*plan, "--dry-run")
        assert (done.code, done.err) == (0, "")
        assert sentence in done.out
        quiet = call(*plan, "--dry-run", "--quiet")
        assert (quiet.code, quiet.err) == (0, "")
        assert figures_left_out(quiet.out) == figures_left_out(done.out)


def figures_left_out(plan: str) -> str:
    """A plan without its time and the room on the disk, which change."""
    return re.sub(r"\(.* free\)|about \d+ s", "", plan)


def test_quiet_leaves_only_the_data(words: list[str], store: Path) -> None:
    done = call(*words, "--dtype", "float32", "--quiet")
    assert (done.code, done.out, done.err) == (0, f"{NAME}#2\n", "")
    assert call("analyze", "--quiet", "--store", store).err == ""
    assert call("gc", "--quiet", "--store", store).err == ""
    done = call("verify", "--quiet", "--store", store)
    assert (done.err, done.out.count("\n")) == ("", 1)


@pytest.mark.parametrize(
    "rest", [("analyze",), ("gc",), ("remove", "words", "--yes"), ("demo",), ("ingest",)]
)
def test_read_only_refuses_what_writes(
    rest: tuple[str, ...], words: list[str], store: Path
) -> None:
    before = contents(store)
    new = [*words, "--dtype", "float32"]
    done = call(*(new if rest == ("ingest",) else [*rest, "--store", store]), "--read-only")
    assert (done.code, done.out) == (2, "")
    assert done.error == "Error: --read-only: this command writes; leave the option out."
    assert contents(store) == before


# status


def test_status(store: Path) -> None:
    done = call("status", "--store", store)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"Store {store}\n\nModels\n")
    parameters = make_model("gpt_neox").num_parameters()
    (model,) = [line for line in done.out.splitlines() if line.startswith("gpt_neox  ")]
    assert model.split() == ["gpt_neox", "gpt_neox", "2", "40", "gelu", str(parameters), "1"]
    (recording,) = [line for line in done.out.splitlines() if line.startswith(NAME)]
    assert recording.split()[:6] == [NAME, "float16", "5120", "2", "2", "2"]
    assert [line.split()[1:5] for line in done.out.splitlines() if " negspace " in line] == [
        ["analyze", "done", "81", "81"],
        ["ingest", "done", "5120", "5120"],
    ]
    assert "negspace analyze --store" in done.out
    last = call("status", "--jobs", "1", "--store", store).out
    assert "negspace ingest" not in last


def test_status_leaves_a_job_of_another_machine_running(tmp_path: Path) -> None:
    store = create_store(tmp_path / "store")
    with run_job(store, "pairs", {}, "negspace pairs", lambda *_: None) as job:
        pass
    for host, state in ((socket.gethostname(), "lost"), ("elsewhere", "running")):
        job.update(state="running", host=host)
        assert f" {state} " in call("status", "--store", store.folder).out


def test_status_of_an_empty_store(tmp_path: Path) -> None:
    create_store(tmp_path / "empty")
    done = call("status", "--store", tmp_path / "empty")
    assert done.code == 0
    assert "negspace ingest MODEL CORPUS" in done.out
    assert done.out.count("none yet") == 3
    assert "Arrays 0 B" in done.out
    assert call("verify", "--store", tmp_path / "empty").out.startswith("0 files checked")


# sql

STATEMENT = "SELECT layer, neuron, wd, reason FROM neuron_metrics WHERE neuron < 2"


def test_sql_in_each_form(store: Path, tmp_path: Path) -> None:
    expected = ask(store, STATEMENT)
    assert len(expected) == 4
    out = {
        form: call("sql", STATEMENT, "--format", form, "--store", store)
        for form in ("table", "csv", "json", "jsonl", "parquet")
    }
    assert {(done.code, done.err) for done in out.values()} == {(0, "")}
    table = [line.split() for line in out["table"].out.splitlines()]
    assert table[0] == ["layer", "neuron", "wd", "reason"]
    assert [(int(a), int(b)) for a, b, *_ in table[2:]] == [row[:2] for row in expected]
    rows = list(csv.reader(io.StringIO(out["csv"].out, newline="")))
    assert [float(row[2]) for row in rows[1:]] == [row[2] for row in expected]
    assert [tuple(row.values()) for row in json.loads(out["json"].out)] == expected
    lines = out["jsonl"].out.splitlines()
    assert [tuple(json.loads(line).values()) for line in lines] == expected
    found = parquet.read_table(io.BytesIO(out["parquet"].data)).to_pylist()
    assert [tuple(row.values()) for row in found] == expected


def test_sql_from_stdin_and_into_a_file(store: Path) -> None:
    done = call("sql", "-", "--format", "csv", "--store", store, stdin="SELECT 1 AS a")
    assert done.out == "a\r\n1\r\n"
    done = call("sql", "SELECT 2 AS a", "--format", "jsonl", "--out", "o.jsonl", "--store", store)
    assert (done.code, done.out, Path("o.jsonl").read_text()) == (0, "", '{"a": 2}\n')


def test_sql_says_what_it_left_out(store: Path) -> None:
    words = ("sql", "SELECT neuron FROM neurons", "--format", "csv", "--store", store)
    done = call(*words, "--limit", "3")
    assert (done.out.count("\n"), done.err) == (
        4, "3 rows shown, there are more: --limit 0 shows all.\n",
    )  # fmt: skip
    assert call(*words, "--limit", "0").out.count("\n") == 81


def test_sql_explains_the_schema(store: Path) -> None:
    done = call("sql", "--schema", "--store", store)
    assert done.code == 0
    assert "\nneuron_metrics: " in f"\n{done.out}"
    one = call("sql", "--schema", "pairs", "--store", store).out
    assert one.startswith("pairs: ")
    assert "\n  position_1 " in one
    wrong = call("sql", "--schema", "nothing", "--store", store)
    assert wrong.code == 1
    assert "no table or view 'nothing'" in wrong.error


# demo


def test_demo_again_and_again(
    tmp_path: Path, models: dict[str, Path], text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, topics = tmp_path / "demo store", read_topics()
    size = DemoSize("demo-tiny", d_model=16, n_layers=2, n_heads=2, d_mlp=24, rate=1e-3)
    plan = DemoPlan(sizes=(size,), steps=(0, 1), vocabulary=300, batch=2, warm_up=1)
    monkeypatch.setattr(ingest.demo.make_demo, "__defaults__", (plan,))
    monkeypatch.setattr(ingest.demo, "read_topics", lambda: topics[:30_000])
    first = call("demo", "--store", store)
    assert first.code == 0, first.err
    assert "Neurons of highest WD in demo-tiny@step1/pydoc-topics" in first.out
    assert f"negspace status --store '{store}'" in first.out
    assert "demo-tiny: training steps 1 of 1" in first.err
    before = contents(store)
    again = call("demo", "--store", store)
    assert (again.code, again.out) == (0, first.out)
    assert again.err.count("2 layers are recorded already.") == 2
    assert contents(store) == before
    assert call("verify", "--full", "--store", store).code == 0
    sizes = ("--window-length", "128", "--windows", "20", "--pairs", "5")
    assert call("ingest", models["gpt_neox"], text, *sizes, "--store", store).code == 0
    third = call("demo", "--store", store)
    assert (third.code, third.out) == (0, first.out)
