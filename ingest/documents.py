"""The documents of a corpus as a tokenizer is given them.

Texts are as they are, chats as the tokenizer's template writes them. Nothing is read or written
before it is asked for, since a few windows of a long text need little of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ingest.chats import check_template, render_chat
from ingest.corpora import Corpus
from ingest.rows import SEPARATOR

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Documents:
    """A corpus in the words of a tokenizer; raises InputError for chats without a template."""

    corpus: Corpus
    tokenizer: "PreTrainedTokenizerBase"

    def __post_init__(self) -> None:
        """Refuse at once what no chat could be written with."""
        if self.corpus.chat:
            check_template(self.tokenizer, self.corpus.name)

    def __iter__(self) -> Iterator[Iterator[str]]:
        """Yield the text of each document in chunks, as it is asked for."""
        for rows in self.corpus.documents():
            yield iter([self._chat(rows.start)]) if self.corpus.chat else self.corpus.read(rows)

    def joined(self) -> Iterator[tuple[int, str]]:
        """Yield all documents joined by an empty line, in chunks, each with its document."""
        for document, chunks in enumerate(self):
            if document:
                yield document - 1, SEPARATOR
            for chunk in chunks:
                yield document, chunk

    def starts_with(self, token: str | None) -> bool:
        """Tell whether the chats are written with a token, such as BOS, before anything else."""
        return self.corpus.chat and token is not None and self._chat(0).startswith(token)

    def _chat(self, row: int) -> str:
        place = f"{self.corpus.source}, chat {row + 1}"
        return render_chat(self.tokenizer, self.corpus.packed[row], place)
