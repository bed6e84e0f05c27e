"""Each guardrail over time: its confidence sequence, and how far the proof is."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from flipback.assignment import EVERYBODY, Cohort
from flipback.course import CourseFinding
from flipback.report._data import FindingKey, ReportData
from flipback.report._domain import domain_of
from flipback.report._html import NOTHING, Markup, breakable, joined, tag
from flipback.report._sequence import Drawing, proof, sequence
from flipback.report._tracks import Sample, promise_of, thinned, tracks_of
from flipback.report._units import (
    Unit,
    amount,
    change_in,
    count,
    difference_unit,
    log_number,
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


MOST_COHORTS = 12
"""Cohorts of one guardrail that get a chart of their own."""

_BUDGET = 9_000
_FEWEST, _MOST = 24, 160


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One measure of one guardrail, with the tracks of everybody and of cohorts."""

    place: int
    measure: Measure
    tracks: Mapping[Cohort, Sequence[Sample]]

    @property
    def anchor(self) -> str:
        """Return its name in the page."""
        return f"g{self.place}-{self.measure.value}"

    @property
    def latest(self) -> CourseFinding:
        """Return the latest finding of everybody, or of whoever comes first."""
        track = self.tracks.get(EVERYBODY) or next(iter(self.tracks.values()))
        return track[-1].finding


def panels_of(data: ReportData) -> Sequence[Panel]:
    """Return all panels in the plan's order, each with its tracks thinned out."""
    sorted_out: dict[tuple[int, Measure], dict[Cohort, Sequence[Sample]]] = {}
    tracks = tracks_of(data)
    for key in sorted(tracks, key=lambda key: _in_plan(data, key)):
        sorted_out.setdefault((key.place, key.measure), {})[key.cohort] = tracks[key]
    most = _samples_each(sorted_out.values())
    return [
        Panel(
            place=place,
            measure=measure,
            tracks={who: thinned(track, most) for who, track in found.items()},
        )
        for (place, measure), found in sorted_out.items()
    ]


def evidence(data: ReportData, panels: Sequence[Panel]) -> Markup:
    """Return all panels; a sentence where nothing was observed."""
    if not panels:
        return tag("p", "No evidence has been kept of this attempt.", class_="empty")
    return joined(*(_panel(data, panel) for panel in panels))


def decisive(
    data: ReportData, panels: Sequence[Panel], finding: CourseFinding
) -> Markup:
    """Return the chart of the one finding that decided; nothing if it has no track."""
    for panel in panels:
        track = panel.tracks.get(finding.cohort)
        same = (panel.place, panel.measure) == (finding.place, finding.measure)
        if same and track is not None:
            about = tag(
                "p",
                tag("b", f"{measured(finding)} of {whom(finding.cohort)}"),
                f" {_promise(data, panel)}",
            )
            return joined(about, _large(data, panel, track))
    return NOTHING


def _samples_each(groups: Collection[Collection[Cohort]]) -> int:
    """Return how many samples a track may have, so that no page becomes too large."""
    charts = sum(1 + min(MOST_COHORTS, len(cohorts) - 1) for cohorts in groups)
    return min(_MOST, max(_FEWEST, _BUDGET // max(1, charts)))


def _in_plan(data: ReportData, key: FindingKey) -> tuple[int, int, int, str]:
    cohorts = [EVERYBODY, *data.plan.declared_cohorts]
    known = cohorts.index(key.cohort) if key.cohort in cohorts else len(cohorts)
    return key.place, list(Measure).index(key.measure), known, key.cohort


def _promise(data: ReportData, panel: Panel) -> str:
    rail = data.guardrail(panel.place)
    return "" if rail is None else promise_text(data.plan, rail)


def _panel(data: ReportData, panel: Panel) -> Markup:
    latest = panel.latest
    rail = data.guardrail(panel.place)
    unit = unit_of(data.plan, latest.metric, panel.measure)
    about = measure_text(panel.measure)
    track = panel.tracks.get(EVERYBODY)
    return tag(
        "section",
        tag(
            "h3",
            latest.metric,
            tag("span", f" {_promise(data, panel)}", class_="promise"),
        ),
        tag(
            "p",
            f"{about[0].upper()}{about[1:]}. " if about else "",
            "" if rail is None else f"A proof of harm asks to {rail.on_fail.value}. ",
            _said(latest, unit),
            class_="said",
        ),
        NOTHING if track is None else _large(data, panel, track),
        _cohorts(data, panel),
        class_="panel",
        id=panel.anchor,
    )


def _said(finding: CourseFinding, unit: Unit) -> str:
    control = amount(finding.control_value, unit)
    candidate = amount(finding.candidate_value, unit)
    return (
        f"At the last look, {whom(finding.cohort)}: control {control}, candidate "
        f"{candidate} ({change_in(finding)}); {VERDICTS[finding.verdict]}, log E "
        f"{log_number(finding.log_e)} of {log_number(finding.log_threshold)}."
    )


def _large(data: ReportData, panel: Panel, track: Sequence[Sample]) -> Markup:
    """Return confidence sequence and log E of one track, over the same time."""
    drawn = _drawing(data, panel, [track])
    return tag(
        "div",
        tag("p", _drawn(data, panel), class_="axis-title"),
        sequence(drawn, track),
        tag("p", "log E, the evidence of harm", class_="axis-title second"),
        proof(drawn, track),
        class_="plot labelled",
    )


def _drawing(
    data: ReportData, panel: Panel, tracks: Collection[Sequence[Sample]]
) -> Drawing:
    rail = data.guardrail(panel.place)
    unit = unit_of(data.plan, panel.latest.metric, panel.measure)
    is_limit = promise_of(rail, panel.latest).neutral is None
    return Drawing(
        data=data,
        rail=rail,
        domain=domain_of(rail, tracks),
        unit=unit if is_limit else difference_unit(unit),
    )


def _drawn(data: ReportData, panel: Panel) -> str:
    rail = data.guardrail(panel.place)
    if rail is not None and rail.limit is not None:
        return f"{data.plan.candidate}, confidence sequence"
    return f"{data.plan.candidate} minus {data.plan.control}, confidence sequence"


def _cohorts(data: ReportData, panel: Panel) -> Markup:
    found = {who: track for who, track in panel.tracks.items() if who != EVERYBODY}
    if not found:
        return NOTHING
    weight = sorted(found, key=lambda who: _weight(found[who]), reverse=True)
    chosen = set(weight[:MOST_COHORTS])
    shown = {who: track for who, track in found.items() if who in chosen}
    drawn = _drawing(data, panel, shown.values())
    low, high = drawn.domain
    step = (high - low) / 10
    scale = " to ".join(amount(end, drawn.unit, step=step) for end in (low, high))
    left = len(found) - len(shown)
    more = f"; {count(left, 'cohort')} with less evidence of harm only in the table"
    return joined(
        tag(
            "p",
            f"By cohort, all from {scale} and over the same time",
            f"{more if left else ''}.",
            class_="axis-title",
        ),
        tag(
            "div",
            *(_small(drawn, who, track) for who, track in shown.items()),
            class_="multiples",
        ),
    )


def _small(drawn: Drawing, cohort: Cohort, track: Sequence[Sample]) -> Markup:
    latest = track[-1].finding
    failed = latest.verdict is Verdict.FAIL
    return tag(
        "figure",
        tag("figcaption", breakable(whom(cohort))),
        sequence(drawn, track, small=True),
        tag(
            "p",
            tag("b", change_in(latest)),
            f", log E {log_number(latest.log_e)} of "
            f"{log_number(latest.log_threshold)}"
            f"{', harm proven' if failed else ''}",
            class_="bad" if failed else "quiet",
        ),
        class_="multiple",
    )


def _weight(track: Sequence[Sample]) -> tuple[bool, float]:
    latest = track[-1].finding
    return latest.verdict is Verdict.FAIL, latest.log_e - latest.log_threshold
