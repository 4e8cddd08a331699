import json
import re
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM
from transformers.activations import ACT2FN

from analysis.metrics.activations import evaluate, is_known
from ingest.families import FAMILIES, find_family, find_projections, read_model_facts
from store.errors import InputError, NotFoundError
from tests.models import GATED, POSITIONS, SIZES
from tests.oracles.hooks import name_of

BRANCHES = [(name, "gate") for name in SIZES] + [(name, "up") for name in GATED]
DOCS = Path(__file__).parents[2] / "docs"
ACTIVATIONS = {
    "gpt_neox": "gelu",
    "opt": "relu",
    "opt_350m": "relu",
    "gpt2": "gelu_new",
    "gptj": "gelu_new",
    "phi": "gelu_new",
    "gemma2": "gelu_pytorch_tanh",
    "gemma3_text": "gelu_pytorch_tanh",
}


def test_every_family_is_tested() -> None:
    assert set(FAMILIES) == {size.family for size in SIZES.values()}


@pytest.mark.parametrize("name", SIZES)
def test_facts_are_those_of_the_config(name: str, models: dict[str, Path]) -> None:
    facts, size = read_model_facts(models[name], "tiny", "there"), SIZES[name]
    assert (facts.name, facts.source, facts.family) == ("tiny", "there", size.family)
    assert (facts.d_model, facts.n_layers, facts.d_mlp) == (size.d_model, size.n_layers, size.d_mlp)
    assert facts.activation == ACTIVATIONS.get(name, "silu")
    assert is_known(facts.activation)
    assert facts.gated == (name in GATED)
    assert facts.parallel_residual == (name in ("gpt_neox", "gptj", "phi"))
    assert facts.max_positions == POSITIONS


@pytest.mark.parametrize(("name", "branch"), BRANCHES)
def test_projections_are_the_modules_of_these_names(
    name: str, branch: str, models: dict[str, Path]
) -> None:
    model = cast("nn.Module", AutoModelForCausalLM.from_pretrained(models[name]))
    by_name = dict(model.named_modules())
    found = find_projections(model, FAMILIES[SIZES[name].family], branch, (1, 0))
    assert list(found) == [1, 0]
    for layer, module in found.items():
        assert module is by_name[name_of(name, branch, layer)]


def test_activations_of_a_known_name_mean_what_transformers_means() -> None:
    y = np.linspace(-12.0, 12.0, 401)
    known = [name for name in ACT2FN if is_known(name)]
    assert set(known) >= {"gelu", "silu", "relu", *ACTIVATIONS.values()}
    assert "quick_gelu" not in known
    for name in known:
        expected = ACT2FN[name](torch.from_numpy(y)).numpy()
        np.testing.assert_allclose(evaluate(name, y), expected, rtol=1e-6, atol=1e-9)


def test_a_projection_that_is_not_where_the_family_says_is_one_clear_error() -> None:
    with pytest.raises(InputError, match=r"not built as its family says: .*model.* --module"):
        find_projections(nn.Linear(2, 2), FAMILIES["llama"], "gate", (0,))


def write_config(folder: Path, text: str) -> Path:
    (folder / "config.json").write_text(text)
    return folder


def test_a_serial_residual_and_defaults_are_read(tmp_path: Path, models: dict[str, Path]) -> None:
    config = json.loads((models["gpt_neox"] / "config.json").read_text())
    config["use_parallel_residual"] = False
    del config["hidden_act"]
    facts = read_model_facts(write_config(tmp_path, json.dumps(config)), "tiny", "there")
    assert not facts.parallel_residual
    assert facts.activation == "gelu"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not a model's config"),
        ("[]", "is not a model's config"),
        ("{}", "is not a model's config .KeyError.'model_type'"),
        ('{"model_type": "gpt9"}', f"'gpt9'; negspace knows {', '.join(FAMILIES)}. Name its"),
        ('{"model_type": "falcon"}', "or add its family as docs/families.md shows"),
        ('{"model_type": "llama", "hidden_size": "many"}', "cannot be used|lacks what"),
        ('{"model_type": "llama", "intermediate_size": null}', "cannot be used|lacks what"),
    ],
)
def test_a_config_that_says_no_model_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_model_facts(write_config(tmp_path, text), "tiny", "there")


@pytest.mark.parametrize("module", [None, "a.{layer}.b"])
@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "t5"}, r"describes an encoder-decoder \(t5\).*records decoder-only"),
        ({"model_type": "bart"}, r"describes an encoder-decoder \(bart\)"),
        ({"model_type": "new", "is_encoder_decoder": True}, r"an encoder-decoder \(new\)"),
        ({"model_type": "mixtral"}, r"mixture of experts \(num_local_experts is 8\)"),
        (
            {"model_type": "qwen3_moe"},
            r"\(num_local_experts is 128\).*negspace records dense models",
        ),
        ({"model_type": "deepseek_v3"}, r"\(n_routed_experts is 256\)"),
        ({"model_type": "dbrx"}, r"\(moe_num_experts is 4\)"),
        ({"model_type": "llama", "num_experts": 2}, r"\(num_experts is 2\)"),
        ({"model_type": "new", "text": {"num_experts": [1, 4]}}, r"\(num_experts is 4\)"),
    ],
)
def test_other_architectures_are_refused_with_a_reason(
    tmp_path: Path, config: dict[str, object], message: str, module: str | None
) -> None:
    with pytest.raises(InputError, match=message):
        read_model_facts(write_config(tmp_path, json.dumps(config)), "tiny", "there", module)


@pytest.mark.parametrize("experts", [0, 1, None])
def test_one_expert_is_no_mixture(
    tmp_path: Path, models: dict[str, Path], experts: int | None
) -> None:
    config = json.loads((models["llama"] / "config.json").read_text())
    config |= {"num_local_experts": experts, "num_experts_per_tok": 2}
    assert find_family(write_config(tmp_path, json.dumps(config))) is FAMILIES["llama"]


def test_a_width_left_out_is_four_times_the_models(tmp_path: Path, models: dict[str, Path]) -> None:
    config = json.loads((models["gpt2"] / "config.json").read_text())
    assert config.pop("n_inner") == 40
    facts = read_model_facts(write_config(tmp_path, json.dumps(config)), "tiny", "there")
    assert (facts.d_model, facts.d_mlp) == (16, 64)


@pytest.mark.parametrize("page", ["families.md", "methods.md"])
def test_the_docs_list_every_family(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    for kind, family in FAMILIES.items():
        path = family.projections["gate"]
        if page == "methods.md":
            kind, path = "", path.replace(".{layer}", "[l]")
        assert re.search(rf"\|.*{kind}.*\| `{re.escape(path)}`", text)


@pytest.mark.parametrize("kind", ["[1]", "{}"])
def test_a_model_type_that_is_no_word_is_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(InputError, match="model type"):
        find_family(write_config(tmp_path, f'{{"model_type": {kind}}}'))


def test_a_missing_config_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"There is no config\.json in"):
        find_family(tmp_path)
