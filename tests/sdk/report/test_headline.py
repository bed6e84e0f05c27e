from dataclasses import replace
from datetime import timedelta

import pytest
from tests.sdk.report._stories import EVALUATOR, START, Lines, nothing

from flipback.course import CourseFinding, CoursePoint
from flipback.latch import Latch
from flipback.ports import EntryKind, LedgerEntry
from flipback.report import ReportData, headline
from flipback.rollout import Phase, RolloutRecord
from flipback.signals import Measure
from flipback.verdict import Verdict


AT = START.timestamp()
ROUTE = "candidate-search"
RECALL = CourseFinding(
    place=1,
    metric="recall",
    measure=Measure.VALUE,
    cohort="employer_size=enterprise",
    verdict=Verdict.FAIL,
    log_e=6.7,
    log_threshold=6.68,
    control_n=2_000,
    candidate_n=130,
    control_value=0.64,
    candidate_value=0.43,
    low=-0.35,
    high=-0.08,
)
ERRORS = replace(
    RECALL,
    place=0,
    metric="error",
    cohort="",
    verdict=Verdict.INCONCLUSIVE,
    log_e=9.0,
    log_threshold=50.0,
)


def look(
    *findings: CourseFinding, at: float = AT + 100, calls: int = 4_500
) -> CoursePoint:
    return CoursePoint(
        route=ROUTE,
        attempt=1,
        trip=0,
        at=at,
        phase=Phase.CANARY,
        stage=1,
        weight=5.0,
        log_g=3.2,
        log_threshold=3.0,
        control_exposures=90_000,
        candidate_exposures=calls,
        findings=findings,
    )


def killed(*, actor: str = EVALUATOR, reason: str = "recall fell") -> Latch:
    at = (START + timedelta(seconds=101)).isoformat()
    return Latch(route=ROUTE).killed(reason=reason, actor=actor, intent="i", at=at)


def entries(latch: Latch) -> tuple[LedgerEntry, ...]:
    told = Lines(ROUTE)
    told.add(EntryKind.KILL, AT + 101, latch.reason, actor=latch.actor, latch=latch)
    return tuple(told.entries)


def rolled_back(latch: Latch, *course: CoursePoint) -> ReportData:
    return nothing(
        phase=Phase.ROLLED_BACK, latch=latch, course=course, entries=entries(latch)
    )


def record(phase: Phase, **parts: object) -> RolloutRecord:
    base = RolloutRecord(
        route=ROUTE, revision=3, phase=phase, since=AT, started=AT, actor="mara"
    )
    return replace(base, **parts)  # type: ignore[arg-type]  # passed on


def test_a_proven_harm_is_told_with_its_size_and_what_was_tolerated() -> None:
    assert headline(rolled_back(killed(), look(ERRORS, RECALL))) == (
        "Rolled back on 2026-11-18 09:31:41 UTC after 4,500 candidate calls: recall of "
        "employer_size=enterprise fell by 33 % (0.640 \u2192 0.430), tolerance 5 %"
    )


def test_what_was_seen_after_the_kill_did_not_lead_to_it() -> None:
    later = look(at=AT + 500, calls=9_000)
    said = headline(rolled_back(killed(), look(RECALL), later))
    assert "after 4,500 candidate calls" in said


def test_a_persons_kill_blames_no_finding() -> None:
    said = headline(
        rolled_back(killed(actor="mara", reason="users complain"), look(RECALL))
    )
    assert said.startswith("Rolled back by mara on 2026-11-18 09:31:41 UTC after 4,500")
    assert said.endswith(": users complain")


def test_a_breached_limit_is_told_with_the_limit() -> None:
    unsafe = replace(RECALL, place=3, metric="unsafe", cohort="", candidate_value=0.12)
    said = headline(rolled_back(killed(), look(unsafe)))
    assert said.endswith(": unsafe of everybody is 12.0 %, limit 8 %")


def test_a_kill_that_only_the_latch_tells_is_told() -> None:
    data = replace(rolled_back(killed(), look(RECALL)), entries=())
    assert "fell by 33 %" in headline(data)


def test_an_attempt_under_way_says_since_when_and_that_nothing_is_proven() -> None:
    data = nothing(
        phase=Phase.CANARY,
        record=record(Phase.CANARY),
        weight=5.0,
        made_at=START + timedelta(hours=2),
        course=(look(replace(RECALL, verdict=Verdict.INCONCLUSIVE)),),
    )
    assert headline(data) == (
        "5 % of subjects are offered embedding-v2 since 2026-11-18 09:30:00 UTC (2h): "
        "no harm is proven after 4,500 candidate calls"
    )


def test_proven_harm_that_nobody_acted_upon_is_told() -> None:
    data = nothing(phase=Phase.IDLE, course=(look(RECALL),))
    assert "harm is proven after 4,500 candidate calls: recall" in headline(data)


@pytest.mark.parametrize(
    ("phase", "said"),
    [
        (Phase.SHADOW, "In shadow since 2026-11-18 09:30:00 UTC"),
        (Phase.PAUSED, "Paused by mara on 2026-11-18 09:30:00 UTC"),
        (Phase.WATCH, "Promoted by mara on 2026-11-18 09:30:00 UTC and still watched"),
        (Phase.FINISHED, "Finished by mara on 2026-11-18 09:30:00 UTC"),
    ],
)
def test_every_phase_has_its_sentence(phase: Phase, said: str) -> None:
    data = nothing(phase=phase, record=record(phase), course=(look(),))
    assert headline(data).startswith(said)


def test_an_earlier_attempt_is_told_by_how_it_ended() -> None:
    ended = rolled_back(killed(), look(RECALL))
    earlier = replace(ended, phase=None, latch=None, latest=2)
    assert headline(earlier) == headline(ended)
    replaced = nothing(phase=None, latest=2, course=(look(),))
    assert headline(replaced).startswith("Ended when attempt 2 was started after 4,500")
