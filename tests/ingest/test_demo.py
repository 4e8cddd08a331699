import math
import random
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from ingest.demo import DemoFiles, make_demo
from ingest.demo_plan import DEMO_PLAN, DEMO_SIZES, DemoPlan, DemoSize
from ingest.demo_text import read_topics
from store.errors import BusyError, InputError
from store.files import hold_lock

SMALL = DemoSize("tiny-small", d_model=8, n_layers=1, n_heads=2, d_mlp=12, rate=1e-2)
MEDIUM = DemoSize("tiny-medium", d_model=16, n_layers=2, n_heads=2, d_mlp=20, rate=1e-2)
TINY = DemoPlan(
    sizes=(SMALL, MEDIUM), steps=(0, 4, 8, 12), vocabulary=300, window=16, batch=4, warm_up=3
)


class Reports(list[tuple[str, int, int]]):
    """Keeps what is reported; `stop_at` interrupts there, as Ctrl-C would."""

    def __init__(self, stop_at: tuple[str, int] | None = None) -> None:
        super().__init__()
        self.stop_at = stop_at

    def __call__(self, label: str, done: int, total: int) -> None:
        self.append((label, done, total))
        if self.stop_at == (label, done):
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DemoFiles, Reports]:
    """One undisturbed run, which the tests only read."""
    folder, reports = tmp_path_factory.mktemp("store") / "demo", Reports()
    return folder, make_demo(folder, reports, TINY), reports


def read_all(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def read_times(folder: Path) -> dict[str, int]:
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in folder.rglob("*")}


def test_files_are_where_the_answer_says(made: tuple[Path, DemoFiles, Reports]) -> None:
    folder, files, _ = made
    assert files.corpus == folder / "pydoc-topics.txt"
    assert files.corpus.read_text("utf-8") == read_topics()
    assert [(m.name, m.folder, m.steps) for m in files.models] == [
        ("tiny-small", folder / "tiny-small", (0, 4, 8, 12)),
        ("tiny-medium", folder / "tiny-medium", (0, 4, 8, 12)),
    ]
    for model in files.models:
        assert {p.name for p in model.folder.iterdir()} == {"step0", "step4", "step8", "step12"}
    assert not list(folder.rglob("*.partial"))


def test_models_are_pythias_kind(made: tuple[Path, DemoFiles, Reports]) -> None:
    _, files, _ = made
    for size, model in zip(TINY.sizes, files.models, strict=True):
        for step in model.steps:
            config = AutoConfig.from_pretrained(model.folder / f"step{step}")
            assert (config.model_type, config.hidden_act) == ("gpt_neox", "gelu")
            assert config.use_parallel_residual is True
            assert config.tie_word_embeddings is False
            assert config.max_position_embeddings == TINY.window
            assert (config.hidden_size, config.intermediate_size, config.num_hidden_layers) == (
                size.d_model,
                size.d_mlp,
                size.n_layers,
            )


def test_tokenizer_round_trips_without_bos(made: tuple[Path, DemoFiles, Reports]) -> None:
    _, files, _ = made
    text = files.corpus.read_text("utf-8")
    tokenizers = [AutoTokenizer.from_pretrained(m.folder / "step4") for m in files.models]
    small, medium = (tokenizer(text)["input_ids"] for tokenizer in tokenizers)
    assert small == medium
    assert max(small) < TINY.vocabulary == len(tokenizers[0])
    assert tokenizers[0].eos_token == "<|endoftext|>"
    assert tokenizers[0].eos_token_id == 0
    assert 0 not in small
    assert tokenizers[0].decode(small) == text


def loss_by_hand(folder: Path, files: DemoFiles) -> float:
    """Mean of -log p(next token) over the first windows of the text, one token at a time."""
    text = files.corpus.read_text("utf-8")[:6000]
    ids = AutoTokenizer.from_pretrained(folder)(text)["input_ids"]
    model = AutoModelForCausalLM.from_pretrained(folder)
    losses = []
    for start in range(0, 20 * TINY.window, TINY.window):
        window = ids[start : start + TINY.window]
        with torch.no_grad():
            logits = model(torch.tensor([window])).logits[0].double()
        for place, token in enumerate(window[1:]):
            p = torch.exp(logits[place] - logits[place].max())
            losses.append(-math.log(float(p[token] / p.sum())))
    return sum(losses) / len(losses)


def test_saved_models_start_fresh_and_learn(made: tuple[Path, DemoFiles, Reports]) -> None:
    _, files, _ = made
    for model in files.models:
        losses = [loss_by_hand(model.folder / f"step{step}", files) for step in model.steps]
        assert losses[0] == pytest.approx(math.log(TINY.vocabulary), abs=0.1)
        assert all(later < earlier - 0.01 for earlier, later in pairwise(losses))


def test_reports_advance_to_the_end(made: tuple[Path, DemoFiles, Reports]) -> None:
    _, _, reports = made
    expected = [(name, done, 12) for name in ("tiny-small", "tiny-medium") for done in (0, 5, 10)]
    assert [r for r in reports if r[1] < 12] == expected
    assert [r for r in reports if r[1] == 12] == [("tiny-small", 12, 12), ("tiny-medium", 12, 12)]


def test_second_run_trains_and_writes_nothing(made: tuple[Path, DemoFiles, Reports]) -> None:
    folder, files, _ = made
    times, reports = read_times(folder), Reports()
    assert make_demo(folder, reports, TINY) == files
    assert reports == []
    assert read_times(folder) == times


@pytest.mark.parametrize("stop_at", [("tiny-small", 10), ("tiny-medium", 5)])
def test_interrupted_run_ends_with_the_same_bytes(
    made: tuple[Path, DemoFiles, Reports], tmp_path: Path, stop_at: tuple[str, int]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        make_demo(tmp_path, Reports(stop_at), TINY)
    assert not (tmp_path / stop_at[0]).exists()
    assert not list(tmp_path.rglob("*.partial"))
    again = Reports()
    make_demo(tmp_path, again, TINY)
    missing = [size.name for size in TINY.sizes][-2 if stop_at[0] == "tiny-small" else -1 :]
    assert list(dict.fromkeys(label for label, _, _ in again)) == missing
    assert read_all(tmp_path) == read_all(made[0])


def test_debris_of_a_killed_run_is_replaced(
    made: tuple[Path, DemoFiles, Reports], tmp_path: Path
) -> None:
    (tmp_path / "tiny-small.partial" / "step0").mkdir(parents=True)
    (tmp_path / "tiny-small.partial" / "step0" / "config.json").write_text("{")
    (tmp_path / "pydoc-topics.txt.partial").write_text("The")
    make_demo(tmp_path, Reports(), TINY)
    assert read_all(tmp_path) == read_all(made[0])


def test_text_of_the_folder_is_kept(tmp_path: Path) -> None:
    text = "one two three four five six seven eight nine ten " * 20
    (tmp_path / "pydoc-topics.txt").write_text(text)
    files = make_demo(tmp_path, Reports(), replace(TINY, sizes=(SMALL,)))
    assert files.corpus.read_text() == text


@pytest.mark.parametrize("name", ["tiny-small/step8/model.safetensors", "tokenizer/tokenizer.json"])
def test_a_missing_file_is_named(
    made: tuple[Path, DemoFiles, Reports], tmp_path: Path, name: str
) -> None:
    shutil.copytree(made[0], tmp_path, dirs_exist_ok=True)
    (tmp_path / name).unlink()
    folder, rest = name.split("/", 1)
    with pytest.raises(InputError, match=f"{folder} lacks {rest}; remove that folder"):
        make_demo(tmp_path, Reports(), TINY)


def test_python_without_topics_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(InputError, match=r"pydoc_data\.topics, is missing"):
        make_demo(tmp_path, Reports(), TINY)
    assert [p.name for p in tmp_path.iterdir()] == ["lock"]


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    reports = Reports()
    with (
        hold_lock(tmp_path / "lock", "Another"),
        pytest.raises(BusyError, match="The demo is at work"),
    ):
        make_demo(tmp_path, reports, TINY)
    assert reports == []


def test_global_generators_are_neither_used_nor_moved(
    made: tuple[Path, DemoFiles, Reports], tmp_path: Path
) -> None:
    def seed() -> None:
        torch.manual_seed(7)
        np.random.seed(7)
        random.seed(7)

    seed()
    expected = torch.rand(3), np.random.rand(3), random.random()
    seed()
    make_demo(tmp_path, Reports(), TINY)
    assert torch.equal(torch.rand(3), expected[0])
    assert np.array_equal(np.random.rand(3), expected[1])
    assert random.random() == expected[2]
    assert read_all(tmp_path) == read_all(made[0])


def test_real_plan_keeps_its_promises() -> None:
    assert len(DEMO_SIZES) == 2
    assert all(size.n_layers >= 4 and size.d_model % size.n_heads == 0 for size in DEMO_SIZES)
    assert len(DEMO_PLAN.steps) >= 4
    assert len({later - earlier for earlier, later in pairwise(DEMO_PLAN.steps)}) == 1


def run_fresh(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *arguments]
    root = Path(__file__).parents[2]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=root)


def test_import_is_light() -> None:
    heavy = "{'torch', 'transformers', 'tokenizers', 'numpy'}"
    answer = run_fresh(f"import sys, ingest.demo; print(sorted({heavy} & set(sys.modules)))")
    assert answer.stdout.strip() == "[]"


def test_nothing_is_printed(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from ingest.demo import make_demo;"
        "from ingest.demo_plan import DemoPlan, DemoSize;"
        "make_demo(Path(sys.argv[1]), lambda *a: None, DemoPlan("
        "(DemoSize('tiny', 8, 1, 2, 12, 0.01),), (0, 2, 4, 6), 300, 16, 2, 2))"
    )
    answer = run_fresh(code, str(tmp_path))
    assert (answer.stdout, answer.stderr) == ("", "")
    assert (tmp_path / "tiny" / "step6" / "model.safetensors").is_file()
