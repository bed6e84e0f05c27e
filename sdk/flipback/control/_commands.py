"""The commands that free people from looking them up at night."""

import shlex


REASON = "--reason '...'"


def release_command(name: str, trip: int) -> str:
    """Return the command that releases exactly this trip of this latch."""
    return f"flipback release {shlex.quote(name)} --trip {trip} {REASON}"


def rollout_command(move: str, route: str, *options: str) -> str:
    """Return the command by which a person moves a rollout, or restores its flag."""
    return " ".join(["flipback", move, shlex.quote(route), *options])
