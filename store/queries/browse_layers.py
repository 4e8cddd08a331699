"""How do top pairs stand across the layers of a recording, and how is WD spread in each layer?

Statements with parameters: the browser runs them on connections that it can interrupt.
"""

Question = tuple[str, dict[str, str | int]]
VARIANTS = ("paper", "random", "split")
MEASURES = ("oi_z", "oi_z_relative", "distance_z")

_PROFILE = """
SELECT p.source_layer, p.layer, p.{measure} AS value, p.{measure}_sem AS sem,
       CASE WHEN :measure = 'oi_z' THEN coalesce(p.low, d.low) END AS low,
       CASE WHEN :measure = 'oi_z' THEN coalesce(p.high, d.high) END AS high, p.n_pairs
FROM layer_profiles p
JOIN recordings r ON r.id = p.recording_id AND r.pair_set_id = p.pair_set_id
LEFT JOIN layer_profiles d ON d.recording_id = p.recording_id AND d.pair_set_id = p.pair_set_id
  AND d.variant = 'random' AND d.source_layer = p.source_layer AND d.layer = p.layer
  AND p.variant <> 'split'
WHERE r.name = :recording AND p.variant = :variant ORDER BY p.source_layer, p.layer"""

_WD_BY_LAYER = """
SELECT y.layer, y.n,
       CASE WHEN d.p99 IS NOT NULL THEN 1.0 * coalesce(a.n, 0) / nullif(y.n, 0) END AS share_above,
       y.median, y.p95, y.p99, y.maximum, d.median AS random_median, d.p99 AS random_p99
FROM recordings r
JOIN layer_summaries y ON y.recording_id = r.id AND y.metric = 'wd' AND y.population = 'neurons'
LEFT JOIN layer_summaries d ON d.recording_id = r.id AND d.layer = y.layer AND d.metric = 'wd'
  AND d.population = 'random'
LEFT JOIN (
  SELECT n.layer, count(*) AS n FROM neurons n
  JOIN recordings q ON q.id = n.recording_id
  JOIN layer_summaries e ON e.recording_id = n.recording_id AND e.layer = n.layer
    AND e.metric = 'wd' AND e.population = 'random'
  WHERE q.name = :recording AND n.wd > e.p99 AND n.wd > (
    SELECT min(s.p99) FROM layer_summaries s JOIN recordings t ON t.id = s.recording_id
    WHERE t.name = :recording AND s.metric = 'wd' AND s.population = 'random')
  GROUP BY n.layer) a ON a.layer = y.layer
WHERE r.name = :recording ORDER BY y.layer"""


def ask_profile(recording: str, variant: str, measure: str) -> Question:
    """Return the question for a profile: source_layer, layer, value, sem, low, high, n_pairs.

    `low` and `high` are the range over draws of random directions, of `oi_z` alone (METHODS 6).
    `split`, whose pairs are chosen otherwise than those of `random`, has none but its own.
    """
    assert measure in MEASURES
    parameters: dict[str, str | int] = {
        "recording": recording,
        "variant": variant,
        "measure": measure,
    }
    return _PROFILE.format(measure=measure), parameters


def ask_wd_by_layer(recording: str) -> Question:
    """Return the question for WD by layer, beside random directions.

    `share_above` is the share of neurons above the 99th percentile of random directions.
    """
    return _WD_BY_LAYER, {"recording": recording}
