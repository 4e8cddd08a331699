import json
from pathlib import Path
from typing import cast

import pytest
from torch import nn
from transformers import AutoModelForCausalLM

from ingest.families import FAMILIES, find_family, find_projections, read_model_facts
from store.errors import InputError, NotFoundError
from tests.models import GATED, POSITIONS, SIZES
from tests.oracles.hooks import name_of

BRANCHES = [(family, "gate") for family in SIZES] + [(family, "up") for family in GATED]


def test_every_family_is_tested() -> None:
    assert set(FAMILIES) == set(SIZES)


@pytest.mark.parametrize("family", SIZES)
def test_facts_are_those_of_the_config(family: str, models: dict[str, Path]) -> None:
    facts, size = read_model_facts(models[family], "tiny", "there"), SIZES[family]
    assert (facts.name, facts.source, facts.family) == ("tiny", "there", family)
    assert (facts.d_model, facts.n_layers, facts.d_mlp) == (size.d_model, size.n_layers, size.d_mlp)
    assert facts.activation == ("silu" if family in GATED else "gelu")
    assert facts.gated == (family in GATED)
    assert facts.parallel_residual == (family == "gpt_neox")
    assert facts.max_positions == POSITIONS


@pytest.mark.parametrize(("family", "branch"), BRANCHES)
def test_projections_are_the_modules_of_these_names(
    family: str, branch: str, models: dict[str, Path]
) -> None:
    model = cast("nn.Module", AutoModelForCausalLM.from_pretrained(models[family]))
    by_name = dict(model.named_modules())
    found = find_projections(model, FAMILIES[family], branch, (1, 0))
    assert list(found) == [1, 0]
    for layer, module in found.items():
        assert module is by_name[name_of(family, branch, layer)]


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
        ("{}", "is not a model's config: KeyError.'model_type'"),
        ('{"model_type": "gpt9"}', "'gpt9'; negspace knows gpt_neox, llama, mistral, qwen2, qwen3"),
        ('{"model_type": "llama", "hidden_size": "many"}', "cannot be used|lacks what"),
        ('{"model_type": "llama", "intermediate_size": null}', "cannot be used|lacks what"),
    ],
)
def test_a_config_that_says_no_model_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_model_facts(write_config(tmp_path, text), "tiny", "there")


@pytest.mark.parametrize("kind", ["[1]", "{}"])
def test_a_model_type_that_is_no_word_is_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(InputError, match="model type"):
        find_family(write_config(tmp_path, f'{{"model_type": {kind}}}'))


def test_a_missing_config_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"There is no config\.json in"):
        find_family(tmp_path)
