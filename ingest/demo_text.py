"""The demo's text and tokenizer: CPython's language reference, and a byte-level BPE learnt on it.

Both are functions of the Python in use alone. The tokenizer is built as Pythia's is: NFC, no
leading space added, `<|endoftext|>` as entry 0, and no BOS put before a text.
"""

from pathlib import Path

from store.errors import InputError

END_OF_TEXT = "<|endoftext|>"


def read_topics() -> str:
    """Return the topics of `pydoc_data.topics` in the order of their names, a blank line between.

    Raises InputError where Python came without them.
    """
    try:
        from pydoc_data.topics import topics  # some distributions leave it out
    except ImportError as error:
        raise InputError(
            "The demo's text, the module pydoc_data.topics, is missing from this Python; "
            "install Python's full standard library and run it again."
        ) from error
    return "\n\n".join(topics[name].strip("\n") for name in sorted(topics)) + "\n"


def write_tokenizer(text: str, n_entries: int, folder: Path) -> None:
    """Learn a BPE of at most `n_entries` entries on the text and save its files into the folder."""
    # Loaded here because a demo that is already made needs neither library.
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from tokenizers.trainers import BpeTrainer
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=n_entries,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([text], trainer)
    PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TEXT,
        unk_token=END_OF_TEXT,
    ).save_pretrained(folder)


def encode(text: str, tokenizer: Path) -> list[int]:
    """Return the token ids of the text under the tokenizer saved in that folder."""
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(tokenizer / "tokenizer.json")).encode(text).ids
