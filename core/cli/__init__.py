"""The command line: the same verbs as in the window, for terminals and servers.

`selfpose VERB SESSION [flags]`. A verb's names and paths are flags; every other setting comes from `--config file.yaml`
and `--set group.name=value`. Exit codes: 0 finished, 1 failed, 2 wrong usage, 130 cancelled.
"""

from core.cli.commands import main

__all__ = ["main"]
