"""Families end to end, and projections named by `--module`."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import (
    BloomConfig,
    GPTNeoConfig,
    Phi3Config,
    Starcoder2Config,
)
from transformers.activations import ACT2FN

from analysis.metrics.activations import is_known
from ingest import families
from ingest.families import Family, read_model_facts
from ingest.modules import UNLIMITED, find_named
from ingest.settings import IngestSettings
from store.errors import InputError
from store.recording import Recording
from store.store import Store, open_store
from tests.models import GATED, SIZES, Config, analyse, ingest, plan, randomize, save
from tests.oracles.hooks import name_of, round_to, watch
from tests.oracles.stored import Cell, read_bits, read_dtype, read_files, read_numbers, read_rows

BASE = IngestSettings(window_length=50, windows=10, pairs=60)
C_FC = "transformer.h.{layer}.mlp.c_fc"
BRANCHES = [(name, "gate") for name in SIZES] + [(name, "up") for name in GATED]
EXAMPLES = re.findall(
    r"```python\n(.*?)```",
    (Path(__file__).parents[2] / "docs/families.md").read_text(encoding="utf-8"),
    re.DOTALL,
)
SHAPE = {"vocab_size": 300, "hidden_size": 16, "bos_token_id": 0, "eos_token_id": 1}
TWO = {"num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 40}
OTHERS: dict[str, tuple[Config, dict[str, object]]] = {
    "starcoder2": (Starcoder2Config, {**TWO, "num_key_value_heads": 1}),
    "gpt_neo": (
        GPTNeoConfig,
        {"num_layers": 2, "num_heads": 2, "attention_types": [[["local"], 2]]},
    ),
    "bloom": (BloomConfig, {"n_layer": 2, "n_head": 2}),
    "phi3": (Phi3Config, {**TWO, "pad_token_id": 0}),
}
"""Models of no known family: their configs, and what these need besides SHAPE."""


def save_other(folder: Path, kind: str) -> Path:
    config, options = OTHERS[kind]
    return save(folder / kind, randomize(config(**SHAPE, **options), torch.float32))


def recorded(store: Path, model: Path, text: Path, settings: IngestSettings = BASE) -> Recording:
    (name,) = ingest(store, model, text, settings)
    return open_store(store).recording(name)


def check_hooks(recording: Recording, folder: Path, pattern: str) -> None:
    """Every stored value against plain hooks on the modules of this path."""
    names = [pattern.format(layer=layer) for layer in recording.layers]
    seen = watch(folder, names, recording.windows())
    weights = load_file(folder / "model.safetensors")
    for layer, (x, y) in enumerate(seen):
        place = recording.store.arrays / str(recording.row.id) / f"layer.{layer}"
        np.testing.assert_array_equal(read_bits(place, "inputs"), round_to(x, "float16"))
        np.testing.assert_array_equal(read_bits(place, "preactivations"), round_to(y, "float16").T)
        weight = weights[f"{names[layer]}.weight"].double().numpy()
        if weight.shape[0] == x.shape[1]:
            weight = weight.T
        np.testing.assert_array_equal(read_numbers(place, "projection"), weight)


@pytest.fixture(scope="module")
def analysed(
    tmp_path_factory: pytest.TempPathFactory, models: dict[str, Path], text: Path
) -> Store:
    """A store with every family and branch, recorded and analysed."""
    folder = tmp_path_factory.mktemp("analysed") / "store"
    for name, branch in BRANCHES:
        ingest(folder, models[name], text, replace(BASE, projection=branch))
    store = open_store(folder)
    assert analyse(store) == []
    return store


@pytest.mark.parametrize(("name", "branch"), BRANCHES)
def test_metrics_are_those_of_the_activation_of_the_model(
    name: str, branch: str, analysed: Store, models: dict[str, Path]
) -> None:
    recording = analysed.recording(f"{name}@main/words" + ("#2" if branch == "up" else ""))
    assert recording.row.projection == branch
    config = json.loads((models[name] / "config.json").read_text())
    keys = ("hidden_act", "hidden_activation", "activation_function")
    act = ACT2FN[next(config[key] for key in keys if key in config)]
    ((_, outputs),) = watch(models[name], [name_of(name, branch, 1)], recording.windows())
    y = torch.from_numpy(outputs.astype(np.float16).astype(np.float64))
    rows = neurons_of(recording)
    assert len(rows) == SIZES[name].d_mlp
    np.testing.assert_allclose(column(rows, "mean"), y.mean(0), rtol=1e-9, atol=1e-12)
    assert all(row["wd"] is not None and row["md"] is not None for row in rows)
    if branch == "up":
        assert {row["post_mean"] for row in rows} == {None}
        return
    posts = act(y)
    np.testing.assert_allclose(column(rows, "post_mean"), posts.mean(0), 1e-6, 1e-9)
    np.testing.assert_allclose(column(rows, "post_minimum"), posts.amin(0), 1e-5, 1e-8)


def neurons_of(recording: Recording, layer: int = 1) -> list[dict[str, Cell]]:
    return read_rows(
        recording.store.folder,
        "SELECT * FROM neurons WHERE recording_id = ? AND layer = ? ORDER BY neuron",
        recording.row.id,
        layer,
    )


def column(rows: list[dict[str, Cell]], name: str) -> npt.NDArray[np.float64]:
    return np.array([row[name] for row in rows], np.float64)


@pytest.mark.parametrize(("name", "branch"), BRANCHES)
def test_the_path_of_a_family_is_the_familys_recording(
    name: str, branch: str, analysed: Store, models: dict[str, Path], text: Path
) -> None:
    path = name_of(name, branch, 7).replace("7", "{layer}")
    work = plan(analysed.folder, models[name], text, replace(BASE, module=path))
    expected = f"{name}@main/words" + ("#2" if branch == "up" else "")
    assert (work.todo, work.names([])) == ((), [expected])


def test_a_path_of_a_family_may_come_first(
    tmp_path: Path, models: dict[str, Path], text: Path
) -> None:
    up = replace(BASE, module="model.layers.{layer}.mlp.up_proj")
    recording = recorded(tmp_path / "store", models["llama"], text, up)
    assert (recording.name, recording.row.projection) == ("llama@main/words", "up")
    assert ingest(tmp_path / "store", models["llama"], text, replace(BASE, projection="up")) == []


def test_a_module_by_its_path_has_the_bytes_that_a_family_gives_it(
    tmp_path: Path, models: dict[str, Path], text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    family = recorded(tmp_path / "family", models["gpt2"], text)
    monkeypatch.delitem(families.FAMILIES, "gpt2")
    store, by_path = tmp_path / "store", replace(BASE, module=C_FC)
    alone = recorded(store, models["gpt2"], text, by_path)
    assert (family.row.projection, alone.row.projection) == ("gate", C_FC)
    for layer in family.layers:
        first, second = (r.store.arrays / f"1/layer.{layer}" for r in (family, alone))
        for name in ("inputs", "preactivations", "pair_outputs", "projection"):
            assert read_files(first / name) == read_files(second / name) != {}
    assert ingest(store, models["gpt2"], text, by_path) == []
    (model,) = read_rows(store, "SELECT * FROM models")
    assert (model["d_model"], model["d_mlp"], model["activation"]) == (16, 40, "gelu_new")


def test_another_module_of_a_recorded_model_needs_a_name(
    tmp_path: Path, models: dict[str, Path], text: Path
) -> None:
    store, attention = tmp_path / "store", "transformer.h.{layer}.attn.c_attn"
    recorded(store, models["gpt2"], text)
    other = replace(BASE, module=attention)
    with pytest.raises(InputError, match="d_mlp 40, this one has 48; give this one another name"):
        ingest(store, models["gpt2"], text, other)
    recording = recorded(store, models["gpt2"], text, replace(other, name="attention"))
    check_hooks(recording, models["gpt2"], attention)
    assert read_model_facts(models["gpt2"], "a", "b", attention).activation == "unknown"


def test_an_activation_that_no_config_names_leaves_post_null_with_a_reason(
    tmp_path: Path, text: Path
) -> None:
    pattern = "transformer.h.{layer}.mlp.dense_h_to_4h"
    folder = save_other(tmp_path, "bloom")
    recording = recorded(tmp_path / "store", folder, text, replace(BASE, module=pattern))
    check_hooks(recording, folder, pattern)
    assert analyse(recording.store) == []
    rows = neurons_of(recording)
    assert len(rows) == 64
    assert {row["post_mean"] for row in rows} == {None}
    why = "the activation 'unknown' is not known: post_* are undefined"
    assert all(str(row["reason"]).split("; ")[-1] == why for row in rows)
    assert all(row["wd"] is not None and row["md"] is not None for row in rows)
    (model,) = read_rows(tmp_path / "store", "SELECT * FROM models")
    named = ("family", "n_layers", "d_model", "d_mlp", "activation", "gated", "max_positions")
    assert [model[key] for key in named] == ["bloom", 2, 16, 64, "unknown", 0, UNLIMITED]


@pytest.mark.parametrize(
    ("name", "pattern", "activation", "gated"),
    [
        ("mistral", "model.layers.{layer}.mlp.gate_proj", "silu", True),
        ("mistral", "model.layers.{layer}.mlp.up_proj", "unknown", True),
        ("mistral", "model.layers.{layer}.mlp.down_proj", "unknown", False),
        ("mistral", "model.layers.{layer}.self_attn.q_proj", "unknown", False),
        ("gpt_neox", "gpt_neox.layers.{layer}.mlp.dense_h_to_4h", "gelu", False),
        ("opt_350m", "model.decoder.layers.{layer}.fc1", "relu", False),
        ("gemma2", "model.layers.{layer}.mlp.gate_proj", "gelu_pytorch_tanh", True),
    ],
)
def test_the_config_names_the_activation_of_the_mlp_only(
    name: str, pattern: str, activation: str, gated: bool, models: dict[str, Path]
) -> None:
    facts = read_model_facts(models[name], "tiny", "there", pattern)
    assert (facts.activation, facts.gated) == (activation, gated)
    assert (facts.n_layers, facts.max_positions) == (2, 512)
    assert facts.parallel_residual == (name == "gpt_neox")


def test_both_branches_in_one_module_have_no_activation(tmp_path: Path) -> None:
    folder = save_other(tmp_path, "phi3")
    facts = read_model_facts(folder, "a", "b", "model.layers.{layer}.mlp.gate_up_proj")
    assert (facts.d_mlp, facts.activation) == (80, "unknown")


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("transformer.h.0.mlp.c_fc", r"has \{layer\} 0 times; write it once, .* as in 'transf"),
        ("", r"--module '' has \{layer\} 0 times"),
        ("{layer}.{layer}", r"has \{layer\} 2 times"),
        (
            "transformer.h.{layer}.mlp.fc_in",
            r"--module 'transformer\.h\.\{layer\}\.mlp\.fc_in' is not in the model of .*; it has "
            r"transformer\.h\.\{layer\}\.attn\.c_attn, .*transformer\.h\.\{layer\}\.mlp\.c_fc, ",
        ),
        ("transformer.h.{layer}.ln_2", r"h\.0\.ln_2 is a LayerNorm, not a projection; name a Lin"),
        ("transformer.h.{layer}", r"transformer\.h\.0 is a GPT2Block, not a projection"),
    ],
)
def test_a_module_that_does_not_fit_is_one_clear_error(
    pattern: str, message: str, tmp_path: Path, models: dict[str, Path], text: Path
) -> None:
    with pytest.raises(InputError, match=message) as raised:
        ingest(tmp_path / "store", models["gpt2"], text, replace(BASE, module=pattern))
    assert len(str(raised.value)) < 500
    assert len(str(raised.value).splitlines()) == 1
    assert not (tmp_path / "store").exists()


def test_a_module_and_a_branch_are_not_named_together(
    tmp_path: Path, models: dict[str, Path], text: Path
) -> None:
    both = replace(BASE, module="model.layers.{layer}.mlp.up_proj", projection="up")
    with pytest.raises(InputError, match="names the branch by its path; leave --projection out"):
        ingest(tmp_path / "store", models["qwen2"], text, both)


@pytest.mark.parametrize("name", [n for n in SIZES if n not in GATED])
def test_a_family_without_a_gate_has_no_up_branch(
    name: str, tmp_path: Path, models: dict[str, Path], text: Path
) -> None:
    with pytest.raises(InputError, match=f"{name} has no gate, so no up branch of its own"):
        ingest(tmp_path / "store", models[name], text, replace(BASE, projection="up"))


def test_layers_must_be_alike_and_all_there() -> None:
    model = nn.Module()
    model.layers = nn.ModuleList([nn.Module() for _ in range(3)])
    for layer, block in enumerate(model.layers):
        block.fc = nn.Linear(4, 6 + layer)
        if layer != 1:
            block.gate = nn.Linear(4, 6)
    with pytest.raises(InputError, match=r"several shapes .*: \(6, 4\), \(7, 4\), \(8, 4\); all"):
        find_named(model, "layers.{layer}.fc", Path("there"))
    with pytest.raises(InputError, match="is in the layers 0, 2 only; negspace needs it in every"):
        find_named(model, "layers.{layer}.gate", Path("there"))
    with pytest.raises(InputError, match="it has no such modules in its layers"):
        find_named(nn.Linear(2, 2), "{layer}", Path("there"))


def test_a_config_of_no_language_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "vit"}))
    with pytest.raises(InputError, match=r"No model can be built from .*config\.json"):
        read_model_facts(tmp_path, "a", "b", C_FC)


def test_kept_weights_have_the_dtype_of_files_without_the_models_prefix(
    tmp_path: Path, models: dict[str, Path], text: Path
) -> None:
    folder = Path(shutil.copytree(models["gpt2"], tmp_path / "short"))
    tensors = load_file(folder / "model.safetensors")
    short = {
        name.removeprefix("transformer."): value if "mlp.c_fc" in name else value.bfloat16()
        for name, value in tensors.items()
    }
    short["h.0.mlp.c_fc.weight"] = short["h.0.mlp.c_fc.weight"].half()
    save_file(short, folder / "model.safetensors", metadata={"format": "pt"})
    recording = recorded(tmp_path / "store", folder, text)
    dtypes = [
        read_dtype(tmp_path / f"store/arrays/1/layer.{layer}", "projection")
        for layer in recording.layers
    ]
    assert dtypes == ["float16", "float32"]
    stored = read_numbers(tmp_path / "store/arrays/1/layer.1", "projection")
    np.testing.assert_array_equal(stored, short["h.1.mlp.c_fc.weight"].T.numpy())


def test_the_docs_have_examples() -> None:
    assert len(EXAMPLES) == 2


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_of_the_docs_adds_a_family(
    example: str, tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ((kind, family),) = eval(f"{{{example}}}", {"Family": Family}).items()
    folder = save_other(tmp_path, kind)
    with pytest.raises(InputError, match=f"has the model type '{kind}'; negspace knows gpt_neox"):
        recorded(tmp_path / "store", folder, text)
    monkeypatch.setitem(families.FAMILIES, kind, family)
    recording = recorded(tmp_path / "store", folder, text)
    check_hooks(recording, folder, family.projections["gate"])
    assert is_known(read_model_facts(folder, kind, "there").activation)
