"""What a process obeys only ever begins anew, and never goes back."""

from hypothesis import given
from hypothesis import strategies as st

from flipback.assignment import Reason
from flipback.control._standings import Known, standing_of
from flipback.latch import Latch, scoped
from flipback.plan import RolloutPlan
from flipback.routing import Standing


ROUTE = "support"
PLAN = RolloutPlan.model_validate(
    {
        "route": ROUTE,
        "flag": "f",
        "control": "v1",
        "candidate": "v2",
        "stages": [{"weight": 10}],
        "guardrails": [{"metric": "error", "fails_on": "increase"}],
    }
)
NAMES = (ROUTE, scoped(ROUTE, "plan=free"), scoped(ROUTE, "plan=paid"))


def stands(latches: dict[str, Latch], **known: object) -> Standing:
    everything = Known(
        latches=latches,
        records={},
        forced=frozenset(),
        complete=bool(known.get("complete", True)),
        stopped=False,
    )
    return standing_of(PLAN, everything, Standing())


@given(st.lists(st.sampled_from(NAMES), max_size=20))
def test_an_era_never_comes_back_whatever_is_killed_and_released(
    acts: list[str],
) -> None:
    latches = {name: Latch(route=name) for name in NAMES}
    eras = [stands(latches).era]
    for number, name in enumerate(acts):
        latch = latches[name]
        latches[name] = (
            latch.released(latch.trip, reason="", actor="", at="")
            if latch.held
            else latch.killed(reason="", actor="", intent=str(number), at="")
        )
        eras.append(stands(latches).era)
    assert eras == sorted(eras)
    releases = sum(each.trip - each.held for each in latches.values())
    assert eras[-1] >= releases


def test_a_release_of_a_cohort_begins_an_era_and_its_kill_does_not() -> None:
    name = NAMES[1]
    killed = Latch(route=name).killed(reason="", actor="", intent="i", at="")
    released = killed.released(1, reason="", actor="", at="")
    again = released.killed(reason="", actor="", intent="j", at="")
    eras = [stands({name: each}).era for each in (killed, released, again)]
    assert eras == [0, 1, 1]
    assert stands({name: again}).killed == {"plan=free"}


def test_a_name_whose_bracket_is_not_closed_is_no_cohort() -> None:
    name = "support[plan=free"
    killed = Latch(route=name).killed(reason="", actor="", intent="i", at="")
    held = NAMES[1]
    both = {
        name: killed.released(1, reason="", actor="", at=""),
        held: Latch(route=held).killed(reason="", actor="", intent="i", at=""),
    }
    assert stands(both).killed == {"plan=free"}


def test_what_is_not_known_yet_is_control() -> None:
    assert stands({}, complete=False).override is Reason.NOT_READY
