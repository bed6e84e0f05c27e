"""Run a plan over a recorded log, as an application would have."""

from flipback.replay._arms import Harm
from flipback.replay._binomial import Share
from flipback.replay._feed import hint
from flipback.replay._foretold import foretold
from flipback.replay._formats import Columns, is_field
from flipback.replay._replay import RUNS_AT_ONCE, Replay
from flipback.replay._result import (
    Ended,
    Outcome,
    Pointed,
    Repeated,
    Replayed,
    Rows,
    Stage,
)
from flipback.replay._rows import MOST_EPOCHS, Exposed, Late, Origin, number
from flipback.replay._source import Source, Stream
from flipback.replay._troubles import MEANING, LogError, Remark, Trouble
from flipback.replay._watch import LOOK_EVERY, Watch


__all__ = [
    "LOOK_EVERY",
    "MEANING",
    "MOST_EPOCHS",
    "RUNS_AT_ONCE",
    "Columns",
    "Ended",
    "Exposed",
    "Harm",
    "Late",
    "LogError",
    "Origin",
    "Outcome",
    "Pointed",
    "Remark",
    "Repeated",
    "Replay",
    "Replayed",
    "Rows",
    "Share",
    "Source",
    "Stage",
    "Stream",
    "Trouble",
    "Watch",
    "foretold",
    "hint",
    "is_field",
    "number",
]
