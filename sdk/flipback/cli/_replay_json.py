"""What a replay found, for machines."""

from collections.abc import Mapping
from math import isfinite

from flipback.analysis import as_json
from flipback.replay import (
    MEANING,
    Ended,
    Pointed,
    Repeated,
    Replay,
    Replayed,
    Rows,
    foretold,
)


Json = Mapping[str, object]


def replayed_json(replay: Replay, found: Replayed) -> Json:
    """Return everything that is known of one run."""
    ended, plan = found.ended, replay.plan
    decisive = ended.decisive
    return {
        "verdict": ended.outcome,
        "line": ended.where.line,
        "time": ended.where.at,
        "weight": ended.stage.weight,
        "weight_since": ended.stage.since,
        "exposures": {
            "control": ended.exposures(plan.control),
            "candidate": ended.exposures(plan.candidate),
            "candidate_by_cohort": {
                cohort: ended.exposures(plan.candidate, cohort)
                for cohort in plan.declared_cohorts
            },
        },
        "looks": ended.looks,
        "paused_at": _pointed(ended.paused),
        "distrusted_at": _pointed(ended.distrusted),
        "finding": None if decisive is None else as_json(decisive),
        "analysis": as_json(ended.analysis),
        "gate": None if ended.gate is None else as_json(ended.gate),
        "injected": _injected(replay, ended),
        "rows": _rows(found.rows),
    }


def repeated_json(replay: Replay, found: Repeated) -> Json:
    """Return how often it rolled back, with arms exchanged at random."""
    share = found.rolled_back
    return {
        "runs": share.total,
        "seed": replay.seed,
        "rolled_back": share.hits,
        "rate": share.value,
        "interval": [share.low, share.high],
        "alpha": replay.plan.alpha,
        "distrusted": found.frozen,
        "blamed": [
            {"metric": metric, "cohort": cohort, "times": times}
            for (metric, cohort), times in found.causes.items()
        ],
        "injected": _harm(replay),
        "median_candidate_exposures": found.median,
        "median_cohort_exposures": found.median_of_cohort,
        "rows": _rows(found.rows),
    }


def _injected(replay: Replay, ended: Ended) -> Json | None:
    harm = _harm(replay)
    if harm is None or replay.harm is None:
        return None
    power = foretold(replay.plan, ended, replay.harm)
    return {
        **harm,
        "changed": ended.worsened,
        "foretold_candidate_exposures": power if power and isfinite(power) else None,
    }


def _harm(replay: Replay) -> Json | None:
    harm = replay.harm
    return None if harm is None else harm._asdict()


def _rows(rows: Rows) -> Json:
    return {
        "read": rows.read,
        "whole": rows.whole,
        "exposures": rows.exposures,
        "outcomes": rows.outcomes,
        "excluded": rows.excluded,
        "unseen_metrics": list(rows.unseen),
        "unmet_cohorts": list(rows.unmet),
        "remarks": [
            {
                "kind": remark.trouble,
                "count": remark.count,
                "first_line": remark.line,
                "names": list(remark.names),
                "excludes": MEANING[remark.trouble].excludes,
                "text": MEANING[remark.trouble].words,
            }
            for remark in rows.remarks
        ],
    }


def _pointed(where: Pointed | None) -> Json | None:
    return None if where is None else {"line": where.line, "time": where.at}
