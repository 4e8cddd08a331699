import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from ingest import pipeline, registration, run
from ingest.estimate import check_disk, estimate
from ingest.known import find_missing
from ingest.models import load_model
from ingest.settings import IngestSettings
from ingest.weights import hash_checkpoint
from store.errors import InputError, NegspaceError
from store.store import open_store
from tests.models import ingest, make_model, plan, save, write_text
from tests.oracles.stored import read_files, read_rows, read_tables

BASE = IngestSettings(window_length=50, windows=43, pairs=60)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, models: dict[str, Path], text: Path) -> Path:
    """A store with one recording, which the tests only read."""
    store = tmp_path_factory.mktemp("planned") / "store"
    ingest(store, models["gpt_neox"], text, BASE)
    return store


@dataclass
class Asked:
    """What an ingest is asked for."""

    model: Path
    corpus: Path
    settings: IngestSettings = BASE


Spoil = Callable[[Asked, Path], None]


def _no_folder(asked: Asked, _here: Path) -> None:
    asked.model = asked.model.parent / "none"


def _empty_folder(asked: Asked, here: Path) -> None:
    asked.model = here


def _copy(asked: Asked, here: Path) -> Path:
    asked.model = Path(shutil.copytree(asked.model, here / "copy"))
    return asked.model


def _change_config(asked: Asked, here: Path, **values: object) -> None:
    config = _copy(asked, here) / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | values))


def _other_family(asked: Asked, here: Path) -> None:
    _change_config(asked, here, model_type="bert")


def _no_layers(asked: Asked, here: Path) -> None:
    _change_config(asked, here, num_hidden_layers="many")


def _pickled(asked: Asked, here: Path) -> None:
    weights = _copy(asked, here) / "model.safetensors"
    weights.rename(weights.with_name("pytorch_model.bin"))


def _truncated(asked: Asked, here: Path) -> None:
    weights = _copy(asked, here) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])


def _no_tokenizer(asked: Asked, here: Path) -> None:
    for path in _copy(asked, here).glob("*token*"):
        path.unlink()


def _broken_tokenizer(asked: Asked, here: Path) -> None:
    (_copy(asked, here) / "tokenizer.json").write_text("{")


def _empty_tokenizer(asked: Asked, here: Path) -> None:
    (_copy(asked, here) / "tokenizer.json").write_text("{}")


def _odd_activation(asked: Asked, here: Path) -> None:
    _change_config(asked, here, hidden_act="nope")


def _odd_activation_by_module(asked: Asked, here: Path) -> None:
    _odd_activation(asked, here)
    asked.settings = replace(asked.settings, module="gpt_neox.layers.{layer}.mlp.dense_4h_to_h")


def _no_corpus(asked: Asked, here: Path) -> None:
    asked.corpus = here / "none.txt"


def _corpus(name: str, content: str) -> Spoil:
    def spoil(asked: Asked, here: Path) -> None:
        asked.corpus = here / name
        asked.corpus.write_text(content)

    return spoil


def _settings(**values: object) -> Spoil:
    def spoil(asked: Asked, _here: Path) -> None:
        asked.settings = replace(asked.settings, **values)  # type: ignore[arg-type]

    return spoil


ODD_ACTIVATION = (
    r"config\.json: hidden_act is 'nope', no activation that transformers knows; correct it to what"
)
BAD: list[tuple[Spoil, str]] = [
    (_no_folder, "There is no folder '.*none'"),
    (_empty_folder, r"holds no model: neither it nor a subfolder has a config\.json"),
    (_other_family, "model type 'bert'; negspace knows gpt_neox"),
    (
        _no_layers,
        r"config\.json cannot be used \(Validation error for field 'num_hidden_layers': .*expected "
        r"int, got str \(value: 'many'\)\); correct it, or fetch it again\.$",
    ),
    (_odd_activation, ODD_ACTIVATION),
    (_odd_activation_by_module, ODD_ACTIVATION),
    (_pickled, r"holds no model\.safetensors"),
    (_truncated, r"model\.safetensors is not a whole safetensors file"),
    (_no_tokenizer, r"has no tokenizer \(tokenizer\.json"),
    (_broken_tokenizer, r"The tokenizer in .*copy cannot be loaded"),
    (
        _empty_tokenizer,
        r"The tokenizer in .*copy cannot be loaded \('added_tokens' is missing\); fetch it or s",
    ),
    (_no_corpus, r"There is no file '.*none\.txt'"),
    (_corpus("empty.txt", ""), r"empty\.txt' holds no text"),
    (
        _corpus("rows.jsonl", '{"words": "a"}\n'),
        "line 1 has no key 'text' or 'messages'; its keys are 'words'",
    ),
    (_corpus("short.txt", "the cat sat"), r"short has \d+ tokens, and one window takes 50; give a"),
    (_corpus("one.txt", "a"), r"one has 1 token, and one window takes 50; give a longer text or a"),
    (_corpus("words.pdf", "the cat"), r"not a text negspace can read"),
    (_settings(pairs=1076), "--pairs 1076 needs 2152 positions.* only 2150; give --pairs 1075"),
    (_settings(skip_first=49, pairs=22), "--pairs 22 needs 44 positions"),
    (_settings(skip_first=50), "--skip-first 50 leaves nothing"),
    (_settings(window_length=513), "has 512 positions; give 512 or less"),
    (_settings(windows=10_000), r"--windows is 10000, but words gives only"),
    (_settings(layers=("1-2",)), "has no layer 2; its layers are 0 to 1"),
    (_settings(projection="up"), "has no gate, so no up branch"),
    (_settings(revisions=("step5",)), "has no revision 'step5'; it has main"),
]


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize(("spoil", "message"), BAD)
def test_bad_input_gives_one_clear_error_and_leaves_nothing(
    spoil: Spoil,
    message: str,
    there: bool,
    recorded: Path,
    tmp_path: Path,
    models: dict[str, Path],
    text: Path,
) -> None:
    asked = Asked(models["gpt_neox"], text)
    (tmp_path / "here").mkdir()
    spoil(asked, tmp_path / "here")
    store = recorded if there else tmp_path / "store"
    before = (read_tables(store), read_files(store / "arrays")) if there else None
    with pytest.raises(NegspaceError, match=message) as raised:
        ingest(store, asked.model, asked.corpus, asked.settings)
    assert len(str(raised.value)) < 500
    assert len(str(raised.value).splitlines()) == 1
    if there:
        assert (read_tables(store), read_files(store / "arrays")) == before
    else:
        assert not store.exists()


def test_a_model_name_of_another_path_is_refused(
    recorded: Path, tmp_path: Path, text: Path
) -> None:
    other = save(tmp_path / "gpt_neox", make_model("gpt_neox", seed=1))
    with pytest.raises(InputError, match=r"has a model 'gpt_neox' from .*--name NAME"):
        plan(recorded, other, text, BASE)
    assert plan(recorded, other, text, replace(BASE, name="other")).todo


def test_a_corpus_name_of_another_text_is_refused(
    recorded: Path, tmp_path: Path, models: dict[str, Path], text: Path
) -> None:
    other = write_text(tmp_path / "words.txt", 4000, seed=1)
    with pytest.raises(InputError, match=r"has a corpus 'words' from .* with another text"):
        plan(recorded, models["gpt_neox"], other, BASE)
    same = Path(shutil.copy(text, tmp_path / "words.txt"))
    assert not plan(recorded, models["gpt_neox"], same, BASE).todo


@pytest.mark.parametrize("other", [{"pairs": 61}, {"pair_seed": 1}])
def test_other_pairs_for_a_recording_are_refused(
    other: dict[str, int], recorded: Path, models: dict[str, Path], text: Path
) -> None:
    with pytest.raises(InputError, match="was begun with --pairs 60 --pair-seed 0; give the same"):
        plan(recorded, models["gpt_neox"], text, replace(BASE, **other))  # type: ignore[arg-type]


def test_a_plan_says_what_will_be_done(tmp_path: Path, models: dict[str, Path], text: Path) -> None:
    store = tmp_path / "store"
    work = plan(store, models["gpt_neox"], text, BASE)
    (part,) = work.todo
    assert part.missing == {0: (0, 1), 1: (0, 1)}
    assert (part.blocks, work.n_tokens, part.label) == ((0, 1), 2150, "gpt_neox@main")
    found = estimate(work, store)
    assert found.n_bytes == work.n_bytes
    assert not store.exists()
    ingest(store, models["gpt_neox"], text, replace(BASE, weights=False))
    (row,) = read_rows(store, "SELECT sum(n_bytes) AS bytes FROM blocks")
    assert row["bytes"] == work.n_bytes
    files = read_files(store / "arrays")
    assert sum(len(files[name]) for name in files if "/c/" in name) == work.n_bytes
    with pytest.raises(InputError, match=r"needs 0\.0 GB, and the disk of"):
        check_disk(replace(found, free=found.n_bytes + 64 * 2**20 - 1), store)
    check_disk(replace(found, free=found.n_bytes + 64 * 2**20), store)


@dataclass
class Counts:
    """What ingests cost since the last look."""

    passes: int = 0
    loads: int = 0
    hashes: int = 0

    def look(self) -> tuple[int, int, int]:
        seen = self.passes, self.loads, self.hashes
        self.passes = self.loads = self.hashes = 0
        return seen


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counts:
    """Counts forward passes, loads of models and readings of weights to hash them."""
    found, forward, load = Counts(), pipeline.forward, load_model

    def counted_forward(*given: object) -> None:
        found.passes += 1
        forward(*given)  # type: ignore[arg-type]

    def counted_load(*given: object) -> object:
        found.loads += 1
        return load(*given)  # type: ignore[arg-type]

    def counted_hash(*given: object) -> object:
        found.hashes += 1
        return hash_checkpoint(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(registration, "hash_checkpoint", counted_hash)
    monkeypatch.setattr(pipeline, "forward", counted_forward)
    monkeypatch.setattr(run, "load_model", counted_load)
    return found


def layers_of(store: Path) -> list[tuple[object, object]]:
    rows = read_rows(
        store,
        "SELECT r.name, l.layer FROM recording_layers l JOIN recordings r ON r.id = l.recording_id "
        "WHERE l.state = 'complete' ORDER BY r.id, l.layer",
    )
    return [(row["name"], row["layer"]) for row in rows]


def test_a_second_identical_ingest_does_nothing(
    counts: Counts, tmp_path: Path, models: dict[str, Path], text: Path
) -> None:
    store = tmp_path / "store"
    assert ingest(store, models["gpt_neox"], text, BASE) == ["gpt_neox@main/words"]
    assert counts.look() == (2, 1, 1)
    before = read_tables(store)
    work = plan(store, models["gpt_neox"], text, BASE)
    assert (work.todo, work.n_tokens, work.n_bytes) == ((), 0, 0)
    assert work.names([]) == ["gpt_neox@main/words"]
    assert ingest(store, models["gpt_neox"], text, BASE) == []
    assert ingest(store, models["gpt_neox"], text, replace(BASE, layers=("1",))) == []
    assert counts.look() == (0, 0, 0)
    assert read_tables(store) == before


def test_added_layers_texts_and_dtypes_add_only_that(
    counts: Counts, tmp_path: Path, models: dict[str, Path], text: Path
) -> None:
    store, model = tmp_path / "store", models["qwen2"]
    name = "qwen2@main/words"
    ingest(store, model, text, replace(BASE, layers=("1",)))
    assert layers_of(store) == [(name, 1)]
    first = read_files(store / "arrays")
    assert counts.look() == (2, 1, 1)
    assert ingest(store, model, text, replace(BASE, layers=("0-2",))) == [name]
    assert layers_of(store) == [(name, 0), (name, 1), (name, 2)]
    assert counts.look() == (2, 1, 0)
    after = read_files(store / "arrays")
    assert {path: after[path] for path in first} == first
    other = write_text(tmp_path / "other.txt", 4000, seed=3)
    more = [
        (other, BASE, "qwen2@main/other"),
        (text, replace(BASE, dtype="bfloat16"), f"{name}#2"),
        (text, replace(BASE, projection="up"), f"{name}#3"),
        (text, replace(BASE, model_dtype="bfloat16", layers=("0",)), f"{name}#4"),
        (text, replace(BASE, windows=20, layers=("0",)), f"{name}#5"),
    ]
    for corpus, settings, expected in more:
        assert ingest(store, model, corpus, settings) == [expected]
        passes = -(-(settings.windows or 0) * 50 // 2050)
        assert counts.look() == (passes, 1, 0)
    after = read_files(store / "arrays")
    assert {path: after[path] for path in first} == first
    assert len(layers_of(store)) == 3 + 3 + 3 + 3 + 1 + 1
    assert len(read_rows(store, "SELECT * FROM checkpoints")) == 1
    assert len(read_rows(store, "SELECT * FROM token_streams")) == 3


def test_added_layers_equal_those_recorded_together(
    tmp_path: Path, models: dict[str, Path], text: Path
) -> None:
    for layers in (("2",), ("0-2",)):
        ingest(tmp_path / "apart", models["qwen2"], text, replace(BASE, layers=layers))
    ingest(tmp_path / "together", models["qwen2"], text, BASE)
    apart, together = (read_files(tmp_path / s / "arrays") for s in ("apart", "together"))
    assert apart == together


def test_a_second_revision_adds_only_itself(counts: Counts, tmp_path: Path, text: Path) -> None:
    store, folder = tmp_path / "store", tmp_path / "tiny"
    for step in (10, 9):
        save(folder / f"step{step}", make_model("gpt_neox", seed=step), tokenizer=step == 9)
    (folder / "step9" / "tokenizer.json").rename(folder / "tokenizer.json")
    (folder / "step9" / "tokenizer_config.json").rename(folder / "tokenizer_config.json")
    assert ingest(store, folder, text, BASE) == ["tiny@step10/words"]
    assert counts.look() == (2, 1, 1)
    both = replace(BASE, revisions=("step9", "step10"))
    work = plan(store, folder, text, both)
    assert [part.label for part in work.todo] == ["tiny@step9"]
    assert work.names(["tiny@step9/words"]) == ["tiny@step9/words", "tiny@step10/words"]
    assert ingest(store, folder, text, both) == ["tiny@step9/words"]
    assert counts.look() == (2, 1, 1)
    assert len(read_rows(store, "SELECT * FROM token_streams")) == 1
    steps = read_rows(store, "SELECT revision, step FROM checkpoints ORDER BY id")
    assert [tuple(row.values()) for row in steps] == [("step10", 10), ("step9", 9)]


def test_touched_files_are_hashed_again_and_accepted(
    counts: Counts, tmp_path: Path, models: dict[str, Path], text: Path
) -> None:
    store, folder = tmp_path / "store", shutil.copytree(models["gpt_neox"], tmp_path / "tiny")
    (name,) = ingest(store, folder, text, BASE)
    counts.look()
    os.utime(folder / "model.safetensors", ns=(1, 1))
    assert ingest(store, folder, text, BASE) == [name]
    assert counts.look() == (0, 0, 1)
    (row,) = read_rows(store, "SELECT files FROM checkpoints")
    assert '"mtime_ns":1,' in str(row["files"])
    assert ingest(store, folder, text, BASE) == []
    assert len(layers_of(store)) == 2


@pytest.mark.parametrize("what", ["other weights", "another config"])
def test_changed_files_of_a_known_revision_are_refused(
    what: str, tmp_path: Path, models: dict[str, Path], text: Path
) -> None:
    store, folder = tmp_path / "store", shutil.copytree(models["gpt_neox"], tmp_path / "tiny")
    ingest(store, folder, text, BASE)
    if what == "other weights":
        save(folder, make_model("gpt_neox", seed=1))
    else:
        config = json.loads((folder / "config.json").read_text()) | {"layer_norm_eps": 0.5}
        (folder / "config.json").write_text(json.dumps(config))
    before = read_tables(store)
    with pytest.raises(InputError, match=f"main is in the store with {what}"):
        ingest(store, folder, text, BASE)
    after = read_tables(store)
    assert len(after.pop("jobs")) == len(before.pop("jobs")) + 1
    before.pop("sqlite_sequence"), after.pop("sqlite_sequence")
    assert after == before


def test_missing_blocks_are_those_without_rows(recorded: Path) -> None:
    database = open_store(recorded).database
    assert find_missing(database, 1, (0, 1), 2) == {}
    assert find_missing(database, None, (1,), 2) == {1: (0, 1)}
    assert find_missing(None, 1, (0,), 1) == {0: (0,)}
