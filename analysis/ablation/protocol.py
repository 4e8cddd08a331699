"""The text that runs are measured on: tokenised, cut into windows, put into units (METHODS 8).

Planned first, with nothing written; registered in the store before the first run. The tokenizer is
the recording's own.
"""

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analysis.ablation.batches import choose_batch
from analysis.ablation.checkpoint import FoundCheckpoint
from analysis.ablation.records import Ints, Protocol
from analysis.ablation.settings import AblateSettings
from analysis.ablation.units import DOCUMENT, STRETCH, WINDOW, number_units
from ingest.configs import read_vocabulary_size
from ingest.corpora import Corpus, read_corpus
from ingest.plan import check_corpus, check_vocabulary
from ingest.registration import describe_corpus, describe_stream
from ingest.settings import KINDS
from ingest.streams import TokenStream, build_stream
from store.ablations import add_stream_of
from store.database import Database
from store.errors import InputError
from store.queries.recordings import RecordingRow
from store.queries.sources import read_kinds
from store.store import Store

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SPREAD_LENGTH = 256
"""Tokens of a window where each document gives one."""
SPREAD_DOCUMENTS = 20
"""Documents of that length from which windows are spread without being asked for."""


@dataclass(frozen=True, eq=False)
class EvaluationText:
    """A text in the tokens of a recording; `kinds` (token ids,) are places in KINDS.

    `unit` says what the test over text counts: document, window or stretch. `vocabulary` is the
    number of logits at a position.
    """

    recording: RecordingRow
    corpus: Corpus
    tokenizer_hash: str
    stream: TokenStream
    kinds: Ints
    unit: str
    vocabulary: int

    @property
    def batch_windows(self) -> int:
        """The windows of a batch."""
        return choose_batch(self.stream.window_length, self.vocabulary)

    @property
    def units(self) -> Ints:
        """The unit of each window, (n_windows,) from 0."""
        return number_units(self.unit, self.documents, self.stream.window_length)

    @property
    def documents(self) -> Ints:
        """The document that each window starts in, (n_windows,)."""
        return self.stream.document.reshape(self.stream.windows().shape)[:, 0]

    def protocol(self, stream_id: int) -> Protocol:
        """Return the text as runs see it."""
        stream = self.stream
        return Protocol(
            stream_id=stream_id,
            windows=stream.windows(),
            documents=self.documents,
            skip_first=stream.skip_first,
            kinds=self.kinds,
            unit=self.unit,
            units=self.units,
        )


def plan_text(
    database: Database,
    recording: RecordingRow,
    found: FoundCheckpoint,
    corpus: str,
    settings: AblateSettings,
) -> EvaluationText:
    """Return the text that CORPUS and the settings mean; loads no model and writes nothing.

    Windows of 256 tokens are spread over the documents where 20 or more have as many, unless the
    settings say otherwise; contiguous ones are as long as the recording's. Raises a NegspaceError
    for a text that is not there, is too short, or cannot be read as asked.
    """
    tokenizer = found.tokenizer()
    text = read_corpus(corpus)
    check_corpus(database, text)
    _check_length(found, settings)
    stream = _cut(tokenizer, text, recording, found, settings)
    if stream.skip_first >= stream.window_length - 1:
        raise InputError(
            f"--skip-first {stream.skip_first} leaves no prediction of windows of "
            f"{stream.window_length} tokens; give {stream.window_length - 2} or less."
        )
    check_vocabulary(found.folder, stream)
    kinds = _number_kinds(database, found.source.tokenizer_id)
    vocabulary = read_vocabulary_size(found.folder) or len(kinds)
    return EvaluationText(
        recording, text, found.source.tokenizer_hash, stream, kinds, _unit_of(stream), vocabulary
    )


def register_text(store: Store, text: EvaluationText) -> Protocol:
    """Keep a text and its tokens in the store, unless they are there, and return the protocol."""
    stream_id = add_stream_of(
        store,
        text.recording,
        text.tokenizer_hash,
        describe_corpus(text.corpus),
        describe_stream(text.stream),
    )
    return text.protocol(stream_id)


def _check_length(found: FoundCheckpoint, settings: AblateSettings) -> None:
    length, most = settings.window_length, found.source.max_positions
    if length is not None and length > most:
        raise InputError(
            f"--window-length is {length}, but {found.source.model} has {most} positions; give "
            f"{most} or less."
        )


def _cut(
    tokenizer: "PreTrainedTokenizerBase",
    text: Corpus,
    recording: RecordingRow,
    found: FoundCheckpoint,
    settings: AblateSettings,
) -> TokenStream:
    """Return the windows: spread where that is asked for, or nothing else is and they suffice."""
    short = settings.window_length or min(SPREAD_LENGTH, found.source.max_positions)
    if settings.spread:
        return build_stream(tokenizer, text, settings, short)
    if not (settings.contiguous or settings.join == "documents" or text.chat):
        spread = _try_spread(tokenizer, text, settings, short)
        if spread is not None:
            return spread
    return build_stream(
        tokenizer, text, settings, settings.window_length or recording.window_length
    )


def _try_spread(
    tokenizer: "PreTrainedTokenizerBase", text: Corpus, settings: AblateSettings, length: int
) -> TokenStream | None:
    """Return spread windows, or None where too few documents have as many tokens."""
    spread = dataclasses.replace(settings, spread=True, windows=None)
    try:
        whole = build_stream(tokenizer, text, spread, length)
    except InputError:
        # No document is long enough; what else is wrong is said of the contiguous windows.
        return None
    if whole.n_windows < max(SPREAD_DOCUMENTS, settings.windows or 0):
        return None
    if settings.windows is None:
        return whole
    return build_stream(
        tokenizer, text, dataclasses.replace(spread, windows=settings.windows), length
    )


def _unit_of(stream: TokenStream) -> str:
    if stream.spread:
        return WINDOW
    return DOCUMENT if stream.joined == "documents" else STRETCH


def _number_kinds(database: Database, tokenizer_id: int) -> Ints:
    """Return the place in KINDS of each token's kind, by id; ids without a token get the last."""
    kinds = read_kinds(database, tokenizer_id)
    numbers = np.full(max(kinds) + 1, len(KINDS) - 1, dtype=np.int64)
    for token, kind in kinds.items():
        numbers[token] = KINDS.index(kind)
    return numbers
