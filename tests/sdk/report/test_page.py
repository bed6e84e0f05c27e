import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from html.parser import HTMLParser
from math import inf

import pytest
from tests.sdk.report._stories import (
    LEGS,
    START,
    Leg,
    Lines,
    nothing,
    plan_of,
    rolled_back,
    running,
)
from typing_extensions import override

from flipback.course import CourseFinding, CoursePoint
from flipback.latch import Latch
from flipback.ports import EntryKind
from flipback.report import ReportData, headline, page
from flipback.rollout import Phase
from flipback.signals import Measure
from flipback.verdict import Verdict


VOID = {"meta", "wbr"}
HOSTILE = "</title></style><script>alert(1)</script><b a='\"&\u202e\x00"
SHORT = (
    Leg(phase=Phase.CANARY, stage=1, weight=30.0, lasts=timedelta(hours=2), calls=1200),
)


@pytest.fixture(scope="module")
def harmed() -> ReportData:
    legs = tuple(replace(leg, calls=leg.calls // 2, weight=40.0) for leg in LEGS[1:])
    return rolled_back(looks=40, legs=legs)


@pytest.fixture(scope="module")
def going() -> ReportData:
    return running(looks=12, legs=SHORT)


@dataclass
class Read:
    """A page as a strict reader sees it."""

    tags: Counter[str] = field(default_factory=Counter[str])
    ids: list[str] = field(default_factory=list[str])
    attributes: list[tuple[str, str, str]] = field(
        default_factory=list[tuple[str, str, str]]
    )
    text: list[str] = field(default_factory=list[str])


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.read = Read()
        self.open: list[str] = []

    @override
    def handle_starttag(
        self, tag: str, attrs: Sequence[tuple[str, str | None]]
    ) -> None:
        self.read.tags[tag] += 1
        for name, value in attrs:
            assert value is not None, f"{name} of {tag} has no value"
            self.read.attributes.append((tag, name, value))
            if name == "id":
                self.read.ids.append(value)
        assert len({name for name, _ in attrs}) == len(attrs)
        if tag not in VOID:
            self.open.append(tag)

    @override
    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    @override
    def handle_data(self, data: str) -> None:
        self.read.text.append(data)


def read(text: str) -> Read:
    assert text.startswith("<!DOCTYPE html>\n")
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert not reader.open
    return reader.read


def values(found: Read, name: str) -> list[str]:
    return [value for _, at, value in found.attributes if at == name]


def hostile_finding() -> CourseFinding:
    return CourseFinding(
        place=1,
        metric=HOSTILE,
        measure=Measure.VALUE,
        cohort=f"tier={HOSTILE}",
        verdict=Verdict.FAIL,
        log_e=9.0,
        log_threshold=5.0,
        control_n=50,
        candidate_n=50,
        control_value=0.6,
        candidate_value=0.3,
        low=-0.5,
        high=-0.1,
    )


def hostile() -> ReportData:
    plan = plan_of(
        route=HOSTILE,
        control=f"c{HOSTILE}",
        candidate=f"d{HOSTILE}",
        cohorts={"tier": (HOSTILE,)},
    )
    told = Lines(plan.route)
    at = START.timestamp()
    told.add(
        EntryKind.START, at, f"{HOSTILE}\ud800", actor=HOSTILE, findings=(HOSTILE,)
    )
    point = CoursePoint(
        route=plan.route,
        attempt=1,
        trip=0,
        at=at + 10,
        phase=Phase.CANARY,
        stage=1,
        weight=5.0,
        log_g=9.0,
        log_threshold=3.0,
        control_exposures=50,
        candidate_exposures=50,
        findings=(hostile_finding(),),
    )
    latch = Latch(route=plan.route, trip=1, held=True, reason=HOSTILE, actor=HOSTILE)
    return nothing(
        plan=plan,
        phase=Phase.ROLLED_BACK,
        latch=latch,
        course=(point,),
        entries=tuple(told.entries),
        problems=(HOSTILE,),
        distrust=(HOSTILE,),
        waits=(HOSTILE,),
        excluded={HOSTILE: 3},
    )


def test_a_page_is_well_formed_and_says_its_language(harmed: ReportData) -> None:
    found = read(page(harmed))
    assert values(found, "lang") == ["en"]
    assert len(found.ids) == len(set(found.ids))


def test_a_page_loads_nothing_and_runs_nothing(harmed: ReportData) -> None:
    text = page(harmed)
    found = read(text)
    assert not {"script", "link", "img", "iframe", "object"} & set(found.tags)
    assert not values(found, "src")
    assert all(to.startswith("#") for to in values(found, "href"))
    assert "default-src 'none'" in text
    assert "url(" not in text
    assert "@import" not in text
    assert not [name for _, name, _ in found.attributes if name.startswith("on")]


def test_every_link_leads_somewhere(harmed: ReportData) -> None:
    found = read(page(harmed))
    links = {to.removeprefix("#") for to in values(found, "href")}
    assert links
    assert links <= set(found.ids)


def test_nothing_that_people_wrote_becomes_markup() -> None:
    text = page(hostile())
    found = read(text)
    assert "script" not in found.tags
    assert found.tags["b"] == text.count("<b>")
    assert "\\u202e" in text
    assert "\x00" not in text
    text.encode()


def test_every_picture_has_a_name_and_a_description(harmed: ReportData) -> None:
    found = read(page(harmed))
    pictures = [value for tag, name, value in found.attributes if name == "role"]
    assert pictures.count("img") == found.tags["desc"]
    assert found.tags["desc"] <= found.tags["title"]


def test_every_table_has_headers(harmed: ReportData) -> None:
    found = read(page(harmed))
    assert found.tags["caption"] == found.tags["table"] == 2
    assert found.tags["th"] == len(values(found, "scope"))


def test_the_same_data_make_the_same_page(harmed: ReportData) -> None:
    assert page(harmed) == page(replace(harmed))


def test_a_rolled_back_page_says_who_when_why_and_how_to_go_on(
    harmed: ReportData,
) -> None:
    text = page(harmed)
    assert "What decided" in text
    assert "held until a person releases it" in text
    assert "<b>recall of employer_size=enterprise</b> must not fall by more" in text
    assert headline(harmed).startswith("Rolled back on 2026-11-1")


def test_a_page_shows_the_look_that_decided_and_none_after_it(
    harmed: ReportData,
) -> None:
    last = harmed.last_look
    assert last is not None
    calm = tuple(
        replace(each, verdict=Verdict.INCONCLUSIVE, log_e=-2.0)
        for each in last.findings
    )
    later = replace(last, at=last.at + 900, trip=1, log_g=-2.91, findings=calm)
    data = replace(harmed, last_look=later, course=(*harmed.course, later))
    text = page(data)
    assert "log E \u22122.91" not in text
    assert "log E -2.91" not in text
    assert text.count("harm proven") == page(harmed).count("harm proven")
    assert "at the look that decided" in text


def test_the_look_that_decided_may_be_kept_once_the_flag_is_written(
    harmed: ReportData,
) -> None:
    *before, last = harmed.course
    late = replace(last, at=last.at + 60)
    data = replace(harmed, course=(*before, late), last_look=None)
    assert data.decided == late


def test_after_a_kill_nobody_is_offered_the_candidate(harmed: ReportData) -> None:
    assert "<dd>nobody<small>killed</small></dd>" in page(harmed)
    assert "<dd>unknown<small>of subjects" in page(replace(harmed, weight=None))


def test_pairs_are_told_where_they_are_what_there_is(going: ReportData) -> None:
    assert going.last_look is not None
    paired = tuple(
        replace(each, control_n=0, candidate_n=0, pairs=626)
        for each in going.last_look.findings
    )
    look = replace(going.last_look, candidate_exposures=0, findings=paired)
    data = replace(going, last_look=look, phase=Phase.SHADOW)
    assert headline(data).endswith("no harm is proven after 626 pairs")
    assert '<td class="n">626 pairs</td>' in page(data)
    assert "<dd>626 pairs<small>" in page(data)


def test_a_short_attempt_is_told_to_the_second(going: ReportData) -> None:
    assert going.time(START.timestamp()) == "2026-11-18 09:30:00 UTC"
    longer = replace(going, made_at=going.made_at + timedelta(hours=5))
    assert longer.time(START.timestamp()) == "2026-11-18 09:30 UTC"


def test_a_kill_takes_the_drawn_weight_to_nothing(harmed: ReportData) -> None:
    (offered,) = re.findall(r'<path d="([^"]*)" class="offered">', page(harmed))
    assert offered.endswith(" 170")


@pytest.mark.parametrize(
    "data",
    [
        nothing(),
        nothing(phase=None),
        nothing(phase=None, problems=("store: the file is damaged",)),
        nothing(phase=Phase.ROLLED_BACK),
        nothing(phase=Phase.FINISHED),
        nothing(attempt=1, latest=3, phase=None),
    ],
)
def test_where_nothing_is_known_the_page_says_so(data: ReportData) -> None:
    text = page(data)
    read(text)
    assert "There is no evidence yet." in text
    assert "The ledger has no entry of this attempt." in text


def test_what_could_not_be_read_is_told_first() -> None:
    text = page(nothing(phase=None, problems=("store: the file is damaged",)))
    assert text.index("the file is damaged") < text.index("<main>")


def test_one_point_alone_is_a_page(going: ReportData) -> None:
    last = going.course[-1:]
    read(page(replace(going, course=last, last_look=None, entries=())))


def test_an_end_without_a_bound_is_said_and_drawn_to_the_edge(
    going: ReportData,
) -> None:
    finding = replace(going.course[-1].findings[0], low=-inf, high=0.01)
    both = replace(finding, cohort="country=US", low=-inf, high=inf)
    point = replace(going.course[-1], findings=(finding, both))
    data = replace(going, course=(*going.course[:-1], point), last_look=point)
    text = page(data)
    read(text)
    assert "\N{MINUS SIGN}\u221e to 1" in text
    assert "\N{MINUS SIGN}\u221e to \u221e" in text
    assert not re.search(r'"[^"]*\b(nan|inf)\b[^"]*"', text)


def test_evidence_that_begins_anew_breaks_the_line(going: ReportData) -> None:
    later = replace(going.course[-1], trip=1, at=going.course[-1].at + 60)
    again = replace(later, at=later.at + 60)
    whole = page(replace(going, last_look=None))
    broken = page(replace(going, course=(*going.course, later, again), last_look=None))
    line = r'<path d="([^"]*)" class="estimate">'
    assert re.findall(line, whole)[0].count("M") == 1
    assert re.findall(line, broken)[0].count("M") == 2


def test_a_kill_of_one_cohort_leaves_the_weight_of_the_others(
    going: ReportData,
) -> None:
    told = Lines("candidate-search[country=US]")
    told.add(EntryKind.KILL, going.course[5].at, "worse", actor="mara")
    text = page(replace(going, entries=tuple(told.entries)))
    assert "Rolled back: country=US alone" in text
    (offered,) = re.findall(r'<path d="([^"]*)" class="offered">', text)
    assert not offered.endswith(" 170")


def test_a_long_reason_does_not_drown_the_headline() -> None:
    latch = Latch(route="r", trip=1, held=True, reason="why " * 200, actor="mara")
    said = headline(nothing(phase=Phase.ROLLED_BACK, latch=latch))
    assert len(said) < 320


def many(cohorts: int, rails: int, points: int) -> ReportData:
    plan = plan_of(
        cohorts={"segment": tuple(f"s{n}" for n in range(cohorts))},
        guardrails=[
            {"metric": f"m{n}", "fails_on": "increase", "tolerance": 0.1}
            for n in range(rails)
        ],
    )
    names = ["", *(f"segment=s{n}" for n in range(cohorts))]
    every = [
        CourseFinding(
            place=place,
            metric=f"m{place}",
            measure=Measure.VALUE,
            cohort=name,
            verdict=Verdict.INCONCLUSIVE,
            log_e=(place * 7 + number * 3) % 11 / 3 - 2,
            log_threshold=8.0,
            control_n=12_345,
            candidate_n=2_345,
            control_value=0.123456,
            candidate_value=0.123987,
            low=-0.023456,
            high=0.034567,
        )
        for place in range(rails)
        for number, name in enumerate(names)
    ]
    kept = sorted(every, key=lambda each: bool(each.cohort))[:60]
    course = tuple(
        CoursePoint(
            route=plan.route,
            attempt=1,
            trip=0,
            at=START.timestamp() + 3600 * number,
            phase=Phase.CANARY,
            stage=1,
            weight=5.0,
            log_g=-1.0,
            log_threshold=3.0,
            control_exposures=100 * number + 1,
            candidate_exposures=10 * number + 1,
            findings=tuple(kept),
        )
        for number in range(points)
    )
    last = replace(course[-1], findings=tuple(every))
    return nothing(plan=plan, phase=Phase.CANARY, course=course, last_look=last)


def test_a_huge_rollout_stays_below_two_megabytes_and_says_what_is_missing() -> None:
    data = many(64, 44, 400)
    text = page(data)
    read(text)
    assert len(text.encode()) < 2_000_000
    assert f"{44 * 65 - 300:,} findings of 2,860 of the last look are not shown" in text
