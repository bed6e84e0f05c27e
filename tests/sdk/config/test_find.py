from pathlib import Path

import pytest

from flipback.config import find_config
from flipback.errors import ConfigError


def test_the_option_comes_before_the_environment_and_the_folder(tmp_path: Path) -> None:
    for name in ("option.toml", "environment.toml", "flipback.toml"):
        (tmp_path / name).touch()
    environ = {"FLIPBACK_CONFIG": "environment.toml"}
    assert find_config("option.toml", environ, tmp_path).name == "option.toml"
    assert find_config(None, environ, tmp_path).name == "environment.toml"
    assert find_config(None, {}, tmp_path).name == "flipback.toml"


def test_an_absolute_path_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "other.toml"
    path.touch()
    assert find_config(str(path), {}, tmp_path / "elsewhere") == path


def test_no_configuration_names_all_three_places(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        find_config(None, {"FLIPBACK_CONFIG": ""}, tmp_path)
    for place in ("--config", "FLIPBACK_CONFIG", str(tmp_path), "flipback.toml"):
        assert place in str(caught.value)


@pytest.mark.parametrize(
    ("option", "environ", "culprit"),
    [
        (
            "gone.toml",
            {"FLIPBACK_CONFIG": "flipback.toml"},
            r"path given \(--config\) asks",
        ),
        (None, {"FLIPBACK_CONFIG": "gone.toml"}, "FLIPBACK_CONFIG asks"),
    ],
)
def test_a_wrong_path_is_never_replaced_by_another_file(
    tmp_path: Path, option: str | None, environ: dict[str, str], culprit: str
) -> None:
    (tmp_path / "flipback.toml").touch()
    with pytest.raises(ConfigError, match=culprit):
        find_config(option, environ, tmp_path)


def test_a_folder_is_told_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is a folder, .* such as .*/flipback\.toml"):
        find_config(str(tmp_path), {}, tmp_path)
