"""Why a move that a person asks for is not made, and what to do about it."""

import shlex
from collections.abc import Collection
from dataclasses import dataclass

from flipback.analysis import Analysis
from flipback.assignment import Cohort
from flipback.control import REASON, rollout_command
from flipback.latch import Latch
from flipback.plan import OnFail, RolloutPlan, nearest
from flipback.rollout import Phase, RolloutRecord, phase_of
from flipback.steering import accepted_alone
from flipback.verdict import Action, Gate, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Stands:
    """A rollout as a person finds it.

    Attributes:
        written: The plan in the files.
        plan: The plan in force.
        loosened: What the plan in the files promises less of.
        record: Its record.
        latch: The greatest copy of its latch.
    """

    written: RolloutPlan
    plan: RolloutPlan
    loosened: tuple[str, ...]
    record: RolloutRecord
    latch: Latch

    @property
    def phase(self) -> Phase:
        """Return what it does, the latch considered."""
        return phase_of(self.record, self.latch)


@dataclass(frozen=True, slots=True, kw_only=True)
class No:
    """Why a person's move is not made, and what to do."""

    why: str
    remedy: str = ""


def not_accepted(stands: Stands) -> No:
    """Return that a plan which promises less needs a person's word."""
    resume = rollout_command("resume", stands.plan.route, "--accept-plan")
    return No(
        why=f"the plan promises less than the attempt: {'; '.join(stands.loosened)}",
        remedy=f"put the plan back, or take it over: {resume}",
    )


def or_reason(move: str, route: str) -> str:
    """Return the command that does not wait."""
    return f"wait, or say why not to: {rollout_command(move, route, REASON)}"


def may_promote(
    stands: Stands,
    analysis: Analysis,
    gate: Gate,
    accept: Collection[Cohort],
    reason: str,
) -> No | None:
    """Return why a stage is not left, None where it may be."""
    route, declared = stands.plan.route, stands.plan.declared_cohorts
    unknown = sorted(set(accept) - set(declared))
    if unknown:
        hint = nearest(unknown[0], declared, otherwise="see [cohorts] in the plan")
        return No(why=f"no cohort {unknown[0]!r} is declared", remedy=hint)
    if _is_proven(stands.plan, gate) or analysis.action is Action.ROLL_BACK:
        return No(
            why="harm is proven; nobody promotes that",
            remedy=rollout_command("kill", route, REASON),
        )
    if analysis.action is Action.FREEZE:
        return No(why="; ".join(analysis.frozen), remedy="see to the data first")
    if gate.verdict is Verdict.PASS or reason:
        return None
    return _of_doubt(route, gate, accept)


def _of_doubt(route: str, gate: Gate, accept: Collection[Cohort]) -> No:
    """Return what is undecided, and who may take which part of the doubt."""
    if alone := accepted_alone(gate, accept):
        why = f"the gate does not ask about {', '.join(alone)}"
        return No(why=f"{why}; {_undecided(gate)}", remedy=or_reason("promote", route))
    if not gate.asks:
        return No(why=_undecided(gate), remedy=or_reason("promote", route))
    asks = [f"--accept {shlex.quote(cohort)}" for cohort in gate.asks]
    remedy = f"wait, or accept the doubt: {rollout_command('promote', route, *asks)}"
    return No(why=_undecided(gate), remedy=remedy)


def _is_proven(plan: RolloutPlan, gate: Gate) -> bool:
    """Return whether a guardrail that rolls back is proven to be broken.

    Where the plan pauses for a guardrail, a person decides.
    """
    return any(
        finding.verdict is Verdict.FAIL
        and plan.guardrails[finding.place].on_fail is OnFail.ROLL_BACK
        for finding in gate.findings
    )


def _undecided(gate: Gate) -> str:
    open_tests = [
        f"{each.metric} of {each.cohort or 'everybody'}"
        for each in gate.findings
        if each.verdict is Verdict.INCONCLUSIVE
    ]
    broken = [
        f"{each.metric} of {each.cohort or 'everybody'}"
        for each in gate.findings
        if each.verdict is Verdict.FAIL
    ]
    undecided = [f"undecided: {', '.join(open_tests)}"] if open_tests else []
    proven = [f"proven to be broken: {', '.join(broken)}"] if broken else []
    return "; ".join([*gate.waits, *undecided, *proven]) or "nothing is proven yet"


def doubt_taken(gate: Gate, accept: Collection[Cohort], reason: str) -> str:
    """Return why a person's promotion was made, for the ledger."""
    said = [reason] if reason else []
    if accept:
        said.append(f"accepted undecided: {', '.join(sorted(accept))}")
    if gate.verdict is not Verdict.PASS:
        said.append(_undecided(gate))
    return "; ".join(said) or "the gate passes"
