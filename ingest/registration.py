"""Writes all that a recording refers to: model, checkpoint, tokenizer, text, stream, pair set.

One transaction, so that a failure leaves none of it. Weights are hashed only when their files are
not those that the store knows.
"""

from collections.abc import Callable

from ingest.corpora import Corpus
from ingest.plan import CheckpointPlan, IngestPlan
from ingest.streams import TokenStream
from ingest.tensors import describe_equal
from ingest.vocabulary import describe_vocabulary
from ingest.weights import describe_files, hash_checkpoint
from store import catalog, ledger
from store.database import to_json
from store.jobs import Job
from store.layout import windows_per_block
from store.queries.ingests import known_checkpoint
from store.records import CheckpointFacts, CorpusFacts, RecordingFacts, StreamFacts, VocabularyRow
from store.settings import as_json
from store.store import Store

Note = Callable[[str], None]
"""Told of what a user should know, in a sentence."""


def register(store: Store, plan: IngestPlan, part: CheckpointPlan, job: Job, note: Note) -> int:
    """Register what one checkpoint's recording needs and return the recording's id.

    `note` is told where single tensors equal those of another step. Raises InputError where a name
    or revision in the store belongs to something else.
    """
    known = known_checkpoint(store.database, part.model.name, part.checkpoint.revision)
    fresh = known is None or known.files != describe_files(part.checkpoint.folder)
    facts = _hash(part, job) if fresh else None
    corpus, stream = describe_corpus(plan.corpus), describe_stream(part.text.stream)
    with store.database.write() as connection:
        # A known model is compared: by --module another of its projections may be meant.
        model_id = catalog.add_model(connection, part.model, facts.n_parameters if facts else 0)
        if facts is not None:
            checkpoint_id = catalog.add_checkpoint(connection, model_id, facts)
        else:
            assert known is not None
            checkpoint_id = known.id
            catalog.update_commit(connection, checkpoint_id, part.checkpoint.commit)
        tokenizer_id = catalog.add_tokenizer(
            connection, part.model.name, part.text.hash, lambda: _vocabulary(part)
        )
        corpus_id = catalog.add_corpus(connection, corpus)
        stream_id = catalog.add_stream(connection, corpus_id, tokenizer_id, stream)
        pair_set_id = catalog.add_pair_set(
            connection, stream_id, plan.settings.pair_seed, part.text.pairs
        )
        recorded_as = catalog.recorded_as(connection, checkpoint_id)
        recording = _recording_facts(plan, part, recorded_as, stream_id, pair_set_id)
        recording_id = ledger.add_recording(connection, recording)
        model = part.model
        ledger.add_layers(connection, recording_id, part.layers, model.d_mlp, model.d_model)
    if facts is not None:
        for sentence in describe_equal(store.database, checkpoint_id, part.label, facts):
            note(sentence)
    return recording_id


def _hash(part: CheckpointPlan, job: Job) -> CheckpointFacts:
    checkpoint = part.checkpoint

    def report(done: int, total: int) -> None:
        job.report(f"{part.label}: hashing bytes", done, total)

    return hash_checkpoint(
        checkpoint.folder, checkpoint.revision, checkpoint.step, report, checkpoint.commit
    )


def _vocabulary(part: CheckpointPlan) -> list[VocabularyRow]:
    tokenizer = part.text.tokenizer
    return describe_vocabulary(tokenizer, len(tokenizer))


def describe_corpus(corpus: Corpus) -> CorpusFacts:
    """Return what the store keeps of a text."""
    return CorpusFacts(corpus.name, corpus.source, corpus.text_hash, corpus.n_characters)


def describe_stream(stream: TokenStream) -> StreamFacts:
    """Return what the store keeps of a text's tokens."""
    return StreamFacts(
        joined=stream.joined,
        bos=stream.bos,
        skip_first=stream.skip_first,
        spread=stream.spread,
        window_length=stream.window_length,
        n_windows=stream.n_windows,
        hash=stream.hash,
        token_ids=stream.token_ids,
        next_token_ids=stream.next_token_ids,
        window_index=stream.window_index,
        token_offset=stream.token_offset,
        document=stream.document,
    )


def _recording_facts(
    plan: IngestPlan, part: CheckpointPlan, checkpoint_id: int, stream_id: int, pair_set_id: int
) -> RecordingFacts:
    settings = plan.settings
    return RecordingFacts(
        checkpoint_id=checkpoint_id,
        stream_id=stream_id,
        projection=settings.module or settings.projection,
        dtype=settings.dtype,
        model_dtype=settings.model_dtype,
        keep=settings.keep,
        pair_set_id=pair_set_id,
        block_tokens=part.form.block_tokens,
        batch_windows=windows_per_block(part.text.stream.window_length),
        settings=to_json(
            {**as_json(settings), "short_documents": part.text.stream.short_documents}
        ),
    )
