"""An application whose candidate aborts the process, seen or unseen."""

import os
import sys
import threading

from openfeature.evaluation_context import EvaluationContext

import flipback


def main() -> None:
    """Serve until the crash, or for a minute."""
    router = flipback.Router.from_config(sys.argv[1])
    support: flipback.Route[[], str] = router.route("support")

    @support.variant("v1", version="1")
    def control() -> str:
        return "v1"

    @support.variant("v2", version="1")
    def candidate() -> str:
        os.abort()

    pause = threading.Event()
    for number in range(6_000):
        user = EvaluationContext(f"{os.getpid()}-{number}", {"plan": "free"})
        assert support.call(user) == "v1"
        pause.wait(0.01)


if __name__ == "__main__":
    main()
