"""Recordings as the benchmarks need them, made by the same calls as the commands make."""

import os
import shutil
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from analysis.run import plan_analysis, run_analysis
from analysis.settings import AnalyzeSettings
from benchmarks.models import save_model, write_text
from benchmarks.sizes import Bench, Shape
from ingest.checkpoints import CheckpointFolder, ModelFolder
from ingest.memory import MEMORY
from ingest.models import load_model
from ingest.plan import IngestPlan, plan_ingest
from ingest.run import run_ingest
from ingest.settings import IngestSettings
from store.jobs import run_job
from store.queries.recordings import list_recordings
from store.recording import Recording
from store.store import Store, open_or_create_store

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def quiet(_label: str, _done: int, _total: int) -> None:
    """A report that nobody reads."""


class Ingest:
    """An ingest of a model in memory that can be run again and again, each time anew.

    `prepare` makes an empty store and the plan, which tokenises; `run` is what is left: hashing
    the weights, the forward passes, proofs, files, pair rows and all rows of the ledger.
    """

    def __init__(self, bench: Bench, shape: Shape) -> None:
        self.shape, self.n_pairs = shape, bench.sizes.n_pairs
        folder = save_model(bench.folder, shape)
        self.model: PreTrainedModel = load_model(folder, "float32")
        self.corpus = write_text(bench.folder, shape.n_tokens)
        self.folder = Path(tempfile.mkdtemp(prefix=f"{shape.name}-", dir=bench.folder))
        checkpoint = CheckpointFolder("main", None, folder, model=self.model)
        self._model = ModelFolder(shape.name, MEMORY, (checkpoint,))
        self.store: Store | None = None
        self.plan: IngestPlan | None = None

    def prepare(self) -> None:
        """Make a new store and plan the ingest into it."""
        self.drop()
        self.store = open_or_create_store(self.folder / "store")
        settings = IngestSettings(
            windows=self.shape.windows,
            window_length=self.shape.window_length,
            pairs=self.n_pairs,
        )
        self.plan = plan_ingest(self.store.database, self._model, str(self.corpus), settings)
        os.sync()

    def run(self) -> None:
        """Carry out the plan."""
        assert self.store is not None
        assert self.plan is not None
        with run_job(self.store, "ingest", {}, "benchmarks", quiet) as job:
            run_ingest(self.store, self.plan, job)

    def record(self) -> Recording:
        """Return the recording, made anew."""
        self.prepare()
        self.run()
        return self.recording

    @property
    def recording(self) -> Recording:
        """The recording of the last run."""
        assert self.store is not None
        (row,) = list_recordings(self.store.database)
        return Recording(self.store, row)

    @property
    def windows(self) -> npt.NDArray[np.int64]:
        """The windows (n_windows, window_length) of the plan."""
        assert self.plan is not None
        return self.plan.checkpoints[0].text.stream.windows()

    def drop(self) -> None:
        """Remove the store of the last run."""
        self.store = self.plan = None
        with suppress(FileNotFoundError):
            shutil.rmtree(self.folder / "store")


@cache
def wide_recording(bench: Bench) -> Recording:
    """Return the recording of one wide layer over many tokens, made once a run."""
    return Ingest(bench, bench.sizes.wide).record()


@cache
def smollm2_recording(bench: Bench) -> Recording:
    """Return the recording of SmolLM2-135M's shape, made once a run."""
    return Ingest(bench, bench.sizes.smollm2).record()


def forget_analyses(store: Store) -> None:
    """Make every layer of a store count as not analysed."""
    with store.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM layer_analyses")


def analyse(store: Store, threads: int | None = None) -> None:
    """Analyse all that is missing, as the command does."""
    plan = plan_analysis(store, list_recordings(store.database))
    with run_job(store, "analyze", {}, "benchmarks", quiet) as job:
        run_analysis(store, plan, AnalyzeSettings(threads=threads), job)


def array_files(recording: Recording, layer: int, name: str) -> list[Path]:
    """Return the files of a block array of a layer, by block."""
    arrays = recording.layer(layer).arrays
    array = arrays.format.array(name)
    return [array.file(arrays.folder, block) for block in range(array.n_blocks)]


def drop_cached(paths: list[Path]) -> None:
    """Take files out of the page cache, after writing what is dirty."""
    os.sync()
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)
