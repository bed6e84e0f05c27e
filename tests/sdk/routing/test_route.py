import functools
import logging
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

import flipback
from benches import USER, Bench
from flipback.errors import RouteError
from flipback.routing import _parts as parts


Build = Callable[..., Bench]


class CallerError(ValueError):
    pass


def raising(error: BaseException) -> Callable[[], str]:
    def variant() -> str:
        raise error

    return variant


def test_the_variant_of_the_user_serves(bench: Bench) -> None:
    assert bench.call() == "v2"
    assert bench.served == ["v2"]
    assert bench.route.variants.keys() == {"v1", "v2"}
    assert bench.route.plan.route == "support"


def test_a_call_is_an_exposure_with_its_built_in_outcomes(bench: Bench) -> None:
    bench.serve("v2", lambda: bench.clock.advance(0.25) or "v2")  # type: ignore[func-returns-value]
    bench.call()
    expected = {
        ("v2", "exposure"): (1, 1.0),
        ("v2", "error"): (1, 0.0),
        ("v2", "latency_s"): (1, 0.25),
    }
    seen = bench.drained()
    assert seen.means() == expected
    assert seen.means("plan=enterprise") == expected
    assert bench.due == [1]


def test_an_exception_of_the_candidate_is_answered_by_control(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.serve("v2", raising(ValueError("no tokens left")))
    with caplog.at_level(logging.WARNING, logger="flipback"):
        assert [bench.call(), bench.call()] == ["v1", "v1"]
    seen = bench.drained()
    assert seen.exposures() == {"v2": 2}
    assert seen.means()["v2", "error"] == (2, 1.0)
    assert ("v2", "latency_s") not in seen.means()
    assert bench.kinds == {"v2 raised": 2}
    assert len(caplog.records) == 1
    assert "ValueError" in caplog.text


@pytest.mark.parametrize(
    ("plan", "options"),
    [({"on_error": "raise"}, {}), ({}, {"side_effects": True})],
    ids=["on_error", "side effects"],
)
def test_an_exception_of_the_candidate_is_passed_on_where_asked(
    build: Build, plan: dict[str, object], options: dict[str, object]
) -> None:
    bench = build(plan=plan)
    bench.serve("v2", raising(ValueError("paid twice")), **options)
    with pytest.raises(ValueError, match="paid twice"):
        bench.call()
    assert bench.served == []
    assert bench.drained().means()["v2", "error"] == (1, 1.0)


def test_an_expected_exception_is_passed_on_and_held_against_nobody(
    build: Build,
) -> None:
    bench = build(expected=(CallerError,))
    bench.serve("v2", raising(CallerError("an empty question")))
    with pytest.raises(CallerError):
        bench.call()
    seen = bench.drained()
    assert seen.means() == {("v2", "exposure"): (1, 1.0)}
    assert (bench.served, bench.kinds) == ([], {})


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1)], ids=repr)
def test_an_interrupt_is_passed_on_and_is_no_outcome(
    bench: Bench, error: BaseException
) -> None:
    bench.serve("v2", raising(error))
    with pytest.raises(type(error)):
        bench.call()
    assert bench.drained().means() == {("v2", "exposure"): (1, 1.0)}
    assert bench.served == []


def test_an_exception_of_control_is_passed_on_and_counted(bench: Bench) -> None:
    bench.serve("v1", raising(ValueError("down as well")))
    bench.say("v1")
    with pytest.raises(ValueError, match="down as well"):
        bench.call()
    assert bench.drained().means()["v1", "error"] == (1, 1.0)


def test_an_exception_of_control_in_a_fallback_is_passed_on(bench: Bench) -> None:
    bench.serve("v1", raising(ValueError("control is down")))
    bench.serve("v2", raising(ValueError("so is the candidate")))
    with pytest.raises(ValueError, match="control is down"):
        bench.call()
    assert bench.drained().means() == {
        ("v2", "exposure"): (1, 1.0),
        ("v2", "error"): (1, 1.0),
    }


def test_a_fallback_is_no_exposure_and_records_nothing(bench: Bench) -> None:
    taken = list[bool]()

    def control() -> str:
        taken.append(flipback.record("resolved", 1))
        return "v1"

    bench.serve("v1", control)
    bench.serve("v2", raising(ValueError()))
    assert bench.call() == "v1"
    seen = bench.drained()
    assert taken == [False]
    assert seen.exposures() == {"v2": 1}
    assert {metric for _, metric in seen.means()} == {"exposure", "error"}


def test_another_variant_that_raises_is_answered_by_control(bench: Bench) -> None:
    bench.serve("v3", raising(ValueError()))
    bench.say("v3")
    assert bench.call() == "v1"
    assert bench.drained().excluded == {"other_variant": 1}


def test_an_exception_that_cannot_be_shown_falls_back_all_the_same(
    bench: Bench,
) -> None:
    class Unshowable(Exception):  # noqa: N818 - a test's own
        def __repr__(self) -> str:
            raise RuntimeError("a bug in a bug")

        __str__ = __repr__

    bench.serve("v2", raising(Unshowable()))
    assert bench.call() == "v1"


def test_a_crash_is_an_error_whatever_the_variant_recorded(bench: Bench) -> None:
    def candidate() -> str:
        flipback.record("error", 0)
        raise ValueError

    bench.serve("v2", candidate)
    assert bench.call() == "v1"
    assert bench.drained().means()["v2", "error"] == (1, 1.0)


def test_a_variant_may_call_an_answer_an_error(bench: Bench) -> None:
    bench.serve("v2", lambda: str(flipback.record("error", 1)))
    assert bench.call() == "True"
    assert bench.drained().means()["v2", "error"] == (1, 1.0)


def test_a_route_calls_another_inside(build: Build) -> None:
    outer, inner = build(), build(plan={"guardrails": [GUARDS_TONE]})
    inner.serve("v2", lambda: str(flipback.record("tone", 2)))

    def candidate() -> str:
        flipback.record("resolved", 1)
        said = inner.call()
        return said + str(flipback.record("resolved", 0))

    outer.serve("v2", candidate)
    assert outer.call() == "TrueFalse"
    assert outer.drained().means()["v2", "resolved"] == (1, 1.0)
    assert inner.drained().means()["v2", "tone"] == (1, 2.0)


GUARDS_TONE = {"metric": "tone", "fails_on": "decrease", "tolerance": 0.1}


def test_a_decision_alone_is_no_exposure(bench: Bench) -> None:
    decision = bench.route.decide(USER)
    assert (decision.variant, decision.role) == ("v2", "candidate")
    assert repr(decision) == "Decision('v2', split)"
    assert bench.parts.recorder.drain() is None
    decision.expose()
    assert bench.drained().exposures() == {"v2": 1}


def test_a_function_is_itself_after_registration(bench: Bench) -> None:
    def third() -> str:
        return "called directly"

    assert bench.route.variant("v3", version="1")(third) is third
    assert third() == "called directly"
    assert bench.parts.recorder.drain() is None


def test_a_route_without_control_says_so(bench: Bench) -> None:
    del bench.functions["v1"], bench.functions["v2"]
    with pytest.raises(RouteError) as refused:
        bench.call()
    assert str(refused.value) == (
        "route 'support' has no function for control 'v1'; "
        "register one with @route.variant('v1')"
    )
    assert bench.parts.recorder.drain() is None


def test_a_candidate_that_raises_without_control_is_passed_on(bench: Bench) -> None:
    del bench.functions["v1"]
    bench.serve("v2", raising(ValueError("nobody else")))
    with pytest.raises(ValueError, match="nobody else"):
        bench.call()


def test_a_variant_is_registered_once(bench: Bench) -> None:
    with pytest.raises(RouteError, match="variant 'v2' is registered twice"):
        bench.route.variant("v2")(lambda: "")


def test_a_variant_that_the_flag_has_not_is_refused(build: Build) -> None:
    bench = build(flag_variants=["v1", "v2", "generative-v3"])
    with pytest.raises(RouteError) as refused:
        bench.route.variant("generative-v4")(lambda: "")
    assert str(refused.value) == (
        "route 'support': flag 'support-model' has no variant 'generative-v4', "
        "only 'generative-v3', 'v1', 'v2'; did you mean `generative-v3`?"
    )


def test_any_variant_may_be_registered_while_the_flag_is_not_known(
    bench: Bench,
) -> None:
    bench.route.variant("v9", version="1")(lambda: "")
    assert "v9" in bench.route.variants


async def coroutine() -> str:
    return ""


def generator() -> Iterator[str]:
    yield ""


async def async_generator() -> AsyncIterator[str]:
    yield ""


class Model:
    async def __call__(self) -> str:
        return ""


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (coroutine, "a coroutine function"),
        (functools.partial(coroutine), "a coroutine function"),
        (Model(), "a coroutine function"),
        (generator, "a generator function"),
        (async_generator, "an async generator function"),
    ],
    ids=["coroutine", "partial", "object", "generator", "async generator"],
)
def test_what_is_not_done_when_it_returns_is_refused(
    bench: Bench, function: Callable[[], object], kind: str
) -> None:
    del bench.functions["v2"]
    with pytest.raises(RouteError, match=f"variant 'v2' is {kind}; this version"):
        bench.route.variant("v2")(function)  # type: ignore[arg-type]
    assert "v2" not in bench.route.variants


def test_a_model_with_a_call_method_is_a_variant(bench: Bench) -> None:
    class Plain:
        def __call__(self) -> str:
            return "an object"

    bench.serve("v2", Plain())
    assert bench.call() == "an object"


def test_the_version_is_given_planned_or_of_the_package(build: Build) -> None:
    bench = build(plan={"candidate_version": "planned"})
    for name, options, function in (
        ("v2", {"version": None}, bench.call),
        ("v3", {"version": "given"}, bench.call),
        ("v4", {"version": None}, pytest.fail),
    ):
        bench.serve(name, function, **options)  # type: ignore[arg-type]
    versions = {name: v.version for name, v in bench.route.variants.items()}
    assert versions == {
        "v1": "1",
        "v2": "planned",
        "v3": "given",
        "v4": pytest.__version__,
    }
    assert bench.kinds == {}


def test_a_package_without_metadata_has_no_version(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As left behind by an installation that was torn in the middle."""
    monkeypatch.setattr(parts, "packages_distributions", lambda: {"_pytest": ["gone"]})
    bench.serve("v2", pytest.fail, version=None)  # type: ignore[arg-type]
    assert bench.route.variants["v2"].version == "unversioned"


def test_a_variant_without_a_version_is_named_once(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.serve("v2", lambda: "", version=None)
    bench.serve("v3", lambda: "", version=None)
    assert bench.route.variants["v2"].version == "unversioned"
    assert bench.kinds == {"unversioned": 2}
    assert caplog.text.count("pass version= to @route.variant") == 1
