"""An application whose candidate crashes the process in its tenth call."""

import os
import signal
import sys
from collections import Counter

from openfeature.evaluation_context import EvaluationContext

import flipback


def main() -> None:
    """Serve until the crash."""
    router = flipback.Router.from_config(sys.argv[1])
    support: flipback.Route[[], None] = router.route("support")
    calls: Counter[str] = Counter()

    @support.variant("v1", version="1")
    def control() -> None:
        calls["v1"] += 1

    @support.variant("v2", version="1")
    def candidate() -> None:
        calls["v2"] += 1
        if calls["v2"] == 10:
            os.kill(os.getpid(), signal.SIGKILL)

    for number in range(1_000):
        support.call(EvaluationContext(f"user-{number}", {"plan": "free"}))
        if calls["v2"] == 9:
            router.flush()


if __name__ == "__main__":
    main()
