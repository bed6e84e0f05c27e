"""Draw the phases and moves of a rollout, and write them as a table, from its rules.

Run it after a change of `flipback.rollout.RULES`:

    .venv/bin/python docs/_diagrams/rollout.py
"""

# ruff: noqa: INP001 - a script, no package

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from flipback.rollout import RULES, By, Move, Phase


FOLDER = Path(__file__).parents[1] / "explanation"
PICTURE = FOLDER / "rollout.svg"
PAGE = FOLDER / "rollouts.md"
BEGIN, END = "<!-- moves -->\n", "<!-- end of moves -->\n"

_WIDTH, _HEIGHT = 1220, 640
_ROW, _TOP, _BOTTOM = 255, 40, 510
_BOX, _TALL = 130, 56
_STEP, _FIRST = 225, 145
_ASIDE = 25
_WHO = {By.PERSON: "person", By.EVALUATOR: "evaluator", By.PLAN: "plan"}
_COLUMNS = (Phase.IDLE, Phase.SHADOW, Phase.CANARY, Phase.WATCH, Phase.FINISHED)

_STYLE = """
svg { color-scheme: light dark; font-family: system-ui, sans-serif; }
.page { fill: #ffffff; } .box { fill: #ffffff; stroke: #57606a; stroke-width: 1.5; }
.seen { fill: #ddf4ff; } .name { fill: #1f2328; font-size: 16px; font-weight: 600; }
.move { fill: none; stroke: #57606a; stroke-width: 1.5; } .back { stroke: #cf222e; }
.alone { stroke-dasharray: 5 4; } .head { fill: #57606a; } .headback { fill: #cf222e; }
text { fill: #1f2328; font-size: 13px; stroke: #ffffff; stroke-width: 5px;
  paint-order: stroke; stroke-linejoin: round; }
.name { stroke: none; } .who { fill: #57606a; font-size: 11px; }
@media (prefers-color-scheme: dark) {
  .page { fill: #0d1117; } .box { fill: #0d1117; stroke: #9198a1; }
  .seen { fill: #12304d; } .name { fill: #f0f6fc; }
  .move { stroke: #9198a1; } .back { stroke: #ff7b72; }
  .head { fill: #9198a1; } .headback { fill: #ff7b72; }
  text { fill: #f0f6fc; stroke: #0d1117; } .who { fill: #9198a1; }
}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """Where a phase is drawn."""

    x: int
    y: int
    width: int

    @property
    def middle(self) -> int:
        """Return its horizontal middle."""
        return self.x + self.width // 2

    @property
    def right(self) -> int:
        """Return its right edge."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """Return its lower edge."""
        return self.y + _TALL


class Line(NamedTuple):
    """A way from box to box, and where it is told what it is."""

    path: str
    x: float
    y: float
    anchor: str = "middle"


class Arrow(NamedTuple):
    """A move that leads from one phase to another, and who may make it."""

    start: Phase
    move: Move
    to: Phase
    by: frozenset[By]


def arrows() -> Iterator[Arrow]:
    """Yield every move of the table but a rollback of what is rolled back."""
    for start, rules in RULES.items():
        for move, rule in rules.items():
            for to in Phase:
                if to in rule.to and (start, to) != (Phase.ROLLED_BACK,) * 2:
                    yield Arrow(start, move, to, rule.by)


def boxes() -> dict[Phase, Box]:
    """Return where each phase is drawn: in a row, but for two that lie across it."""
    placed = {
        phase: Box(x=_FIRST + number * _STEP - _BOX // 2, y=_ROW, width=_BOX)
        for number, phase in enumerate(_COLUMNS)
    }
    left, right = placed[Phase.IDLE].x, _WIDTH - 25
    shadow = placed[Phase.SHADOW].x
    placed[Phase.PAUSED] = Box(x=shadow, y=_TOP, width=right - shadow)
    placed[Phase.ROLLED_BACK] = Box(x=left, y=_BOTTOM, width=right - left)
    return placed


def line(arrow: Arrow, placed: dict[Phase, Box]) -> Line:
    """Return the way of an arrow."""
    start, to = placed[arrow.start], placed[arrow.to]
    if arrow.start is arrow.to:
        return _loop(start)
    if start.y == to.y:
        return _along(start, to)
    return _across(start, to)


def _loop(box: Box) -> Line:
    x, y = box.x + 6, box.bottom
    path = f"M {x} {y} C {x - 6} {y + 46} {x + 40} {y + 46} {x + 22} {y + 3}"
    return Line(path, x - 4, y + 24, "end")


def _along(start: Box, to: Box) -> Line:
    y = start.y + _TALL // 2
    if start.right + _STEP - _BOX == to.x:
        return Line(
            f"M {start.right} {y} L {to.x - 3} {y}", (start.right + to.x) / 2, y - 20
        )
    forward = to.x > start.x
    side = 1 if forward else -1
    edge = start.y if forward else start.bottom
    begin, end = start.middle + side * 48, to.middle - side * 48
    high = edge - side * (88 if forward else 30 + abs(end - begin) // 5)
    path = f"M {begin} {edge} C {begin} {high} {end} {high} {end} {edge - side * 3}"
    return Line(path, (begin + end) / 2, edge + 0.75 * (high - edge) + 2)


def _across(start: Box, to: Box) -> Line:
    down = to.y > start.y
    narrow = min(start, to, key=lambda box: box.width)
    whole = start.width > _BOX and to.width > _BOX
    aside = -_ASIDE if down else _ASIDE
    x = start.right - _ASIDE if whole else narrow.middle + aside
    begin, end = (start.bottom, to.y - 3) if down else (start.y, to.bottom + 3)
    upper = max(start.y, to.y) == _ROW
    told = 130 if upper else _BOTTOM - 38
    anchor = "end" if down else "start"
    return Line(f"M {x} {begin} L {x} {end}", x + (-7 if down else 7), told, anchor)


def picture() -> str:
    """Return the diagram as SVG."""
    placed = boxes()
    drawn = [_drawn(arrow, line(arrow, placed)) for arrow in arrows()]
    told = [_told(arrow, line(arrow, placed)) for arrow in arrows()]
    named = [_named(phase, box) for phase, box in placed.items()]
    size = f'width="{_WIDTH}" height="{_HEIGHT}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}"',
        f'  {size} role="img" aria-label="{_spoken()}">',
        f"<style>{_STYLE}</style>",
        "<defs>",
        *(_head(name) for name in ("head", "headback")),
        "</defs>",
        f'<rect class="page" {size}/>',
        *drawn,
        *named,
        *told,
        *_legend(),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _head(name: str) -> str:
    return (
        f'<marker id="{name}" viewBox="0 0 10 10" refX="8" refY="5" markerWidth="7" '
        f'markerHeight="7" orient="auto-start-reverse"><path class="{name}" '
        'd="M 0 0 L 10 5 L 0 10 z"/></marker>'
    )


def _drawn(arrow: Arrow, way: Line) -> str:
    back = arrow.move is Move.ROLL_BACK
    classes = ["move", *["back"] * back, *["alone"] * (arrow.by == {By.PERSON})]
    head = "headback" if back else "head"
    return (
        f'<path class="{" ".join(classes)}" d="{way.path}" marker-end="url(#{head})"/>'
    )


def _told(arrow: Arrow, way: Line) -> str:
    at = f'x="{way.x:g}" text-anchor="{way.anchor}"'
    return (
        f'<text {at} y="{way.y:g}">{arrow.move}</text>'
        f'<text {at} y="{way.y + 14:g}" class="who">{_who(arrow.by)}</text>'
    )


def _named(phase: Phase, box: Box) -> str:
    seen = " seen" if phase.shows_candidate else ""
    return (
        f'<rect class="box{seen}" x="{box.x}" y="{box.y}" width="{box.width}" '
        f'height="{_TALL}" rx="8"/>'
        f'<text class="name" x="{box.middle}" y="{box.y + _TALL // 2 + 6}" '
        f'text-anchor="middle">{phase}</text>'
    )


def _legend() -> Iterator[str]:
    y = _HEIGHT - 28
    x = _FIRST - _BOX // 2
    yield f'<rect class="box seen" x="{x}" y="{y - 12}" width="26" height="16" rx="4"/>'
    yield f'<text x="{x + 36}" y="{y + 1}">subjects may see the candidate</text>'
    for number, (kind, said) in enumerate(
        (("", "may happen by itself"), (" alone", "a person alone"))
    ):
        left = x + 290 + number * 230
        yield f'<path class="move{kind}" d="M {left} {y - 4} L {left + 40} {y - 4}"/>'
        yield f'<text x="{left + 50}" y="{y + 1}">{said}</text>'


def _spoken() -> str:
    told = (f"{a.start} to {a.to}: {a.move} by {_who(a.by)}" for a in arrows())
    return "; ".join(told)


def _who(by: frozenset[By]) -> str:
    if by == frozenset(By):
        return "anybody"
    return ", ".join(_WHO[each] for each in By if each in by)


def table() -> str:
    """Return the moves as a table, one row for each phase and move."""
    rows = ["| phase | move | leads to | who |", "|---|---|---|---|"]
    for phase, rules in RULES.items():
        for move, rule in rules.items():
            to = ", ".join(each for each in Phase if each in rule.to)
            rows.append(f"| {phase} | {move} | {to} | {_who(rule.by)} |")
    return "\n".join(rows) + "\n"


def page_with(page: str, rows: str) -> str:
    """Return the page with its table replaced."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n{rows}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    PICTURE.write_text(picture())
    PAGE.write_text(page_with(PAGE.read_text(), table()))
