"""What was done, by whom and on which findings; and the ledger as it stands."""

from collections.abc import Iterator, Sequence

from flipback.ports import EntryKind, LedgerEntry
from flipback.report._course_chart import FLIPS, Move
from flipback.report._data import ReportData, cohort_of, when
from flipback.report._headline import blamed
from flipback.report._html import NOTHING, Markup, joined, tag
from flipback.report._times import clock_time
from flipback.report._words import happened, whom


MOST_MOVES = 60
MOST_ENTRIES = 80
_DONE = {
    EntryKind.KILL: "rolled back",
    EntryKind.RELEASE: "released",
    EntryKind.FLAG_WRITE: "flag written",
    EntryKind.EPOCH: "epoch opened",
    EntryKind.START: "started",
    EntryKind.ADVANCE: "advanced",
    EntryKind.PROMOTE: "promoted",
    EntryKind.PAUSE: "paused",
    EntryKind.RESUME: "resumed",
    EntryKind.FINISH: "finished",
    EntryKind.RESTORE: "flag restored",
    EntryKind.DRY_RUN: "would have acted (dry run)",
}


def moves_list(data: ReportData, moves: Sequence[Move]) -> Markup:
    """Return the numbered moves of the chart in words, the latest at the end."""
    if not moves:
        return tag("p", "The ledger has no move of this attempt.", class_="empty")
    shown = moves[-MOST_MOVES:]
    left = len(moves) - len(shown)
    return joined(
        tag("p", f"{left:,} earlier moves are not shown.", class_="quiet")
        if left
        else NOTHING,
        tag(
            "ol",
            *(_move(data, move) for move in shown),
            class_="moves",
            start=str(shown[0].number),
        ),
    )


def ledger_table(data: ReportData) -> Markup:
    """Return the latest entries of the ledger, oldest first."""
    entries = data.entries[-MOST_ENTRIES:]
    if not entries:
        return tag("p", "The ledger has no entry of this attempt.", class_="empty")
    left = len(data.entries) - len(entries)
    head = ("no.", "time", "what", "who", "note", "flag version")
    return joined(
        tag("p", f"{left:,} earlier entries are not shown.", class_="quiet")
        if left
        else NOTHING,
        tag(
            "div",
            tag(
                "table",
                tag("caption", "Entries of this attempt, as they were written."),
                tag("thead", tag("tr", *(tag("th", h, scope="col") for h in head))),
                tag("tbody", *(_entry(data, entry) for entry in entries)),
                class_="ledger",
            ),
            class_="scroll",
            tabindex="0",
            role="region",
            aria_label="Ledger",
        ),
    )


def _move(data: ReportData, move: Move) -> Markup:
    entry = move.entry
    flip = entry.kind in FLIPS
    return tag(
        "li",
        tag("span", str(move.number), class_="flip-no" if flip else "move-no"),
        tag(
            "div",
            tag("b", _what(data, entry)),
            f" by {_actor(entry)}, ",
            tag("time", _time(data, entry), datetime=entry.at),
            tag("div", entry.note, class_="note") if entry.note else NOTHING,
            _findings(data, entry),
        ),
        class_="flip" if flip else None,
        value=str(move.number),
    )


def _what(data: ReportData, entry: LedgerEntry) -> str:
    done = _DONE[entry.kind]
    done = f"{done[0].upper()}{done[1:]}"
    if cohort := cohort_of(entry):
        done = f"{done}: {whom(cohort)} alone"
    if entry.latch is not None:
        return f"{done}, trip {entry.latch.trip}"
    if entry.stage is None or not 0 <= entry.stage < len(data.plan.stages):
        return done
    stage = data.plan.stages[entry.stage]
    share = (
        f"shadow {(stage.shadow or 0.0) * 100:g} %"
        if stage.weight is None
        else f"{stage.weight:g} %"
    )
    return f"{done}, stage {entry.stage + 1} of {len(data.plan.stages)} ({share})"


def _findings(data: ReportData, entry: LedgerEntry) -> Markup:
    said = list(_found(data, entry))
    if not said:
        return NOTHING
    return tag("ul", *(tag("li", each) for each in said), class_="found")


def _found(data: ReportData, entry: LedgerEntry) -> Iterator[str]:
    """Yield on which findings; those of the course where the ledger names none."""
    if entry.findings:
        yield from (each for each in entry.findings if each not in entry.note)
    elif entry.kind is EntryKind.KILL and entry.latch is not None:
        finding = blamed(data, entry.latch)
        if finding is not None:
            yield happened(data.plan, finding)


def _entry(data: ReportData, entry: LedgerEntry) -> Markup:
    versions = " \N{RIGHTWARDS ARROW} ".join(filter(None, (entry.before, entry.after)))
    cohort = cohort_of(entry)
    what = f"{_DONE[entry.kind]}{f' ({cohort})' if cohort else ''}"
    return tag(
        "tr",
        tag("td", str(entry.number), class_="n"),
        tag("td", tag("time", _time(data, entry, seconds=True), datetime=entry.at)),
        tag("td", what),
        tag("td", _actor(entry)),
        tag("td", entry.note, class_="note"),
        tag("td", versions, class_="version"),
    )


def _actor(entry: LedgerEntry) -> str:
    if entry.actor:
        return entry.actor
    latch = entry.latch
    return latch.actor if latch is not None and latch.actor else "flipback"


def _time(data: ReportData, entry: LedgerEntry, *, seconds: bool = False) -> str:
    at = when(entry.at)
    if at is None:
        return entry.at
    return clock_time(at, seconds=True) if seconds else data.time(at)
