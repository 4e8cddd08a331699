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
WITH found AS (
  SELECT r.id, r.projection, v.*, row_number() OVER (
    PARTITION BY v.model, r.projection, v.corpus, v.step ORDER BY r.id) AS place
  FROM wd_by_checkpoint v
  JOIN recordings r ON r.name = v.recording
  WHERE v.layer = :layer AND v.population = 'neurons' AND v.n > 0 AND v.step IS NOT NULL)
SELECT f.model, f.projection, f.corpus, f.step, f.n,
       CASE WHEN d.p99 IS NOT NULL THEN 1.0 * (SELECT count(*) FROM neurons n
         WHERE n.recording_id = f.id AND n.layer = :layer AND n.wd > d.p99) / f.n
       END AS share_above,
       f.median, f.p99, f.maximum, d.median AS random_median, d.p99 AS random_p99, f.recording
FROM found f
LEFT JOIN layer_summaries d ON d.recording_id = f.id AND d.layer = f.layer AND d.metric = 'wd'
  AND d.population = 'random'
WHERE f.place = 1 ORDER BY f.model, f.projection, f.corpus, f.step"""

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
    """Return the question for WD of a layer by model, text and step, beside random directions.

    Of several recordings of a step the oldest counts. `share_above` is the share of neurons above
    the 99th percentile of random directions (METHODS 7).
    """
    return _WD, {"layer": layer}


def ask_weight_changes(layer: int) -> Question:
    """Return the question for the mean weight change of a layer over every interval."""
    return _CHANGES, {"layer": layer}
