"""Which windows a text gives, in which units, and what is kept of them."""

import json
from pathlib import Path

import numpy as np
import pytest

from analysis.ablation.checkpoint import find_checkpoint
from analysis.ablation.protocol import EvaluationText, plan_text, register_text
from analysis.ablation.settings import AblateSettings
from ingest.settings import KINDS, IngestSettings
from store.errors import InputError, NotFoundError, UsageError
from store.recording import Recording
from store.store import open_store
from tests.models import WORDS, ingest, write_text
from tests.oracles.stored import read_rows

RECORDED = IngestSettings(window_length=48, windows=8, pairs=20, skip_first=2)


@pytest.fixture(scope="module")
def recording(
    tmp_path_factory: pytest.TempPathFactory, models: dict[str, Path], text: Path
) -> Recording:
    store = tmp_path_factory.mktemp("protocol") / "store"
    (name,) = ingest(store, models["gpt_neox"], text, RECORDED)
    return open_store(store).recording(name)


def write_documents(path: Path, *words: int) -> Path:
    """A .jsonl text with a document of so many words each, a token or more to a word."""
    rows = []
    for seed, count in enumerate(words):
        rng = np.random.default_rng(seed)
        rows.append(json.dumps({"text": " ".join(rng.choice(WORDS, count))}))
    path.write_text("\n".join(rows), encoding="utf-8")
    return path


def planned(recording: Recording, corpus: Path, **named: object) -> EvaluationText:
    settings = AblateSettings(**named)  # type: ignore[arg-type]
    database = recording.store.database
    found = find_checkpoint(database, recording.row)
    return plan_text(database, recording.row, found, str(corpus), settings)


def test_twenty_long_documents_give_a_window_of_256_each(
    recording: Recording, tmp_path: Path
) -> None:
    corpus = write_documents(tmp_path / "many.jsonl", *[300] * 11, 40, *[300] * 10)
    text = planned(recording, corpus)
    assert text.stream.spread
    assert text.stream.windows().shape == (21, 256)
    assert text.unit == "window"
    assert text.units.tolist() == list(range(21))
    assert text.documents.tolist() == [*range(11), *range(12, 22)]
    assert text.batch_windows == 8
    few = planned(recording, corpus, windows=7)
    assert few.stream.spread
    assert few.documents.tolist() == [text.documents[i * 21 // 7] for i in range(7)]


def test_fewer_documents_or_what_was_asked_for_give_contiguous_windows(
    recording: Recording, tmp_path: Path
) -> None:
    many = write_documents(tmp_path / "many.jsonl", *[300] * 20)
    few = write_documents(tmp_path / "few.jsonl", *[300] * 19, 40)
    for corpus, asked in ((few, {}), (many, {"contiguous": True}), (many, {"windows": 30})):
        text = planned(recording, corpus, **asked)
        assert not text.stream.spread
        assert text.stream.window_length == 48
        assert text.unit == "stretch"
    assert planned(recording, few, spread=True).stream.windows().shape == (19, 256)
    assert planned(recording, few, window_length=32).stream.windows().shape == (20, 32)
    assert planned(recording, many, contiguous=True, window_length=64).stream.window_length == 64


def test_documents_are_the_units_where_windows_never_cross_them(
    recording: Recording, tmp_path: Path
) -> None:
    corpus = write_documents(tmp_path / "many.jsonl", 200, 20, 300, *[100] * 25)
    text = planned(recording, corpus, join="documents")
    assert text.unit == "document"
    assert text.stream.window_length == 48
    seen: list[int] = []
    for document, unit in zip(text.documents.tolist(), text.units.tolist(), strict=True):
        if document not in seen:
            seen.append(document)
        assert seen[unit] == document
    assert len(seen) > 20


def test_stretches_have_8192_tokens_but_for_the_last(recording: Recording, tmp_path: Path) -> None:
    text = planned(recording, write_text(tmp_path / "long.txt", 10_000))
    assert text.unit == "stretch"
    sizes = np.bincount(text.units) * 48
    assert len(sizes) > 1
    assert sizes[:-1].tolist() == [8208] * (len(sizes) - 1)
    assert (np.diff(text.units) >= 0).all()


def test_kinds_are_those_of_the_vocabulary(recording: Recording, text: Path) -> None:
    found = planned(recording, text).kinds
    rows = read_rows(recording.store.folder, "SELECT token_id, kind FROM vocabulary")
    assert {int(str(r["token_id"])): r["kind"] for r in rows} == {
        token: KINDS[kind] for token, kind in enumerate(found)
    }


def test_a_text_is_kept_once_and_read_back(recording: Recording, tmp_path: Path) -> None:
    folder = recording.store.folder
    corpus = write_text(tmp_path / "other.txt", 500, seed=5)
    before = len(read_rows(folder, "SELECT * FROM token_streams"))
    text = planned(recording, corpus, skip_first=3, windows=4)
    assert len(read_rows(folder, "SELECT * FROM token_streams")) == before
    protocol = register_text(recording.store, text)
    again = register_text(recording.store, planned(recording, corpus, skip_first=3, windows=4))
    assert again.stream_id == protocol.stream_id
    assert len(read_rows(folder, "SELECT * FROM token_streams")) == before + 1
    rows = read_rows(folder, f"SELECT token_id FROM tokens WHERE stream_id = {protocol.stream_id}")
    assert [row["token_id"] for row in rows] == protocol.windows.ravel().tolist()
    assert protocol.n_predicted == 48 - 1 - 3
    assert len(protocol.documents) == len(protocol.units) == 4


def test_windows_that_start_with_bos(recording: Recording, text: Path) -> None:
    protocol = planned(recording, text, bos="window", windows=3).protocol(1)
    plain = planned(recording, text, bos="none", windows=3).protocol(1)
    assert (protocol.windows[:, 0] == 0).all()
    assert (protocol.windows[0, 1:] == plain.windows[0, :-1]).all()
    assert protocol.n_predicted == 47


def test_texts_that_cannot_be_used_are_refused(recording: Recording, tmp_path: Path) -> None:
    short = write_text(tmp_path / "short.txt", 10)
    with pytest.raises(InputError, match="one window takes 48"):
        planned(recording, short)
    with pytest.raises(InputError, match="has no document with the 256 tokens"):
        planned(recording, short, spread=True)
    with pytest.raises(NotFoundError, match="no file"):
        planned(recording, tmp_path / "gone.txt")
    with pytest.raises(InputError, match="has 512 positions"):
        planned(recording, short, window_length=513)
    long = write_text(tmp_path / "long.txt", 200)
    with pytest.raises(InputError, match="leaves no prediction"):
        planned(recording, long, skip_first=47)
    with pytest.raises(UsageError, match="leaves nothing"):
        planned(recording, long, skip_first=48)
    same = write_text(tmp_path / "words.txt", 300, seed=1)
    with pytest.raises(InputError, match=r"corpus 'words' from .* with another text"):
        planned(recording, same)
    with pytest.raises(InputError, match="name 'a@b'"):
        planned(recording, write_text(tmp_path / "a@b.txt", 300))


def test_another_tokenizer_is_refused(models: dict[str, Path], text: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    from tests.models import make_model, save

    model = save(tmp_path / "model", make_model("gpt_neox"))
    (name,) = ingest(tmp_path / "store", model, text, RECORDED)
    recording = open_store(tmp_path / "store").recording(name)
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.add_tokens(["other"])
    tokenizer.save_pretrained(model)
    with pytest.raises(InputError, match=r"tokenizer in .*model is not the one of model@main"):
        planned(recording, text)
