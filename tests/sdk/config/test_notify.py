"""Ways to tell people, as a person writes them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from flipback.config import (
    URGENT,
    is_web_address,
    load_settings,
    read_settings,
    unset_variables,
)
from flipback.errors import ConfigError


Write = Callable[[str, str], Path]
SECRET = "T0SECRET0PATH"  # noqa: S105 - it opens nothing


def told(config: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_settings(config)
    return str(caught.value)


def test_what_is_urgent_is_told_unless_somebody_says_what(
    config: Path, write: Write
) -> None:
    write("flipback.toml", '[[notify]]\ncommand = ["page"]')
    (way,) = load_settings(config).notify
    assert (way.command, way.on) == (("page",), URGENT)


@pytest.mark.parametrize(
    "address",
    [
        f"hooks.example/{SECRET}",
        f"ftp://hooks.example/{SECRET}",
        f"https://[{SECRET}",
        f"https:///{SECRET}",
        f"https://user:{SECRET}@hooks.example/",
        f"https://hooks.example:port/{SECRET}",
        f"https://hooks.example/ {SECRET}",
    ],
)
def test_an_address_that_is_none_is_refused_and_never_shown(
    config: Path, write: Write, address: str
) -> None:
    write("flipback.toml", f"[[notify]]\nwebhook = {address!r}")
    said = told(config)
    assert "flipback.toml: [notify[1]] webhook: is no address of a web server" in said
    assert SECRET not in said
    assert not is_web_address(address)


def test_a_way_is_exactly_one_of_three(config: Path, write: Write) -> None:
    write("flipback.toml", '[[notify]]\nremind = "1h"')
    assert "one of `webhook`, `webhook_from` and `command`" in told(config)


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        ({}, "the environment variable HOOK is not set here"),
        ({"HOOK": " "}, "the environment variable HOOK is not set here"),
        ({"HOOK": SECRET}, "the environment variable HOOK holds no address"),
    ],
)
def test_a_variable_that_is_of_no_use_is_named_and_its_value_is_not(
    config: Path, write: Write, environ: dict[str, str], problem: str
) -> None:
    ways = '[[notify]]\ncommand = ["page"]\n[[notify]]\nwebhook_from = "HOOK"'
    write("flipback.toml", ways)
    (mistake,) = unset_variables(read_settings(config).settings, environ)
    assert f"flipback.toml: [notify[2]] webhook_from: {problem}" in str(mistake)
    assert SECRET not in str(mistake)


def test_a_variable_that_is_set_is_no_mistake(config: Path, write: Write) -> None:
    write("flipback.toml", '[[notify]]\nwebhook_from = "HOOK"')
    settings = read_settings(config).settings
    assert not list(unset_variables(settings, {"HOOK": "https://hooks.example/x"}))
