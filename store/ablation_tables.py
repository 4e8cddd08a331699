"""The tables of ablations: cohorts of neurons, runs, their losses and tests (METHODS 8)."""

from sqlalchemy import Index, UniqueConstraint

from store.columns import integer, key, numbered, real, table, text_column

cohorts = numbered(
    "cohorts",
    integer("recording_id", "recordings.id"),
    text_column("rule"),
    integer("seed", null=True),
    text_column("hash"),
    integer("n"),
    Index(None, "recording_id", "hash"),
)
cohort_neurons = table(
    "cohort_neurons",
    key("cohort_id", "cohorts.id"),
    key("layer"),
    key("neuron"),
    rowid=False,
)
ablation_plans = numbered(
    "ablation_plans",
    integer("recording_id", "recordings.id"),
    text_column("created_at"),
    text_column("settings"),
    text_column("hypotheses"),
    text_column("fractions"),
    text_column("draws"),
    text_column("unit"),
)
ablations = numbered(
    "ablations",
    integer("recording_id", "recordings.id"),
    integer("checkpoint_id", "checkpoints.id"),
    integer("cohort_id", "cohorts.id", null=True),
    text_column("intervention"),
    text_column("arm"),
    integer("draw", null=True),
    real("percent"),
    text_column("where_kind", null=True),
    integer("stream_id", "token_streams.id"),
    real("perplexity", null=False),
    real("nll_sum", null=False),
    integer("n_predicted"),
    real("dose"),
    integer("n_positions"),
    integer("baseline_id", "ablations.id", null=True),
    integer("reference_id", "ablations.id", null=True),
    integer("plan_id", "ablation_plans.id", null=True),
    integer("job_id", "jobs.id"),
    text_column("settings"),
    text_column("hash"),
    text_column("created_at"),
    UniqueConstraint("recording_id", "hash"),
)
ablation_windows = table(
    "ablation_windows",
    key("ablation_id", "ablations.id"),
    key("window_index"),
    integer("document"),
    real("nll_sum", null=False),
    integer("n_predicted"),
    rowid=False,
)
ablation_token_kinds = table(
    "ablation_token_kinds",
    key("ablation_id", "ablations.id"),
    text_column("side", key=True),
    text_column("kind", key=True),
    real("nll_sum", null=False),
    integer("n_predicted"),
    rowid=False,
)
ablation_tests = numbered(
    "ablation_tests",
    integer("ablation_id", "ablations.id"),
    integer("reference_id", "ablations.id", null=True),
    text_column("reference_group", null=True),
    text_column("test"),
    text_column("unit"),
    integer("n"),
    integer("sides"),
    real("statistic"),
    real("p"),
    real("p_floor"),
    real("p_holm"),
    integer("planned"),
    text_column("reason", null=True),
)
