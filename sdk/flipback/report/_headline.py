"""What happened, in one sentence."""

from collections.abc import Callable, Mapping

from flipback.course import CourseFinding, CoursePoint
from flipback.latch import Latch
from flipback.ports import EntryKind, LedgerEntry
from flipback.report._data import ReportData, when
from flipback.report._times import span_text
from flipback.report._units import count, short
from flipback.report._words import happened
from flipback.rollout import By, Phase
from flipback.verdict import Verdict


_MOST_REASON = 240


def headline(data: ReportData) -> str:
    """Return what happened to this attempt, in one sentence without its end."""
    return _TOLD[data.phase](data)


def blamed(data: ReportData, kill: Latch) -> CourseFinding | None:
    """Return the finding that led to a kill, None where none was kept.

    The one that is proven to be broken, or the one that weighs most where only all
    together proved harm. A person's kill blames nothing.
    """
    point = data.decided or data.look_before(kill)
    if point is None or kill.actor != By.EVALUATOR:
        return None
    return max(point.findings, key=_weight, default=None)


def _rolled_back(data: ReportData) -> str:
    kill = data.last_kill
    if kill is None:
        return "Rolled back; the ledger does not say by whom"
    point, finding = data.decided, blamed(data, kill)
    after = "" if point is None else f" after {_seen(point)}"
    automatic = kill.actor == By.EVALUATOR
    who = "Rolled back" if automatic else f"Rolled back by {kill.actor}"
    why = kill.reason if finding is None else happened(data.plan, finding)
    return f"{who} on {_time(data, kill.at)}{after}: {_short(why)}"


def _shadow(data: ReportData) -> str:
    return f"In shadow {_since(data)}: {_so_far(data)}"


def _canary(data: ReportData) -> str:
    return f"{_offered(data)} {_since(data)}: {_so_far(data)}"


def _watch(data: ReportData) -> str:
    return f"Promoted {_by_whom(data)} and still watched: {_so_far(data)}"


def _paused(data: ReportData) -> str:
    return f"Paused {_by_whom(data)}{_after(data)}{_why(data)}"


def _finished(data: ReportData) -> str:
    return f"Finished {_by_whom(data)}{_after(data)}{_why(data)}"


def _idle(data: ReportData) -> str:
    if not data.observed and data.last_look is None:
        return _nothing(data)
    return f"People move the split, and the guard watches: {_so_far(data)}"


def _unknown(data: ReportData) -> str:
    if data.kills:
        return _rolled_back(data)
    finished = _last(data, EntryKind.FINISH)
    if finished is not None:
        return (
            f"Finished by {finished.actor} on {_time(data, finished.at)}{_after(data)}"
        )
    if data.attempt < data.latest:
        return f"Ended when attempt {data.attempt + 1} was started{_after(data)}"
    if data.problems:
        return "Where this rollout stands cannot be told: not all could be read"
    return _nothing(data)


def _nothing(data: ReportData) -> str:
    if data.problems:
        return "Nothing is known of this rollout: not all could be read"
    return f"No rollout of {data.plan.route} has begun, and nothing was observed"


def _offered(data: ReportData) -> str:
    if data.weight is None:
        return "In canary"
    return f"{short(data.weight)} % of subjects are offered {data.plan.candidate}"


def _so_far(data: ReportData) -> str:
    shown = data.shown
    if shown is None or not (shown.candidate_exposures or shown.pairs):
        return "nothing of the candidate has been observed yet"
    failing = [f for f in data.findings if f.verdict is Verdict.FAIL]
    if failing:
        worst = max(failing, key=_weight)
        return f"harm is proven after {_seen(shown)}: {happened(data.plan, worst)}"
    return f"no harm is proven after {_seen(shown)}"


def _since(data: ReportData) -> str:
    if data.record is None or not data.record.since:
        return ""
    lasted = span_text(data.made_at.timestamp() - data.record.since)
    return f"since {data.time(data.record.since)} ({lasted})"


def _by_whom(data: ReportData) -> str:
    if data.record is None:
        return ""
    moved = _last(data, EntryKind.PAUSE, EntryKind.PROMOTE, EntryKind.FINISH)
    since = data.record.since
    on = data.time(since) if moved is None else _time(data, moved.at)
    return f"by {data.record.actor or 'somebody'} on {on}"


def _after(data: ReportData) -> str:
    shown = data.shown
    if shown is None or not (shown.candidate_exposures or shown.pairs):
        return ""
    return f" after {_seen(shown)}"


def _why(data: ReportData) -> str:
    why = "" if data.record is None else data.record.why
    return f": {_short(why)}" if why else ""


def _seen(point: CoursePoint) -> str:
    """Return how much was seen; of shadow traffic, whom nobody met, the pairs."""
    if point.candidate_exposures or not point.pairs:
        return count(point.candidate_exposures, "candidate call")
    return count(point.pairs, "pair")


def _time(data: ReportData, at: str) -> str:
    seconds = when(at)
    return at or "an unknown day" if seconds is None else data.time(seconds)


def _short(text: str) -> str:
    return text if len(text) <= _MOST_REASON else f"{text[: _MOST_REASON - 1]}\u2026"


def _last(data: ReportData, *kinds: EntryKind) -> LedgerEntry | None:
    found = [entry for entry in data.entries if entry.kind in kinds]
    return found[-1] if found else None


def _weight(finding: CourseFinding) -> tuple[bool, float]:
    return finding.verdict is Verdict.FAIL, finding.log_e - finding.log_threshold


_TOLD: Mapping[Phase | None, Callable[[ReportData], str]] = {
    Phase.IDLE: _idle,
    Phase.SHADOW: _shadow,
    Phase.CANARY: _canary,
    Phase.WATCH: _watch,
    Phase.PAUSED: _paused,
    Phase.ROLLED_BACK: _rolled_back,
    Phase.FINISHED: _finished,
    None: _unknown,
}
