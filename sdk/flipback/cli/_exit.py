"""What the command line tells a script."""

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit code of every command; the order says nothing about severity."""

    OK = 0
    MISTAKES = 1
    USAGE = 2
    LOCAL_ONLY = 3
    NOT_DURABLE = 4
    UNACKNOWLEDGED = 5
    REFUSED = 6
    UNAVAILABLE = 7
    NOT_KILLED = 8
    INTERRUPTED = 130


MEANING = {
    ExitCode.OK: "done, and nothing is wrong",
    ExitCode.MISTAKES: "the configuration, a plan, its flag, a log or the ledger has "
    "mistakes",
    ExitCode.USAGE: "an argument is wrong, or the configuration cannot be used",
    ExitCode.LOCAL_ONLY: "killed: control serves, but the flag service did not take it",
    ExitCode.NOT_DURABLE: "killed or moved, but the ledger could not be written",
    ExitCode.UNACKNOWLEDGED: "killed, but not every process has said that it obeys",
    ExitCode.REFUSED: "refused: another trip holds, or the rollout does not allow it "
    "where it stands",
    ExitCode.UNAVAILABLE: "the store, the ledger, the flag service or a file cannot be "
    "used",
    ExitCode.NOT_KILLED: "NOT killed: ledger, store and flag could not be written",
    ExitCode.INTERRUPTED: "interrupted; of a kill, nothing may have been killed",
}
