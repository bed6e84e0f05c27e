import hashlib
import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from benches import USER, Bench, says
from flipback.exposure import Epoch
from flipback.histogram import Threshold
from flipback.plan import RolloutPlan
from flipback.routing import EpochBook, Standing
from flipback.testing import FakeClock
from projects import PLAN


Build = Callable[..., Bench]
STANDING = Standing(override=None)
FROZEN = {"latency_s": Threshold(tail=1.1, cap=2.0)}


def book(
    *,
    provider: str = "flags 1",
    versions: tuple[str, str] = ("c1", "n1"),
    opened: Callable[[Epoch], None] = lambda _: None,
    clock: FakeClock | None = None,
    **plan: object,
) -> EpochBook:
    return EpochBook(
        RolloutPlan.model_validate({**PLAN, **plan}),
        provider=provider,
        versions=lambda: versions,
        opened=opened,
        clock=clock or FakeClock(),
    )


def digest(standing: Standing = STANDING, flag: str = "7", **parts: object) -> str:
    return book(**parts).digest(standing, flag)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "other",
    [
        digest(Standing(override=None, attempt=2)),
        digest(Standing(override=None, era=1)),
        digest(flag="8"),
        digest(provider="flags 2"),
        digest(versions=("c2", "n1")),
        digest(versions=("c1", "n2")),
        digest(alpha=0.01),
        digest(Standing(override=None, thresholds=FROZEN)),
        digest(flag="", values={"a": "v1", "b": "v2"}),
    ],
    ids=[
        "attempt",
        "trip",
        "flag",
        "provider",
        "control",
        "candidate",
        "plan",
        "frozen",
        "all",
    ],
)
def test_each_ingredient_makes_another_epoch(other: str) -> None:
    assert other != digest()


def test_the_stage_alone_makes_no_epoch() -> None:
    """Its weight is in the flag, whose version changes with it."""
    assert digest(Standing(override=None, stage=1)) == digest()


def test_an_epoch_is_described_by_what_its_digest_is_of() -> None:
    opened = list[Epoch]()
    found = book(opened=opened.append).digest(STANDING, "7")
    (epoch,) = opened
    plan = RolloutPlan.model_validate(PLAN)
    assert epoch.described == (
        f"attempt 1; trip 0; flag support-model 7; plan {plan.digest}; "
        "provider flags 1; v1 c1; v2 n1"
    )
    assert found == epoch.digest
    assert found == hashlib.sha256(epoch.described.encode()).hexdigest()[:16]
    assert (epoch.route, epoch.attempt, epoch.trip) == ("support", 1, 0)


def test_frozen_percentiles_are_in_the_epoch_exactly() -> None:
    opened = list[Epoch]()
    frozen = {"b": Threshold(0.1 + 0.2, 1.0), "a": Threshold(1.0, 2.0)}
    book(opened=opened.append).digest(Standing(override=None, thresholds=frozen), "7")
    (epoch,) = opened
    assert epoch.described.endswith("; frozen a 1.0 2.0, b 0.30000000000000004 1.0")
    assert (epoch.thresholds, epoch.flag_version) == (frozen, "7")


def test_percentiles_that_are_frozen_alike_are_one_epoch() -> None:
    epochs = book()
    one, two = (
        Standing(override=None, thresholds=dict(FROZEN.items())) for _ in range(2)
    )
    first = epochs.digest(one, "7")
    assert first == epochs.digest(two, "7") == digest(one)
    assert epochs.digest(STANDING, "7") == digest()
    assert epochs.digest(one, "7") == first


def test_a_flag_without_a_version_has_none_in_its_epoch() -> None:
    opened = list[Epoch]()
    book(opened=opened.append).digest(STANDING, None)
    assert opened[0].flag_version == ""


def test_an_epoch_is_opened_once() -> None:
    opened = list[Epoch]()
    epochs = book(opened=opened.append)
    assert epochs.digest(STANDING, "7") == epochs.digest(STANDING, "7")
    assert len(opened) == 1


def test_all_processes_compute_the_same_epoch() -> None:
    code = (
        "from flipback.plan import RolloutPlan\n"
        "from flipback.routing import EpochBook, Standing\n"
        "from flipback.testing import FakeClock\n"
        f"book = EpochBook(RolloutPlan.model_validate({dict(PLAN)!r}),"
        " provider='flags 1', versions=lambda: ('c1', 'n1'),"
        " opened=lambda _: None, clock=FakeClock())\n"
        "print(book.digest(Standing(override=None), '7'))"
    )
    said = {
        subprocess.run(  # noqa: S603 - our own code
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert said == {digest()}


def test_a_flag_without_a_version_has_an_epoch_per_hour() -> None:
    clock = FakeClock()
    epochs = book(clock=clock)
    first = epochs.digest(STANDING, None)
    clock.advance(3599)
    assert epochs.digest(STANDING, None) == first
    clock.advance(1)
    assert epochs.digest(STANDING, None) != first


def test_an_empty_version_is_a_version() -> None:
    clock = FakeClock()
    epochs = book(clock=clock)
    before = epochs.digest(STANDING, "")
    clock.advance(3600)
    assert epochs.digest(STANDING, "") == before


def test_strata_are_epochs_and_rules(bench: Bench) -> None:
    for version, rule in (("1", "a"), ("1", "b"), ("2", "a"), ("1", "a")):
        bench.provider.answer = lambda _, v=version, r=rule: says(
            "v2", version=v, rule=r
        )
        bench.call()
    seen = bench.drained()
    counted = {
        (key.epoch, key.rule): cell.total_n
        for key, cell in seen.batch.cells.items()
        if (key.metric, key.cohort) == ("exposure", "")
    }
    assert sorted(counted.values()) == [1, 1, 2]
    assert seen.epochs == seen.batch.epochs.keys()


def test_a_provider_without_metadata_still_has_strata(bench: Bench) -> None:
    details = says("v2")
    details.flag_metadata = {}
    bench.provider.answer = lambda _: details
    made = bench.route.decide(USER).assignment
    assert (made.flag_version, made.rule) == (None, None)
    bench.call()
    assert {key.rule for key in bench.drained().batch.cells} == {""}


def test_new_code_of_a_variant_begins_a_new_epoch(bench: Bench) -> None:
    before = bench.route.decide(USER).assignment.epoch
    bench.serve("v2", lambda: "", version="2")
    assert bench.route.decide(USER).assignment.epoch != before


def test_what_is_not_compared_belongs_to_no_epoch(bench: Bench) -> None:
    bench.say("v2", "STATIC")
    assert bench.route.decide(USER).assignment.epoch == ""
    bench.call()
    assert bench.drained().batch.epochs == {}
