"""Run the command line as `python -m flipback.cli`."""

from flipback.cli import main


raise SystemExit(main())
