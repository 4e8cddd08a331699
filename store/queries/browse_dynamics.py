"""How do WD and weights move with training, for the tables of the browser?

Statements with parameters: the browser runs them on connections that it can interrupt. A step whose
checkpoint equals an older one is read through it, so it is listed too.
"""

Question = tuple[str, dict[str, str | int]]

LAYERS = """
SELECT DISTINCT y.layer FROM layer_summaries y
JOIN recordings r ON r.id = y.recording_id
JOIN checkpoints c ON c.id = r.checkpoint_id
WHERE y.metric = 'wd' AND y.population = 'neurons' AND c.step IS NOT NULL ORDER BY y.layer"""
"""The layers with a WD at a known step."""

_WD = """
SELECT m.name AS model, r.projection, k.name AS corpus, c.step, y.n, y.median, y.p99, y.maximum,
       d.median AS random_median, d.p99 AS random_p99, r.name AS recording
FROM recordings r
JOIN checkpoints c ON coalesce(c.same_as, c.id) = r.checkpoint_id
JOIN models m ON m.id = c.model_id
JOIN token_streams s ON s.id = r.stream_id
JOIN corpora k ON k.id = s.corpus_id
JOIN layer_summaries y ON y.recording_id = r.id AND y.layer = :layer AND y.metric = 'wd'
  AND y.population = 'neurons'
LEFT JOIN layer_summaries d ON d.recording_id = r.id AND d.layer = y.layer AND d.metric = 'wd'
  AND d.population = 'random'
WHERE c.step IS NOT NULL ORDER BY m.name, r.projection, k.name, c.step, r.id"""

_CHANGES = """
SELECT m.name AS model, w.projection, a.step AS from_step, b.step AS to_step, count(*) AS n,
       avg(w.l2) AS l2, avg(w.l2_relative) AS l2_relative, avg(w.norm_change) AS norm_change,
       avg(w.cosine) AS cosine
FROM weight_changes w
JOIN checkpoints a ON a.id = w.from_checkpoint_id
JOIN checkpoints b ON b.id = w.to_checkpoint_id
JOIN models m ON m.id = b.model_id
WHERE w.layer = :layer
GROUP BY w.from_checkpoint_id, w.to_checkpoint_id, w.projection
ORDER BY m.name, w.projection, a.step"""


def ask_wd_by_step(layer: int) -> Question:
    """Return the question for WD of a layer by model and step, beside random directions."""
    return _WD, {"layer": layer}


def ask_weight_changes(layer: int) -> Question:
    """Return the question for the mean weight change of a layer over every interval."""
    return _CHANGES, {"layer": layer}
