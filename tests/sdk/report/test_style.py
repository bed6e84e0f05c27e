import re
from collections.abc import Mapping

import pytest

from flipback.report._style import DARK, LIGHT, TEXT_ON, style


def _light(colour: str) -> float:
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    red, green, blue = (
        p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours as WCAG 2 reckons it."""
    dark, light = sorted((_light(one), _light(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", [LIGHT, DARK])
@pytest.mark.parametrize(("ink", "ground"), TEXT_ON)
def test_text_stands_out_from_its_ground(
    scheme: Mapping[str, str], ink: str, ground: str
) -> None:
    assert contrast(scheme[ink], scheme[ground]) >= 4.5


@pytest.mark.parametrize("scheme", [LIGHT, DARK])
@pytest.mark.parametrize("line", ["candidate", "bad", "control", "move"])
def test_lines_stand_out_from_paper(scheme: Mapping[str, str], line: str) -> None:
    assert contrast(scheme[line], scheme["paper"]) >= 3


def test_both_schemes_name_every_colour_that_is_used() -> None:
    used = set(re.findall(r"var\(--([a-z-]+)\)", style()))
    assert used == set(LIGHT) == set(DARK)
