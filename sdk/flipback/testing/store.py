"""The tests that every `Store` passes."""

from flipback.testing.course import CourseContract
from flipback.testing.evidence import EvidenceContract
from flipback.testing.mirror import MirrorContract
from flipback.testing.outbox import OutboxContract
from flipback.testing.state import StateContract


class StoreContract(
    EvidenceContract, StateContract, MirrorContract, OutboxContract, CourseContract
):
    """Tests of a `Store`, to be inherited by a test class of each implementation.

    The module or class that inherits it provides three pytest fixtures:

    - `clock`: a `FakeClock`,
    - `store`: an empty store with that clock,
    - `other`: the same store, opened a second time as another process would.

    Both stores are closed by the fixtures.
    """
