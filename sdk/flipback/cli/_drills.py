"""What `check` and `status` say of drills."""

from collections.abc import Callable, Sequence
from contextlib import closing

from flipback.app import Driller
from flipback.cli._places import is_not_there_yet
from flipback.cli._shell import Shell
from flipback.config import Settings
from flipback.errors import FlipbackError, Mistake


def drill_left_over(settings: Settings, shell: Shell) -> Sequence[Mistake]:
    """Return what a drill that broke off has left, with the command that ends it."""
    try:
        if settings.drill_flag is None or is_not_there_yet(settings):
            return ()
        return _asked(settings, shell, Driller.left_over)
    except FlipbackError:  # of the store, of which others tell more
        return ()


def drill_mistakes(settings: Settings, shell: Shell) -> Sequence[Mistake]:
    """Return what keeps the drill flag from being drilled, or a drill has left."""
    if settings.drill_flag is None:
        return ()
    left = drill_left_over(settings, shell)
    try:
        return left or _asked(settings, shell, Driller.mistakes)
    except FlipbackError:  # of the flag service, likewise
        return ()


def _asked(
    settings: Settings, shell: Shell, ask: Callable[[Driller], Sequence[Mistake]]
) -> Sequence[Mistake]:
    with closing(Driller.open(settings, clock=shell.clock)) as driller:
        return ask(driller)
