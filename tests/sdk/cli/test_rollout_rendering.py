from dataclasses import replace
from datetime import timedelta

import pytest

from flipback.app import Moved, Restored
from flipback.cli import ExitCode
from flipback.cli._move_text import (
    moved_json,
    moved_text,
    restored_json,
    restored_text,
)
from flipback.cli._rollout_json import rollout_json
from flipback.cli._rollout_text import Rollout, instant, next_facts, rollout_facts
from flipback.config import GuardRun, GuardSettings
from flipback.plan import FailsOn, Guardrail, RolloutPlan, Stage
from flipback.rollout import Phase, RolloutRecord


NOON = 1_795_348_800.0
PLAN = RolloutPlan(
    route="support",
    flag="support-model",
    control="v1",
    candidate="v2",
    stages=(
        Stage(shadow=0.5, window=timedelta(days=7)),
        Stage(weight=5),
        Stage(weight=100),
    ),
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


def test_a_kill_that_is_held_comes_before_all_that_could_follow() -> None:
    assert "next" not in facts(replace(rollout(Phase.ROLLED_BACK), held=True))


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
