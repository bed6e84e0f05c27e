"""The page as a whole, from the sentence on top to how to read it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite

from flipback.ports import EntryKind
from flipback.report._course_chart import course_chart, moves_of
from flipback.report._data import ReportData
from flipback.report._evidence import Panel, decisive, evidence, panels_of
from flipback.report._exposures import exposures
from flipback.report._headline import blamed, headline
from flipback.report._history import ledger_table, moves_list
from flipback.report._html import NOTHING, Markup, joined, tag
from flipback.report._overview import overview
from flipback.report._style import style
from flipback.report._times import clock_time, span_text
from flipback.report._units import NONE, count, log_number, short
from flipback.rollout import Phase


_TIME = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d(?::\d\d)? UTC)")
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_HOW_TO: Mapping[str, str] = {
    "Confidence sequence": (
        "The band holds the true difference at all looks together with the confidence "
        "that the plan asks for, however often people look. It begins wide and narrows "
        "down; what leaves the chart is cut off at its edge."
    ),
    "Bound": (
        "The dashed line is the harm that the plan tolerates, or its limit; the tinted "
        "side of it is harm beyond that. It moves with what control is worth."
    ),
    "log E": (
        "The weight of the evidence that the candidate is worse than the plan "
        "tolerates. Harm is proven once it reaches the line; below 0, the evidence "
        "speaks for the candidate."
    ),
    "Not proven": (
        "No harm was proven, which is no proof that there is none: leaving a stage "
        "asks for that, see what the gate waits for."
    ),
    "Breaks in a line": (
        "Evidence begins anew after a kill, and with another version of either arm."
    ),
}


def page(data: ReportData) -> str:
    """Return the page: one HTML document that loads nothing and runs nothing."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="generator", content=f"flipback {data.version}"),
        tag("title", f"{data.plan.route}: {headline(data)}"),
        tag("style", Markup(style())),
    )
    body = tag("body", _header(data), _main(data), _footer(data))
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"


def _header(data: ReportData) -> Markup:
    plan = data.plan
    again = f" of {data.latest}" if data.latest > data.attempt else ""
    return tag(
        "header",
        tag(
            "p",
            tag("b", plan.route),
            f" \u00b7 {plan.candidate} against {plan.control} \u00b7 flag {plan.flag} "
            f"\u00b7 attempt {data.attempt}{again} \u00b7 made "
            f"{data.time(data.made_at.timestamp())}",
            class_="eyebrow",
        ),
        tag("h1", *_unbroken(f"{headline(data)}.")),
        _alert("What could not be read", data.problems),
        _alert("These data are not to be trusted as they are", data.distrust),
        tag("dl", *(_fact(*each) for each in _facts(data)), class_="facts"),
    )


def _unbroken(text: str) -> Iterator[str]:
    """Yield text whose times are not broken in two lines."""
    for part in _TIME.split(text):
        yield tag("span", part, class_="whole") if _TIME.fullmatch(part) else part


def _alert(name: str, said: tuple[str, ...]) -> Markup:
    if not said:
        return NOTHING
    listed = tag("ul", *(tag("li", each) for each in said))
    return tag("div", tag("b", name), listed, class_="alert", role="note")


def _fact(name: str, value: str, more: str) -> Markup:
    return tag(
        "div",
        tag("dt", name),
        tag("dd", value, tag("small", more) if more else NOTHING),
    )


def _facts(data: ReportData) -> Iterator[tuple[str, str, str]]:
    yield "phase", *_phase(data)
    yield "stage", *_stage(data)
    yield "offered", *_weight(data)
    yield "moved last by", *_actor(data)
    yield "candidate calls", f"{data.candidate_calls:,}", _looks(data)
    if data.pairs:
        yield "shadow answers", count(data.pairs, "pair"), "calls that both answered"
    yield "evidence of harm", *_evidence(data)
    if data.waits:
        yield "the gate waits", count(len(data.waits), "reason"), data.waits[0]
    if data.killed_cohorts:
        names = ", ".join(latch.route for latch in data.killed_cohorts)
        yield "control alone serves", count(len(data.killed_cohorts), "cohort"), names


def _phase(data: ReportData) -> tuple[str, str]:
    if data.phase is None:
        return ("unknown" if data.attempt >= data.latest else "ended", "")
    kill = data.latch
    if data.phase is Phase.ROLLED_BACK and kill is not None:
        held = "held until a person releases it" if kill.held else "released since"
        return data.phase.value, f"trip {kill.trip}, {held}"
    if data.record is not None and data.record.since:
        lasted = span_text(data.made_at.timestamp() - data.record.since)
        return data.phase.value, f"for {lasted}"
    return data.phase.value, ""


def _stage(data: ReportData) -> tuple[str, str]:
    stages, at = data.plan.stages, None
    if data.record is not None and data.record.started:
        at = data.record.stage
    elif data.course:
        at = data.course[-1].stage
    if at is None or data.phase is Phase.IDLE:
        return NONE, f"the plan has {count(len(stages), 'stage')}"
    stage = stages[min(at, len(stages) - 1)]
    share = f"shadow {short((stage.shadow or 0) * 100)} %"
    if stage.weight is not None:
        share = f"{short(stage.weight)} % of subjects"
    return f"{min(at, len(stages) - 1) + 1} of {len(stages)}", share


def _weight(data: ReportData) -> tuple[str, str]:
    """Return who is offered the candidate; after a kill the flag has no split."""
    if data.phase is Phase.ROLLED_BACK and data.weight == 0:
        return "nobody", "killed"
    share = "unknown" if data.weight is None else f"{short(data.weight)} %"
    return share, f"of subjects to {data.plan.candidate}"


def _actor(data: ReportData) -> tuple[str, str]:
    kill = data.last_kill
    if data.phase in {Phase.ROLLED_BACK, None} and kill is not None:
        return kill.actor, "rolled it back"
    if data.record is not None and data.record.actor:
        return data.record.actor, data.record.why
    return NONE, "nobody has moved it yet" if data.phase is Phase.IDLE else ""


def _looks(data: ReportData) -> str:
    looks = len(data.observed)
    return f"{count(looks, 'look')} kept" if looks else "no look kept"


def _evidence(data: ReportData) -> tuple[str, str]:
    point = data.shown
    if point is None or not isfinite(point.log_threshold):
        return NONE, ""
    return (
        f"log E {log_number(point.log_g)}",
        f"rolls back at {log_number(point.log_threshold)}",
    )


def _main(data: ReportData) -> Markup:
    moves = moves_of(data)
    panels = panels_of(data)
    return tag(
        "main",
        _decisive(data, panels),
        _section(
            "course",
            "What subjects were offered",
            f"Percent of subjects who were offered {data.plan.candidate}. "
            "Numbers mark what was done; in red, what flipped the flag back.",
            course_chart(data, moves),
            moves_list(data, moves),
        ),
        _section(
            "last",
            f"Every guardrail in every cohort, at {_which_look(data)}",
            "The line is the confidence sequence of the candidate's difference from "
            "control, or of its own value where a limit is guarded; the tinted side is "
            "harm that the plan does not tolerate.",
            overview(data),
        ),
        _section(
            "evidence",
            "The evidence over time",
            "The guardrails in the plan's order, everybody first, then cohorts.",
            evidence(data, panels),
        ),
        _section(
            "exposures",
            "How much was observed",
            "Calls that were compared, each arm on a scale of its own.",
            exposures(data),
        ),
        _section(
            "ledger",
            "From the ledger",
            "`flipback ledger` has all of it, and `--verify` says whether it was "
            "edited.",
            ledger_table(data),
        ),
    )


def _which_look(data: ReportData) -> str:
    return "the last look" if data.decided is None else "the look that decided"


def _decisive(data: ReportData, panels: Sequence[Panel]) -> Markup:
    """Return what decided, where harm was proven; the first thing to be asked."""
    kill = data.last_kill
    if kill is None or data.phase not in {Phase.ROLLED_BACK, None}:
        return NOTHING
    finding = blamed(data, kill)
    drawn = NOTHING if finding is None else decisive(data, panels, finding)
    if not drawn:
        return NOTHING
    lead = (
        "The band is where the true difference lies at all looks together; harm is "
        "proven once log E reaches the line."
    )
    return _section("decided", "What decided", lead, drawn)


def _section(name: str, title: str, lead: str, *parts: Markup) -> Markup:
    return tag(
        "section",
        tag("h2", title),
        tag("p", lead, class_="lead"),
        joined(*parts),
        id=name,
    )


def _footer(data: ReportData) -> Markup:
    plan = data.plan
    return tag(
        "footer",
        tag("h2", "How to read this"),
        tag(
            "dl",
            *(joined(tag("dt", name), tag("dd", said)) for name, said in _how_to(data)),
        ),
        tag("h2", "The plan"),
        tag("pre", plan.model_dump_json(indent=2, exclude_defaults=True)),
        tag(
            "p",
            f"Plan {plan.digest}; flipback {data.version}; made "
            f"{clock_time(data.made_at.timestamp(), seconds=True)}. All times are UTC. "
            f"{_completeness(data)}",
        ),
    )


def _how_to(data: ReportData) -> Iterator[tuple[str, str]]:
    yield from _HOW_TO.items()
    if data.waits:
        yield "What the gate waits for", "; ".join(data.waits)


def _completeness(data: ReportData) -> str:
    looks = len(data.course)
    epochs = sum(entry.kind is EntryKind.EPOCH for entry in data.entries)
    return (
        f"It tells {count(looks, 'kept look')}, {_entries(len(data.entries))} of "
        f"the ledger and {count(epochs, 'epoch')}; cohorts of a look are kept where "
        "they weigh most, and long lines are thinned out evenly. What is not shown is "
        "said where it would stand."
    )


def _entries(number: int) -> str:
    return "1 entry" if number == 1 else f"{number:,} entries"
