"""Replay people as requests through the router; tell it later what became of them."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from time import perf_counter

from models import EmployerSize, Model, Person
from openfeature.evaluation_context import EvaluationContext

import flipback
from flipback import Look, Route, Router


ROUTE = "income"
LOOK_EVERY = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the application does with a person, and which model said so."""

    acted: bool
    by: str


@dataclass(slots=True, kw_only=True)
class Tally:
    """What the application itself has counted, by the model that served.

    Attributes:
        calls: Calls served.
        enterprise: Those of them for people of an enterprise.
        seconds: Time spent in `predict`.
    """

    calls: Counter[str] = field(default_factory=Counter[str])
    enterprise: Counter[str] = field(default_factory=Counter[str])
    seconds: dict[str, float] = field(default_factory=dict[str, float])

    def add(self, model: str, person: Person) -> None:
        """Count one call."""
        self.calls[model] += 1
        if person.employer_size is EmployerSize.ENTERPRISE:
            self.enterprise[model] += 1

    def latency_ms(self, model: str) -> float:
        """Return the mean time of one `predict`, 0 before the first."""
        return 1000 * self.seconds.get(model, 0.0) / (self.calls[model] or 1)


class Replay:
    """An application with two models behind one route."""

    def __init__(self, router: Router, control: Model, candidate: Model) -> None:
        self.control = control
        self.candidate = candidate
        self.tally = Tally()
        self._router = router
        self._income: Route[[Person], Answer] = router.route(ROUTE)
        for model in (control, candidate):
            self._register(model)

    def run(self, people: Iterable[Person], show: Callable[[Look], None]) -> Look:
        """Serve people until the flag flips back; return the last look.

        The evidence is looked at after every 25 calls of the candidate.
        """
        for person in people:
            answer = self.serve(person)
            self._learn(person, answer)
            if answer.by == self.candidate.name and self._is_due():
                look = self._look()
                show(look)
                if look.kill is not None:
                    return look
        return self._look()

    def serve(self, person: Person) -> Answer:
        """Serve one person by the model that the flag says."""
        user = EvaluationContext(
            person.subject, {"employer_size": person.employer_size.value}
        )
        with flipback.context(user):
            answer = self._income(person)
        self.tally.add(answer.by, person)
        return answer

    def _learn(self, person: Person, answer: Answer) -> None:
        """Report the outcome; recall is about people with a high income only.

        The label comes after the decision, in real life by weeks: the receipt says
        to which decision it belongs.
        """
        if person.has_high_income and (receipt := flipback.receipt()) is not None:
            self._router.record(receipt, "missed", not answer.acted)

    def _is_due(self) -> bool:
        return self.tally.calls[self.candidate.name] % LOOK_EVERY == 0

    def _look(self) -> Look:
        (look,) = self._router.guard.look()
        return look

    def _register(self, model: Model) -> None:
        seconds = self.tally.seconds

        @self._income.variant(model.name, version=model.version)
        def predict(person: Person) -> Answer:
            started = perf_counter()
            acted = model.predict(person.row)
            spent = perf_counter() - started
            seconds[model.name] = seconds.get(model.name, 0.0) + spent
            return Answer(acted=acted, by=model.name)
