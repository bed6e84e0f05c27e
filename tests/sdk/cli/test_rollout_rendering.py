from dataclasses import replace
from datetime import timedelta

import pytest

from flipback.analysis import analyze
from flipback.app import Moved, Restored
from flipback.cli import ExitCode
from flipback.cli._brief import brief
from flipback.cli._done import Done, done_text
from flipback.cli._in_words import reworded
from flipback.cli._move_text import (
    moved_json,
    moved_text,
    restored_json,
    restored_text,
)
from flipback.cli._rollout_json import rollout_json
from flipback.cli._rollout_text import Rollout, instant, next_facts, rollout_facts
from flipback.config import GuardRun, GuardSettings
from flipback.control import Look
from flipback.exposure import Evidence
from flipback.latch import Latch
from flipback.plan import FailsOn, Guardrail, RolloutPlan, Stage
from flipback.rollout import By, Move, Phase, RolloutRecord, refusal


NOON = 1_795_348_800.0
LAST = Stage(weight=100)
PLAN = RolloutPlan(
    route="support",
    flag="support-model",
    control="v1",
    candidate="v2",
    stages=(Stage(shadow=0.5, window=timedelta(days=7)), Stage(weight=5), LAST),
    guardrails=(Guardrail(metric="error", fails_on=FailsOn.INCREASE),),
)
RECORD = RolloutRecord(
    route="support",
    revision=7,
    attempt=4,
    stage=1,
    phase=Phase.CANARY,
    since=NOON,
    started=NOON,
    actor="ana",
    why="as agreed",
    plan=PLAN.model_dump_json(),
    tries=3,
    split={"v1": 95_000, "v2": 5_000},
)


def rollout(phase: Phase = Phase.CANARY, **changes: object) -> Rollout:
    record = replace(RECORD, phase=phase, **changes)  # type: ignore[arg-type]  # by name
    return Rollout(plan=PLAN, record=record, phase=phase)


def facts(about: Rollout) -> dict[str, str]:
    return {**dict(rollout_facts(about)), **dict(next_facts(about))}


@pytest.mark.parametrize(
    ("about", "stands"),
    [
        (
            rollout(Phase.IDLE),
            "none is under way; people move the split in the flag service",
        ),
        (
            rollout(Phase.SHADOW, stage=0),
            (
                "shadow, stage 1 of 3: the candidate answers 50 % of control's calls "
                "unseen, since 2026-11-22 12:00 UTC"
            ),
        ),
        (
            rollout(),
            "canary, stage 2 of 3: 5 % of subjects, since 2026-11-22 12:00 UTC",
        ),
        (
            rollout(stage=2),
            "canary, stage 3 of 3: 95 % of subjects, since 2026-11-22 12:00 UTC",
        ),
        (
            rollout(Phase.WATCH, stage=2),
            (
                "promoted, and watched: 95 % of subjects, 5 % stay on control, since "
                "2026-11-22 12:00 UTC"
            ),
        ),
        (
            rollout(Phase.PAUSED, resumes=Phase.SHADOW, stage=0),
            (
                "PAUSED in shadow, stage 1 of 3, which began 2026-11-22 12:00 UTC; the "
                "split stays as it is"
            ),
        ),
        (rollout(Phase.ROLLED_BACK), "rolled back from stage 2 of 3"),
        (
            rollout(Phase.FINISHED),
            (
                "finished, without a holdback, since 2026-11-22 12:00 UTC; people "
                "move the split in the flag service"
            ),
        ),
    ],
    ids=lambda it: f"{it.phase} {it.stage}" if isinstance(it, Rollout) else "",
)
def test_every_phase_says_where_the_rollout_stands(about: Rollout, stands: str) -> None:
    assert facts(about)["rollout"] == stands


@pytest.mark.parametrize(
    ("about", "follows"),
    [
        (
            rollout(Phase.IDLE),
            (
                "`flipback start support` begins in shadow: the candidate answers 50 % "
                "of control's calls unseen"
            ),
        ),
        (
            rollout(Phase.SHADOW, stage=0),
            (
                "stage 2 of 3, 5 % of subjects: by itself once the gate passes, not "
                "before 2026-11-29 12:00 UTC; or `flipback promote support`"
            ),
        ),
        (
            rollout(stage=2),
            (
                "promotion, 95 % of subjects, 5 % stay on control: by itself once the "
                "gate passes; or `flipback promote support`"
            ),
        ),
        (
            rollout(Phase.WATCH),
            (
                "`flipback finish support`, without a reason from 2026-11-29 12:00 UTC "
                "on, ends the watch and the holdback"
            ),
        ),
        (
            rollout(Phase.PAUSED),
            "`flipback resume support` goes on from this split",
        ),
        (
            rollout(Phase.ROLLED_BACK),
            "`flipback start support` begins another attempt",
        ),
    ],
    ids=lambda it: f"{it.phase} {it.stage}" if isinstance(it, Rollout) else "",
)
def test_every_phase_says_what_comes_next(about: Rollout, follows: str) -> None:
    assert facts(about)["next"] == follows


HELD = Latch(
    route="support",
    trip=3,
    held=True,
    reason="errors",
    actor="eva",
    at="2026-11-22T13:00:00+00:00",
)


def test_a_kill_that_is_held_comes_before_all_that_could_follow() -> None:
    held = replace(rollout(Phase.ROLLED_BACK), latch=HELD)
    assert facts(held)["next"] == (
        "`flipback release support --trip 3 --reason '...'` comes first; then "
        "`flipback start support` begins another attempt"
    )


def test_a_roll_back_tells_who_rolled_back_and_not_who_moved_before() -> None:
    freed = HELD.released(3, reason="fixed", actor="bob", at=HELD.at)
    back = rollout(Phase.ROLLED_BACK)
    assert [facts(replace(back, latch=each))["moved"] for each in (HELD, freed)] == [
        "rolled back by eva, 2026-11-22 13:00:00 UTC: errors",
        "trip 3 released by bob, 2026-11-22 13:00:00 UTC: fixed",
    ]


def test_a_flag_that_never_had_a_split_is_not_restored() -> None:
    never = replace(rollout(Phase.IDLE), latch=Latch(route="support"), split=False)
    assert facts(never)["next"].startswith(
        "give the flag a split (`flipback check` says how); then `flipback start"
    )


def test_proven_harm_asks_for_a_kill_and_for_nothing_else() -> None:
    assert facts(replace(rollout(), harm=True))["next"] == (
        "`flipback kill support --reason '...'` rolls back: harm is proven"
    )


def test_a_finished_rollout_has_nothing_left_to_do() -> None:
    over = rollout(Phase.FINISHED)
    said = "nothing: v2 serves everybody; for another candidate, edit the plan"
    assert facts(over)["next"] == said
    half = facts(replace(over, offered=50.0))["next"]
    assert half == "nothing; for another candidate, edit the plan"
    edited = replace(over, plan=PLAN.model_copy(update={"candidate": "v3"}))
    assert facts(edited)["next"].startswith("`flipback start support`")


def test_a_stage_whose_split_was_edited_says_so() -> None:
    said = facts(replace(rollout(), offered=30.0))["rollout"]
    assert said.startswith("canary, stage 2 of 3, at 30 % as the flag was edited, ")
    assert ": 5 % of subjects" in facts(replace(rollout(), offered=5.0))["rollout"]


@pytest.mark.parametrize(
    ("phase", "move", "why", "remedy"),
    [
        (Phase.CANARY, Move.START, "it already runs (stage 2 of 3)", "promote"),
        (Phase.CANARY, Move.FINISH, "it is not promoted yet (stage 2 of 3)", "pause"),
        (Phase.WATCH, Move.PROMOTE, "it is promoted already, and watched", "finish"),
        (Phase.PAUSED, Move.START, "it is paused in stage 2 of 3", "resume"),
        (Phase.IDLE, Move.PAUSE, "no rollout is under way", "start"),
        (Phase.ROLLED_BACK, Move.RESUME, "it was rolled back", "start"),
        (Phase.FINISHED, Move.PAUSE, "it is finished", "start"),
    ],
)
def test_a_refusal_has_words_and_commands_that_exist(
    phase: Phase, move: Move, why: str, remedy: str
) -> None:
    refused = replace(MOVED, phase=phase, refused=refusal(phase, move, By.PERSON))
    said = reworded(refused, move, Latch(route="support"))
    assert said.refused == why
    assert f"`flipback {remedy} support" in said.remedy
    held = reworded(refused, move, HELD)
    assert held.remedy == "flipback release support --trip 3 --reason '...'"


def test_durations_have_no_milliseconds_above_a_second() -> None:
    assert brief("lasts 1s 786ms at least") == "lasts 1s at least"
    assert brief("lasts 786ms at least") == "lasts 786ms at least"


NOTHING = Evidence(cells={}, subjects={}, excluded={})


def look() -> Look:
    return Look(
        route="support",
        record=RECORD,
        plan=PLAN,
        loosened=(),
        without=frozenset(),
        era=0,
        evidence=NOTHING,
        analysis=analyze(PLAN, NOTHING, now=NOON),
        kill=None,
    )


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (
            replace(RECORD, stage=2, why="it passes"),
            "moved to stage 3, 95 %: it passes",
        ),
        (replace(RECORD, stage=2, phase=Phase.WATCH, why=""), "promoted, 95 %"),
        (replace(RECORD, phase=Phase.PAUSED, why="edited"), "paused: edited"),
        (RECORD, "holds: stage 2, the gate does not pass yet"),
    ],
)
def test_one_look_of_the_guard_says_what_it_did(
    after: RolloutRecord, said: str
) -> None:
    assert (
        done_text(Done(look=look(), after=after, phase=after.phase, dry_run=False))
        == said
    )


def test_a_dry_run_says_that_nothing_is_done() -> None:
    dry = Done(look=look(), after=RECORD, phase=RECORD.phase, dry_run=True)
    assert done_text(dry).startswith("dry run, nothing is done: holds: ")


def test_a_flag_without_split_gets_its_rules_back_first() -> None:
    text = facts(replace(rollout(Phase.ROLLED_BACK), split=False))["next"]
    assert text.startswith("`flipback restore support --reason '...'` brings back")
    assert text.endswith("then `flipback start support` begins another attempt")


def test_who_moves_nothing_says_so() -> None:
    manual = replace(rollout(), guard=GuardSettings(run=GuardRun.MANUAL))
    assert "nothing moves it by itself, [guard] is manual" in facts(manual)["next"]
    dry = replace(rollout(), guard=GuardSettings(dry_run=True))
    assert facts(dry)["next"].endswith("alone, a dry run moves nothing")


def test_attempts_of_a_version_add_up() -> None:
    assert facts(rollout())["attempt"] == (
        "3 of this candidate version, cumulative false-rollback bound 15 %; another "
        "one needs a reason"
    )
    assert facts(rollout(tries=1, version="7"))["attempt"] == (
        "1 of this candidate version 7, cumulative false-rollback bound 5 %"
    )
    assert "bound 100 %" in facts(rollout(tries=99))["attempt"]
    assert "attempt" not in facts(rollout(tries=0))


def test_a_stage_says_how_long_it_has_lasted() -> None:
    lasts = timedelta(hours=3, minutes=5, seconds=7.5)
    said = facts(replace(rollout(), lasts=lasts))["rollout"]
    assert said.endswith("since 2026-11-22 12:00 UTC, for 3h 5m")


def test_a_split_that_is_not_there_yet_is_told() -> None:
    pending = facts(rollout(pending={"v1": 75_000, "v2": 25_000}))["pending"]
    assert pending == "v1 75 %, v2 25 %: not yet acknowledged by the flag service"


def test_a_loosened_plan_is_told_and_how_to_take_it_over() -> None:
    said = facts(replace(rollout(Phase.PAUSED), loosened=("no guardrail on error",)))
    assert said["LOOSENED"].startswith("no guardrail on error; the attempt goes by")
    assert said["next"].startswith("`flipback resume support --accept-plan`")


def test_a_plan_that_nobody_can_read_is_that_of_the_files() -> None:
    assert rollout(plan='{"written": "by another version"}').going == PLAN
    assert rollout(plan="").going == PLAN


def test_a_plan_with_fewer_stages_is_in_its_last() -> None:
    assert rollout(stage=9).stage == 2
    assert "stage 3 of 3" in facts(rollout(stage=9))["rollout"]


def test_machines_get_what_does_not_apply_as_null() -> None:
    idle = rollout_json(rollout(Phase.IDLE))
    assert [idle[key] for key in ("stage", "weight", "shadow", "lasts_s")] == [None] * 4
    canary = rollout_json(rollout())
    assert (canary["stage"], canary["weight"]) == (2, 5.0)
    assert canary["since"] == "2026-11-22T12:00:00+00:00"
    assert canary["acknowledged_percent"] == {"v1": 95.0, "v2": 5.0}
    watched = rollout(Phase.PAUSED, resumes=Phase.WATCH)
    assert rollout_json(watched)["weight"] == 95.0
    shadow = rollout_json(rollout(Phase.SHADOW, stage=0))
    assert (shadow["weight"], shadow["shadow"]) == (0.0, 50.0)


def test_a_time_that_is_none_is_told_as_it_is() -> None:
    assert instant("2026-11-22T12:00:00+01:00") == "2026-11-22 11:00:00 UTC"
    assert instant("long ago") == "long ago"


MOVED = Moved(record=RECORD, phase=Phase.CANARY, plan=PLAN)
THREAD = GuardSettings()


def test_a_move_that_the_flag_service_has_not_taken_says_so() -> None:
    pending = replace(MOVED, pending="flag service: locked")
    first, problem, *_ = moved_text(pending, "moved on", THREAD)
    assert first == "support: moved on, but the flag is not moved yet"
    assert problem == (
        "  problem    flag service: locked; whoever guards the route tries again"
    )


def test_a_move_that_the_ledger_lacks_says_so() -> None:
    lines = list(moved_text(replace(MOVED, recorded=False), "paused", THREAD))
    assert lines[0] == "support: paused"
    assert lines[1].startswith("  ledger     NOT WRITTEN; ")


def test_a_refusal_with_a_remedy_says_nothing_of_what_comes_next() -> None:
    refused = replace(MOVED, refused="it cools down", remedy="wait")
    lines = list(moved_text(refused, "started", THREAD))
    assert lines[:2] == ["support: not started: it cools down", "  remedy     wait"]
    assert not any(line.startswith("  next") for line in lines)
    answer = moved_json(refused, "start", THREAD, ExitCode.REFUSED)
    assert (answer["moved"], answer["exit"]) == (False, 6)
    assert (answer["refused"], answer["remedy"]) == ("it cools down", "wait")


def test_a_restore_says_what_became_of_the_flag() -> None:
    done = Restored(plan=PLAN, changed=True)
    assert next(restored_text(done)) == (
        "support: the flag's rules are back, without v2"
    )
    as_it_was = next(restored_text(replace(done, changed=False)))
    assert as_it_was == "support: nothing to restore: the flag is as it should be"
    refused = replace(done, refused="trip 3 holds it", remedy="release it first")
    lines = list(restored_text(refused))
    assert lines[:2] == [
        "support: not restored: trip 3 holds it",
        "  remedy     release it first",
    ]
    assert restored_json(refused, ExitCode.REFUSED)["restored"] is False
