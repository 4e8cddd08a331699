"""The views: what the tables say with names instead of ids.

A checkpoint equal to an older one is read through it (`coalesce(same_as, id)`), so a recording is
found under each revision that has its weights. Views are dropped before any migration and made
again after the last, because SQLite refuses to alter a table that a view names.
"""

_NAMES = """m.name AS model, c.revision AS revision, c.step AS step, k.name AS corpus,
       r.name AS recording, r.keep AS keep"""
_JOINS = """JOIN checkpoints c ON coalesce(c.same_as, c.id) = r.checkpoint_id
JOIN models m ON m.id = c.model_id
JOIN token_streams s ON s.id = r.stream_id
JOIN corpora k ON k.id = s.corpus_id"""
_RANDOM = """LEFT JOIN layer_summaries {y} ON {y}.recording_id = n.recording_id
  AND {y}.layer = n.layer AND {y}.population = 'random' AND {y}.metric = '{metric}'"""
_TEST = """(SELECT max(q.{column}) FROM ablation_tests q WHERE q.ablation_id = a.id
         AND q.test = '{test}' AND {against})"""
_RANK = {"test": "rank", "against": "q.reference_group = 'random'"}
_TEXT = {"test": "sign_flip", "against": "q.reference_id = a.baseline_id"}

VIEWS: dict[str, str] = {
    "neuron_metrics": f"""
SELECT {_NAMES}, n.layer, n.neuron, n.n_tokens, n.mean, n.std, n.skewness, n.kurtosis, n.minimum,
       n.maximum, n.negative_fraction, n.post_mean, n.post_minimum, n.post_maximum,
       n.rounding_step, n.wd, n.wd_se, n.md, n.md_sem, n.md_stable, n.md_stable_se, n.dy_median,
       n.alignment, n.weight_norm, n.negative_modes, n.negative_dip, n.reason,
       0.8332 / sqrt(n.n_tokens) AS wd_floor, yw.p99 AS wd_random_p99, ym.p99 AS md_random_p99
FROM neurons n JOIN recordings r ON r.id = n.recording_id
{_JOINS}
{_RANDOM.format(y="yw", metric="wd")}
{_RANDOM.format(y="ym", metric="md")}""",
    "token_pairs": f"""
SELECT {_NAMES}, p.layer, p.neuron, p.neuron_rank, p.pair_rank, p.source,
       v1.text AS token_1, v2.text AS token_2, w1.text AS next_1, w2.text AS next_2,
       p.oi, p.input_distance, p.output_1, p.output_2, p.post_1, p.post_2, p.survival,
       p.position_1, p.position_2
FROM top_pairs p JOIN recordings r ON r.id = p.recording_id
{_JOINS}
JOIN tokens t1 ON t1.stream_id = r.stream_id AND t1.position = p.position_1
JOIN tokens t2 ON t2.stream_id = r.stream_id AND t2.position = p.position_2
LEFT JOIN vocabulary v1 ON v1.tokenizer_id = s.tokenizer_id AND v1.token_id = t1.token_id
LEFT JOIN vocabulary v2 ON v2.tokenizer_id = s.tokenizer_id AND v2.token_id = t2.token_id
LEFT JOIN vocabulary w1 ON w1.tokenizer_id = s.tokenizer_id AND w1.token_id = t1.next_token_id
LEFT JOIN vocabulary w2 ON w2.tokenizer_id = s.tokenizer_id AND w2.token_id = t2.next_token_id
WHERE p.pair_set_id = r.pair_set_id""",
    "recording_overview": f"""
SELECT {_NAMES}, r.projection, r.dtype, r.model_dtype, s.n_windows, s.window_length, s.n_tokens,
       (SELECT count(*) FROM recording_layers l WHERE l.recording_id = r.id) AS layers,
       (SELECT count(*) FROM recording_layers l
         WHERE l.recording_id = r.id AND l.state = 'complete') AS layers_complete,
       (SELECT coalesce(sum(l.n_neurons), 0) FROM recording_layers l
         WHERE l.recording_id = r.id) AS n_neurons,
       (SELECT coalesce(sum(b.n_bytes), 0) FROM blocks b WHERE b.recording_id = r.id) AS n_bytes,
       r.created_at
FROM recordings r
{_JOINS}""",
    "wd_by_checkpoint": f"""
SELECT {_NAMES}, y.layer, y.population, y.n, y.mean, y.median, y.p95, y.p99, y.maximum
FROM layer_summaries y JOIN recordings r ON r.id = y.recording_id
{_JOINS}
WHERE y.metric = 'wd'""",
    "ablation_summary": f"""
SELECT {_NAMES}, a.id AS ablation_id, e.name AS text, a.intervention, a.arm, a.draw, a.percent,
       a.where_kind, h.n AS n_neurons, a.n_predicted, a.perplexity,
       a.nll_sum / a.n_predicted AS nats,
       a.nll_sum / a.n_predicted - b.nll_sum / b.n_predicted AS increase, a.dose,
       CASE WHEN a.intervention = 'clamp-negative' THEN (
         SELECT (o.nll_sum / o.n_predicted - b.nll_sum / b.n_predicted)
                / nullif(a.nll_sum / a.n_predicted - b.nll_sum / b.n_predicted, 0)
         FROM ablations o WHERE o.baseline_id = a.baseline_id AND o.cohort_id = a.cohort_id
           AND o.intervention = 'negative-mean'
           AND coalesce(o.where_kind, '') = coalesce(a.where_kind, '')
         ORDER BY o.id LIMIT 1) END AS information_share,
       {_TEST.format(column="p", **_RANK)} AS p_rank,
       {_TEST.format(column="p_holm", **_RANK)} AS p_rank_holm,
       {_TEST.format(column="p", **_TEXT)} AS p_text,
       {_TEST.format(column="p_holm", **_TEXT)} AS p_text_holm,
       a.plan_id IS NOT NULL AS planned
FROM ablations a JOIN recordings r ON r.id = a.recording_id
{_JOINS}
JOIN token_streams u ON u.id = a.stream_id
JOIN corpora e ON e.id = u.corpus_id
LEFT JOIN cohorts h ON h.id = a.cohort_id
LEFT JOIN ablations b ON b.id = a.baseline_id""",
}


def drop_statements() -> list[str]:
    """Return the statements that drop every view that this version knows."""
    return [f"DROP VIEW IF EXISTS {name}" for name in VIEWS]


def create_statements() -> list[str]:
    """Return the statements that make every view."""
    return [f"CREATE VIEW {name} AS {body.strip()}" for name, body in VIEWS.items()]
