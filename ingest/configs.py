"""Reads a model's config.json, and refuses the architectures that cannot be recorded.

Nothing of the weights is read, and no code of the model's own is run.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.reasons import reason_of
from store.errors import InputError, NotFoundError

if TYPE_CHECKING:
    from transformers import PretrainedConfig

_EXPERTS = re.compile(r"(?:moe_)?(?:num|n)_(?:local_|routed_)?experts")


def read_kind(folder: Path) -> str:
    """Return the `model_type` of the model in `folder`.

    Raises NotFoundError without a config; InputError for a broken one, an encoder-decoder or a
    mixture of experts.
    """
    path = folder / "config.json"
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
        kind = str(written["model_type"])
    except FileNotFoundError:
        raise NotFoundError(f"There is no config.json in {folder}.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is not a model's config ({error!r}); fetch or save it again."
        ) from error
    _refuse_architecture(path, kind, _with_defaults(folder, written))
    return kind


def load_config(folder: Path) -> "PretrainedConfig":
    """Return the config in `folder` with transformers' defaults; InputError where it cannot be."""
    # transformers takes a second to load, and fills in what a config leaves out.
    from transformers import AutoConfig

    try:
        config: PretrainedConfig = AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # transformers raises many kinds, all about this one file
        raise InputError(
            f"{folder / 'config.json'} cannot be used ({reason_of(error)}); correct it, or fetch "
            "it again."
        ) from error
    return config


def read_vocabulary_size(folder: Path) -> int | None:
    """Return the number of token embeddings that the config says, or None where it says none."""
    size = getattr(load_config(folder).get_text_config(), "vocab_size", None)
    return size if isinstance(size, int) else None


def check_activation(config: "PretrainedConfig", folder: Path, names: Iterable[str]) -> None:
    """Raise InputError where the config names an activation that transformers does not know.

    `names` are the config's names for it.
    """
    from transformers.activations import ACT2FN

    for name in names:
        value = getattr(config, name, None)
        if isinstance(value, str) and value not in ACT2FN:
            raise InputError(
                f"{folder / 'config.json'}: {name} is {value!r}, no activation that transformers "
                "knows; correct it to what the model was trained with, such as gelu, silu or relu."
            )


def _with_defaults(folder: Path, written: dict[str, object]) -> Mapping[str, object]:
    try:
        filled: dict[str, object] = load_config(folder).to_dict()
    except InputError:  # a type that transformers does not know has no defaults
        return written
    return filled


def _refuse_architecture(path: Path, kind: str, values: Mapping[str, object]) -> None:
    if values.get("is_encoder_decoder"):
        raise InputError(
            f"{path} describes an encoder-decoder ({kind}), whose decoder also reads another "
            "text; negspace records decoder-only language models."
        )
    for name, count in _counts_of_experts(values):
        raise InputError(
            f"{path} describes a mixture of experts ({name} is {count}), whose neurons each see "
            "some of the tokens only; negspace records dense models."
        )


def _counts_of_experts(values: Mapping[str, object]) -> Iterator[tuple[str, int]]:
    """Yield each setting, nested ones too, that counts more than one expert."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _counts_of_experts(value)
        elif _EXPERTS.fullmatch(str(name)):
            counts = value if isinstance(value, list | tuple) else [value]
            most = max((c for c in counts if isinstance(c, int)), default=0)
            if most > 1:
                yield str(name), most
