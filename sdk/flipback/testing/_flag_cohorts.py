"""The contract of flag writers about kills of one cohort."""

import pytest
from openfeature.client import OpenFeatureClient

from flipback.errors import FlagProblem, FlagWriteError
from flipback.ports import SCALE
from flipback.testing._flag_bench import (
    INTENT,
    Attributes,
    FlagWriterBench,
    assert_conflict,
    kill,
    kill_cohort,
    ramp,
    readmit,
    served,
    split,
)


COHORT = "plan=enterprise"
ENTERPRISE: Attributes = {"plan": "enterprise"}


class CohortClauses:
    """Tests of a `FlagWriter` that says that it can kill a cohort, or cannot."""

    def test_a_kill_of_a_cohort_reaches_its_members_alone(
        self, bench: FlagWriterBench, client: OpenFeatureClient
    ) -> None:
        """Pinned or not, they get control; everybody else keeps what they had."""
        _demand_cohorts(bench)
        before = served(bench, client)
        kill(bench, cohort=COHORT)
        assert served(bench, client) == before
        members = served(bench, client, ENTERPRISE)
        assert set(members.values()) == {bench.control}

    def test_a_kill_of_a_cohort_leaves_the_split_and_a_ramp_leaves_the_kill(
        self, bench: FlagWriterBench, client: OpenFeatureClient
    ) -> None:
        """The rollout goes on for all others."""
        _demand_cohorts(bench)
        kill(bench, cohort=COHORT)
        assert bench.writer.read(bench.ref).split == split(bench, 10_000)
        ramp(bench, SCALE)
        assert set(served(bench, client).values()) == {bench.candidate}
        members = served(bench, client, ENTERPRISE)
        assert set(members.values()) == {bench.control}

    def test_a_kill_of_a_cohort_sent_again_changes_nothing(
        self, bench: FlagWriterBench, client: OpenFeatureClient
    ) -> None:
        """Nor does it after a second cohort, which comes beside the first."""
        _demand_cohorts(bench)
        assert kill_cohort(bench, COHORT).changed
        assert kill_cohort(bench, "country=DE").changed
        killed = bench.content()
        for cohort in (COHORT, "country=DE"):
            assert not kill_cohort(bench, cohort).changed
        assert bench.content() == killed
        for attributes in (ENTERPRISE, {"country": "DE"}):
            members = served(bench, client, attributes)
            assert set(members.values()) == {bench.control}

    def test_a_kill_of_everybody_comes_over_that_of_a_cohort(
        self, bench: FlagWriterBench, client: OpenFeatureClient
    ) -> None:
        """And that of a cohort adds nothing to it, if it arrives late."""
        _demand_cohorts(bench)
        kill(bench, cohort=COHORT)
        kill(bench)
        assert set(served(bench, client).values()) == {bench.control}
        assert not kill_cohort(bench, COHORT).changed

    def test_a_stale_ramp_after_a_kill_of_a_cohort_is_a_conflict(
        self, bench: FlagWriterBench
    ) -> None:
        """It was decided upon before the cohort was found to be harmed."""
        _demand_cohorts(bench)
        stale = bench.writer.read(bench.ref).version
        kill(bench, cohort=COHORT)
        assert_conflict(bench, stale)

    def test_a_restore_after_a_kill_of_a_cohort_is_exact_for_every_user(
        self, bench: FlagWriterBench, client: OpenFeatureClient
    ) -> None:
        """Its members have again what they had."""
        _demand_cohorts(bench)
        before = served(bench, client, ENTERPRISE)
        snapshot = bench.writer.read(bench.ref)
        killed = kill(bench, cohort=COHORT)
        bench.writer.restore(snapshot, expect=killed, intent=INTENT)
        assert served(bench, client, ENTERPRISE) == before

    def test_a_cohort_that_is_readmitted_has_what_it_had_at_the_split_of_today(
        self, bench: FlagWriterBench, client: OpenFeatureClient
    ) -> None:
        """The rollout went on meanwhile, and other cohorts stay killed."""
        _demand_cohorts(bench)
        kill(bench, cohort=COHORT)
        kill(bench, cohort="country=DE")
        ramp(bench, SCALE)
        change = readmit(bench, COHORT)
        assert change.changed
        assert change.after == bench.writer.read(bench.ref).version
        assert bench.writer.read(bench.ref).split == split(bench, SCALE)
        members = served(bench, client, ENTERPRISE)
        assert set(members.values()) == {bench.candidate}
        others = served(bench, client, {"country": "DE"})
        assert set(others.values()) == {bench.control}

    def test_readmitting_takes_back_exactly_what_the_kill_put_in(
        self, bench: FlagWriterBench, client: OpenFeatureClient
    ) -> None:
        """For everybody, members or not."""
        _demand_cohorts(bench)
        people: list[Attributes] = [ENTERPRISE, {}]
        before = [served(bench, client, who) for who in people]
        kill(bench, cohort=COHORT)
        readmit(bench, COHORT)
        assert [served(bench, client, who) for who in people] == before

    def test_who_was_not_killed_is_not_readmitted(self, bench: FlagWriterBench) -> None:
        """Nor is anybody twice."""
        _demand_cohorts(bench)
        kill(bench, cohort=COHORT)
        content = bench.content()
        assert not readmit(bench, "country=DE").changed
        assert bench.content() == content
        assert readmit(bench, COHORT).changed
        assert not readmit(bench, COHORT).changed

    def test_readmitting_by_what_was_read_before_a_kill_is_a_conflict(
        self, bench: FlagWriterBench
    ) -> None:
        """The kill may be of the very cohort."""
        _demand_cohorts(bench)
        stale = bench.writer.read(bench.ref).version
        kill(bench, cohort=COHORT)
        content = bench.content()
        with pytest.raises(FlagWriteError) as caught:
            readmit(bench, COHORT, expect=stale)
        assert caught.value.kind is FlagProblem.CONFLICT
        assert bench.content() == content

    def test_a_writer_without_cohorts_refuses_to_kill_one(
        self, bench: FlagWriterBench
    ) -> None:
        """Nothing is written, so that the caller can kill the whole flag."""
        if bench.writer.capabilities.cohorts:
            pytest.skip("this service can kill a cohort")
        _assert_no_cohort(bench, COHORT)

    @pytest.mark.parametrize("cohort", ["enterprise", "=enterprise"])
    def test_what_is_no_cohort_is_not_killed(
        self, bench: FlagWriterBench, cohort: str
    ) -> None:
        """A cohort is `attribute=value`."""
        _assert_no_cohort(bench, cohort)

    def test_a_kill_of_a_cohort_to_an_unknown_variant_writes_nothing(
        self, bench: FlagWriterBench
    ) -> None:
        """Nobody can be served what is not there."""
        _assert_no_cohort(bench, COHORT, control="no-such-variant")


def _demand_cohorts(bench: FlagWriterBench) -> None:
    if not bench.writer.capabilities.cohorts:
        pytest.skip("this service cannot kill a cohort alone")


def _assert_no_cohort(
    bench: FlagWriterBench, cohort: str, *, control: str | None = None
) -> None:
    before = bench.content()
    with pytest.raises(FlagWriteError) as caught:
        bench.writer.kill(
            bench.ref, control=control or bench.control, intent=INTENT, cohort=cohort
        )
    assert caught.value.kind is FlagProblem.INVALID_WRITE
    assert bench.content() == before
