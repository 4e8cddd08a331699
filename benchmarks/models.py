"""Models with random weights, a tokenizer and a text for them: made here, nothing is downloaded.

The words of the text are all pairs of letters, a token each, drawn evenly. So a neuron of a random
model sees 676 tokens in ever new contexts, and its values are spread much like a normal's.
"""

import itertools
import random
import string
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from benchmarks.sizes import Shape
from ingest.models import quiet

SEED = 0
WORDS = ["".join(pair) for pair in itertools.product(string.ascii_lowercase, repeat=2)]
_VOCABULARY = 256 + 26 + len(WORDS) + 2


def make_model(shape: Shape) -> PreTrainedModel:
    """Return a model of the shape with random float32 weights, ready for inference."""
    config = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.d_model,
        intermediate_size=shape.d_mlp,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        model = LlamaForCausalLM(config)
    model.eval()  # type: ignore[no-untyped-call]
    return model


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Return a byte-level BPE tokenizer to which each word of the text is one token."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator([" ".join(WORDS)] * 3, trainer)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=backend, bos_token="<s>", eos_token="</s>"
    )


def save_model(folder: Path, shape: Shape) -> Path:
    """Save a model of the shape with its tokenizer and return the folder; once for each shape."""
    place = folder / "models" / shape.name
    if not place.exists():
        with quiet():
            make_model(shape).save_pretrained(place)
        make_tokenizer().save_pretrained(place)
    return place


def write_text(folder: Path, n_tokens: int) -> Path:
    """Write a text of so many tokens and return its path; the same for each number."""
    path = folder / f"words-{n_tokens}.txt"
    if not path.exists():
        words = random.Random(SEED).choices(WORDS, k=n_tokens)
        path.write_text(" ".join(words), encoding="utf-8")
    return path
