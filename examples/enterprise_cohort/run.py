"""Replay census rows through flipback until a hidden regression flips the flag back.

    python run.py            the candidate was trained on a biased export: flips back
    python run.py --good     the candidate was trained on everything: holds

The last line of stdout is the verdict; the exit code is 0 if it was the right one.
"""

import sys

from options import parse


INTERRUPTED = 130


def main() -> int:
    """Run the demo and return its exit code."""
    options = parse(sys.argv[1:], __doc__ or "")
    print("training on census data ...\n", flush=True)
    try:
        # Importing scikit-learn takes seconds, which no wrong option has to wait for.
        from story import tell  # noqa: PLC0415 - see above

        return tell(options)
    except KeyboardInterrupt:
        print("\ninterrupted; .demo holds what there is")
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
