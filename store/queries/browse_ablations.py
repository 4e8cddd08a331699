"""What did ablations find, run by run? And: which texts does the store know?"""

from store.database import Database

STATEMENT = """
SELECT percent, arm, intervention, draw, increase, perplexity, dose, n_neurons AS neurons,
       p_rank, p_rank_holm, p_text, p_text_holm, planned, where_kind, recording, text, ablation_id
FROM ablation_summary ORDER BY recording, text, ablation_id"""
"""A row for each run; the baseline has an arm of its own and no increase."""


def list_sources(database: Database) -> list[str]:
    """Return where the texts of the store came from, each as a command takes it, by name."""
    return [str(source) for (source,) in database.rows("SELECT source FROM corpora ORDER BY name")]
