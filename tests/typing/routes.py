"""What type checkers accept of routes and variants, and what they must refuse.

Nothing here runs. A line that is refused says so by an ignore; checkers complain of
an ignore that is not needed, so a line that is accepted by mistake is found; the one
ignore is for both of them.
"""

from typing import assert_type

from openfeature.evaluation_context import EvaluationContext

import flipback
from flipback import Route, Router


def variants_have_the_types_of_their_route(router: Router) -> None:
    summarize: Route[[str, int], str] = router.route("summarizer")

    @summarize.variant("v1")
    def good(article: str, words: int) -> str:
        return article[:words]

    @summarize.variant("v1b", version="2", side_effects=True)
    def generous(article: object, words: float, style: str = "") -> str:
        return f"{article}{words}{style}"

    @summarize.variant("v2")  # type: ignore[arg-type]
    def wrong_argument(article: bytes, words: int) -> str:
        return str(article)

    @summarize.variant("v3")  # type: ignore[arg-type]
    def wrong_answer(article: str, words: int) -> bytes:
        return article.encode()

    @summarize.variant("v4")  # type: ignore[arg-type]
    async def coroutine(article: str, words: int) -> str:
        return article

    @summarize.variant("v5")  # type: ignore[arg-type]
    def one_too_many(article: str, words: int, style: str) -> str:
        return article

    assert_type(good("", 1), str)


def calls_have_the_types_of_their_route(
    router: Router, user: EvaluationContext
) -> None:
    summarize: Route[[str, int], str] = router.route("summarizer")
    assert_type(summarize("article", 3), str)
    assert_type(summarize.call(user, "article", 3), str)
    summarize("article")  # type: ignore[call-arg]
    summarize(3, 3)  # type: ignore[arg-type]
    summarize.call("user", "article", 3)  # type: ignore[arg-type]
    summarize.call(user, 3, "article")  # type: ignore[arg-type]
    summarize.call(user)  # type: ignore[call-arg]
    _number: int = summarize("article", 3)  # type: ignore[assignment]


def a_route_without_an_annotation_takes_everything(router: Router) -> None:
    anything: Route = router.route("summarizer")

    @anything.variant("v1")
    def variant(article: str) -> bytes:
        return article.encode()

    anything(1, two=2)


def a_variant_needs_its_name(router: Router) -> None:
    route: Route[[], None] = router.route("r")
    route.variant()  # type: ignore[call-arg]
    route.variant("v1", "2")  # type: ignore[call-arg]
    route.variant("v1", version=2)  # type: ignore[arg-type]


def expected_errors_are_types(router: Router) -> None:
    _one: Route[[], None] = router.route("r", expected=(ValueError, KeyError))
    _two: Route[[], None] = router.route("r", expected=ValueError)  # type: ignore[arg-type]
    _three: Route[[], None] = router.route("r", expected=(KeyboardInterrupt,))  # type: ignore[arg-type]


def a_decision_names_variant_and_role(
    route: Route[[str], str], user: EvaluationContext
) -> None:
    decision = route.decide(user)
    assert_type(decision, flipback.Decision)
    assert_type(decision.variant, str)
    assert_type(decision.role, flipback.Role)
    assert_type(decision.assignment, flipback.Assignment)
    assert_type(decision.expose(), str)
    decision.assignment.variant = "v2"  # type: ignore[misc]
    route.decide("user")  # type: ignore[arg-type]
    route.decide(user, "article")  # type: ignore[call-arg]
