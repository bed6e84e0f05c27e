"""Every guardrail in every cohort at the last look: a forest plot that is a table."""

from collections.abc import Iterator, Sequence

from flipback.assignment import EVERYBODY
from flipback.course import CourseFinding
from flipback.report._chart import Frame, chart, round_step
from flipback.report._data import ReportData, key_of
from flipback.report._domain import Domain, domain_about, ends_of, estimate_of
from flipback.report._html import NOTHING, Markup, breakable, joined, tag
from flipback.report._tracks import Promise, promise_of
from flipback.report._units import (
    Unit,
    amount,
    change_in,
    count,
    difference_unit,
    log_number,
    range_text,
    unit_of,
)
from flipback.report._words import (
    VERDICTS,
    measure_text,
    measured,
    promise_text,
    whom,
)
from flipback.signals import Measure
from flipback.verdict import Verdict


MOST_ROWS = 300
_ROW = 22
_AXIS = 18
_SIGNS = {
    Verdict.FAIL: "\u2715",
    Verdict.PASS: "\u2713",
    Verdict.INCONCLUSIVE: "\u00b7",
}
_COLUMNS = (
    ("cohort", ""),
    ("confidence sequence", ""),
    ("", "n"),
    ("control", "n"),
    ("candidate", "n"),
    ("change", "n"),
    ("log E / proof at", "n"),
    ("seen of control / candidate", "n"),
    ("verdict", ""),
)
_Group = tuple[int, Measure]


def overview(data: ReportData) -> Markup:
    """Return the table; a sentence where nothing was observed."""
    findings = data.findings
    if not findings:
        return tag("p", "There is no evidence yet.", class_="empty")
    chosen = _chosen(findings)
    groups: dict[_Group, list[CourseFinding]] = {}
    for finding in chosen:
        groups.setdefault((finding.place, finding.measure), []).append(finding)
    return joined(
        tag(
            "div",
            tag(
                "table",
                tag("caption", "Each line: one guardrail in one cohort."),
                tag("thead", tag("tr", *(_head(*each) for each in _COLUMNS))),
                *(_group(data, key, rows) for key, rows in groups.items()),
                class_="forest",
            ),
            class_="scroll",
            tabindex="0",
            role="region",
            aria_label="All guardrails and cohorts",
        ),
        _left_out(data, findings, chosen),
    )


def _chosen(findings: Sequence[CourseFinding]) -> Sequence[CourseFinding]:
    """Return the rows to show in their order: aggregates, and what weighs most."""
    ranked = sorted(range(len(findings)), key=lambda n: _rank(findings[n]))
    return [findings[n] for n in sorted(ranked[:MOST_ROWS])]


def _rank(finding: CourseFinding) -> tuple[bool, bool, float]:
    return (
        finding.cohort != EVERYBODY,
        finding.verdict is not Verdict.FAIL,
        finding.log_threshold - finding.log_e,
    )


def _left_out(
    data: ReportData, findings: Sequence[CourseFinding], shown: Sequence[CourseFinding]
) -> Markup:
    """Return how many lines are missing: nothing is left out in silence."""
    kept = "of the last look" if data.last_look is not None else "of the last kept look"
    kept = kept if data.decided is None else "kept of the look that decided"
    left = len(findings) - len(shown)
    said = f"All {count(len(findings), 'finding')} {kept} are shown."
    if left:
        said = (
            f"{count(left, 'finding')} of {len(findings):,} {kept} are not shown: "
            "cohorts with less evidence of harm than any above. "
            "All are in `flipback status --json`."
        )
    return tag("p", said, class_="quiet")


def _head(name: str, class_: str) -> Markup:
    return tag("th", name, scope="col", class_=class_ or None)


def _group(data: ReportData, key: _Group, rows: Sequence[CourseFinding]) -> Markup:
    place, measure = key
    rail = data.guardrail(place)
    unit = unit_of(data.plan, rows[0].metric, measure)
    domain = domain_about(rail, rows, rows)
    drawn = _drawn_unit(promise_of(rail, rows[0]), unit)
    step = _step(domain)
    promise = "" if rail is None else f" {promise_text(data.plan, rail)}"
    about = measure_text(measure)
    return tag(
        "tbody",
        tag(
            "tr",
            tag(
                "th",
                tag("a", measured(rows[0]), href=f"#g{place}-{measure.value}"),
                scope="rowgroup",
                class_="group",
            ),
            tag("td", _axis(domain, drawn, step)),
            tag(
                "td",
                promise.strip(),
                f"; {about}" if about else "",
                colspan=str(len(_COLUMNS) - 2),
                class_="promise",
            ),
        ),
        *(_row(data, finding, domain, unit) for finding in rows),
    )


def _axis(domain: Domain, unit: Unit, step: float) -> Markup:
    """Return the scale that the lines below share; the last label has the unit."""
    frame = _frame(domain, _AXIS)
    marks = _marks(domain, step)
    labels: list[Markup] = []
    for value in marks:
        said = amount(value, unit, step=step)
        said = said if value == marks[-1] else said.removesuffix(f" {unit.value}")
        x, place = frame.across(value), _place(value, domain)
        labels.append(tag("text", said, x=x, y=12, class_=place))
    return tag(
        "svg", *labels, width="100%", height=_AXIS, aria_hidden="true", class_="chart"
    )


def _step(domain: Domain) -> float:
    """Return a round step that has two labels at least, and few of them."""
    steps = (round_step((domain.high - domain.low) / parts) for parts in (2.5, 4, 8))
    found = [step for step in steps if len(_marks(domain, step)) > 1]
    return found[0] if found else round_step((domain.high - domain.low) / 8)


def _marks(domain: Domain, step: float) -> Sequence[float]:
    first = -(-domain.low // step)
    return [(first + n) * step for n in range(6) if (first + n) * step <= domain.high]


def _place(value: float, domain: Domain) -> str:
    share = (value - domain.low) / (domain.high - domain.low)
    if share < 0.08:  # noqa: PLR2004 - where half a label would not fit
        return "start"
    return "end" if share > 0.92 else "middle"  # noqa: PLR2004 - likewise


def _frame(domain: Domain, height: int) -> Frame:
    return Frame(start=domain.low, end=domain.high, low=0.0, high=1.0, height=height)


def _row(
    data: ReportData, finding: CourseFinding, domain: Domain, unit: Unit
) -> Markup:
    why = data.silent.get(key_of(finding), "")
    failed = finding.verdict is Verdict.FAIL
    numbers = (
        _between(data, finding, unit),
        amount(finding.control_value, unit),
        amount(finding.candidate_value, unit),
        change_in(finding),
        f"{log_number(finding.log_e)} / {log_number(finding.log_threshold)}",
        _seen(finding),
    )
    return tag(
        "tr",
        tag("th", breakable(whom(finding.cohort)), scope="row"),
        tag("td", _forest(data, finding, domain, unit)),
        *(tag("td", each, class_="n") for each in numbers),
        tag(
            "td",
            f"{_SIGNS[finding.verdict]} {VERDICTS[finding.verdict]}",
            tag("small", f" {why}") if why else NOTHING,
            class_="bad" if failed else None,
        ),
        class_="failed" if failed else None,
    )


def _seen(finding: CourseFinding) -> str:
    both = f"{finding.control_n:,} / {finding.candidate_n:,}"
    if not finding.pairs:
        return both
    pairs = count(finding.pairs, "pair")
    return f"{both}, {pairs}" if finding.candidate_n else pairs


def _between(data: ReportData, finding: CourseFinding, unit: Unit) -> str:
    promise = promise_of(data.guardrail(finding.place), finding)
    ends = ends_of(promise, finding)
    if ends is None:
        return "not bounded yet"
    return range_text(*ends, _drawn_unit(promise, unit))


def _drawn_unit(promise: Promise, unit: Unit) -> Unit:
    """Return the unit of what is drawn: a difference, unless a limit is guarded."""
    return unit if promise.neutral is None else difference_unit(unit)


def _forest(
    data: ReportData, finding: CourseFinding, domain: Domain, unit: Unit
) -> Markup:
    """Return one confidence sequence on the scale of its guardrail."""
    promise = promise_of(data.guardrail(finding.place), finding)
    frame = _frame(domain, _ROW)
    ends = ends_of(promise, finding)
    return chart(
        frame,
        *_promised(promise, frame, domain),
        *(() if ends is None else _whisker(frame, domain, ends, finding)),
        *_dot(frame, domain, estimate_of(promise, finding), finding),
        title=f"{measured(finding)} of {whom(finding.cohort)}",
        about=f"{_between(data, finding, unit)}; {VERDICTS[finding.verdict]}",
        class_="row",
    )


def _promised(promise: Promise, frame: Frame, domain: Domain) -> Iterator[Markup]:
    if promise.highest is not None:
        yield _beyond(frame, max(promise.highest, domain.low), domain.high)
    if promise.lowest is not None:
        yield _beyond(frame, domain.low, min(promise.lowest, domain.high))
    if promise.neutral is not None:
        yield _upright(frame, promise.neutral, "neutral")


def _beyond(frame: Frame, start: float, end: float) -> Markup:
    width = max(0.0, end - start) / (frame.end - frame.start)
    return tag(
        "rect",
        x=frame.across(start),
        y="0",
        width=f"{width * 100:.2f}%",
        height=frame.height,
        class_="harm",
    )


def _upright(frame: Frame, at: float, class_: str) -> Markup:
    x = frame.across(at)
    return tag("line", x1=x, x2=x, y1="0", y2=frame.height, class_=class_)


def _whisker(
    frame: Frame, domain: Domain, ends: tuple[float, float], finding: CourseFinding
) -> Iterator[Markup]:
    """Yield the line; an end beyond the scale, or without a bound, is an arrow."""
    low, high = ends
    failed = " failed" if finding.verdict is Verdict.FAIL else ""
    y = frame.height / 2
    x1, x2 = frame.across(low), frame.across(high)
    yield tag("line", x1=x1, x2=x2, y1=y, y2=y, class_=f"whisker{failed}")
    if low < domain.low:
        yield tag(
            "path", d=f"M6 {y - 4:g}L1 {y:g}L6 {y + 4:g}", class_=f"arrow{failed}"
        )
    if high > domain.high:
        arrow = tag(
            "path", d=f"M-6 {y - 4:g}L-1 {y:g}L-6 {y + 4:g}", class_=f"arrow{failed}"
        )
        yield tag("svg", arrow, x="100%", class_="chart")


def _dot(
    frame: Frame, domain: Domain, at: float | None, finding: CourseFinding
) -> Iterator[Markup]:
    if at is None or not domain.low <= at <= domain.high:
        return
    failed = " failed" if finding.verdict is Verdict.FAIL else ""
    yield tag(
        "circle", cx=frame.across(at), cy=frame.height / 2, r=4, class_=f"dot{failed}"
    )
