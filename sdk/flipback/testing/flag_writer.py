"""The tests that every `FlagWriter` passes, seen by a consumer of OpenFeature."""

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext

from flipback.errors import FlagProblem, FlagWriteError
from flipback.ports import SCALE, CompareAndSet, FlagRef
from flipback.testing._flag_bench import (
    INTENT,
    USERS,
    FlagWriterBench,
    Served,
    assert_conflict,
    kill,
    ramp,
    served,
    split,
)
from flipback.testing._flag_cohorts import CohortClauses


__all__ = ["INTENT", "USERS", "FlagWriterBench", "FlagWriterContract", "Served"]
_WRITERS = 8


class FlagWriterContract(CohortClauses):
    """Tests of a `FlagWriter`, to be inherited by a test class of each.

    The module or class that inherits it provides the pytest fixture `bench`, a
    fresh `FlagWriterBench`, and closes what it has opened.
    """

    @pytest.fixture
    def client(self, bench: FlagWriterBench) -> Iterator[OpenFeatureClient]:
        """Bind the provider to a domain of its own."""
        domain = uuid.uuid4().hex
        api.set_provider_and_wait(bench.provider, domain)
        yield api.get_client(domain)
        bench.provider.shutdown()

    def test_a_split_reads_as_it_was_written(self, bench: FlagWriterBench) -> None:
        """Whatever the service counts weights in."""
        assert bench.writer.read(bench.ref).split == split(bench, 10_000)
        ramp(bench, 12_345)
        assert bench.writer.read(bench.ref).split == split(bench, 12_345)

    def test_an_evaluation_names_the_rule_whose_split_is_told(
        self, bench: FlagWriterBench, client: OpenFeatureClient
    ) -> None:
        """Else nobody could say whether subjects are split as was set."""
        state = bench.writer.read(bench.ref)
        if not state.splits:
            pytest.skip("this service does not tell splits by rule")
        user = EvaluationContext(USERS[0])
        rule = client.get_string_details(bench.ref.key, "", user).flag_metadata["rule"]
        assert state.splits[str(rule)] == state.split
        assert all(sum(split.values()) == SCALE for split in state.splits.values())

    def test_a_ramp_reaches_the_share_that_it_names(
        self, bench: FlagWriterBench, client: OpenFeatureClient
    ) -> None:
        """Exactly at both ends, and within four deviations between them."""
        for share in (0, 25_000, SCALE):
            ramp(bench, share)
            expected = len(USERS) * share / SCALE
            deviation = (expected * (1 - share / SCALE)) ** 0.5
            reached = len(_candidates(bench, client))
            assert abs(reached - expected) <= 4 * deviation, share

    def test_a_growing_share_keeps_everybody_whom_it_had(
        self, bench: FlagWriterBench, client: OpenFeatureClient
    ) -> None:
        """Nobody is thrown back and forth by a ramp."""
        before: set[str] = set()
        for share in (1_000, 5_000, 25_000, 50_000, SCALE):
            ramp(bench, share)
            reached = _candidates(bench, client)
            assert before < reached
            before = reached

    def test_a_kill_reaches_everybody_and_those_whom_a_rule_pins(
        self, bench: FlagWriterBench, client: OpenFeatureClient
    ) -> None:
        """A rule of the product team is no way around a kill."""
        assert served(bench, client)[bench.pinned] == bench.candidate
        kill(bench)
        assert set(served(bench, client).values()) == {bench.control}

    def test_a_kill_lands_though_the_flag_moved_since_it_was_read(
        self, bench: FlagWriterBench, client: OpenFeatureClient
    ) -> None:
        """The safe direction is unconditional."""
        bench.writer.read(bench.ref)
        bench.edit_by_hand()
        kill(bench)
        assert set(served(bench, client).values()) == {bench.control}

    def test_a_kill_sent_again_changes_nothing(self, bench: FlagWriterBench) -> None:
        """A kill is a state: it is retried until it is known to hold."""
        first = bench.writer.kill(bench.ref, control=bench.control, intent=INTENT)
        killed = bench.content()
        again = bench.writer.kill(bench.ref, control=bench.control, intent=INTENT)
        assert (first.changed, again.changed) == (True, False)
        assert again.after == first.after
        assert bench.content() == killed

    def test_a_kill_lands_though_the_default_serves_the_candidate(
        self, bench: FlagWriterBench, client: OpenFeatureClient
    ) -> None:
        """Switching a flag off is no kill where that serves a wrong default."""
        bench.serve_by_default(bench.candidate)
        kill(bench)
        assert set(served(bench, client).values()) == {bench.control}
        assert bench.writer.read(bench.ref).default_variant == bench.control

    def test_a_killed_flag_offers_the_candidate_to_nobody(
        self, bench: FlagWriterBench
    ) -> None:
        """As it reads, by which a kill is known to have come through."""
        kill(bench)
        state = bench.writer.read(bench.ref)
        assert state.enabled
        assert state.default_variant == bench.control
        assert not state.split.get(bench.candidate)

    def test_a_kill_wins_over_every_ramp_that_races_with_it(
        self, bench: FlagWriterBench, client: OpenFeatureClient
    ) -> None:
        """Ramps go on trying on what they read; the kill comes last or they fail."""
        if bench.writer.capabilities.cas is not CompareAndSet.ATOMIC:
            pytest.skip("this service cannot refuse a write atomically")
        version = bench.writer.read(bench.ref).version

        def race(number: int) -> None:
            if number == _WRITERS // 2:
                kill(bench)
                return
            with suppress(FlagWriteError):
                ramp(bench, 50_000 + number, expect=version)

        with ThreadPoolExecutor(_WRITERS) as writers:
            list(writers.map(race, range(_WRITERS)))
        assert set(served(bench, client).values()) == {bench.control}

    def test_a_ramp_after_a_human_edit_is_a_conflict(
        self, bench: FlagWriterBench
    ) -> None:
        """People win over a decision on what they have changed."""
        stale = bench.writer.read(bench.ref).version
        bench.edit_by_hand()
        assert_conflict(bench, stale)

    def test_a_ramp_after_a_kill_is_a_conflict(self, bench: FlagWriterBench) -> None:
        """A ramp that was under way cannot undo a kill."""
        stale = bench.writer.read(bench.ref).version
        kill(bench)
        assert_conflict(bench, stale)

    def test_a_restore_is_exact_for_every_user(
        self, bench: FlagWriterBench, client: OpenFeatureClient
    ) -> None:
        """A drill leaves no trace."""
        before, snapshot = served(bench, client), bench.writer.read(bench.ref)
        killed = kill(bench)
        bench.writer.restore(snapshot, expect=killed, intent=INTENT)
        assert bench.writer.read(bench.ref).version == snapshot.version
        assert served(bench, client) == before

    def test_a_restore_without_the_candidate_shows_it_to_nobody(
        self, bench: FlagWriterBench, client: OpenFeatureClient
    ) -> None:
        """Releasing a kill shows nobody the candidate."""
        snapshot = bench.writer.read(bench.ref)
        bench.writer.restore(
            snapshot, expect=kill(bench), intent=INTENT, without=bench.candidate
        )
        assert set(served(bench, client).values()) == {bench.control}
        assert bench.writer.read(bench.ref).split == split(bench, 0)

    def test_a_restore_after_a_human_edit_is_a_conflict(
        self, bench: FlagWriterBench
    ) -> None:
        """People win here too."""
        snapshot = bench.writer.read(bench.ref)
        killed = kill(bench)
        bench.edit_by_hand()
        edited = bench.content()
        with pytest.raises(FlagWriteError) as caught:
            bench.writer.restore(snapshot, expect=killed, intent=INTENT)
        assert caught.value.kind is FlagProblem.CONFLICT
        assert bench.content() == edited

    def test_the_audit_names_intent_actor_and_reason(
        self, bench: FlagWriterBench
    ) -> None:
        """So that people find the decision behind an edit."""
        if not bench.writer.capabilities.comments:
            pytest.skip("this service takes no comments")
        kill(bench)
        for part in (INTENT.id, INTENT.actor, INTENT.reason):
            assert part in bench.audit()

    @pytest.mark.parametrize(
        ("control", "candidate"),
        [(90_000, 9_999), (90_000, 10_001), (SCALE + 1, -1), (0, 0)],
    )
    def test_a_bad_split_never_reaches_the_service(
        self, bench: FlagWriterBench, control: int, candidate: int
    ) -> None:
        """Services take many of these, and then serve nonsense."""
        split = {bench.control: control, bench.candidate: candidate}
        _assert_invalid(bench, split)

    def test_a_split_with_an_unknown_variant_is_not_written(
        self, bench: FlagWriterBench
    ) -> None:
        """Nor is a part of it."""
        _assert_invalid(bench, {bench.control: 90_000, "no-such-variant": 10_000})

    def test_a_kill_to_an_unknown_variant_names_the_known_ones(
        self, bench: FlagWriterBench
    ) -> None:
        """The message is read in a hurry."""
        before = bench.content()
        with pytest.raises(FlagWriteError, match=bench.control) as caught:
            bench.writer.kill(bench.ref, control="no-such-variant", intent=INTENT)
        assert caught.value.kind is FlagProblem.INVALID_WRITE
        assert bench.content() == before

    def test_of_eight_ramps_at_once_exactly_one_wins(
        self, bench: FlagWriterBench
    ) -> None:
        """The others get a conflict and change nothing."""
        if bench.writer.capabilities.cas is not CompareAndSet.ATOMIC:
            pytest.skip("this service cannot refuse a write atomically")
        version = bench.writer.read(bench.ref).version

        def tried(number: int) -> str:
            try:
                ramp(bench, 20_000 + number, expect=version)
            except FlagWriteError as error:
                return error.kind
            return "won"

        with ThreadPoolExecutor(_WRITERS) as writers:
            results = sorted(writers.map(tried, range(_WRITERS)))
        assert results == [FlagProblem.CONFLICT] * (_WRITERS - 1) + ["won"]

    def test_a_flag_that_is_not_there_is_not_found(
        self, bench: FlagWriterBench
    ) -> None:
        """It can be neither read nor managed."""
        absent = FlagRef(
            key="no-such-flag",
            environment=bench.ref.environment,
            project=bench.ref.project,
        )
        with pytest.raises(FlagWriteError, match="no-such-flag") as caught:
            bench.writer.read(absent)
        assert caught.value.kind is FlagProblem.NOT_FOUND
        issues = bench.writer.preflight(absent, control=bench.control)
        assert any(issue.blocks for issue in issues)

    def test_a_preflight_passes_the_flag_and_mentions_its_pins(
        self, bench: FlagWriterBench
    ) -> None:
        """What a ramp does not reach is said, and nothing is changed."""
        before = bench.content()
        issues = bench.writer.preflight(bench.ref, control=bench.control)
        assert not any(issue.blocks for issue in issues)
        assert any(bench.candidate in issue.problem for issue in issues)
        assert bench.content() == before

    def test_a_preflight_blocks_a_control_that_is_no_variant(
        self, bench: FlagWriterBench
    ) -> None:
        """No kill could be sent."""
        issues = bench.writer.preflight(bench.ref, control="no-such-variant")
        assert any(issue.blocks for issue in issues)


def _candidates(bench: FlagWriterBench, client: OpenFeatureClient) -> set[str]:
    given = served(bench, client)
    return {user for user in USERS if given[user] == bench.candidate}


def _assert_invalid(bench: FlagWriterBench, split: dict[str, int]) -> None:
    before, version = bench.content(), bench.writer.read(bench.ref).version
    with pytest.raises(FlagWriteError) as caught:
        bench.writer.set_split(bench.ref, split, expect=version, intent=INTENT)
    assert caught.value.kind is FlagProblem.INVALID_WRITE
    assert bench.content() == before
