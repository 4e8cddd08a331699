import errno
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from ingest.weights import (
    count_parameters,
    describe_files,
    hash_checkpoint,
    hash_tensor,
    list_tensors,
    read_rows,
    weight_files,
)
from store.errors import InputError
from tests.models import SIZES, make_model, save

SHARDED = "model.safetensors.index.json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkpoint of five tensors of several dtypes, one of them empty, in one file."""
    generator = torch.Generator().manual_seed(0)
    tensors = {
        "b.weight": torch.randn(3, 4, generator=generator),
        "a.bias": torch.randn(7, generator=generator).to(torch.bfloat16),
        "a.weight": torch.randn(2, 3, generator=generator).half(),
        "c.count": torch.tensor(5, dtype=torch.int64),
        "d.empty": torch.zeros(0, 4),
    }
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "config.json").write_text('{"model_type": "none"}')
    return tmp_path


def bytes_of(tensor: torch.Tensor) -> bytes:
    return tensor.reshape(-1).contiguous().view(torch.uint8).numpy().tobytes()


def plain_hashes(files: list[Path]) -> tuple[str, dict[str, str]]:
    """METHODS 7 by safetensors' own loader: the hash of all, and of each tensor."""
    tensors: dict[str, torch.Tensor] = {}
    for file in files:
        with safe_open(file, framework="pt") as opened:
            tensors |= {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    whole, each = b"", {}
    for name in sorted(tensors):
        kind = str(tensors[name].dtype).removeprefix("torch.")
        shape = ",".join(str(n) for n in tensors[name].shape)
        data = bytes_of(tensors[name]) if tensors[name].numel() else b""
        whole += f"{name}\0{kind}\0{shape}\0".encode() + data
        each[name] = hashlib.sha256(data).hexdigest()
    return hashlib.sha256(whole).hexdigest(), each


def test_hashes_are_those_of_the_methods(folder: Path) -> None:
    reports: list[tuple[int, int]] = []
    facts = hash_checkpoint(folder, "step5", 5, lambda *done: reports.append(done))
    whole, each = plain_hashes([folder / "model.safetensors"])
    assert facts.weights_hash == whole
    assert {tensor.name: tensor.hash for tensor in facts.tensors} == each
    assert [(t.name, t.dtype, t.shape) for t in facts.tensors] == [
        ("a.bias", "bfloat16", "7"),
        ("a.weight", "float16", "2,3"),
        ("b.weight", "float32", "3,4"),
        ("c.count", "int64", ""),
        ("d.empty", "float32", "0,4"),
    ]
    assert (facts.revision, facts.step, facts.n_parameters) == ("step5", 5, 12 + 7 + 6 + 1)
    sizes = [14, 26, 74, 82, 82]
    assert reports == [(done, 82) for done in sizes]


@pytest.mark.parametrize("family", SIZES)
def test_hashes_of_each_family(family: str, models: dict[str, Path]) -> None:
    facts = hash_checkpoint(models[family], "main", None, lambda *_: None)
    whole, each = plain_hashes([models[family] / "model.safetensors"])
    assert (facts.weights_hash, {t.name: t.hash for t in facts.tensors}) == (whole, each)
    model = make_model(family)
    assert facts.n_parameters == sum(p.numel() for p in model.parameters())


def test_shards_hash_as_one_file_does(tmp_path: Path, models: dict[str, Path]) -> None:
    model = make_model("llama")
    model.save_pretrained(tmp_path, max_shard_size="20KB")
    assert (tmp_path / SHARDED).exists()
    files = weight_files(tmp_path)
    assert len(files) > 1
    (tmp_path / "other.safetensors").write_bytes(b"no part of the index")
    assert weight_files(tmp_path) == files
    found, whole = (hash_checkpoint(f, "main", None, lambda *_: None) for f in
                    (tmp_path, models["llama"]))  # fmt: skip
    assert (found.weights_hash, found.tensors) == (whole.weights_hash, whole.tensors)
    assert found.weights_hash == plain_hashes(files)[0]
    assert len(json.loads(found.files)) == 1 + len(files)


def test_the_file_that_is_loaded_is_the_one_that_is_hashed(tmp_path: Path) -> None:
    save(tmp_path, make_model("qwen3"), tokenizer=False)
    for name in ("consolidated.safetensors", SHARDED):
        (tmp_path / name).write_bytes((tmp_path / "model.safetensors").read_bytes())
    assert weight_files(tmp_path) == [tmp_path / "model.safetensors"]


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    make_model("llama").save_pretrained(tmp_path, max_shard_size="20KB")
    first = weight_files(tmp_path)[0]
    first.unlink()
    with pytest.raises(InputError, match=f"lacks {first.name}, which its index names"):
        weight_files(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"weight_map": 3}', '{"weight_map": {"a": 1}}'])
def test_a_broken_index_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / SHARDED).write_text(text)
    with pytest.raises(InputError, match="is not an index of weights"):
        weight_files(tmp_path)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "consolidated.safetensors"])
def test_a_folder_without_the_file_that_is_loaded_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(InputError, match=r"holds no model\.safetensors"):
        weight_files(tmp_path)


def _cut(data: bytes) -> bytes:
    return data[:-1]


def _cut_header(data: bytes) -> bytes:
    return data[:40]


def _empty(_data: bytes) -> bytes:
    return b""


def _huge_header(data: bytes) -> bytes:
    return b"\xff" * 8 + data[8:]


def _list_header(_data: bytes) -> bytes:
    return (2).to_bytes(8, "little") + b"[]"


def _bad_entry(_data: bytes) -> bytes:
    header = b'{"a": {"dtype": "F32", "shape": [1]}}'
    return len(header).to_bytes(8, "little") + header + b"0000"


@pytest.mark.parametrize(
    "spoil", [_cut, _cut_header, _empty, _huge_header, _list_header, _bad_entry]
)
def test_a_file_that_is_not_whole_is_refused(folder: Path, spoil: Callable[[bytes], bytes]) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(spoil(file.read_bytes()))
    with pytest.raises(InputError, match="is not a whole safetensors file"):
        list_tensors(folder)


def test_a_file_that_cannot_be_read_is_not_called_broken(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_given: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError) as caught:
        list_tensors(folder)
    assert str(caught.value) == (
        f"{folder / 'model.safetensors'} cannot be read (Permission denied); check its permissions "
        "and its disk."
    )


def test_tensors_lie_where_the_header_says(folder: Path) -> None:
    entries = list_tensors(folder)
    data = (folder / "model.safetensors").read_bytes()
    with safe_open(folder / "model.safetensors", framework="pt") as opened:
        for entry in entries:
            tensor = opened.get_tensor(entry.name)
            assert entry.shape == tuple(tensor.shape)
            if tensor.numel():
                assert data[entry.start : entry.end] == bytes_of(tensor)
    assert count_parameters(entries) == 26


def test_files_are_recognised_by_size_time_and_config(folder: Path) -> None:
    before = json.loads(describe_files(folder))
    config, weights = before
    assert config["sha256"] == hashlib.sha256((folder / "config.json").read_bytes()).hexdigest()
    assert (config["name"], weights["name"]) == ("config.json", "model.safetensors")
    assert weights["size"] == (folder / "model.safetensors").stat().st_size
    assert json.loads(describe_files(folder)) == before
    os.utime(folder / "model.safetensors", ns=(1, 1))
    assert json.loads(describe_files(folder)) == [config, {**weights, "mtime_ns": 1}]


@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16], ids=str
)
def test_rows_of_a_matrix_are_those_of_torch(dtype: torch.dtype, tmp_path: Path) -> None:
    values = torch.randn(9, 5, generator=torch.Generator().manual_seed(1)).to(dtype)
    save_file({"a": torch.ones(3), "b": values}, tmp_path / "model.safetensors")
    entry = list_tensors(tmp_path)[1]
    for rows in (slice(None), slice(2, 5), slice(7, 99)):
        found = read_rows(entry, rows)
        assert found.dtype == np.float32
        assert found.tolist() == values.float()[rows].tolist()


def test_rows_of_whole_numbers_are_refused(tmp_path: Path) -> None:
    save_file({"a": torch.ones(3, 2, dtype=torch.int8)}, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match=r"a of .* is int8"):
        read_rows(list_tensors(tmp_path)[0], slice(None))


def test_the_hash_of_a_tensor_is_that_of_its_checkpoint(folder: Path) -> None:
    facts = hash_checkpoint(folder, "main", None, lambda *_: None)
    hashes = {entry.name: hash_tensor(entry) for entry in list_tensors(folder)}
    assert hashes == {tensor.name: tensor.hash for tensor in facts.tensors}
