"""Input that once did harm: each is refused in one sentence, and nothing is lost."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.models import make_model, save
from tests.tui.calling import call
from tests.tui.test_refusals import refuses


@pytest.fixture
def gpt2(tmp_path: Path) -> Path:
    return save(tmp_path / "models" / "gpt2", make_model("gpt2"))


@pytest.mark.parametrize("name", ["negspace.sqlite", "store.json", "arrays/1/zarr.json", "new.csv"])
def test_sql_writes_no_file_of_the_store(analysed: Path, name: str) -> None:
    found = refuses("sql", "SELECT 1", "--out", analysed / name, "--store", analysed)
    assert found == f"--out {analysed / name} lies in the store; name a file outside of it."
    Path("link.csv").symlink_to(analysed / name)
    assert "lies in the store" in refuses(
        "sql", "SELECT 1", "--out", "link.csv", "--store", analysed
    )


@pytest.mark.parametrize("name", ["", "  "])
def test_an_empty_name_is_no_part_of_a_name(analysed: Path, name: str) -> None:
    for words in (("remove", name, "--yes"), ("verify", name), ("analyze", name)):
        assert refuses(*words, "--store", analysed) == (
            f"The name {name!r} is empty; give a recording's, or a part of it."
        )


@pytest.mark.parametrize("name", ["my?store", "100%20", "a%41b", "a#b", "a b \U0001f600"])
def test_a_store_may_have_any_name(gpt2: Path, text: Path, name: str) -> None:
    words = ("--window-length", "50", "--pairs", "50", "--windows", "4", "--quiet")
    done = call("ingest", gpt2, text, *words, "--store", Path("stores") / name)
    assert done.code == 0, done.err
    assert [path.name for path in Path("stores").iterdir()] == [name]
    assert call("verify", "--full", "--store", Path("stores") / name).code == 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--layers", "0-999999999"), "--layers: '0-999999999' goes beyond layer 100000;"),
        (
            ("--pair-seed", "9" * 30),
            f"--pair-seed is {'9' * 30}; give 9223372036854775807 or less.",
        ),
        (("--layers", ""), "'' is empty; leave the option out, or name something."),
        (("--revision", ","), "',' is empty; leave the option out, or name something."),
        (("--name", " "), "--name is empty; give the model's name in the store."),
        (("--store", ""), "--store is empty; name the folder of a store."),
    ],
)
def test_options_that_would_mean_too_much(
    gpt2: Path, text: Path, words: tuple[str, ...], sentence: str
) -> None:
    assert sentence in refuses("ingest", gpt2, text, *words, code=2)


def test_an_empty_model(text: Path) -> None:
    assert refuses("ingest", "", text, code=2).startswith("MODEL is empty;")


def test_a_tokenizer_with_more_tokens_than_the_model(gpt2: Path, text: Path) -> None:
    config = json.loads((gpt2 / "config.json").read_text())
    (gpt2 / "config.json").write_text(json.dumps(config | {"vocab_size": 100}))
    found = refuses("ingest", gpt2, text, "--window-length", "50", "--pairs", "50")
    assert "but the model has 100 token embeddings; put the model's own tokenizer there." in found


def test_weights_of_another_shape_are_named(gpt2: Path, text: Path) -> None:
    config = json.loads((gpt2 / "config.json").read_text())
    (gpt2 / "config.json").write_text(json.dumps(config | {"n_inner": 48}))
    done = call("ingest", gpt2, text, "--window-length", "50", "--pairs", "50", "--store", "s")
    assert done.code == 1
    assert "do not fit its config" in done.err
    assert "mlp.c_fc" in done.err


@pytest.mark.parametrize(
    ("name", "layer", "sentence"),
    [
        (
            "h.0.mlp.c_fc.weight",
            0,
            "Layer 0, neuron 0: its weights hold NaN or infinity; fetch or save",
        ),
        (
            "h.0.mlp.c_proj.bias",
            1,
            "Layer 1: values that reach the projection are NaN or infinite, bec",
        ),
    ],
)
def test_weights_that_are_no_numbers(
    gpt2: Path, text: Path, name: str, layer: int, sentence: str
) -> None:
    tensors = load_file(gpt2 / "model.safetensors")
    tensors[f"transformer.{name}"][..., 0] = np.nan
    save_file(tensors, gpt2 / "model.safetensors", {"format": "pt"})
    words = ("--window-length", "50", "--pairs", "50", "--layers", str(layer), "--store", "s")
    done = call("ingest", gpt2, text, *words)
    assert (done.code, done.out) == (1, "")
    assert done.error.startswith(f"Error: {sentence}")


@pytest.mark.parametrize("n_layers", [0, -1])
def test_a_model_without_layers(gpt2: Path, text: Path, n_layers: int) -> None:
    config = json.loads((gpt2 / "config.json").read_text())
    (gpt2 / "config.json").write_text(json.dumps(config | {"n_layer": n_layers}))
    assert f"it has {n_layers} layers" in refuses("ingest", gpt2, text)


def test_a_name_that_is_not_utf8(gpt2: Path, text: Path) -> None:
    odd = Path("\udcff.txt")
    odd.write_bytes(text.read_bytes())
    assert "is not UTF-8; rename it." in refuses("ingest", gpt2, odd)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("a@b", "has @, which the names of recordings are put together with"),
        ("a#2", "has #, which the names of recordings are put together with"),
        ("a" * 101, "has 101 letters, and 100 are the most"),
    ],
)
def test_names_that_would_make_a_recordings_ambiguous(
    gpt2: Path, text: Path, name: str, fault: str
) -> None:
    odd = Path(f"{name}.txt")
    odd.write_bytes(text.read_bytes())
    assert refuses("ingest", gpt2, odd) == (
        f"The text's name {name!r} {fault}; rename its file or folder."
    )
    model = gpt2.rename(gpt2.with_name(name))
    assert refuses("ingest", model, text) == (
        f"The model's name {name!r} {fault}; give it --name NAME."
    )
    sizes = ("--window-length", "50", "--pairs", "50", "--windows", "4")
    done = call("ingest", model, text, *sizes, "--name", "tiny", "--dry-run")
    assert (done.code, done.out.partition(":")[0]) == (0, "tiny@main")


def test_a_home_that_is_not_there(analysed: Path) -> None:
    assert refuses("status", "--store", "~nobody-of-that-name/s").startswith("A path begins with ~")
