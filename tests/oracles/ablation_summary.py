"""The view ablation_summary, from the rows of its tables, by plain loops."""

from collections.abc import Mapping, Sequence

Line = Mapping[str, object]
Tables = Mapping[str, Sequence[Line]]


def nats(run: Line) -> float:
    return float(str(run["nll_sum"])) / int(str(run["n_predicted"]))


def summarize(tables: Tables) -> list[dict[str, object]]:
    """What the view says of each run, but for the names of its recording; oldest first."""
    by_id = {run["id"]: run for run in tables["ablations"]}
    return [line(run, by_id, tables) for run in tables["ablations"]]


def line(run: Line, by_id: Mapping[object, Line], tables: Tables) -> dict[str, object]:
    baseline = by_id.get(run["baseline_id"])
    size = None
    for cohort in tables["cohorts"]:
        if cohort["id"] == run["cohort_id"]:
            size = cohort["n"]
    found: dict[str, object] = {
        name: run[name]
        for name in (
            "intervention", "arm", "draw", "percent", "where_kind", "n_predicted", "perplexity",
            "dose",
        )
    }  # fmt: skip
    return found | {
        "ablation_id": run["id"],
        "text": name_of_text(run["stream_id"], tables),
        "n_neurons": size,
        "nats": nats(run),
        "increase": None if baseline is None else nats(run) - nats(baseline),
        "information_share": share(run, baseline, tables),
        "p_rank": tested(run, "rank", "p", tables),
        "p_rank_holm": tested(run, "rank", "p_holm", tables),
        "p_text": tested(run, "sign_flip", "p", tables),
        "p_text_holm": tested(run, "sign_flip", "p_holm", tables),
        "planned": 0 if run["plan_id"] is None else 1,
    }


def name_of_text(stream_id: object, tables: Tables) -> object:
    for stream in tables["token_streams"]:
        for corpus in tables["corpora"]:
            if stream["id"] == stream_id and corpus["id"] == stream["corpus_id"]:
                return corpus["name"]
    return None


def share(run: Line, baseline: Line | None, tables: Tables) -> float | None:
    """What is left of a clamp's increase where only the mean is put in place."""
    if baseline is None or run["intervention"] != "clamp-negative":
        return None
    increase = nats(run) - nats(baseline)
    for other in tables["ablations"]:
        alike = all(other[n] == run[n] for n in ("baseline_id", "cohort_id", "where_kind"))
        if alike and other["intervention"] == "negative-mean" and increase != 0:
            return (nats(other) - nats(baseline)) / increase
    return None


def tested(run: Line, name: str, column: str, tables: Tables) -> object:
    """The column of the rank test against random draws, or the sign-flip against the baseline."""
    for row in tables["ablation_tests"]:
        if row["ablation_id"] == run["id"] and row["test"] == name:
            if name == "rank" and row["reference_group"] == "random":
                return row[column]
            if name == "sign_flip" and row["reference_id"] == run["baseline_id"]:
                return row[column]
    return None
