from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from flipback.config import load_settings, read_settings
from flipback.errors import ConfigError, Mistake


Write = Callable[[str, str], Path]


def mistakes(path: Path) -> tuple[Mistake, ...]:
    with pytest.raises(ConfigError) as caught:
        load_settings(path)
    return caught.value.mistakes


def told(path: Path) -> list[str]:
    return [str(mistake) for mistake in mistakes(path)]


def test_an_empty_file_means_the_embedded_defaults(config: Path) -> None:
    settings = load_settings(config)
    assert settings.flags == "flagfile:flags.flagd.json"
    assert settings.store == "sqlite:flipback.db"
    assert settings.ledger == config.parent / "flipback.ledger.jsonl"
    assert settings.force_control_file == config.parent / "flipback.force-control"
    assert [plan.route for plan in settings.plans] == ["summarizer"]
    assert settings.telemetry.model_dump(mode="json") == {
        "spans": "create",
        "context_id": "hash",
        "events": "flips",
    }
    assert settings.guard.run == "thread"
    assert settings.guard.every_exposures == 25
    assert settings.guard.every == timedelta(seconds=1)
    assert settings.guard.flush == timedelta(milliseconds=500)


def test_every_key_is_read(config: Path, write: Write) -> None:
    write(
        "flipback.toml",
        """
        flags = "unleash+https://flags.example/api"
        store = "redis://cache.example/3"
        plans = ["rollouts/*.toml"]
        ledger = "/var/lib/flipback/ledger"
        force_control_file = "stop"
        [telemetry]
        spans = "annotate"
        context_id = "off"
        events = "all"
        [guard]
        run = "manual"
        every_exposures = 1
        every = "1m"
        flush = "250ms"
        """,
    )
    settings = load_settings(config)
    assert settings.flags == "unleash+https://flags.example/api"
    assert settings.ledger == Path("/var/lib/flipback/ledger")
    assert settings.force_control_file == config.parent / "stop"
    assert settings.telemetry.spans == "annotate"
    assert settings.guard.every == timedelta(minutes=1)


@pytest.mark.parametrize(
    ("store", "ledger"),
    [
        ("sqlite:data/evidence.db", "data/evidence.ledger.jsonl"),
        ("sqlite:/var/evidence", "/var/evidence.ledger.jsonl"),
        ("sqlite::memory:", "flipback.ledger.jsonl"),
        ("redis://cache.example/3", "flipback.ledger.jsonl"),
    ],
)
def test_the_ledger_lies_beside_a_store_that_is_a_file(
    config: Path, write: Write, store: str, ledger: str
) -> None:
    write("flipback.toml", f'store = "{store}"')
    assert load_settings(config).ledger == config.parent / ledger


def test_paths_start_at_the_file_and_not_at_the_working_directory(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    relative = Path("..") / config.parent.name / config.name
    monkeypatch.chdir(config.parent)
    settings = load_settings(relative)
    monkeypatch.chdir("/")
    assert settings.ledger.parent.samefile(config.parent)


WRONG_CONFIG = """
flag = "flagfile:flags.json"
plans = ["rollouts/*.toml", "plans/*.toml"]
[guard]
run = "thred"
every = "0s"
"""
WRONG_PLAN = """
route = "chatbot"
flag = ""
contrl = "v1"
candidate = "v2"
[[stages]]
weight = 25
[[stages]]
weight = 5
windw = "3d"
[[guardrails]]
metric = "error"
fails_on = "increase"
tolerence = 0.2
"""


def test_all_mistakes_of_all_files_are_told_at_once(config: Path, write: Write) -> None:
    write("flipback.toml", WRONG_CONFIG)
    write("rollouts/chatbot.toml", WRONG_PLAN)
    write("rollouts/fraud.toml", 'route = "fraud"\nflag = \n')
    assert told(config) == [
        "flipback.toml: [guard] run: 'thred' is not known here; did you mean `thread`?",
        "flipback.toml: [guard] every: 0 is no period; write more, such as '1s'",
        "flipback.toml: flag: unknown key; did you mean `flags`?",
        (
            "flipback.toml: plans: 'plans/*.toml' matches no file in "
            f"{config.parent}; write a plan there, or correct the pattern"
        ),
        "rollouts/chatbot.toml: flag: is empty; write a name",
        "rollouts/chatbot.toml: [stages[2]] windw: unknown key; did you mean `window`?",
        (
            "rollouts/chatbot.toml: [guardrails[1]] tolerence: unknown key; "
            "did you mean `tolerance`?"
        ),
        "rollouts/chatbot.toml: contrl: unknown key; did you mean `control`?",
        (
            "rollouts/chatbot.toml: [stages[2]] weight: weight 5 of stages[2] does not "
            "rise above weight 25 of stages[1]; write more than 25, or put the stages "
            "in rising order"
        ),
        (
            "rollouts/fraud.toml: line 2, column 8: is not TOML: Invalid value; "
            "correct it there; text needs quotes, a table its [name]"
        ),
    ]


def test_an_unknown_key_like_no_other_is_told_what_there_is(
    config: Path, write: Write
) -> None:
    write("flipback.toml", "[telemetry]\ncolour = 3")
    assert told(config) == [
        (
            "flipback.toml: [telemetry] colour: unknown key; "
            "remove it; known keys: spans, context_id, events"
        )
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("flags = 3", "3 is no text; write text in quotes"),
        ('flags = "flags.json"', "names no kind of service; write `kind:location`"),
        ("plans = []", "plans: is empty; write at least one"),
        ('plans = "rollouts/*.toml"', "plans: 'rollouts/*.toml' is no list; write a"),
        ("plans = [1]", "plans[1]: 1 is no text"),
        ("guard = true", "[guard] the table: true is no table"),
        ("guard.every = 1", "1 is no duration; write a number and a unit"),
        ("guard.every_exposures = 0", "0 is out of range; write a value of at least 1"),
        ("guard.every_exposures = 1.5", "1.5 is no whole number"),
        ("telemetry.spans = false", "false is not known here; write one of: create"),
    ],
)
def test_a_wrong_value_is_told_in_words(
    config: Path, write: Write, line: str, message: str
) -> None:
    write("flipback.toml", line)
    (text,) = told(config)
    assert message in text
    assert "Input" not in text


def test_a_plan_is_never_told_in_the_words_of_a_parser(
    config: Path, write: Write
) -> None:
    write(
        "rollouts/summarizer.toml",
        """
        route = 1
        flag = ["x"]
        alpha = 0.5
        cohorts = { plan = "free" }
        values = 3
        stages = []
        on_error = "explode"
        guardrails = [{}, 4]
        """,
    )
    text = "\n".join(told(config))
    assert "Input" not in text
    assert "valid" not in text
    assert "stages: is empty; write at least one" in text
    assert "[guardrails[1]] metric: is missing; add `metric = ...`" in text
    assert "[guardrails[2]] the table: 4 is no table" in text
    assert "[cohorts] plan: 'free' is no list" in text
    assert "write one of: fall back, raise" in text


def test_a_missing_table_is_told_how_to_add_it(config: Path, write: Write) -> None:
    write("rollouts/summarizer.toml", "")
    text = "\n".join(told(config))
    assert "stages: is missing; add a table [[stages]]" in text
    assert "control: is missing; add `control = ...`" in text


def test_two_plans_for_one_route_are_a_mistake(
    config: Path, write: Write, plan_text: str
) -> None:
    write("rollouts/z.toml", plan_text)
    assert told(config) == [
        (
            "rollouts/z.toml: route: 'summarizer' is planned in "
            "rollouts/summarizer.toml too; a route has one plan: remove one of the two"
        )
    ]


def test_a_plan_matched_by_two_patterns_is_read_once(
    config: Path, write: Write
) -> None:
    write("flipback.toml", 'plans = ["rollouts/*.toml", "rollouts/summ*.toml"]')
    assert len(load_settings(config).plans) == 1


def test_a_file_that_is_no_text_is_told(config: Path, tmp_path: Path) -> None:
    (tmp_path / "rollouts" / "summarizer.toml").write_bytes(b"route = '\xff'")
    assert "is not UTF-8 text (byte 9)" in told(config)[0]


def test_a_file_that_cannot_be_opened_is_told(config: Path, tmp_path: Path) -> None:
    (tmp_path / "rollouts" / "folder.toml").mkdir()
    assert "rollouts/folder.toml: the file: cannot be read" in told(config)[0]


def test_the_acts_of_an_emergency_need_no_other_routes_plan(
    config: Path, write: Write
) -> None:
    write("rollouts/broken.toml", 'route = "fraud"')
    write("rollouts/torn.toml", 'route = "chat')
    write("flipback.toml", 'store = "sqlite:kept.db"\n[guard]\nrun = 1')
    reading = read_settings(config)
    assert [plan.route for plan in reading.settings.plans] == ["summarizer"]
    assert reading.files == ("rollouts/summarizer.toml",)
    assert reading.unplanned == ("fraud",)
    assert reading.nameless == ("rollouts/torn.toml",)
    assert reading.settings.store == "sqlite:kept.db"
    assert reading.settings.guard.run == "thread"
    assert reading.mistakes


@pytest.mark.parametrize("text", ["store = 1", "store = ", "ledger = 1"])
def test_nothing_is_written_to_a_place_that_nobody_named(
    config: Path, write: Write, text: str
) -> None:
    write("flipback.toml", text)
    with pytest.raises(ConfigError):
        read_settings(config)
