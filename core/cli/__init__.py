"""Command line: the verbs of the window, for terminals and servers.

`selfpose VERB SESSION [options]`. The top-level settings of a verb are options; nested settings come from
`--config FILE` and `--set group.name=value`. Exit codes: 0 finished, 1 failed, 2 wrong usage, 130 cancelled.
"""

from core.cli.commands import main

__all__ = ["main"]
