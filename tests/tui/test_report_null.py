"""On random weights and on random directions no claim of a report holds, whole command.

Models are small, but everything is measured: two sizes, three checkpoints of a random walk, three
comparable layers, several windows. Each judgement is also made alone, where no correction for the
others protects it.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
import torch
from transformers import GPTNeoXConfig, PreTrainedModel

from analysis.report.claims import FAILS, HOLDS, LEVEL, Finding, judge
from analysis.report.evidence import judge_claims
from store.queries.recordings import list_recordings
from store.store import DATABASE, open_store
from tests.models import POSITIONS, randomize, save, write_text
from tests.tui.calling import call
from tests.tui.test_report import Page

STEPS = (0, 100, 200)
PARALLEL_LAYERS = 4
"""Layer 0 of a parallel residual is not comparable, so three are."""
SIZES = ("--window-length", "128", "--windows", "24", "--pairs", "200")
MEASURED = {"a", "b", "c", "d", "e", "f", "g"}


def make(d_model: int, d_mlp: int, seed: int) -> PreTrainedModel:
    config = GPTNeoXConfig(
        vocab_size=300, hidden_size=d_model, num_hidden_layers=PARALLEL_LAYERS,
        num_attention_heads=2, intermediate_size=d_mlp, max_position_embeddings=POSITIONS,
        bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    return randomize(config, torch.float32, seed)


def walk(folder: Path, model: PreTrainedModel, seed: int) -> Path:
    """Save steps of a random walk of all weights."""
    generator = torch.Generator().manual_seed(seed)
    for step in STEPS:
        save(folder / f"step{step}", model)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return folder


def take_random_directions(model: PreTrainedModel, seed: int) -> PreTrainedModel:
    """Put random directions of N(0, I) without bias in place of all neurons.

    Tokens differ in size, so that the inputs are far from normal.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "embed_in" in name:
                parameter.mul_(torch.randn((len(parameter), 1), generator=generator).exp())
            if "dense_h_to_4h.weight" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator))
            if "dense_h_to_4h.bias" in name:
                parameter.zero_()
    return model


def record(store: Path, folders: Sequence[Path], text: Path) -> Path:
    for folder in folders:
        done = call("ingest", folder, text, "--revision", "all", *SIZES, "--store", store)
        assert done.code == 0, done.err
    done = call("analyze", "--store", store)
    assert done.code == 0, done.err
    return store


@pytest.fixture(scope="module")
def weights(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of two random models in three steps each."""
    folder = tmp_path_factory.mktemp("weights")
    sizes = {"small": (16, 48), "big": (24, 96)}
    folders = [
        walk(folder / name, make(*size, seed=seed), seed)
        for seed, (name, size) in enumerate(sizes.items())
    ]
    return record(folder / "store", folders, write_text(folder / "words.txt", 6000))


@pytest.fixture(scope="module")
def directions(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of two models whose neurons are random directions."""
    folder = tmp_path_factory.mktemp("directions")
    folders = []
    for seed, name in enumerate(("small", "big")):
        model = take_random_directions(make(16 + 8 * seed, 64, seed), seed)
        save(folder / name / "step0", model)
        folders.append(folder / name)
    return record(folder / "store", folders, write_text(folder / "words.txt", 6000, seed=1))


def judge_alone(store: Path) -> list[Finding]:
    """Every finding of a store, and of each recording; none that could not be measured."""
    database = open_store(store).database
    recordings = list_recordings(database)
    claims = judge_claims(database, recordings)
    for recording in recordings:
        claims += judge_claims(database, [recording])
    return [claim.finding for claim in claims if claim.finding.p is not None]


@pytest.mark.parametrize("kind", ["weights", "directions"])
def test_a_report_of_chance_holds_nothing(kind: str, request: pytest.FixtureRequest) -> None:
    store: Path = request.getfixturevalue(kind)
    done = call("report", "--store", store, "--out", "r.html")
    assert done.code == 0, done.err
    page = Page(Path("r.html").read_text(encoding="utf-8"))
    classes = [str(a.get("class")) for _, a in page.tags]
    assert "verdict yes" not in classes
    assert classes.count("verdict no") > 2 * len(MEASURED)
    assert "judgements 0 hold, " in page.text


@pytest.mark.parametrize("kind", ["weights", "directions"])
def test_no_claim_holds_by_chance_even_alone(kind: str, request: pytest.FixtureRequest) -> None:
    findings = judge_alone(request.getfixturevalue(kind))
    assert {f.statement.key for f in findings} == MEASURED - (
        {"b"} if kind == "directions" else set()
    )
    for finding in findings:
        (claim,) = judge([finding])
        assert claim.verdict == FAILS, (claim.finding.subject, claim.reason, finding.numbers)


def test_the_same_store_with_a_planted_effect_holds(weights: Path, tmp_path: Path) -> None:
    """WD is made to follow MD: the judgement of these very rows can come out positive."""
    with closing(sqlite3.connect(weights / DATABASE)) as source:
        (tmp_path / "store").mkdir()
        with closing(sqlite3.connect(tmp_path / "store" / DATABASE)) as copy, copy:
            source.backup(copy)
            copy.execute("UPDATE neurons SET wd = md WHERE md IS NOT NULL")
    (tmp_path / "store" / "store.json").write_bytes((weights / "store.json").read_bytes())
    database = open_store(tmp_path / "store").database
    claims = judge_claims(database, list_recordings(database))
    held = [c for c in claims if c.verdict == HOLDS]
    assert {c.finding.statement.key for c in held} == {"g"}
    assert all(c.p_holm is not None and c.p_holm <= LEVEL for c in held)
