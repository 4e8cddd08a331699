"""The model of a recording on the windows of a text, ready for runs."""

from collections.abc import Mapping

from analysis.ablation.checkpoint import load_checkpoint
from analysis.ablation.evaluation import Evaluator
from analysis.ablation.layer_doses import LayerDose, measure_layer_doses
from analysis.ablation.records import Change, Outcome, Protocol
from analysis.ablation.runs import Advance
from analysis.ablation.sites import find_sites
from analysis.ablation.sweep import Sweep
from store.jobs import Job


class ModelBench:
    """A loaded model; it touches only the layers that the sweep does."""

    def __init__(self, sweep: Sweep, protocol: Protocol, job: Job) -> None:
        def report(done: int, total: int) -> None:
            job.report(f"{sweep.recording.name}: weights bytes", done, total)

        conditions = sweep.conditions
        model = load_checkpoint(
            sweep.checkpoint, conditions.model_dtype, sweep.settings.device, report
        )
        sites = find_sites(model, sweep.checkpoint.family, sweep.touched)
        self.evaluator = Evaluator(model, sites, protocol, conditions.batch_windows)

    def evaluate(
        self, changes: Mapping[int, Change], where: str | None, advance: Advance
    ) -> Outcome:
        """Return the loss with these changes by layer."""
        return self.evaluator.run(changes, where, advance)

    def measure_doses(
        self, changes: Mapping[int, Change], where: str | None
    ) -> Mapping[int, LayerDose]:
        """Return what each neuron of the layers would add to the dose, from one pass."""
        return measure_layer_doses(self.evaluator, changes, where)
